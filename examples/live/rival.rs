//! A DashMap that keeps what the store keeps: of each user the latest state and a bounded
//! history, which change together, with the revision and the time of every write.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use attuned_store::{DefaultHashBuilder, Revision, State, StateSnapshot, Versioned};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use smol_str::SmolStr;

use crate::side::Side;

/// Hashes user ids as the store does, and holds them as the store does.
pub struct Rival {
    users: DashMap<SmolStr, Record, DefaultHashBuilder>,
    history: usize,
}

impl Rival {
    pub fn new(history: usize, capacity: usize) -> Self {
        let hasher = DefaultHashBuilder::default();
        Self {
            users: DashMap::with_capacity_and_hasher(capacity, hasher),
            history,
        }
    }
}

impl Side for Rival {
    fn insert(&self, event: StateSnapshot) {
        let now = unix_ms_now();
        // A known user takes no copy of the id.
        if let Some(mut record) = self.users.get_mut(event.user_id()) {
            let evicted = record.update(event.into_state(), now, self.history);
            drop(record);
            // After the lock was released.
            drop(evicted);
            return;
        }
        let user_id = SmolStr::new(event.user_id());
        match self.users.entry(user_id) {
            Entry::Occupied(mut record) => {
                record
                    .get_mut()
                    .update(event.into_state(), now, self.history);
            }
            Entry::Vacant(place) => {
                place.insert(Record::new(event.into_state(), now));
            }
        }
    }

    fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R> {
        let record = self.users.get(user_id)?;
        Some(read(&record.latest.value))
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<Versioned<State>> {
        let record = self.users.get(user_id);
        record.map_or_else(Vec::new, |record| record.newest(limit))
    }

    fn len(&self) -> usize {
        self.users.len()
    }

    fn writes(&self) -> u64 {
        // Nothing is ever removed.
        let revisions = self.users.iter().map(|record| record.latest.revision);
        revisions.map(u64::from).sum()
    }
}

/// What there is of one user.
struct Record {
    /// Beside the others, so that a read finds it without following a pointer.
    latest: Versioned<State>,
    /// Oldest first.
    superseded: VecDeque<Versioned<State>>,
}

impl Record {
    fn new(state: State, now: i64) -> Self {
        Self {
            latest: Versioned::new(state, Revision::from(1), now),
            superseded: VecDeque::new(),
        }
    }

    /// Returns what is no longer kept.
    fn update(&mut self, state: State, now: i64, history: usize) -> Option<Versioned<State>> {
        let revision = Revision::from(u64::from(self.latest.revision) + 1);
        let written_at = now.max(self.latest.written_at);
        let latest = Versioned::new(state, revision, written_at);
        let replaced = std::mem::replace(&mut self.latest, latest);
        if history <= 1 {
            return Some(replaced);
        }
        // First out, then in: a full queue does not grow for the moment.
        let full = self.superseded.len() + 1 >= history;
        let evicted = if full {
            self.superseded.pop_front()
        } else {
            None
        };
        self.superseded.push_back(replaced);
        evicted
    }

    fn newest(&self, limit: usize) -> Vec<Versioned<State>> {
        let entries = limit.min(1 + self.superseded.len());
        let mut newest = Vec::with_capacity(entries);
        let latest = std::iter::once(&self.latest);
        let all = latest.chain(self.superseded.iter().rev());
        newest.extend(all.take(entries).cloned());
        newest
    }
}

fn unix_ms_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // Not `as_millis`, which computes with 128 bits.
    since.map_or(0, |since| {
        since.as_secs() as i64 * 1_000 + i64::from(since.subsec_millis())
    })
}
