//! The published attuned-store 1.0.1, which keeps latest and history in two
//! maps and writes to one after the other.

use std::convert::Infallible;

use attuned_core::StateSnapshot;
use attuned_store_v1::{MemoryStore, MemoryStoreConfig, StateStore};

use crate::program::{Interface, Program, User, Value};
use crate::recorder::Subject;
use crate::shipped::ready;

/// So many that it takes a while to drop a snapshot, which is what a delete does
/// between removing it from the one map and from the other: long enough for a
/// thread to be met there even if there is only one core. With 64 axes, two free
/// cores find the fault as soon, but one core may not in 30,000 programs.
const AXES: usize = 1024;

pub struct Published(MemoryStore);

impl Published {
    pub fn new(program: &Program) -> Self {
        Self(MemoryStore::new(MemoryStoreConfig {
            enable_history: true,
            max_history_per_user: program.retention,
        }))
    }
}

impl Subject for Published {
    type Snapshot = StateSnapshot;
    type Found = StateSnapshot;
    type Revision = Infallible;

    const CONDITIONAL: bool = false;

    fn snapshot(&self, user: User, value: Value, _: bool) -> StateSnapshot {
        StateSnapshot::builder()
            .user_id(user.id())
            .updated_at(value)
            .axes((0..AXES).map(|axis| (format!("axis_{axis}"), 0.5)))
            .build()
            .expect("a valid snapshot")
    }

    fn value(snapshot: &StateSnapshot) -> Value {
        snapshot.updated_at_unix_ms
    }

    // It has no other interface than its trait.

    fn upsert(&self, _: Interface, _: User, snapshot: StateSnapshot) {
        ready(self.0.upsert_latest(snapshot));
    }

    fn get_latest(&self, _: Interface, user: User) -> Option<StateSnapshot> {
        ready(self.0.get_latest(user.id()))
    }

    fn get_history(&self, _: Interface, user: User, limit: usize) -> Vec<StateSnapshot> {
        ready(self.0.get_history(user.id(), limit))
    }

    fn get_oldest(&self, _: Interface, _: User, _: usize) -> Vec<StateSnapshot> {
        unreachable!("no program has it")
    }

    fn get_since(&self, _: Interface, _: User, _: Option<Infallible>) -> Vec<StateSnapshot> {
        unreachable!("no program has it")
    }

    fn delete(&self, _: Interface, user: User) -> Option<bool> {
        ready(self.0.delete(user.id()));
        None
    }

    fn get_versioned(&self, _: Interface, _: User) -> Option<(StateSnapshot, Infallible)> {
        unreachable!("no program has it")
    }

    fn upsert_if(
        &self,
        _: Interface,
        _: User,
        _: StateSnapshot,
        _: Option<Infallible>,
    ) -> Option<Infallible> {
        unreachable!("no program has it")
    }

    fn update(&self, _: Interface, _: User, _: Value, _: bool) -> (Option<Value>, bool) {
        unreachable!("no program has it")
    }

    fn delete_if(&self, _: Interface, _: User, _: Option<(Value, Infallible)>) -> bool {
        unreachable!("no program has it")
    }
}
