//! A `HashMap` under one reader-writer lock: the standard library's and
//! `parking_lot`'s.

use foldhash::quality::RandomState;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::{Deref, DerefMut};

use attuned_store::{Revision, State, StateSnapshot, Versioned};
use smol_str::SmolStr;

use super::record::{Record, RevisionFloor, unix_ms};
use super::{Contender, Retain};

type Users = HashMap<SmolStr, Record, RandomState>;

/// What the two locks differ in.
pub trait Lock: Send + Sync + 'static {
    const NAME: &'static str;
    fn new(users: Users) -> Self;
    fn read(&self) -> impl Deref<Target = Users>;
    fn write(&self) -> impl DerefMut<Target = Users>;
}

impl Lock for std::sync::RwLock<Users> {
    const NAME: &'static str = "std RwLock";

    fn new(users: Users) -> Self {
        Self::new(users)
    }

    fn read(&self) -> impl Deref<Target = Users> {
        self.read().expect("nobody panics with the lock")
    }

    fn write(&self) -> impl DerefMut<Target = Users> {
        self.write().expect("nobody panics with the lock")
    }
}

impl Lock for parking_lot::RwLock<Users> {
    const NAME: &'static str = "parking_lot RwLock";

    fn new(users: Users) -> Self {
        Self::new(users)
    }

    fn read(&self) -> impl Deref<Target = Users> {
        self.read()
    }

    fn write(&self) -> impl DerefMut<Target = Users> {
        self.write()
    }
}

pub struct Locked<L> {
    users: L,
    history: Option<usize>,
    floor: RevisionFloor,
}

pub type StdRwLock = Locked<std::sync::RwLock<Users>>;
pub type ParkingLotRwLock = Locked<parking_lot::RwLock<Users>>;

impl<L: Lock> Contender for Locked<L> {
    const NAME: &'static str = L::NAME;
    type Snapshot = StateSnapshot;
    type Value = State;
    type Shown<'a> = &'a State;
    type History = Vec<Versioned<State>>;
    type Written = Revision;

    fn new(history: Option<usize>, capacity: usize) -> Self {
        let users = HashMap::with_capacity_and_hasher(capacity, RandomState::default());
        Self {
            users: L::new(users),
            history,
            floor: RevisionFloor::default(),
        }
    }

    fn upsert(&self, snapshot: StateSnapshot) -> Revision {
        let retention = self.history.unwrap_or(1);
        let written_at = unix_ms();
        let user_id = SmolStr::new(snapshot.user_id());
        let state = snapshot.into_state();
        let mut users = self.users.write();
        let (revision, evicted) = match users.entry(user_id) {
            Entry::Occupied(record) => record.into_mut().update(state, written_at, retention),
            Entry::Vacant(place) => {
                let record = place.insert(Record::new(state, written_at, &self.floor));
                (record.revision(), None)
            }
        };
        drop(users);
        drop(evicted);
        revision
    }

    fn get(&self, user_id: &str) -> Option<State> {
        self.with(user_id, State::clone)
    }

    fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R> {
        let users = self.users.read();
        users.get(user_id).map(|record| read(record.latest()))
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<Versioned<State>> {
        if self.history.is_none() {
            return Vec::new();
        }
        let users = self.users.read();
        match users.get(user_id) {
            Some(record) => record.history(limit),
            None => Vec::new(),
        }
    }

    fn remove(&self, user_id: &str) -> bool {
        let mut users = self.users.write();
        let removed = users.remove(user_id);
        if let Some(record) = &removed {
            self.floor.rise_above(record);
        }
        drop(users);
        removed.is_some()
    }
}

impl<L: Lock> Retain for Locked<L> {
    fn retain(&self, mut keep: impl FnMut(&str, &State) -> bool) -> usize {
        let mut removed = 0;
        self.users.write().retain(|user_id, record| {
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
