//! Whether the store holds what it must.

use std::collections::{HashMap, VecDeque};

use attuned_store::{MemoryStore, StateSnapshot};

/// What a store must hold, by the plainest means.
pub struct Replay {
    /// How many events of a user are kept.
    history: usize,
    /// Of each user, the oldest event first.
    users: HashMap<String, VecDeque<StateSnapshot>>,
}

impl Replay {
    pub fn new(history: usize) -> Self {
        Self {
            history,
            users: HashMap::new(),
        }
    }

    pub fn apply(&mut self, event: StateSnapshot) {
        let user_id = event.user_id().to_owned();
        let events = self.users.entry(user_id).or_default();
        events.push_back(event);
        if events.len() > self.history {
            events.pop_front();
        }
    }

    /// How many users the store has wrong: missing, too many, or with another
    /// latest snapshot or history than here.
    pub fn differences(&self, store: &MemoryStore) -> usize {
        let wrong = self
            .users
            .iter()
            .filter(|(user_id, events)| !self.agrees(store, user_id, events))
            .count();
        wrong + store.len().saturating_sub(self.users.len())
    }

    fn agrees(&self, store: &MemoryStore, user_id: &str, events: &VecDeque<StateSnapshot>) -> bool {
        let history = store.history(user_id, self.history);
        store.latest(user_id).as_ref() == events.back() && history.iter().eq(events.iter().rev())
    }

    /// The users, in an order that does not change from run to run.
    pub fn into_user_ids(self) -> Vec<String> {
        let mut user_ids: Vec<String> = self.users.into_keys().collect();
        user_ids.sort_unstable();
        user_ids
    }
}

/// What a store turns out to hold when nobody writes to it any more.
#[derive(Default)]
pub struct Audit {
    /// How many snapshots it keeps.
    pub snapshots: u64,
    /// How many users have no history, too long a one, or one whose newest entry
    /// is not their latest snapshot.
    pub wrong: u64,
}

impl Audit {
    pub fn of(store: &MemoryStore, users: &[String], bound: usize) -> Self {
        let mut audit = Self::default();
        for user_id in users {
            // Asks for more than there can be.
            let history = store.history(user_id, bound + 1);
            audit.snapshots += history.len() as u64;
            let sound = !history.is_empty()
                && history.len() <= bound
                && history.first() == store.latest(user_id).as_ref();
            audit.wrong += u64::from(!sound);
        }
        audit
    }
}
