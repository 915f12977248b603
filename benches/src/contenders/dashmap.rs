//! `dashmap`, with one entry a user.

use foldhash::quality::RandomState;

use attuned_store::StateSnapshot;
use dashmap::mapref::entry::Entry;
use smol_str::SmolStr;

use super::Contender;
use super::record::Record;

pub struct DashMap {
    users: dashmap::DashMap<SmolStr, Record, RandomState>,
    history: Option<usize>,
}

impl Contender for DashMap {
    const NAME: &'static str = "DashMap";
    type Snapshot = StateSnapshot;

    fn new(history: Option<usize>, capacity: usize) -> Self {
        Self {
            users: dashmap::DashMap::with_capacity_and_hasher(capacity, RandomState::default()),
            history,
        }
    }

    fn upsert(&self, snapshot: StateSnapshot) {
        let retention = self.history.unwrap_or(1);
        // A known user takes no copy of the id.
        let known = self.users.get_mut(snapshot.user_id());
        let snapshot = match known {
            Some(mut record) => {
                let evicted = record.update(snapshot, retention);
                drop(record);
                drop(evicted);
                return;
            }
            None => snapshot,
        };
        let evicted = match self.users.entry(SmolStr::new(snapshot.user_id())) {
            Entry::Occupied(mut record) => record.get_mut().update(snapshot, retention),
            Entry::Vacant(place) => {
                place.insert(Record::new(snapshot));
                None
            }
        };
        drop(evicted);
    }

    fn latest(&self, user_id: &str) -> Option<StateSnapshot> {
        self.with_latest(user_id, StateSnapshot::clone)
    }

    fn with_latest<R>(&self, user_id: &str, read: impl FnOnce(&StateSnapshot) -> R) -> Option<R> {
        self.users.get(user_id).map(|record| read(record.latest()))
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<StateSnapshot> {
        if self.history.is_none() {
            return Vec::new();
        }
        match self.users.get(user_id) {
            Some(record) => record.history(limit),
            None => Vec::new(),
        }
    }

    fn remove(&self, user_id: &str) -> bool {
        self.users.remove(user_id).is_some()
    }
}
