//! Load that does not wait for the store: each operation has a time at which it
//! is due, and its latency counts from then. If one takes long, those that
//! become due meanwhile are late, and that shows; a load that only measures its
//! own calls would leave them out (coordinated omission).

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use smol_str::SmolStr;

use crate::contenders::Contender;
use crate::workload::{Mix, Step, fill, perform, read, run_threads, seed};

/// Nanoseconds from when operations were due to when they were done.
#[derive(Clone)]
pub struct Latencies {
    pub reads: Histogram<u64>,
    pub upserts: Histogram<u64>,
}

impl Latencies {
    fn new() -> Self {
        // Two significant digits, so a percent, up to a minute.
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("valid bounds");
        Self {
            reads: histogram.clone(),
            upserts: histogram,
        }
    }

    fn of_all(threads: Vec<Self>) -> Self {
        let mut all = Self::new();
        for thread in threads {
            all.reads += &thread.reads;
            all.upserts += &thread.upserts;
        }
        all
    }
}

/// What a run of a load gave.
pub struct Outcome {
    /// Without meaning if the load was closed-loop.
    pub latencies: Latencies,
    pub reads_per_second: f64,
    pub upserts_per_second: f64,
}

/// The times at which a thread's operations are due.
struct Schedule {
    start: Instant,
    /// Nanoseconds; 0 makes everything due at once, which is a closed loop.
    interval: f64,
    due: f64,
}

impl Schedule {
    fn new(interval: f64, phase: f64) -> Self {
        Self {
            start: Instant::now(),
            interval,
            due: phase * interval,
        }
    }

    fn now(&self) -> u64 {
        // Not truncated: it would take centuries.
        self.start.elapsed().as_nanos() as u64
    }

    /// Waits until the next operation is due, performs it and returns its
    /// latency.
    #[inline]
    fn next(&mut self, operation: impl FnOnce()) -> u64 {
        let due = self.due as u64;
        self.due += self.interval;
        while self.now() < due {
            hint::spin_loop();
        }
        operation();
        self.now() - due
    }
}

/// Two threads or more with the same mix.
pub fn mixed<C: Contender>(
    store: &C,
    users: &[SmolStr],
    mix: Mix,
    threads: usize,
    steps: usize,
    interval: f64,
    round: usize,
) -> Outcome {
    let (elapsed, latencies) = run_threads(
        threads,
        |thread| {
            read(store, &users[0]);
            let steps = mix.steps::<C::Snapshot>(users, steps, seed(round, thread));
            // Out of step with each other.
            (steps, thread as f64 / threads as f64, Latencies::new())
        },
        |(steps, phase, mut latencies)| {
            let mut schedule = Schedule::new(interval, phase);
            for step in steps {
                let histogram = match step {
                    Step::Read(_) => &mut latencies.reads,
                    Step::Write(_) => &mut latencies.upserts,
                };
                let latency = schedule.next(|| perform(store, users, step));
                histogram.saturating_record(latency);
            }
            latencies
        },
    );
    Outcome::new(Latencies::of_all(latencies), elapsed.as_secs_f64())
}

/// One thread writes new users, from none to all of them; the other reads,
/// uniformly among those that are there.
pub fn growing<C: Contender>(
    users: &[SmolStr],
    axes: &[&str],
    insert_interval: f64,
    read_interval: f64,
    round: usize,
) -> Outcome {
    let store = C::new(None, 0);
    fill(&store, &users[..1], axes, 1);
    let present = AtomicUsize::new(1);
    let done = AtomicBool::new(false);
    let insert = |latencies: &mut Latencies, snapshots: Vec<C::Snapshot>| {
        let mut schedule = Schedule::new(insert_interval, 0.0);
        for (at, snapshot) in snapshots.into_iter().enumerate() {
            let latency = schedule.next(|| store.upsert(snapshot));
            present.store(at + 2, Ordering::Release);
            latencies.upserts.saturating_record(latency);
        }
        done.store(true, Ordering::Release);
    };
    let read_present = |latencies: &mut Latencies| {
        let mut rng = SmallRng::seed_from_u64(seed(round, 1));
        let mut schedule = Schedule::new(read_interval, 0.5);
        while !done.load(Ordering::Acquire) {
            // Before it is due: drawing is not part of the read.
            let user = &users[rng.random_range(0..present.load(Ordering::Acquire))];
            let latency = schedule.next(|| read(&store, user));
            latencies.reads.saturating_record(latency);
        }
    };
    let (elapsed, latencies) = run_threads(
        2,
        |thread| {
            read(&store, &users[0]);
            let snapshots = (thread == 0).then(|| {
                let users = users[1..].iter();
                users
                    .map(|user| crate::contenders::Snapshot::build(user, axes, 0))
                    .collect()
            });
            (snapshots, Latencies::new())
        },
        |(snapshots, mut latencies)| {
            match snapshots {
                Some(snapshots) => insert(&mut latencies, snapshots),
                None => read_present(&mut latencies),
            }
            latencies
        },
    );
    Outcome::new(Latencies::of_all(latencies), elapsed.as_secs_f64())
}

impl Outcome {
    fn new(latencies: Latencies, seconds: f64) -> Self {
        Self {
            reads_per_second: latencies.reads.len() as f64 / seconds,
            upserts_per_second: latencies.upserts.len() as f64 / seconds,
            latencies,
        }
    }
}
