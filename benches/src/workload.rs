//! The load: who is accessed, what with, and by how many threads.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use std::{thread, vec};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Zipf};
use smol_str::SmolStr;

use crate::contenders::{Contender, History, Snapshot, Value};
use crate::disturbance::{ThreadTimes, Together};

/// Entries of a history, where there is one.
pub const HISTORY: usize = 100;
/// How unevenly active users are, as in YCSB.
pub const ZIPF_EXPONENT: f64 = 0.99;
pub const HOT_USERS: usize = 4;

pub const FIVE_AXES: &[&str] = &[
    "cognitive_load",
    "formality",
    "urgency_sensitivity",
    "verbosity_preference",
    "warmth",
];

/// All names that Attuned has.
pub const ALL_AXES: &[&str] = &[
    "anxiety_level",
    "assertiveness",
    "autonomy_preference",
    "boundary_strength",
    "cognitive_load",
    "decision_fatigue",
    "directness_preference",
    "emotional_openness",
    "emotional_stability",
    "formality",
    "interruption_tolerance",
    "need_for_reassurance",
    "privacy_sensitivity",
    "reciprocity_expectation",
    "reflection_vs_action_bias",
    "ritual_need",
    "stakes_awareness",
    "suggestion_tolerance",
    "tolerance_for_complexity",
    "transactional_preference",
    "urgency_sensitivity",
    "verbosity_preference",
    "warmth",
];

/// An id of 16 bytes.
pub fn user_id(user: usize) -> SmolStr {
    SmolStr::new(format!("user_{user:011}"))
}

pub fn user_ids(users: usize) -> Vec<SmolStr> {
    (0..users).map(user_id).collect()
}

/// Writes `versions` snapshots for each user, all users once before any twice.
pub fn fill<C: Contender>(store: &C, users: &[SmolStr], axes: &[&str], versions: usize) {
    for version in 0..versions {
        for user in users {
            store.upsert(C::Snapshot::build(user, axes, version as i64));
        }
    }
}

/// Which users are accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Uniform,
    Zipf,
    /// The first few, all equally often.
    Hot,
    /// By each thread another one, always the same.
    Own,
    /// By all threads the first one.
    One,
}

impl Access {
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "Zipf",
            Self::Hot => "4 hot users",
            Self::Own => "one user a thread",
            Self::One => "one user",
        }
    }
}

/// One operation, with all that it needs made beforehand.
pub enum Step<S> {
    /// Of the user at this place.
    Read(usize),
    Write(S),
}

/// The operations of a thread, in their order. What says which it is takes four
/// bytes, so that walking over them costs next to nothing beside the operations.
pub struct Steps<S> {
    order: vec::IntoIter<u32>,
    writes: vec::IntoIter<S>,
}

/// In the place of a user to read.
const WRITE: u32 = u32::MAX;

impl<S> Iterator for Steps<S> {
    type Item = Step<S>;

    #[inline]
    fn next(&mut self) -> Option<Step<S>> {
        match self.order.next()? {
            WRITE => self.writes.next().map(Step::Write),
            user => Some(Step::Read(user as usize)),
        }
    }
}

/// The operations of one thread.
#[derive(Clone, Copy)]
pub struct Mix {
    pub access: Access,
    pub write_percent: f64,
    pub axes: &'static [&'static str],
}

impl Mix {
    /// Draws a thread's operations in a round: the same for all contenders.
    pub fn steps<S: Snapshot>(
        self,
        users: &[SmolStr],
        count: usize,
        (round, thread): (usize, usize),
    ) -> Steps<S> {
        let mut rng = SmallRng::seed_from_u64(seed(round, thread));
        let zipf = Zipf::new(users.len() as f64, ZIPF_EXPONENT).expect("valid parameters");
        let mut writes = Vec::new();
        let order: Vec<u32> = (0..count)
            .map(|at| {
                let user = match self.access {
                    Access::Uniform => rng.random_range(0..users.len()),
                    Access::Zipf => (zipf.sample(&mut rng) as usize - 1).min(users.len() - 1),
                    Access::Hot => rng.random_range(0..HOT_USERS.min(users.len())),
                    Access::Own => thread % users.len(),
                    Access::One => 0,
                };
                if rng.random_bool(self.write_percent / 100.0) {
                    writes.push(S::build(&users[user], self.axes, at as i64));
                    WRITE
                } else {
                    user as u32
                }
            })
            .collect();
        Steps {
            order: order.into_iter(),
            writes: writes.into_iter(),
        }
    }
}

/// Performs an operation; a read is `with`.
#[inline]
pub fn perform<C: Contender>(store: &C, users: &[SmolStr], step: Step<C::Snapshot>) {
    match step {
        Step::Read(user) => read(store, &users[user]),
        Step::Write(snapshot) => {
            black_box(store.upsert(snapshot));
        }
    }
}

#[inline]
pub fn read<C: Contender>(store: &C, user: &str) {
    black_box(store.with(user, |latest| latest.confidence()));
}

/// Reads something of each part of each entry: the time, the confidence and the first
/// axis.
#[inline]
pub fn read_entries(history: &impl History) -> f64 {
    let mut sum = 0.0;
    for value in history.values() {
        sum += value.at() as f64;
        sum += f64::from(value.confidence()) + f64::from(value.first_axis());
    }
    sum
}

/// Lets each thread prepare, starts all of them together, and returns the time
/// from the first one's start to the last one's end. Their pace before and
/// after is [watched](Together).
///
/// Threads prepare for themselves, so that what they write is memory of their
/// own, as in a service. Where there are cores enough, they wait for each other
/// awake: those that a blocking barrier wakes can begin on the same core, and
/// for some milliseconds take turns instead of competing.
pub fn timed_threads<P>(
    threads: usize,
    prepare: impl Fn(usize) -> P + Sync,
    work: impl Fn(P) + Sync,
) -> Duration {
    run_threads(threads, prepare, work).0
}

/// [`timed_threads`], with what each thread's work returns.
pub fn run_threads<P, R: Send>(
    threads: usize,
    prepare: impl Fn(usize) -> P + Sync,
    work: impl Fn(P) -> R + Sync,
) -> (Duration, Vec<R>) {
    let barrier = Barrier::new(threads);
    let together = Together::new(threads);
    let all_can_run = thread::available_parallelism().is_ok_and(|cores| threads <= cores.get());
    let outcomes: Vec<(Instant, Instant, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (barrier, together, prepare, work) = (&barrier, &together, &prepare, &work);
                scope.spawn(move || {
                    let prepared = prepare(thread);
                    barrier.wait();
                    if all_can_run {
                        together.begin(thread);
                    }
                    let before = ThreadTimes::now().filter(|_| all_can_run);
                    let start = Instant::now();
                    let result = work(prepared);
                    let end = Instant::now();
                    if let Some(before) = before {
                        before.account();
                    }
                    if all_can_run {
                        together.end();
                    }
                    (start, end, result)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("no operation panics"))
            .collect()
    });
    let start = outcomes.iter().map(|&(start, ..)| start).min();
    let end = outcomes.iter().map(|&(_, end, _)| end).max();
    let elapsed = match (start, end) {
        (Some(start), Some(end)) => end - start,
        _ => Duration::ZERO,
    };
    let results = outcomes.into_iter().map(|(.., result)| result).collect();
    (elapsed, results)
}

/// Performs `steps` operations on each thread; operations a second, all threads
/// together.
pub fn throughput<C: Contender>(
    store: &C,
    users: &[SmolStr],
    mix: Mix,
    threads: usize,
    steps: usize,
    round: usize,
) -> f64 {
    let elapsed = timed_threads(
        threads,
        |thread| {
            // A thread's first operation makes that thread's bookkeeping.
            read(store, &users[0]);
            mix.steps::<C::Snapshot>(users, steps, (round, thread))
        },
        |steps| {
            for step in steps {
                perform(store, users, step);
            }
        },
    );
    (threads * steps) as f64 / elapsed.as_secs_f64()
}

/// Calls an operation on uniformly drawn users, on each of the threads so many times; calls
/// a second, all threads together.
pub fn calls<R>(
    users: &[SmolStr],
    threads: usize,
    count: usize,
    round: usize,
    call: impl Fn(&str) -> R + Sync,
) -> f64 {
    let elapsed = timed_threads(
        threads,
        |thread| {
            let mut rng = SmallRng::seed_from_u64(seed(round, thread));
            // A thread's first operation makes that thread's bookkeeping.
            black_box(call(&users[0]));
            let drawn = (0..count).map(|_| rng.random_range(0..users.len()));
            drawn.collect::<Vec<_>>()
        },
        |drawn| {
            for user in drawn {
                black_box(call(&users[user]));
            }
        },
    );
    (threads * count) as f64 / elapsed.as_secs_f64()
}

/// One for each round and thread.
pub fn seed(round: usize, thread: usize) -> u64 {
    (round * 1_000 + thread) as u64
}

/// What a runtime does with a future that is ready at once.
pub fn poll<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("no store in memory waits"),
    }
}
