//! This library.

use attuned_store::{MemoryStore, Revision, State, StateSnapshot, Versioned};

use super::{Contender, Retain};

pub struct Attuned(pub MemoryStore);

impl Contender for Attuned {
    const NAME: &'static str = "attuned-store";
    type Snapshot = StateSnapshot;
    type Value = State;
    type Shown<'a> = &'a State;
    type History = Vec<Versioned<State>>;
    type Written = Revision;

    fn new(history: Option<usize>, capacity: usize) -> Self {
        let builder = MemoryStore::builder().capacity(capacity);
        let builder = match history {
            Some(entries) => builder.history(entries),
            None => builder,
        };
        Self(builder.build().expect("a valid configuration"))
    }

    fn upsert(&self, snapshot: StateSnapshot) -> Revision {
        self.0.insert(snapshot).expect("a store without a bound")
    }

    fn get(&self, user_id: &str) -> Option<State> {
        self.0.get(user_id)
    }

    fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R> {
        self.0.with(user_id, read)
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<Versioned<State>> {
        self.0.history(user_id, limit)
    }

    fn remove(&self, user_id: &str) -> bool {
        self.0.remove(user_id).expect("no thread is exiting")
    }
}

impl Retain for Attuned {
    fn retain(&self, keep: impl FnMut(&str, &State) -> bool) -> usize {
        self.0.retain(keep)
    }
}
