//! Whether a side holds what was written into it.

use attuned_store::{State, Versioned};

use crate::load::Load;
use crate::pair::Which;
use crate::side::Side;
use crate::worker::Worker;

/// What a side turns out to hold when nobody writes to it any more.
#[derive(Default)]
pub struct Audit {
    /// How many users there are.
    pub users: u64,
    /// How many states it keeps.
    pub states: u64,
    /// How many users it has wrong.
    pub wrong: u64,
    /// How many writes it has counted too few or too many. A history that is full does not
    /// tell.
    pub miscounted: u64,
}

impl Audit {
    pub fn of<A: Side, B: Side>(
        side: &impl Side,
        which: Which,
        load: &Load<'_, A, B>,
        bound: usize,
    ) -> Self {
        let (users, workers) = (&load.users, &load.workers);
        let mut audit = Self::default();
        let mut written = users.events;
        for (user, user_id) in users.ids.iter().enumerate() {
            // Asks for more than there can be.
            let history = side.history(user_id, bound + 1);
            let latest = side.with(user_id, State::clone);
            let writes = workers
                .iter()
                .map(|worker| worker.journal(which).writes(user));
            let writes = writes.sum::<usize>();
            let expected = (users.before[user] as usize + writes).min(bound);
            let sound = history.len() == expected
                && history.first().map(|newest| &newest.value) == latest.as_ref()
                && is_in_order(&history)
                && history
                    .iter()
                    .take(writes)
                    .all(|entry| was_written(&entry.value, workers))
                && (writes == 0 || is_a_last_write(latest.as_ref(), which, user, workers));
            written += writes as u64;
            audit.users += u64::from(latest.is_some());
            audit.states += history.len() as u64;
            audit.wrong += u64::from(!sound);
        }
        // Users that nobody wrote.
        audit.wrong += (side.len() as u64).abs_diff(audit.users);
        audit.miscounted = side.writes().abs_diff(written);
        audit
    }
}

/// Whether revisions and times are as the writes were.
pub fn is_in_order(history: &[Versioned<State>]) -> bool {
    history.is_sorted_by(|newer, older| {
        newer.revision > older.revision && newer.written_at >= older.written_at
    })
}

fn was_written(state: &State, workers: &[Worker]) -> bool {
    workers.iter().any(|worker| worker.has(state))
}

/// Whether this is what one of the workers wrote last, of this user.
fn is_a_last_write(state: Option<&State>, which: Which, user: usize, workers: &[Worker]) -> bool {
    workers.iter().any(|worker| {
        let last = worker.journal(which).last(user);
        last.is_some_and(|place| Some(worker.state(place)) == state)
    })
}
