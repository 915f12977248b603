//! A long time of work in a store, and a verdict: was anything left behind?
//!
//! `cargo run --release --example soak -- --seconds 60`
//!
//! Threads upsert, delete and read. Every few seconds they pause, and while
//! nothing moves this prints what there is:
//! - *snapshots*: how many can be reached, through the histories of all users;
//! - *blocks*: how many allocations there are more than before the store was
//!   made, and their size, as counted by the global allocator. Each snapshot
//!   here is one block, so the blocks bound how many are alive: one that was
//!   lost but not dropped counts as a block, but not as a snapshot. The other
//!   blocks are the entries of the users, their queues and the map's table;
//! - *resident*: the process's memory as the operating system sees it, with
//!   what the allocator keeps for later.
//!
//! For the verdict the store is brought into the same two states after a warm-up
//! and at the end: *emptied*, every user deleted, and *filled*, every user
//! written until the history is full and one entry was evicted. What is alive
//! must be the same both times, save what may await reclamation, see
//! [`Tolerance`], which does not grow with time. In the end the store is dropped
//! and must leave nothing. The exit code is 1 if something was left.

use std::alloc::System;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use attuned_store::{MemoryStore, StateSnapshot};
use clap::Parser;
use clap::builder::{RangedU64ValueParser, TypedValueParser};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WARM_UP: Duration = Duration::from_secs(3);
const BETWEEN_REPORTS: Duration = Duration::from_secs(5);
/// How much a thread does between two looks at whether it should pause.
const OPERATIONS_AT_A_TIME: u64 = 1_000;

/// Works in a store for a while and checks that its memory stays flat.
#[derive(Parser)]
struct Options {
    /// How long to work, after a warm-up
    #[arg(long, default_value_t = 60, value_parser = from_1_to(31_536_000))]
    seconds: usize,
    /// How many threads work at the same time
    #[arg(long, default_value_t = 4, value_parser = from_1_to(256))]
    threads: usize,
    /// How many users there are at most
    #[arg(long, default_value_t = 1_000, value_parser = from_1_to(1_000_000))]
    users: usize,
    /// How many snapshots of a user are kept
    #[arg(long, default_value_t = 10, value_parser = from_1_to(1_000))]
    history: usize,
}

fn from_1_to(most: u64) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::new().range(1..=most)
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Options {
        seconds,
        threads,
        users,
        history,
    } = options;
    println!("{threads} threads, {users} users with histories of {history}, {seconds} s");

    let users: Vec<_> = (0..users).map(|user| format!("user_{user}")).collect();
    let before = Heap::now();
    let store = match MemoryStore::builder().history(history).build() {
        Ok(store) => store,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let soak = Soak {
        store,
        users,
        history,
        before,
        working: RwLock::new(()),
        ended: AtomicBool::new(false),
        upserts: AtomicU64::new(0),
        deletes: AtomicU64::new(0),
        reads: AtomicU64::new(0),
    };

    let [first, last] = thread::scope(|scope| {
        for seed in 0..threads as u64 {
            let soak = &soak;
            scope.spawn(move || soak.work(seed));
        }
        soak.watch(Duration::from_secs(seconds as u64))
    });
    drop(soak.store);
    let left = Heap::now() - before;

    let tolerance = Tolerance::of(threads, &soak.users, history);
    let mut flat = true;
    for (state, first, last) in [
        ("emptied", first.emptied, last.emptied),
        ("filled", first.filled, last.filled),
    ] {
        println!("{state}: {first} after the warm-up, {last} at the end");
        flat &= tolerance.allows(last - first);
    }
    println!("dropped: {left}");
    flat &= tolerance.allows(left);

    let Tolerance(most) = tolerance;
    if flat {
        println!("memory is flat: nowhere more than the tolerated {most} above");
        ExitCode::SUCCESS
    } else {
        println!("MEMORY GREW by more than the tolerated {most}");
        ExitCode::FAILURE
    }
}

struct Soak {
    store: MemoryStore,
    users: Vec<String>,
    history: usize,
    /// The heap without the store.
    before: Heap,
    /// Held shared by each thread that works: who holds it alone has made all
    /// of them pause.
    working: RwLock<()>,
    ended: AtomicBool,
    upserts: AtomicU64,
    deletes: AtomicU64,
    reads: AtomicU64,
}

/// What was alive in each of the two states that are compared.
struct Alive {
    emptied: Heap,
    filled: Heap,
}

impl Soak {
    fn work(&self, seed: u64) {
        let mut random = SmallRng::seed_from_u64(seed);
        while !self.ended.load(Ordering::Relaxed) {
            let _working = self.working.read().unwrap_or_else(PoisonError::into_inner);
            let (mut upserts, mut deletes) = (0, 0);
            for _ in 0..OPERATIONS_AT_A_TIME {
                // Half of the work is on a few users, for whom the threads race.
                let range = match random.random_range(0..2) {
                    0 => self.users.len().min(4),
                    _ => self.users.len(),
                };
                let user = &self.users[random.random_range(0..range)];
                match random.random_range(0..100) {
                    0..40 => {
                        self.store.upsert(snapshot(user)).unwrap();
                        upserts += 1;
                    }
                    // A shared snapshot, which the store has to copy.
                    40..45 => {
                        let snapshot = snapshot(user);
                        self.store.upsert(snapshot.clone()).unwrap();
                        upserts += 1;
                    }
                    45..50 => {
                        self.store.remove(user);
                        deletes += 1;
                    }
                    50..75 => drop(self.store.latest(user)),
                    limit => drop(self.store.history(user, limit - 74)),
                }
            }
            self.upserts.fetch_add(upserts, Ordering::Relaxed);
            self.deletes.fetch_add(deletes, Ordering::Relaxed);
            let reads = OPERATIONS_AT_A_TIME - upserts - deletes;
            self.reads.fetch_add(reads, Ordering::Relaxed);
        }
    }

    /// Lets the threads work, reports, and returns what was alive after the
    /// warm-up and at the end.
    fn watch(&self, duration: Duration) -> [Alive; 2] {
        thread::sleep(WARM_UP);
        let first = self.pause(|| self.reference_states());
        let start = Instant::now();
        while let Some(left) = duration.checked_sub(start.elapsed())
            && !left.is_zero()
        {
            thread::sleep(left.min(BETWEEN_REPORTS));
            self.pause(|| self.report(start.elapsed()));
        }
        self.pause(|| {
            self.ended.store(true, Ordering::Relaxed);
            [first, self.reference_states()]
        })
    }

    /// Does something while no thread works.
    fn pause<R>(&self, act: impl FnOnce() -> R) -> R {
        let _alone = self.working.write().unwrap_or_else(PoisonError::into_inner);
        act()
    }

    fn reference_states(&self) -> Alive {
        for user in &self.users {
            self.store.remove(user);
        }
        let emptied = Heap::now() - self.before;
        for user in &self.users {
            for _ in 0..=self.history {
                self.store.upsert(snapshot(user)).unwrap();
            }
        }
        let filled = Heap::now() - self.before;
        Alive { emptied, filled }
    }

    fn report(&self, elapsed: Duration) {
        let alive = Heap::now() - self.before;
        let snapshots: usize = self
            .users
            .iter()
            .map(|user| self.store.history(user, usize::MAX).len())
            .sum();
        println!(
            "{:>6} s: {} upserts, {} deletes, {} reads; {} users, {snapshots} snapshots, {alive}; \
             resident {}",
            elapsed.as_secs(),
            Millions(self.upserts.load(Ordering::Relaxed)),
            Millions(self.deletes.load(Ordering::Relaxed)),
            Millions(self.reads.load(Ordering::Relaxed)),
            self.store.len(),
            resident().as_deref().unwrap_or("unknown"),
        );
    }
}

/// A snapshot that is a single allocation: the id is short, the axes are few.
fn snapshot(user: &str) -> StateSnapshot {
    StateSnapshot::builder()
        .user_id(user)
        .updated_at(0)
        .axes([("warmth", 0.7), ("formality", 0.2)])
        .build()
        .expect("a valid snapshot")
}

/// What is allocated and not freed, or by how much that changed.
#[derive(Clone, Copy)]
struct Heap {
    blocks: i64,
    bytes: i64,
}

impl Heap {
    /// Exact while nobody else allocates.
    fn now() -> Self {
        let stats = HEAP.stats();
        // What reallocations add and take away is in both counts of bytes.
        Self {
            blocks: stats.allocations as i64 - stats.deallocations as i64,
            bytes: stats.bytes_allocated as i64 - stats.bytes_deallocated as i64,
        }
    }
}

impl std::ops::Sub for Heap {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            blocks: self.blocks - other.blocks,
            bytes: self.bytes - other.bytes,
        }
    }
}

impl fmt::Display for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} blocks of {} KiB", self.blocks, self.bytes / 1024)
    }
}

/// What may be alive at one time and not at another, at most.
///
/// papaya reclaims removed entries in batches. Up to 31 of each thread may await
/// the thread's next delete, each with its queue and a version that a late
/// writer left there; and the table, which is rebuilt when deletions have worn
/// it, may be of the next size. Threads have some bookkeeping of their own.
struct Tolerance(Heap);

impl Tolerance {
    fn of(threads: usize, users: &[String], history: usize) -> Self {
        // The threads that work, and the one that compares.
        let threads = threads as i64 + 1;
        let (users, history) = (users.len() as i64, history as i64);
        Self(Heap {
            blocks: threads * (31 * 4 + 16),
            bytes: threads * (31 * (1_024 + 16 * history) + 16 * 1_024) + 64 * users,
        })
    }

    fn allows(&self, growth: Heap) -> bool {
        growth.blocks <= self.0.blocks && growth.bytes <= self.0.bytes
    }
}

struct Millions(u64);

impl fmt::Display for Millions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} M", self.0 as f64 / 1e6)
    }
}

/// The resident memory of this process, where `/proc` says it: on Linux.
fn resident() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(resident.trim().to_owned())
}
