//! Load that does not wait for the store: each operation has a time at which it
//! is due, and its latency counts from then. If one takes long, those that
//! become due meanwhile are late, and that shows; a load that only measures its
//! own calls would leave them out (coordinated omission).

use std::hint::{self, black_box};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hdrhistogram::Histogram;
use quanta::Clock;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use smol_str::SmolStr;

use crate::contenders::Contender;
use crate::results::Spread;
use crate::workload::{Mix, Step, fill, perform, read, run_threads, seed};

/// Which parts of the latencies are reported, in percent.
pub const PERCENTILES: [f64; 5] = [50.0, 99.0, 99.9, 99.99, 100.0];

/// Nanoseconds of a window: so short that most of them fall between the moments
/// at which the machine does something else. A virtual machine can be interrupted a
/// thousand times a second by its host, and 250 times by its own clock, for some 10
/// microseconds each.
const WINDOW: f64 = 200_000.0;

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

    fn of_all(threads: &[Self]) -> Self {
        let mut all = Self::new();
        for thread in threads {
            all.reads += &thread.reads;
            all.upserts += &thread.upserts;
        }
        all
    }

    fn of_logs(readers: &[Vec<Done>], all: &[Vec<Done>]) -> Self {
        let mut latencies = Self::new();
        for read in readers.iter().flatten().filter(|done| done.is_read) {
            latencies.reads.saturating_record(read.latency.into());
        }
        for upsert in all.iter().flatten().filter(|done| !done.is_read) {
            latencies.upserts.saturating_record(upsert.latency.into());
        }
        latencies
    }
}

/// An operation that was done, as a thread notes it down. Such a log is written from
/// front to back, so that it takes the caches less room than a histogram would.
#[derive(Clone, Copy)]
struct Done {
    /// Nanoseconds, up to four seconds.
    latency: u32,
    is_read: bool,
}

/// Room for a log, in memory that is really there.
fn empty_log(operations: usize) -> Vec<Done> {
    let mut log = vec![
        Done {
            latency: 1,
            is_read: true
        };
        operations
    ];
    log.clear();
    log
}

/// For each of the [`PERCENTILES`], that of the reads of a window: the median over all
/// windows of all threads. One window is the operations that were due in it.
fn typical_window(logs: &[Vec<Done>], interval: f64) -> Vec<f64> {
    let operations = (WINDOW / interval).ceil().max(1.0) as usize;
    let windows = logs.iter().flat_map(|log| log.chunks_exact(operations));
    let reads: Vec<Vec<u32>> = windows
        .map(|window| {
            let reads = window.iter().filter(|done| done.is_read);
            let mut latencies: Vec<u32> = reads.map(|done| done.latency).collect();
            latencies.sort_unstable();
            latencies
        })
        .filter(|latencies| !latencies.is_empty())
        .collect();
    if reads.is_empty() {
        return Vec::new();
    }
    PERCENTILES
        .into_iter()
        .map(|percentile| {
            let of_windows: Vec<f64> = reads
                .iter()
                .map(|latencies| {
                    let rank = (percentile / 100.0 * latencies.len() as f64).ceil() as usize;
                    f64::from(latencies[rank.max(1) - 1])
                })
                .collect();
            Spread::of(&of_windows).median
        })
        .collect()
}

/// What a run of a load gave.
pub struct Outcome {
    /// Without meaning if the load was closed-loop.
    pub latencies: Latencies,
    /// Nanoseconds for each of the [`PERCENTILES`] of the reads in a typical window;
    /// empty if no window was full, or none was looked at.
    pub typical_window: Vec<f64>,
    pub reads_per_second: f64,
    pub upserts_per_second: f64,
    /// Those that were not looked at included.
    pub operations_per_second: f64,
}

/// The times at which a thread's operations are due.
struct Schedule {
    /// One that reads the processor's counter, where that can be relied on: the system's
    /// takes as long as a read of a store.
    clock: Clock,
    start: u64,
    /// Nanoseconds; 0 makes everything due at once, which is a closed loop.
    interval: f64,
    due: f64,
}

impl Schedule {
    fn new(interval: f64, phase: f64) -> Self {
        let clock = Clock::new();
        Self {
            start: clock.raw(),
            clock,
            interval,
            due: phase * interval,
        }
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        self.clock.delta_as_nanos(self.start, self.clock.raw())
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

/// Which of the threads write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// All but the first one, so often that they bring the share of writes in all
    /// operations about. Only the first one's reads are looked at.
    Others,
    /// All, so that a read also waits for the writes of its own thread that were due
    /// before it.
    All,
}

impl Writers {
    fn mix_of(self, thread: usize, threads: usize, mix: Mix) -> Mix {
        let write_percent = match self {
            Self::All => mix.write_percent,
            Self::Others if thread == 0 => 0.0,
            Self::Others => mix.write_percent * threads as f64 / (threads - 1) as f64,
        };
        Mix {
            write_percent,
            ..mix
        }
    }
}

/// Two threads or more with the same number of operations each.
pub fn mixed<C: Contender>(
    store: &C,
    users: &[SmolStr],
    (mix, writers): (Mix, Writers),
    threads: usize,
    count: usize,
    interval: f64,
    round: usize,
) -> Outcome {
    let (elapsed, logs) = run_threads(
        threads,
        |thread| {
            read(store, &users[0]);
            let mix = writers.mix_of(thread, threads, mix);
            let steps = mix.steps::<C::Snapshot>(users, count, (round, thread));
            // Out of step with each other.
            (steps, thread as f64 / threads as f64, empty_log(count))
        },
        |(steps, phase, mut log)| {
            let mut schedule = Schedule::new(interval, phase);
            for step in steps {
                let is_read = matches!(step, Step::Read(_));
                let latency = schedule.next(|| perform(store, users, step));
                log.push(Done {
                    latency: latency.try_into().unwrap_or(u32::MAX),
                    is_read,
                });
            }
            log
        },
    );
    let readers = match writers {
        Writers::Others => &logs[..1],
        Writers::All => &logs[..],
    };
    let seconds = elapsed.as_secs_f64();
    Outcome {
        operations_per_second: (threads * count) as f64 / seconds,
        typical_window: typical_window(readers, interval),
        ..Outcome::new(Latencies::of_logs(readers, &logs), seconds)
    }
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
            let latency = schedule.next(|| {
                black_box(store.upsert(snapshot));
            });
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
    Outcome::new(Latencies::of_all(&latencies), elapsed.as_secs_f64())
}

impl Outcome {
    fn new(latencies: Latencies, seconds: f64) -> Self {
        let reads_per_second = latencies.reads.len() as f64 / seconds;
        let upserts_per_second = latencies.upserts.len() as f64 / seconds;
        Self {
            reads_per_second,
            upserts_per_second,
            operations_per_second: reads_per_second + upserts_per_second,
            latencies,
            typical_window: Vec::new(),
        }
    }
}
