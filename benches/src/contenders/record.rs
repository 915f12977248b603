//! What the maps with locks hold for each user.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use attuned_store::{Revision, State, Versioned};

/// The latest state and those that it superseded, oldest first, so that an
/// update pushes at one end and evicts at the other.
pub struct Record {
    latest: Versioned<State>,
    superseded: VecDeque<Versioned<State>>,
}

/// The time of a write, by the clock that the library has. The contenders read it before
/// they take a lock, so that nobody waits for that.
pub(super) fn unix_ms() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // Not `as_millis`, which computes with 128 bits.
    elapsed.as_secs() as i64 * 1_000 + i64::from(elapsed.subsec_millis())
}

/// Above all revisions of users who were removed, so that those who come back begin
/// above the ones that they had.
///
/// Users who stay count for themselves: their writers share nothing.
#[derive(Default)]
pub struct RevisionFloor(AtomicU64);

impl RevisionFloor {
    /// To be called before anybody else can find out that the record is gone.
    pub fn rise_above(&self, removed: &Record) {
        self.0
            .fetch_max(removed.latest.revision.into(), Ordering::AcqRel);
    }
}

impl Record {
    pub fn new(first: State, written_at: i64, floor: &RevisionFloor) -> Self {
        let revision = Revision::from(floor.0.load(Ordering::Acquire) + 1);
        Self {
            latest: Versioned::new(first, revision, written_at),
            // Without an allocation: most users never have a second state.
            superseded: VecDeque::new(),
        }
    }

    pub fn latest(&self) -> &State {
        &self.latest.value
    }

    pub fn revision(&self) -> Revision {
        self.latest.revision
    }

    /// Makes a state the latest; what is no longer kept is returned, to be
    /// dropped after the lock is released.
    pub fn update(
        &mut self,
        state: State,
        written_at: i64,
        retention: usize,
    ) -> (Revision, Option<Versioned<State>>) {
        let revision = Revision::from(u64::from(self.latest.revision) + 1);
        // The one who reads the clock first need not be the one who gets the lock first.
        let written_at = written_at.max(self.latest.written_at);
        let latest = Versioned::new(state, revision, written_at);
        let replaced = std::mem::replace(&mut self.latest, latest);
        if retention <= 1 {
            return (revision, Some(replaced));
        }
        // First out, then in: a full queue does not grow for the moment.
        let evicted = if self.superseded.len() + 1 >= retention {
            self.superseded.pop_front()
        } else {
            None
        };
        self.superseded.push_back(replaced);
        (revision, evicted)
    }

    pub fn history(&self, limit: usize) -> Vec<Versioned<State>> {
        let entries = limit.min(1 + self.superseded.len());
        let mut history = Vec::with_capacity(entries);
        history.extend(
            std::iter::once(&self.latest)
                .chain(self.superseded.iter().rev())
                .take(entries)
                .cloned(),
        );
        history
    }
}
