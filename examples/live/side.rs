//! What is done with either side.

use attuned_store::{ConfigError, MemoryStore, State, StateSnapshot, Versioned};

use crate::pair::Pair;
use crate::rival::Rival;

/// The two maps.
pub struct Sides<A, B> {
    pub attuned: A,
    pub dashmap: B,
}

/// A store with room for so many users from the start.
pub fn in_memory(history: usize, users: usize) -> Result<MemoryStore, ConfigError> {
    let store = MemoryStore::builder().history(history).capacity(users);
    store.build()
}

impl Sides<MemoryStore, Rival> {
    /// A store in memory beside a DashMap.
    pub fn new(history: usize, users: usize) -> Result<Self, ConfigError> {
        Ok(Self {
            attuned: in_memory(history, users)?,
            dashmap: Rival::new(history, users),
        })
    }
}

impl<A: Side, B: Side> Sides<A, B> {
    /// Some events for both.
    pub fn insert_many(&self, events: Vec<StateSnapshot>) {
        self.attuned.insert_many(events.clone());
        self.dashmap.insert_many(events);
    }

    pub fn users(&self) -> Pair<usize> {
        Pair {
            attuned: self.attuned.len(),
            dashmap: self.dashmap.len(),
        }
    }

    /// How many entries the history of this user has.
    pub fn history_length(&self, user_id: &str) -> Pair<usize> {
        Pair {
            attuned: self.attuned.history(user_id, usize::MAX).len(),
            dashmap: self.dashmap.history(user_id, usize::MAX).len(),
        }
    }
}

/// What both can do, with the same meaning.
pub trait Side: Sync {
    fn insert(&self, event: StateSnapshot);
    /// The same of several, in their order.
    fn insert_many(&self, events: Vec<StateSnapshot>) {
        for event in events {
            self.insert(event);
        }
    }
    /// Looks at the latest state of a user where it is stored.
    fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R>;
    /// The newest states of a user, newest first, the latest included.
    fn history(&self, user_id: &str, limit: usize) -> Vec<Versioned<State>>;
    /// How many users there are.
    fn len(&self) -> usize;
    /// How many states were ever written, as it has counted them itself.
    fn writes(&self) -> u64;
}

impl Side for MemoryStore {
    fn insert(&self, event: StateSnapshot) {
        let written = Self::insert(self, event);
        written.expect("a store without a bound");
    }

    fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R> {
        Self::with(self, user_id, read)
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<Versioned<State>> {
        Self::history(self, user_id, limit)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }

    fn writes(&self) -> u64 {
        self.stats().writes
    }
}
