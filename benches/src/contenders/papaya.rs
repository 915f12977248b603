//! Bare `papaya`, without history: as fast as a read through this map can be.
//! It keeps less than the others, so no claim rests on beating it.

use foldhash::quality::RandomState;
use std::sync::Arc;

use attuned_store::{State, StateSnapshot};

use super::Contender;
use super::through_trait::Whole;

/// A map of states or, for the trait, which gives snapshots, of these: then none has to
/// be put together from key and state.
pub struct Papaya<V = State>(papaya::HashMap<Arc<str>, V, RandomState>);

/// A map as this library has it. It resizes while writers wait: after an incremental
/// resize that nobody finishes, reads search two tables.
pub(super) fn map<K, V>(capacity: usize) -> papaya::HashMap<K, V, RandomState> {
    papaya::HashMap::builder()
        .capacity(capacity)
        .hasher(RandomState::default())
        .resize_mode(papaya::ResizeMode::Blocking)
        .build()
}

impl<V: Whole + Clone + Send + Sync + 'static> Contender for Papaya<V> {
    const NAME: &'static str = "papaya (no history)";
    const KEEPS_HISTORY: bool = false;
    type Snapshot = StateSnapshot;
    type Value = V;
    type Shown<'a> = &'a V;
    type History = Vec<V>;
    type Written = ();

    fn new(_history: Option<usize>, capacity: usize) -> Self {
        Self(map(capacity))
    }

    fn upsert(&self, snapshot: StateSnapshot) {
        let user_id = Arc::from(snapshot.user_id());
        self.0.pin().insert(user_id, V::of(snapshot));
    }

    fn get(&self, user_id: &str) -> Option<V> {
        self.0.pin().get(user_id).cloned()
    }

    fn with<R>(&self, user_id: &str, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.pin().get(user_id).map(read)
    }

    fn history(&self, _user_id: &str, _limit: usize) -> Vec<V> {
        Vec::new()
    }

    fn remove(&self, user_id: &str) -> bool {
        self.0.pin().remove(user_id).is_some()
    }
}
