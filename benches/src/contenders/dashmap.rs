//! `dashmap`, with one entry a user.

use foldhash::quality::RandomState;

use attuned_store::{Revision, State, StateSnapshot, Versioned};
use dashmap::mapref::entry::Entry;
use smol_str::SmolStr;

use super::record::{Record, RevisionFloor, unix_ms};
use super::{Contender, Retain};

pub struct DashMap {
    users: dashmap::DashMap<SmolStr, Record, RandomState>,
    history: Option<usize>,
    floor: RevisionFloor,
}

impl Contender for DashMap {
    const NAME: &'static str = "DashMap";
    type Snapshot = StateSnapshot;
    type Value = State;
    type Shown<'a> = &'a State;
    type History = Vec<Versioned<State>>;
    type Written = Revision;

    fn new(history: Option<usize>, capacity: usize) -> Self {
        Self {
            users: dashmap::DashMap::with_capacity_and_hasher(capacity, RandomState::default()),
            history,
            floor: RevisionFloor::default(),
        }
    }

    fn upsert(&self, snapshot: StateSnapshot) -> Revision {
        let retention = self.history.unwrap_or(1);
        let written_at = unix_ms();
        // A known user takes no copy of the id.
        if let Some(mut record) = self.users.get_mut(snapshot.user_id()) {
            let (revision, evicted) = record.update(snapshot.into_state(), written_at, retention);
            drop(record);
            drop(evicted);
            return revision;
        }
        let user_id = SmolStr::new(snapshot.user_id());
        let state = snapshot.into_state();
        let (revision, evicted) = match self.users.entry(user_id) {
            Entry::Occupied(mut record) => record.get_mut().update(state, written_at, retention),
            Entry::Vacant(place) => {
                let record = place.insert(Record::new(state, written_at, &self.floor));
                (record.revision(), None)
            }
        };
        drop(evicted);
        revision
    }

    fn get(&self, user_id: &str) -> Option<State> {
        self.with(user_id, State::clone)
    }

    fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R> {
        self.users.get(user_id).map(|record| read(record.latest()))
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<Versioned<State>> {
        if self.history.is_none() {
            return Vec::new();
        }
        match self.users.get(user_id) {
            Some(record) => record.history(limit),
            None => Vec::new(),
        }
    }

    fn remove(&self, user_id: &str) -> bool {
        let removed = self.users.remove_if(user_id, |_, record| {
            self.floor.rise_above(record);
            true
        });
        removed.is_some()
    }
}

impl Retain for DashMap {
    fn retain(&self, mut keep: impl FnMut(&str, &State) -> bool) -> usize {
        let mut removed = 0;
        self.users.retain(|user_id, record| {
            let keeps = keep(user_id, record.latest());
            if !keeps {
                self.floor.rise_above(record);
                removed += 1;
            }
            keeps
        });
        removed
    }
}
