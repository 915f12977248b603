//! Bare `papaya`, without history: as fast as a read through this map can be.
//! It keeps less than the others, so no claim rests on beating it.

use foldhash::quality::RandomState;
use std::sync::Arc;

use attuned_store::StateSnapshot;

use super::Contender;

pub struct Papaya(papaya::HashMap<Arc<str>, StateSnapshot, RandomState>);

/// A map as this library has it. It resizes while writers wait: after an incremental
/// resize that nobody finishes, reads search two tables.
pub(super) fn map<K, V>(capacity: usize) -> papaya::HashMap<K, V, RandomState> {
    papaya::HashMap::builder()
        .capacity(capacity)
        .hasher(RandomState::default())
        .resize_mode(papaya::ResizeMode::Blocking)
        .build()
}

impl Contender for Papaya {
    const NAME: &'static str = "papaya (no history)";
    const KEEPS_HISTORY: bool = false;
    type Snapshot = StateSnapshot;

    fn new(_history: Option<usize>, capacity: usize) -> Self {
        Self(map(capacity))
    }

    fn upsert(&self, snapshot: StateSnapshot) {
        self.0.pin().insert(Arc::from(snapshot.user_id()), snapshot);
    }

    fn latest(&self, user_id: &str) -> Option<StateSnapshot> {
        self.0.pin().get(user_id).cloned()
    }

    fn with_latest<R>(&self, user_id: &str, read: impl FnOnce(&StateSnapshot) -> R) -> Option<R> {
        self.0.pin().get(user_id).map(read)
    }

    fn history(&self, _user_id: &str, _limit: usize) -> Vec<StateSnapshot> {
        Vec::new()
    }

    fn remove(&self, user_id: &str) -> bool {
        self.0.pin().remove(user_id).is_some()
    }
}
