//! attuned-store 1.0.1, as published.
//!
//! Its semantics are weaker: latest and history are two maps, which racing writers can bring to
//! disagree, and a removal does not say whether there was something. There are no revisions,
//! and no times of writes. It has an async interface only, and its reads copy the snapshot. It
//! has no setting for the capacity.

use attuned_core::StateSnapshot;
use attuned_store_v1::{MemoryStore, MemoryStoreConfig, StateStore as _};

use super::{Contender, Snapshot, Value};
use crate::workload::poll;

pub struct Published(pub MemoryStore);

impl Contender for Published {
    const NAME: &'static str = "attuned-store 1.0.1";
    type Snapshot = StateSnapshot;
    type Value = StateSnapshot;
    type Shown<'a> = &'a StateSnapshot;
    type History = Vec<StateSnapshot>;
    type Written = ();

    fn new(history: Option<usize>, _capacity: usize) -> Self {
        Self(MemoryStore::new(MemoryStoreConfig {
            enable_history: history.is_some(),
            max_history_per_user: history.unwrap_or(0),
        }))
    }

    fn upsert(&self, snapshot: StateSnapshot) {
        poll(self.0.upsert_latest(snapshot)).expect("a valid snapshot is stored");
    }

    fn get(&self, user_id: &str) -> Option<StateSnapshot> {
        poll(self.0.get_latest(user_id)).expect("the store in memory does not fail")
    }

    fn with<R>(&self, user_id: &str, read: impl FnOnce(&StateSnapshot) -> R) -> Option<R> {
        self.get(user_id).as_ref().map(read)
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<StateSnapshot> {
        poll(self.0.get_history(user_id, limit)).expect("the store in memory does not fail")
    }

    /// Looks before it removes, since the published `delete` does not say.
    fn remove(&self, user_id: &str) -> bool {
        let present = self.get(user_id).is_some();
        poll(self.0.delete(user_id)).expect("the store in memory does not fail");
        present
    }
}

impl Snapshot for StateSnapshot {
    fn build(user_id: &str, axes: &[&str], at: i64) -> Self {
        StateSnapshot::builder()
            .user_id(user_id)
            .updated_at(at)
            .confidence(0.75)
            .axes(axes.iter().map(|&name| (name.to_owned(), 0.25)))
            .build()
            .expect("a valid snapshot")
    }
}

impl Value for StateSnapshot {
    fn at(&self) -> i64 {
        self.updated_at_unix_ms
    }

    fn confidence(&self) -> f32 {
        self.confidence
    }

    fn first_axis(&self) -> f32 {
        self.axes.values().next().copied().unwrap_or(0.0)
    }
}
