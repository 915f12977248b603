//! Stores that are wrong on purpose, and one of their kind that is right.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::program::{Interface, Program, User, Value};
use crate::recorder::Subject;
use crate::shipped::pause;

/// What is wrong with a [`Locked`] store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The latest snapshot is written after the history, under another lock.
    LatestApart,
    /// Delete takes away first the latest snapshot, then the history.
    DeleteInTwoSteps,
    /// Delete leaves the history.
    DeleteKeepsHistory,
    /// Upsert writes back a copy of the history that others may have outdated.
    LostUpdate,
    /// The history is read entry by entry.
    TornHistory,
    /// What comes after a version is counted first and read then.
    CountThenRange,
    /// The history is longer by one than it should be.
    OneTooMany,
    /// A conditional upsert does not look at what is there.
    IgnoredExpectation,
    /// A conditional upsert looks first and writes then.
    UpsertAfterLook,
    /// A conditional delete looks first and deletes then.
    DeleteAfterLook,
    /// An update reads first and writes then.
    UpdateAfterLook,
}

impl Fault {
    pub const ALL: [Self; 11] = [
        Self::LatestApart,
        Self::DeleteInTwoSteps,
        Self::DeleteKeepsHistory,
        Self::LostUpdate,
        Self::TornHistory,
        Self::CountThenRange,
        Self::OneTooMany,
        Self::IgnoredExpectation,
        Self::UpsertAfterLook,
        Self::DeleteAfterLook,
        Self::UpdateAfterLook,
    ];
}

/// A store of plain variables under locks. Without a fault it is right.
pub struct Locked {
    fault: Option<Fault>,
    retention: usize,
    users: [Entry; User::ALL.len()],
}

#[derive(Default)]
struct Entry {
    latest: Mutex<Option<Value>>,
    /// An operation that takes both locks takes this one first.
    history: Mutex<VecDeque<Value>>,
}

impl Entry {
    fn latest(&self) -> MutexGuard<'_, Option<Value>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn history(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Locked {
    pub fn new(program: &Program, fault: Option<Fault>) -> Self {
        Self {
            fault,
            retention: program.retention,
            users: Default::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

impl Subject for Locked {
    type Snapshot = Value;
    type Found = Value;
    type Revision = Value;

    const CONDITIONAL: bool = true;

    fn snapshot(&self, _: User, value: Value, _: bool) -> Value {
        value
    }

    fn value(snapshot: &Value) -> Value {
        *snapshot
    }

    fn upsert(&self, _: Interface, user: User, value: Value) {
        let entry = &self.users[user.index()];
        let mut history = entry.history();
        if self.has(Fault::LostUpdate) {
            let copy = history.clone();
            drop(history);
            pause();
            history = entry.history();
            *history = copy;
        }
        history.push_front(value);
        history.truncate(self.retention + usize::from(self.has(Fault::OneTooMany)));
        if self.has(Fault::LatestApart) {
            drop(history);
            pause();
            *entry.latest() = Some(value);
        } else {
            *entry.latest() = Some(value);
        }
    }

    fn get_latest(&self, _: Interface, user: User) -> Option<Value> {
        *self.users[user.index()].latest()
    }

    fn get_history(&self, _: Interface, user: User, limit: usize) -> Vec<Value> {
        let entry = &self.users[user.index()];
        if self.has(Fault::TornHistory) {
            let length = entry.history().len().min(limit);
            let read = |index| {
                pause();
                entry.history().get(index).copied()
            };
            return (0..length).filter_map(read).collect();
        }
        entry.history().iter().take(limit).copied().collect()
    }

    fn get_oldest(&self, _: Interface, user: User, limit: usize) -> Vec<Value> {
        let history = self.users[user.index()].history();
        history.iter().rev().take(limit).copied().collect()
    }

    fn get_since(&self, _: Interface, user: User, last: Option<Value>) -> Vec<Value> {
        let entry = &self.users[user.index()];
        let later = |value: &&Value| Some(**value) != last;
        if self.has(Fault::CountThenRange) {
            let count = entry.history().iter().take_while(later).count();
            pause();
            return entry.history().iter().take(count).copied().collect();
        }
        entry.history().iter().take_while(later).copied().collect()
    }

    fn delete(&self, _: Interface, user: User) -> Option<bool> {
        let entry = &self.users[user.index()];
        if self.has(Fault::DeleteInTwoSteps) {
            let deleted = entry.latest().take().is_some();
            pause();
            entry.history().clear();
            return Some(deleted);
        }
        let mut history = entry.history();
        if !self.has(Fault::DeleteKeepsHistory) {
            history.clear();
        }
        Some(entry.latest().take().is_some())
    }

    fn get_versioned(&self, interface: Interface, user: User) -> Option<(Value, Value)> {
        let latest = self.get_latest(interface, user);
        latest.map(|value| (value, value))
    }

    fn upsert_if(
        &self,
        interface: Interface,
        user: User,
        value: Value,
        expected: Option<Value>,
    ) -> Option<Value> {
        let entry = &self.users[user.index()];
        if self.has(Fault::IgnoredExpectation) {
            self.upsert(interface, user, value);
            return Some(value);
        }
        if self.has(Fault::UpsertAfterLook) {
            if *entry.latest() != expected {
                return None;
            }
            pause();
            self.upsert(interface, user, value);
            return Some(value);
        }
        let mut history = entry.history();
        let mut latest = entry.latest();
        if *latest != expected {
            return None;
        }
        history.push_front(value);
        history.truncate(self.retention);
        *latest = Some(value);
        Some(value)
    }

    fn update(
        &self,
        interface: Interface,
        user: User,
        value: Value,
        _: bool,
    ) -> (Option<Value>, bool) {
        let entry = &self.users[user.index()];
        if self.has(Fault::UpdateAfterLook) {
            let found = *entry.latest();
            pause();
            self.upsert(interface, user, value);
            return (found, true);
        }
        let mut history = entry.history();
        let mut latest = entry.latest();
        history.push_front(value);
        history.truncate(self.retention);
        (latest.replace(value), true)
    }

    fn delete_if(&self, _: Interface, user: User, expected: Option<(Value, Value)>) -> bool {
        let entry = &self.users[user.index()];
        let expected = expected.map(|(value, _)| value);
        if self.has(Fault::DeleteAfterLook) {
            if *entry.latest() != expected {
                return false;
            }
            pause();
            self.delete(Interface::Inherent, user);
            return true;
        }
        let mut history = entry.history();
        let mut latest = entry.latest();
        if *latest != expected {
            return false;
        }
        history.clear();
        *latest = None;
        true
    }
}
