//! A `HashMap` under one reader-writer lock: the standard library's and
//! `parking_lot`'s.

use foldhash::quality::RandomState;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::{Deref, DerefMut};

use attuned_store::StateSnapshot;
use smol_str::SmolStr;

use super::Contender;
use super::record::Record;

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
}

pub type StdRwLock = Locked<std::sync::RwLock<Users>>;
pub type ParkingLotRwLock = Locked<parking_lot::RwLock<Users>>;

impl<L: Lock> Contender for Locked<L> {
    const NAME: &'static str = L::NAME;
    type Snapshot = StateSnapshot;

    fn new(history: Option<usize>, capacity: usize) -> Self {
        let users = HashMap::with_capacity_and_hasher(capacity, RandomState::default());
        Self {
            users: L::new(users),
            history,
        }
    }

    fn upsert(&self, snapshot: StateSnapshot) {
        let retention = self.history.unwrap_or(1);
        let user_id = SmolStr::new(snapshot.user_id());
        let mut users = self.users.write();
        let evicted = match users.entry(user_id) {
            Entry::Occupied(record) => record.into_mut().update(snapshot, retention),
            Entry::Vacant(place) => {
                place.insert(Record::new(snapshot));
                None
            }
        };
        drop(users);
        drop(evicted);
    }

    fn latest(&self, user_id: &str) -> Option<StateSnapshot> {
        self.with_latest(user_id, StateSnapshot::clone)
    }

    fn with_latest<R>(&self, user_id: &str, read: impl FnOnce(&StateSnapshot) -> R) -> Option<R> {
        let users = self.users.read();
        users.get(user_id).map(|record| read(record.latest()))
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<StateSnapshot> {
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
        let removed = self.users.write().remove(user_id);
        removed.is_some()
    }
}
