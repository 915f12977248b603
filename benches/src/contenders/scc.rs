//! `scc::HashMap`, with one entry a user.

use foldhash::quality::RandomState;

use attuned_store::StateSnapshot;
use scc::hash_map::Entry;
use smol_str::SmolStr;

use super::Contender;
use super::record::Record;

pub struct Scc {
    users: scc::HashMap<SmolStr, Record, RandomState>,
    history: Option<usize>,
}

impl Contender for Scc {
    const NAME: &'static str = "scc";
    type Snapshot = StateSnapshot;

    fn new(history: Option<usize>, capacity: usize) -> Self {
        Self {
            users: scc::HashMap::with_capacity_and_hasher(capacity, RandomState::default()),
            history,
        }
    }

    fn upsert(&self, snapshot: StateSnapshot) {
        let retention = self.history.unwrap_or(1);
        let snapshot = match self.users.get_sync(snapshot.user_id()) {
            Some(mut record) => {
                let evicted = record.get_mut().update(snapshot, retention);
                drop(record);
                drop(evicted);
                return;
            }
            None => snapshot,
        };
        let evicted = match self.users.entry_sync(SmolStr::new(snapshot.user_id())) {
            Entry::Occupied(mut record) => record.get_mut().update(snapshot, retention),
            Entry::Vacant(place) => {
                place.insert_entry(Record::new(snapshot));
                None
            }
        };
        drop(evicted);
    }

    fn latest(&self, user_id: &str) -> Option<StateSnapshot> {
        self.with_latest(user_id, StateSnapshot::clone)
    }

    fn with_latest<R>(&self, user_id: &str, read: impl FnOnce(&StateSnapshot) -> R) -> Option<R> {
        self.users
            .read_sync(user_id, |_, record| read(record.latest()))
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<StateSnapshot> {
        if self.history.is_none() {
            return Vec::new();
        }
        self.users
            .read_sync(user_id, |_, record| record.history(limit))
            .unwrap_or_default()
    }

    fn remove(&self, user_id: &str) -> bool {
        self.users.remove_sync(user_id).is_some()
    }
}
