//! The store that this crate ships.

use std::cell::RefCell;
use std::hash::{BuildHasher, DefaultHasher, RandomState};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::{fmt, hint, thread};

use attuned_store::{Expected, MemoryStore, Revision, StateSnapshot, StateStore, StoreError};

use crate::program::{Interface, Program, User, Value};
use crate::random::Random;
use crate::recorder::Subject;

pub struct Shipped(MemoryStore<Pausing>);

impl Shipped {
    pub fn new(program: &Program) -> Self {
        let store = MemoryStore::builder()
            .history(program.retention)
            .hasher(Pausing {
                state: RandomState::new(),
                pauses: program.pauses_inside,
            })
            .build()
            .expect("a valid configuration");
        Self(store)
    }

    fn as_trait(&self) -> &dyn StateStore {
        &self.0
    }
}

impl Subject for Shipped {
    type Snapshot = StateSnapshot;
    type Revision = Revision;

    const CONDITIONAL: bool = true;

    fn snapshot(&self, user: User, value: Value) -> StateSnapshot {
        StateSnapshot::builder()
            .user_id(user.id())
            .updated_at(value)
            .build()
            .expect("a valid snapshot")
    }

    fn value(snapshot: &StateSnapshot) -> Value {
        snapshot.updated_at_unix_ms()
    }

    fn upsert(&self, interface: Interface, _: User, snapshot: StateSnapshot) {
        match interface {
            Interface::Inherent => self.0.upsert(snapshot).expect("a store without bounds"),
            Interface::Trait => ready(self.as_trait().upsert_latest(snapshot)),
        }
    }

    fn get_latest(&self, interface: Interface, user: User) -> Option<StateSnapshot> {
        match interface {
            Interface::Inherent => self.0.latest(user.id()),
            Interface::Trait => ready(self.as_trait().get_latest(user.id())),
        }
    }

    fn get_history(&self, interface: Interface, user: User, limit: usize) -> Vec<StateSnapshot> {
        match interface {
            Interface::Inherent => self.0.history(user.id(), limit),
            Interface::Trait => ready(self.as_trait().get_history(user.id(), limit)),
        }
    }

    fn delete(&self, interface: Interface, user: User) -> Option<bool> {
        Some(match interface {
            Interface::Inherent => self.0.remove(user.id()),
            Interface::Trait => ready(self.as_trait().delete(user.id())),
        })
    }

    fn get_versioned(&self, interface: Interface, user: User) -> Option<(StateSnapshot, Revision)> {
        let latest = match interface {
            Interface::Inherent => self.0.versioned(user.id()),
            Interface::Trait => ready(self.as_trait().get_versioned(user.id())),
        };
        latest.map(|latest| (latest.snapshot, latest.revision))
    }

    fn upsert_if(
        &self,
        interface: Interface,
        _: User,
        snapshot: StateSnapshot,
        expected: Option<Revision>,
    ) -> Option<Revision> {
        let expected = expected.map_or(Expected::Absent, Expected::At);
        let written = match interface {
            Interface::Inherent => self.0.upsert_if(snapshot, expected),
            Interface::Trait => ready(async {
                // A conflict is an answer.
                Ok::<_, StoreError>(self.as_trait().upsert_if(snapshot, expected).await)
            }),
        };
        match written {
            Ok(revision) => Some(revision),
            Err(StoreError::Conflict { .. }) => None,
            Err(error) => panic!("an in-memory store does not fail: {error}"),
        }
    }

    fn delete_if(&self, user: User, expected: Option<Value>) -> bool {
        let keep = |snapshot: &StateSnapshot| {
            snapshot.user_id() != user.id() || Some(Self::value(snapshot)) != expected
        };
        match self.0.retain(keep) {
            0 => false,
            1 => true,
            removed => panic!("{removed} users had the same snapshot"),
        }
    }
}

/// The in-memory stores, of either version, await nothing: the first poll
/// completes their futures.
pub fn ready<T, E: fmt::Display>(future: impl Future<Output = Result<T, E>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(value)) => value,
        Poll::Ready(Err(error)) => panic!("an in-memory store does not fail: {error}"),
        Poll::Pending => panic!("an in-memory store does not wait"),
    }
}

/// The standard hasher, which now and then takes its time.
///
/// A store calls its hasher in the middle of its operations: between finding no
/// entry and inserting one, between closing a timeline and unlinking it. These
/// are moments at which two cores are rarely caught by themselves; with a pause
/// there, and other threads to fill it, they are met in most runs.
struct Pausing {
    state: RandomState,
    pauses: bool,
}

impl BuildHasher for Pausing {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        if self.pauses {
            pause();
        }
        self.state.build_hasher()
    }
}

/// No pause, a short one or a turn for another thread, at random.
pub fn pause() {
    thread_local! {
        static RANDOM: RefCell<Random> = RefCell::new(Random::from_entropy());
    }
    RANDOM.with_borrow_mut(|random| match random.below(4) {
        0 => thread::yield_now(),
        1 => (0..random.below(100)).for_each(|_| hint::spin_loop()),
        _ => {}
    });
}
