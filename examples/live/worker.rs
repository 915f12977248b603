//! One thread's work.

use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use attuned_store::{State, StateSnapshot};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use smol_str::SmolStr;

use crate::core_times::CoreTimes;
use crate::done::{Done, nanos_of};
use crate::journal::Journal;
use crate::made_up::{EPOCH_UNIX_MS, MadeUp};
use crate::pair::{Pair, Which};
use crate::side::Side;

/// How many entries a read of a history asks for.
pub const HISTORY_LIMIT: usize = 10;
/// One read in so many is timed, and at most one write for it: reading the clock takes
/// about as long as reading the store.
pub const READS_PER_SAMPLE: u32 = 32;

/// How many states a thread has to write. They are made beforehand: parsing one takes
/// several times as long as storing it.
const STATES: usize = 4096;
/// How many new users come at a time at most, so that reads go on in between.
const NEWCOMERS_AT_A_TIME: usize = 32;

/// What to do in one turn.
pub struct Turn<'a> {
    pub users: &'a [SmolStr],
    /// Whom to read and write, in this order.
    pub drawn: &'a [u32],
    pub writes_per_read: f64,
    /// How much of the reads is `history`; the rest is `with`.
    pub history_percent: u8,
    /// Which share of the new users is there when it begins, and when it ends.
    pub growth: Range<f64>,
    pub lasts: Duration,
}

/// What a thread goes on with, from turn to turn. Its threads come and go.
///
/// Aligned to two cache lines, since processors fetch lines in pairs: workers
/// do not slow each other down.
#[repr(align(128))]
pub struct Worker {
    random: SmallRng,
    next_draw: usize,
    /// No two workers have a state in common.
    states: Vec<State>,
    next_state: usize,
    writes_due: f64,
    newcomers: Pair<Newcomers>,
    journals: Pair<Journal>,
}

/// The new users that a worker has to bring.
#[derive(Clone, Default)]
struct Newcomers {
    all: Range<usize>,
    brought: usize,
}

impl Worker {
    pub fn new(number: usize) -> Self {
        let first_unix_ms = EPOCH_UNIX_MS + (number * STATES) as i64;
        let mut events = MadeUp::new(number as u64, first_unix_ms);
        Self {
            random: SmallRng::seed_from_u64(number as u64),
            next_draw: 0,
            states: (0..STATES)
                .map(|_| events.event("anybody").into_state())
                .collect(),
            next_state: 0,
            writes_due: 0.0,
            newcomers: Pair::default(),
            journals: Pair::default(),
        }
    }

    /// Prepares for a phase: where to begin in what is drawn, and whom to bring.
    pub fn prepare(&mut self, users: usize, first_draw: usize, newcomers: Range<usize>) {
        self.next_draw = first_draw;
        let newcomers = Newcomers {
            all: newcomers,
            brought: 0,
        };
        self.newcomers = Pair::of(|| newcomers.clone());
        self.journals.attuned.reach(users);
        self.journals.dashmap.reach(users);
    }

    pub fn journal(&self, which: Which) -> &Journal {
        self.journals.get(which)
    }

    pub fn state(&self, place: usize) -> &State {
        &self.states[place]
    }

    /// Whether this is one of the states that this worker writes.
    pub fn has(&self, state: &State) -> bool {
        let since = state.updated_at_unix_ms() - self.states[0].updated_at_unix_ms();
        let place = usize::try_from(since).ok();
        place.and_then(|place| self.states.get(place)) == Some(state)
    }

    /// Works for one turn; does a little even if its time is over at once.
    pub fn work(&mut self, side: &impl Side, which: Which, turn: &Turn<'_>) -> Done {
        let mut done = Done::nothing();
        let cores = CoreTimes::now();
        let start = Instant::now();
        while done.took < turn.lasts {
            self.read(side, turn, &mut done);
            self.write(side, which, turn, &mut done);
            done.took = start.elapsed();
            self.bring_newcomers(side, which, turn, &mut done);
        }
        done.cores = CoreTimes::now() - cores;
        done
    }

    fn read(&mut self, side: &impl Side, turn: &Turn<'_>, done: &mut Done) {
        for _ in 1..READS_PER_SAMPLE {
            let user_id = &turn.users[self.draw(turn)];
            let found = if self.random.random_range(0..100) < turn.history_percent {
                !black_box(side.history(user_id, HISTORY_LIMIT)).is_empty()
            } else {
                look(side, user_id)
            };
            done.missed += u64::from(!found);
        }
        let user_id = &turn.users[self.draw(turn)];
        let mut found = false;
        let nanos = nanos_of(|| found = look(side, user_id));
        done.missed += u64::from(!found);
        done.with.saturating_record(nanos);
        done.reads += u64::from(READS_PER_SAMPLE);
    }

    /// Writes as much as is due for the reads.
    fn write(&mut self, side: &impl Side, which: Which, turn: &Turn<'_>, done: &mut Done) {
        self.writes_due += turn.writes_per_read * f64::from(READS_PER_SAMPLE);
        while self.writes_due >= 1.0 {
            self.writes_due -= 1.0;
            let user = self.draw(turn);
            let event = self.event(turn, which, user);
            if self.writes_due < 1.0 {
                let nanos = nanos_of(|| side.insert(event));
                done.insert.saturating_record(nanos);
            } else {
                side.insert(event);
            }
            done.writes += 1;
        }
    }

    /// Brings as many new users as there are to be by now, and looks for each at once.
    fn bring_newcomers(
        &mut self,
        side: &impl Side,
        which: Which,
        turn: &Turn<'_>,
        done: &mut Done,
    ) {
        let Newcomers { all, brought } = self.newcomers.get(which).clone();
        // A little early, so that all are there in the end even if a thread has to wait.
        let over = 1.2 * done.took.as_secs_f64() / turn.lasts.as_secs_f64();
        let Range { start, end } = turn.growth;
        let grown = start + (end - start) * over.min(1.0);
        let due = (grown * all.len() as f64) as usize;
        let due = due.min(all.len()).min(brought + NEWCOMERS_AT_A_TIME);
        for user in all.start + brought..all.start + due {
            let event = self.event(turn, which, user);
            let nanos = nanos_of(|| side.insert(event));
            done.insert.saturating_record(nanos);
            done.writes += 1;
            done.missed += u64::from(!look(side, &turn.users[user]));
            done.reads += 1;
        }
        self.newcomers.get_mut(which).brought = due.max(brought);
    }

    fn draw(&mut self, turn: &Turn<'_>) -> usize {
        let user = turn.drawn[self.next_draw];
        self.next_draw += 1;
        if self.next_draw == turn.drawn.len() {
            self.next_draw = 0;
        }
        user as usize
    }

    /// The next event, noted as written.
    fn event(&mut self, turn: &Turn<'_>, which: Which, user: usize) -> StateSnapshot {
        let place = self.next_state;
        self.next_state = (place + 1) % STATES;
        self.journals.get_mut(which).note(user, place);
        let state = self.states[place].clone();
        let event = state.into_snapshot(&turn.users[user]);
        event.expect("the id of a user")
    }
}

/// Whether there is such a user.
fn look(side: &impl Side, user_id: &str) -> bool {
    let formality = side.with(user_id, |state| state.get_axis("formality"));
    black_box(formality).is_some()
}
