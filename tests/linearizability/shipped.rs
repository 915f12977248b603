//! The store that this crate ships.

use std::cell::RefCell;
use std::hash::{BuildHasher, DefaultHasher, RandomState};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::{fmt, hint, thread};

use attuned_store::{
    Expected, MemoryStore, Revision, State, StateSnapshot, StateStore, StateStoreExt, StoreError,
    VersionRange, Versioned,
};

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

    #[cfg(feature = "checkpoint")]
    pub fn memory(&self) -> &MemoryStore<Pausing> {
        &self.0
    }

    fn as_trait(&self) -> &dyn StateStore {
        &self.0
    }

    fn versions(&self, interface: Interface, user: User, range: VersionRange) -> Vec<State> {
        let oldest_first = range.is_oldest_first();
        let mut versions = match interface {
            Interface::Inherent => self.0.versions(user.id(), range),
            Interface::Trait => {
                let versions = ready(self.as_trait().get_versions(user.id(), range));
                let state = |version: Versioned<_>| version.map(StateSnapshot::into_state);
                versions.into_iter().map(state).collect()
            }
        };
        if oldest_first {
            versions.reverse();
        }
        assert_in_order(&versions);
        if oldest_first {
            versions.reverse();
        }
        versions.into_iter().map(|version| version.value).collect()
    }
}

impl Subject for Shipped {
    type Snapshot = StateSnapshot;
    type Found = State;
    type Revision = Revision;

    const CONDITIONAL: bool = true;

    fn snapshot(&self, user: User, value: Value, large: bool) -> StateSnapshot {
        state(value, large)
            .into_snapshot(user.id())
            .expect("a valid id")
    }

    fn value(state: &State) -> Value {
        state.updated_at_unix_ms()
    }

    fn upsert(&self, interface: Interface, _: User, snapshot: StateSnapshot) {
        match interface {
            Interface::Inherent => drop(self.0.insert(snapshot).expect("a store without bounds")),
            Interface::Trait => ready(self.as_trait().upsert_latest(snapshot)),
        }
    }

    fn get_latest(&self, interface: Interface, user: User) -> Option<State> {
        match interface {
            Interface::Inherent => self.0.with(user.id(), State::clone),
            Interface::Trait => {
                ready(self.as_trait().get_latest(user.id())).map(StateSnapshot::into_state)
            }
        }
    }

    fn get_history(&self, interface: Interface, user: User, limit: usize) -> Vec<State> {
        match interface {
            Interface::Inherent => {
                let history = self.0.history(user.id(), limit);
                assert_in_order(&history);
                history.into_iter().map(|entry| entry.value).collect()
            }
            Interface::Trait => {
                let history = ready(self.as_trait().get_history(user.id(), limit));
                history.into_iter().map(StateSnapshot::into_state).collect()
            }
        }
    }

    fn get_oldest(&self, interface: Interface, user: User, limit: usize) -> Vec<State> {
        let range = VersionRange::all().oldest_first().limit(limit);
        self.versions(interface, user, range)
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
        self.versions(interface, user, range)
    }

    fn delete(&self, interface: Interface, user: User) -> Option<bool> {
        Some(match interface {
            Interface::Inherent => self.0.remove(user.id()).expect("a thread that goes on"),
            Interface::Trait => ready(self.as_trait().delete(user.id())),
        })
    }

    fn get_versioned(&self, interface: Interface, user: User) -> Option<(State, Revision)> {
        match interface {
            Interface::Inherent => {
                let latest = self.0.get_versioned(user.id());
                latest.map(|latest| (latest.value, latest.revision))
            }
            Interface::Trait => {
                let latest = ready(self.as_trait().get_latest_versioned(user.id()));
                latest.map(|latest| (latest.value.into_state(), latest.revision))
            }
        }
    }

    fn upsert_if(
        &self,
        interface: Interface,
        _: User,
        snapshot: StateSnapshot,
        expected: Option<Revision>,
    ) -> Option<Revision> {
        let expected = Expected::from(expected);
        if_expected(match interface {
            Interface::Inherent => self.0.insert_if(snapshot, expected),
            Interface::Trait => at_once(self.as_trait().upsert_if(snapshot, expected)),
        })
    }

    fn update(
        &self,
        interface: Interface,
        user: User,
        value: Value,
        large: bool,
    ) -> (Option<Value>, bool) {
        let mut found = None;
        let change = |current: Option<&State>| {
            found = current.map(Self::value);
            state(value, large).to_builder().updated_at(value)
        };
        let written = if_expected(match interface {
            Interface::Inherent => {
                let written = self.0.update(user.id(), change);
                written.map(|written| written.map(|written| Self::value(&written.value)))
            }
            Interface::Trait => {
                let written = at_once(self.as_trait().update_latest(user.id(), change));
                written.map(|written| written.map(|(written, _)| Self::value(written.state())))
            }
        });
        if let Some(written) = written {
            assert_eq!(written, Some(value));
        }
        (found, written.is_some())
    }

    fn delete_if(
        &self,
        interface: Interface,
        user: User,
        expected: Option<(Value, Revision)>,
    ) -> bool {
        match (interface, expected) {
            (Interface::Trait, Some((expected, _))) => {
                let keep =
                    |id: &str, state: &State| id != user.id() || Self::value(state) != expected;
                match self.0.retain(keep) {
                    0 => false,
                    1 => true,
                    removed => panic!("{removed} users had the same snapshot"),
                }
            }
            (_, expected) => {
                let revision = expected.map(|(_, revision)| revision);
                let removed = if_expected(self.0.remove_if(user.id(), Expected::from(revision)));
                // If nothing is expected, there is nothing to remove.
                assert!(removed.is_none_or(|removed| removed == expected.is_some()));
                removed.is_some()
            }
        }
    }
}

/// Newest first: revisions fall, and times do not rise.
fn assert_in_order(versions: &[Versioned<State>]) {
    assert!(
        versions
            .is_sorted_by(|newer, older| newer.revision > older.revision
                && newer.written_at >= older.written_at),
        "{versions:?}"
    );
}

fn state(value: Value, large: bool) -> State {
    let builder = State::builder().updated_at(value);
    let builder = if large {
        builder.axis("a_name_that_alone_takes_more_than_forty_bytes", 0.5)
    } else {
        builder
    };
    builder.build_state().expect("a valid state")
}

/// What a conditional operation has done, or `None` if it found something else.
fn if_expected<T>(result: attuned_store::Result<T>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(StoreError::Conflict { .. }) => None,
        Err(error) => panic!("an in-memory store does not fail: {error}"),
    }
}

/// The result of an operation that does not fail.
pub fn ready<T, E: fmt::Display>(future: impl Future<Output = Result<T, E>>) -> T {
    match at_once(future) {
        Ok(value) => value,
        Err(error) => panic!("an in-memory store does not fail: {error}"),
    }
}

/// The in-memory stores, of either version, await nothing: the first poll
/// completes their futures.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("an in-memory store does not wait"),
    }
}

/// The standard hasher, which now and then takes its time.
///
/// A store calls its hasher in the middle of its operations: between finding no
/// entry and inserting one, between closing a timeline and unlinking it. These
/// are moments at which two cores are rarely caught by themselves; with a pause
/// there, and other threads to fill it, they are met in most runs.
pub struct Pausing {
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
