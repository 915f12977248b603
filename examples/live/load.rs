//! The read-heavy load: threads that read and threads that write.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use attuned_store::MemoryStore;
use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Zipf};

use crate::input::MadeUp;
use crate::{Error, Result};

/// How much of the reads is `history`; the rest is `with_latest`.
pub const HISTORY_PERCENT: u64 = 5;
/// How many entries such a read asks for.
pub const HISTORY_LIMIT: usize = 10;
/// How much of all operations the writers aim at.
pub const WRITE_PERCENT: u64 = 5;
/// One read in so many is timed: reading the clock takes about as long as
/// reading the store.
pub const READS_PER_SAMPLE: u64 = 32;
/// How unevenly active the users are.
pub const ZIPF_EXPONENT: f64 = 0.99;

/// How often a writer looks whether it is ahead of its share, in writes.
const WRITES_PER_BURST: u64 = 256;
/// How long a writer rests that is ahead of its share. If there are more threads
/// than free cores, each time that it wakes up stops a reader for a burst: with
/// much shorter rests the p99.9 of reads would be that of being stopped.
const WRITER_REST: Duration = Duration::from_millis(1);
/// How many users are drawn beforehand. Drawing one takes a good part of the
/// time of reading one, so the threads only go through what was drawn.
const DRAWS: usize = 1 << 20;

/// Latencies, in nanoseconds.
pub struct Latencies {
    pub latest: Histogram<u64>,
    pub history: Histogram<u64>,
    pub upsert: Histogram<u64>,
}

impl Latencies {
    fn new() -> Self {
        // Two significant digits, so a percent, up to a minute.
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("valid bounds");
        Self {
            latest: histogram.clone(),
            history: histogram.clone(),
            upsert: histogram,
        }
    }

    /// Both kinds of reads together.
    pub fn reads(&self) -> Histogram<u64> {
        let mut reads = self.latest.clone();
        reads += &self.history;
        reads
    }

    fn of(&mut self, read: Read) -> &mut Histogram<u64> {
        match read {
            Read::Latest => &mut self.latest,
            Read::History => &mut self.history,
        }
    }

    fn add(&mut self, other: &Self) {
        self.latest += &other.latest;
        self.history += &other.history;
        self.upsert += &other.upsert;
    }
}

/// What one thread tells about itself. Only that thread writes to it, but for
/// the latencies, which are taken out once a second.
///
/// Aligned to two cache lines, since processors fetch lines in pairs: threads
/// do not slow each other down by counting.
#[repr(align(128))]
struct Meter {
    operations: AtomicU64,
    latencies: Mutex<Latencies>,
}

impl Meter {
    fn new() -> Self {
        Self {
            operations: AtomicU64::new(0),
            latencies: Mutex::new(Latencies::new()),
        }
    }

    fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    fn set_operations(&self, operations: u64) {
        self.operations.store(operations, Ordering::Relaxed);
    }

    fn latencies(&self) -> MutexGuard<'_, Latencies> {
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all threads have done in a time.
pub struct Done {
    pub took: Duration,
    pub reads: u64,
    pub writes: u64,
    pub latencies: Latencies,
}

impl Done {
    fn nothing() -> Self {
        Self {
            took: Duration::ZERO,
            reads: 0,
            writes: 0,
            latencies: Latencies::new(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.took += other.took;
        self.reads += other.reads;
        self.writes += other.writes;
        self.latencies.add(&other.latencies);
    }
}

/// Reads and writes a store from several threads.
pub struct Load<'a> {
    store: &'a MemoryStore,
    /// Users in the order in which they are read and written.
    drawn: Vec<&'a str>,
    readers: Vec<Meter>,
    writers: Vec<Meter>,
    /// Reads that did not find their user, which must not be. Not written to
    /// otherwise, so it costs nothing that all readers share it.
    missed: AtomicU64,
    stop: AtomicBool,
}

impl<'a> Load<'a> {
    /// There must be users.
    pub fn new(
        store: &'a MemoryStore,
        users: &'a [String],
        readers: usize,
        writers: usize,
    ) -> Self {
        Self {
            store,
            drawn: draw(users),
            readers: (0..readers).map(|_| Meter::new()).collect(),
            writers: (0..writers).map(|_| Meter::new()).collect(),
            missed: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// Runs for this many seconds and calls `each_second` with what was done in
    /// each; returns what was done in all.
    pub fn run(
        &self,
        seconds: u64,
        mut each_second: impl FnMut(u64, &Done) -> Result<()>,
    ) -> Result<Done> {
        thread::scope(|scope| {
            // Dropped however this ends, be it that a thread cannot be started or
            // that the output is gone: the scope waits for all threads.
            let _stop = StopOnDrop(&self.stop);
            let start = Instant::now();
            for (index, meter) in self.readers.iter().enumerate() {
                thread::Builder::new()
                    .spawn_scoped(scope, move || self.read(meter, index))
                    .map_err(Error::Thread)?;
            }
            for (index, meter) in self.writers.iter().enumerate() {
                thread::Builder::new()
                    .spawn_scoped(scope, move || self.write(meter, self.readers.len() + index))
                    .map_err(Error::Thread)?;
            }

            let mut all = Done::nothing();
            for second in 1..=seconds {
                thread::sleep(Duration::from_secs(second).saturating_sub(start.elapsed()));
                let done = self.done_since(&all, start);
                each_second(second, &done)?;
                all.add(&done);
            }
            Ok(all)
        })
    }

    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn reads(&self) -> u64 {
        self.readers.iter().map(Meter::operations).sum()
    }

    fn writes(&self) -> u64 {
        self.writers.iter().map(Meter::operations).sum()
    }

    /// What was done between `before`, which goes back to `start`, and now.
    fn done_since(&self, before: &Done, start: Instant) -> Done {
        let mut done = Done {
            took: start.elapsed().saturating_sub(before.took),
            reads: self.reads() - before.reads,
            writes: self.writes() - before.writes,
            latencies: Latencies::new(),
        };
        for meter in self.readers.iter().chain(&self.writers) {
            // Made before the lock is taken, which so is held for a moment only.
            let empty = Latencies::new();
            let latencies = std::mem::replace(&mut *meter.latencies(), empty);
            done.latencies.add(&latencies);
        }
        done
    }

    fn read(&self, meter: &Meter, thread: usize) {
        let mut users = self.users_of(thread);
        let mut random = SmallRng::seed_from_u64(thread as u64);
        let mut reads = 0;
        while !self.stop.load(Ordering::Relaxed) {
            for _ in 1..READS_PER_SAMPLE {
                self.read_user(Read::draw(&mut random), users.next());
            }
            let (read, user_id) = (Read::draw(&mut random), users.next());
            let nanos = nanos_of(|| self.read_user(read, user_id));
            meter.latencies().of(read).saturating_record(nanos);
            reads += READS_PER_SAMPLE;
            meter.set_operations(reads);
        }
    }

    fn read_user(&self, read: Read, user_id: &str) {
        let found = match read {
            Read::Latest => self
                .store
                .with_latest(user_id, |snapshot| {
                    black_box(snapshot.get_axis("formality"));
                })
                .is_some(),
            Read::History => !black_box(self.store.history(user_id, HISTORY_LIMIT)).is_empty(),
        };
        if !found {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write(&self, meter: &Meter, thread: usize) {
        let mut users = self.users_of(thread);
        let mut events = MadeUp::new(thread as u64);
        let mut writes = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let due = self.writes_due_each().saturating_sub(writes);
            if due == 0 {
                thread::sleep(WRITER_REST);
                continue;
            }
            for _ in 0..due.min(WRITES_PER_BURST) {
                let event = events.event(users.next());
                let nanos = nanos_of(|| self.store.upsert(event).expect("a store without a bound"));
                meter.latencies().upsert.saturating_record(nanos);
                writes += 1;
            }
            meter.set_operations(writes);
        }
    }

    /// What was drawn, from another place for each thread.
    fn users_of(&self, thread: usize) -> Cycle<'_> {
        let threads = self.readers.len() + self.writers.len();
        Cycle {
            users: &self.drawn,
            next: self.drawn.len() / threads * thread,
        }
    }

    /// How many writes each writer owes for the reads that there were so far.
    fn writes_due_each(&self) -> u64 {
        let due = self.reads() * WRITE_PERCENT / (100 - WRITE_PERCENT);
        due / self.writers.len() as u64
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls `operation` and tells how long it took.
fn nanos_of(operation: impl FnOnce()) -> u64 {
    let start = Instant::now();
    operation();
    nanos(start.elapsed())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What the clock adds to each latency: the median of timing nothing.
pub fn clock_cost_nanos() -> u64 {
    let mut costs: Vec<u64> = (0..1001).map(|_| nanos_of(|| {})).collect();
    costs.sort_unstable();
    costs[costs.len() / 2]
}

/// Draws users by a Zipf distribution. Which of them are the most active has
/// nothing to do with their order: else these might lie side by side in memory.
fn draw(users: &[String]) -> Vec<&str> {
    let mut random = SmallRng::seed_from_u64(0);
    let mut by_rank: Vec<&str> = users.iter().map(String::as_str).collect();
    by_rank.shuffle(&mut random);
    let zipf = Zipf::new(by_rank.len() as f64, ZIPF_EXPONENT).expect("there are users");
    (0..DRAWS)
        .map(|_| {
            // It counts from 1, in floating point.
            let rank = zipf.sample(&mut random) as usize;
            by_rank[rank.clamp(1, by_rank.len()) - 1]
        })
        .collect()
}

/// Goes through the users that were drawn, again and again.
struct Cycle<'a> {
    users: &'a [&'a str],
    next: usize,
}

impl<'a> Cycle<'a> {
    fn next(&mut self) -> &'a str {
        let user_id = self.users[self.next];
        self.next += 1;
        if self.next == self.users.len() {
            self.next = 0;
        }
        user_id
    }
}

/// One of the two kinds of reads.
#[derive(Clone, Copy)]
enum Read {
    Latest,
    History,
}

impl Read {
    fn draw(random: &mut SmallRng) -> Self {
        if random.random_range(0..100) < HISTORY_PERCENT {
            Self::History
        } else {
            Self::Latest
        }
    }
}
