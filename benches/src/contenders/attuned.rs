//! This library.

use attuned_store::{MemoryStore, StateSnapshot};

use super::Contender;

pub struct Attuned(pub MemoryStore);

impl Contender for Attuned {
    const NAME: &'static str = "attuned-store";
    type Snapshot = StateSnapshot;

    fn new(history: Option<usize>, capacity: usize) -> Self {
        let builder = MemoryStore::builder().capacity(capacity);
        let builder = match history {
            Some(entries) => builder.history(entries),
            None => builder,
        };
        Self(builder.build().expect("a valid configuration"))
    }

    fn upsert(&self, snapshot: StateSnapshot) {
        self.0.upsert(snapshot).expect("a store without a bound");
    }

    fn latest(&self, user_id: &str) -> Option<StateSnapshot> {
        self.0.latest(user_id)
    }

    fn with_latest<R>(&self, user_id: &str, read: impl FnOnce(&StateSnapshot) -> R) -> Option<R> {
        self.0.with_latest(user_id, read)
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<StateSnapshot> {
        self.0.history(user_id, limit)
    }

    fn remove(&self, user_id: &str) -> bool {
        self.0.remove(user_id)
    }
}
