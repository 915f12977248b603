//! The store that this crate ships, read through checkpoints: the reads of the trait come
//! from a store that was restored from a checkpoint, which was taken for the read while the
//! other threads go on.

use attuned_store::{MemoryStore, Revision, State, StateSnapshot, VersionRange};

use crate::program::{Interface, Program, User, Value};
use crate::recorder::Subject;
use crate::shipped::Shipped;

pub struct Checkpointed {
    retention: usize,
    store: Shipped,
}

impl Checkpointed {
    pub fn new(program: &Program) -> Self {
        Self {
            retention: program.retention,
            store: Shipped::new(program),
        }
    }

    fn restored(&self) -> MemoryStore {
        let mut bytes = Vec::new();
        let written = self.store.memory().checkpoint(&mut bytes);
        written.expect("a vector takes what it is given");
        let builder = MemoryStore::builder().history(self.retention);
        builder.restore(bytes.as_slice()).expect("a checkpoint")
    }

    fn versions(&self, user: User, range: VersionRange) -> Vec<State> {
        let versions = self.restored().versions(user.id(), range);
        versions.into_iter().map(|entry| entry.value).collect()
    }
}

impl Subject for Checkpointed {
    type Snapshot = StateSnapshot;
    type Found = State;
    type Revision = Revision;

    const CONDITIONAL: bool = true;

    fn snapshot(&self, user: User, value: Value, large: bool) -> StateSnapshot {
        self.store.snapshot(user, value, large)
    }

    fn value(state: &State) -> Value {
        Shipped::value(state)
    }

    fn upsert(&self, interface: Interface, user: User, snapshot: StateSnapshot) {
        self.store.upsert(interface, user, snapshot);
    }

    fn get_latest(&self, interface: Interface, user: User) -> Option<State> {
        match interface {
            Interface::Inherent => self.store.get_latest(interface, user),
            Interface::Trait => self.restored().get(user.id()),
        }
    }

    fn get_history(&self, interface: Interface, user: User, limit: usize) -> Vec<State> {
        match interface {
            Interface::Inherent => self.store.get_history(interface, user, limit),
            Interface::Trait => {
                let history = self.restored().history(user.id(), limit);
                history.into_iter().map(|entry| entry.value).collect()
            }
        }
    }

    fn get_oldest(&self, interface: Interface, user: User, limit: usize) -> Vec<State> {
        match interface {
            Interface::Inherent => self.store.get_oldest(interface, user, limit),
            Interface::Trait => {
                self.versions(user, VersionRange::all().oldest_first().limit(limit))
            }
        }
    }

    fn get_since(
        &self,
        interface: Interface,
        user: User,
        revision: Option<Revision>,
    ) -> Vec<State> {
        let range = match revision {
            Some(revision) => VersionRange::all().after(revision),
            None => VersionRange::all(),
        };
        match interface {
            Interface::Inherent => self.store.get_since(interface, user, revision),
            Interface::Trait => self.versions(user, range),
        }
    }

    fn delete(&self, interface: Interface, user: User) -> Option<bool> {
        self.store.delete(interface, user)
    }

    fn get_versioned(&self, interface: Interface, user: User) -> Option<(State, Revision)> {
        match interface {
            Interface::Inherent => self.store.get_versioned(interface, user),
            Interface::Trait => {
                let latest = self.restored().get_versioned(user.id());
                latest.map(|latest| (latest.value, latest.revision))
            }
        }
    }

    fn upsert_if(
        &self,
        interface: Interface,
        user: User,
        snapshot: StateSnapshot,
        expected: Option<Revision>,
    ) -> Option<Revision> {
        self.store.upsert_if(interface, user, snapshot, expected)
    }

    fn update(
        &self,
        interface: Interface,
        user: User,
        value: Value,
        large: bool,
    ) -> (Option<Value>, bool) {
        self.store.update(interface, user, value, large)
    }

    fn delete_if(
        &self,
        interface: Interface,
        user: User,
        expected: Option<(Value, Revision)>,
    ) -> bool {
        self.store.delete_if(interface, user, expected)
    }
}
