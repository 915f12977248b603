//! The phases, carried out: turn by turn, first one side, then the other.

use std::ops::Range;
use std::thread;
use std::time::Duration;

use crate::done::Done;
use crate::pair::{Pair, Which};
use crate::phases::Phase;
use crate::side::{Side, Sides};
use crate::sleepers::while_they_sleep;
use crate::users::Users;
use crate::worker::{Turn, Worker};
use crate::{Error, Result};

/// About how long each side works before the other one does.
const TURN: Duration = Duration::from_millis(250);

/// What a phase has shown so far.
pub struct Course {
    pub phase: Phase,
    pub done: Pair<Done>,
    /// Reads a second of every turn.
    pub rates: Pair<Vec<f64>>,
    pub users: Pair<usize>,
    /// How many entries the history of the most active user has.
    pub history: Pair<usize>,
}

impl Course {
    fn new(phase: Phase) -> Self {
        Self {
            phase,
            done: Pair::of(Done::nothing),
            rates: Pair::default(),
            users: Pair::default(),
            history: Pair::default(),
        }
    }

    /// The most reads a second that any turn has had; at least 1.
    pub fn peak(&self) -> f64 {
        let rates = self.rates.both().into_iter().flatten();
        rates.copied().fold(1.0, f64::max)
    }

    fn add(&mut self, which: Which, done: &Done) {
        self.done.get_mut(which).add(done);
        self.rates.get_mut(which).push(done.reads_per_second());
    }

    fn look_at(&mut self, sides: &Sides<impl Side, impl Side>, users: &Users) {
        self.users = sides.users();
        self.history = sides.history_length(&users.ids[0]);
    }
}

/// Threads that read and write both sides.
pub struct Load<'a, A, B> {
    sides: &'a Sides<A, B>,
    pub users: Users,
    pub workers: Vec<Worker>,
    /// Drawn from all users.
    many: Vec<u32>,
}

impl<'a, A: Side, B: Side> Load<'a, A, B> {
    /// There must be users.
    pub fn new(sides: &'a Sides<A, B>, users: Users, threads: usize) -> Self {
        Self {
            sides,
            many: users.draw(),
            users,
            workers: (0..threads).map(Worker::new).collect(),
        }
    }

    /// Carries a phase out, in about so much time, and calls `after_turn` with what there
    /// is so far and what the last turn has brought.
    pub fn run(
        &mut self,
        phase: Phase,
        lasts: Duration,
        mut after_turn: impl FnMut(&Course, Which, &Done) -> Result<()>,
    ) -> Result<Course> {
        let newcomers = self.users.invite(phase.newcomers as usize, self.sides);
        let drawn = phase.hot.map(|hot| self.users.draw_hot(hot as usize));
        let drawn = drawn.as_ref().unwrap_or(&self.many);
        prepare(&mut self.workers, self.users.len(), drawn, newcomers);

        let (sides, users, workers) = (self.sides, &self.users, &mut self.workers);
        let rounds = (lasts.as_secs_f64() / (2.0 * TURN.as_secs_f64())).round() as u32;
        let rounds = rounds.max(1);
        let writes = f64::from(phase.write_percent);
        let mut course = Course::new(phase);
        course.look_at(sides, users);
        while_they_sleep(phase.sleepers.into(), sides, &users.ids[0], || {
            for round in 0..rounds {
                let done_so_far = f64::from(round) / f64::from(rounds);
                let turn = Turn {
                    users: &users.ids,
                    drawn,
                    writes_per_read: writes / (100.0 - writes),
                    history_percent: phase.history_percent,
                    growth: done_so_far..done_so_far + 1.0 / f64::from(rounds),
                    lasts: lasts / (2 * rounds),
                };
                for which in order(round) {
                    let done = match which {
                        Which::Attuned => take_turn(workers, &sides.attuned, which, &turn),
                        Which::DashMap => take_turn(workers, &sides.dashmap, which, &turn),
                    }?;
                    course.add(which, &done);
                    course.look_at(sides, users);
                    after_turn(&course, which, &done)?;
                }
            }
            Ok(())
        })?;
        Ok(course)
    }
}

/// Each is first as often as the other.
fn order(round: u32) -> [Which; 2] {
    if round.is_multiple_of(2) {
        [Which::Attuned, Which::DashMap]
    } else {
        [Which::DashMap, Which::Attuned]
    }
}

/// Has each worker begin at another place of what was drawn, with its share of new users.
fn prepare(workers: &mut [Worker], users: usize, drawn: &[u32], newcomers: Range<usize>) {
    let threads = workers.len();
    for (number, worker) in workers.iter_mut().enumerate() {
        let part = |of: usize| of * number / threads..of * (number + 1) / threads;
        let share = part(newcomers.len());
        let share = newcomers.start + share.start..newcomers.start + share.end;
        worker.prepare(users, part(drawn.len()).start, share);
    }
}

/// Has all workers work on one side, each on a thread of its own.
fn take_turn(
    workers: &mut [Worker],
    side: &impl Side,
    which: Which,
    turn: &Turn<'_>,
) -> Result<Done> {
    thread::scope(|scope| {
        let count = workers.len();
        let mut threads = Vec::with_capacity(count);
        for worker in workers {
            let thread = thread::Builder::new()
                .spawn_scoped(scope, move || worker.work(side, which, turn))
                .map_err(Error::Thread)?;
            threads.push(thread);
        }
        let mut all = Done::nothing();
        for thread in threads {
            all.add(&thread.join().expect("no operation panics"));
        }
        // They worked at the same time. On a busy machine, some go on for longer.
        all.took /= count as u32;
        Ok(all)
    })
}
