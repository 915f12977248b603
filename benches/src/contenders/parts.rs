//! The parts of which this library's store consists, with nothing around them: a lookup,
//! an allocation, a swap and a push that evicts. They keep less than a store
//! has to: histories cannot be read, and latest and history change one after the other.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use attuned_store::{State, StateSnapshot};
use crossbeam_queue::ArrayQueue;
use foldhash::quality::RandomState;
use sdd::{AtomicShared, Guard, Shared, Tag};
use smol_str::SmolStr;

use super::Contender;
use super::record::unix_ms;

pub struct Parts {
    users: papaya::HashMap<SmolStr, User, RandomState>,
    superseded: usize,
}

struct User {
    latest: AtomicShared<Version>,
    superseded: ArrayQueue<Shared<Version>>,
}

struct Version {
    state: State,
    _written_at: i64,
}

impl Version {
    fn new(snapshot: StateSnapshot) -> Shared<Self> {
        Shared::new(Self {
            state: snapshot.into_state(),
            _written_at: unix_ms(),
        })
    }
}

/// After how many writes a thread asks `sdd` to free what it can. It would otherwise do
/// so rarely, and much at a time.
const WRITES_BETWEEN_ADVANCES: u32 = 4;

thread_local! {
    static WRITES: Cell<u32> = const { Cell::new(0) };
}

fn advance_now_and_then(guard: &Guard) {
    WRITES.with(|writes| {
        writes.set(writes.get().wrapping_add(1));
        if writes.get().is_multiple_of(WRITES_BETWEEN_ADVANCES) {
            guard.accelerate();
        }
    });
}

impl Contender for Parts {
    const NAME: &'static str = "papaya, sdd and ArrayQueue alone";
    const KEEPS_HISTORY: bool = false;
    type Snapshot = StateSnapshot;
    type Value = State;
    type Shown<'a> = &'a State;
    type History = Vec<State>;
    type Written = ();

    fn new(history: Option<usize>, capacity: usize) -> Self {
        Self {
            users: super::papaya::map(capacity),
            superseded: history.unwrap_or(1).saturating_sub(1).max(1),
        }
    }

    fn upsert(&self, snapshot: StateSnapshot) {
        let users = self.users.pin();
        let known = users.get(snapshot.user_id());
        let Some(user) = known else {
            let user_id = SmolStr::new(snapshot.user_id());
            let user = User {
                latest: AtomicShared::from(Version::new(snapshot)),
                superseded: ArrayQueue::new(self.superseded),
            };
            users.insert(user_id, user);
            return;
        };
        let version = Version::new(snapshot);
        let guard = Guard::new();
        let (superseded, _) = user
            .latest
            .swap((Some(version), Tag::None), Ordering::AcqRel);
        if let Some(superseded) = superseded {
            drop(user.superseded.force_push(superseded));
        }
        advance_now_and_then(&guard);
    }

    fn get(&self, user_id: &str) -> Option<State> {
        self.with(user_id, State::clone)
    }

    fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R> {
        let users = self.users.pin();
        let user = users.get(user_id)?;
        let guard = Guard::new();
        let latest = user.latest.load(Ordering::Acquire, &guard).as_ref();
        latest.map(|version| read(&version.state))
    }

    fn history(&self, _user_id: &str, _limit: usize) -> Vec<State> {
        Vec::new()
    }

    fn remove(&self, user_id: &str) -> bool {
        self.users.pin().remove(user_id).is_some()
    }
}
