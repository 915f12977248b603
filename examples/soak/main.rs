//! A long time of work in a map and in a store, and a verdict: was anything left behind?
//!
//! `cargo run --release --example soak -- --seconds 60`
//!
//! Some threads read, write and remove. One only reads. One only drops what others have
//! written: copies that they have read, and, by removals, what is in the map. One starts
//! other threads, which work a little and end. And one has written much and then sleeps
//! until the end.
//!
//! Some twelve times the threads stand still, and this prints what there is:
//! - *alive*: how many values are in memory, which are counted one by one; and how many of
//!   them the histories show. The others are those that the map has yet to let go of, and
//!   their number has a bound for each key.
//! - *emptied*: the same when all keys have been removed; and how many allocations there
//!   are more than before, and their size, as counted by the global allocator. These are
//!   the map's tables and the bookkeeping of threads.
//! - *resident*: the process's memory as the operating system sees it, with what the
//!   allocator keeps for later. That of glibc keeps some for each of several arenas, which
//!   fill up in the first minutes; with `MALLOC_ARENA_MAX=1` in the environment the figure
//!   does not move.
//!
//! The exit code is 1 if more was alive than may be, at any time, or if there is a trend:
//! if the median of the last third is above that of the first third by more than the
//! [tolerance](Tolerance), which does not grow with time. In the end the map and the store
//! are dropped and must leave no value.

mod work;

use std::alloc::System;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use clap::Parser;
use clap::builder::{RangedU64ValueParser, TypedValueParser};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::work::{Counted, Plan, Round, Soak};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often the threads stand still.
const REPORTS: u64 = 12;

/// Works in a map and in a store for a while and checks that memory stays flat.
#[derive(Parser)]
struct Options {
    /// How long to work, after a first round that does not count
    #[arg(long, default_value_t = 60, value_parser = from_1_to(31_536_000))]
    seconds: usize,
    /// How many threads read, write and remove at the same time, beside those that do
    /// other things
    #[arg(long, default_value_t = 4, value_parser = from_1_to(256))]
    threads: usize,
    /// How many users there are at most
    #[arg(long, default_value_t = 1_000, value_parser = from_1_to(1_000_000))]
    users: usize,
    /// How many values of each are kept
    #[arg(long, default_value_t = 40, value_parser = from_1_to(1_000))]
    history: usize,
}

fn from_1_to(most: u64) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::new().range(1..=most)
}

fn main() -> ExitCode {
    let Options {
        seconds,
        threads,
        users,
        history,
    } = Options::parse();
    println!("{threads} threads, {users} users with histories of {history}, {seconds} s");

    let before = Heap::now();
    let lasts = Duration::from_secs(seconds as u64) / REPORTS as u32;
    let soak = match Soak::new(Plan {
        workers: threads,
        keys: users,
        history,
        round: Round { lasts, times: 1 },
    }) {
        Ok(soak) => soak,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };

    let start = Instant::now();
    let mut looks = Vec::new();
    let mut flat = true;
    let mut warm = false;
    soak.run(|soak| {
        let look = Look::at(soak, before);
        println!("{:>6} s: {look}", start.elapsed().as_secs());
        flat &= look.is_within_bounds(soak);
        if warm {
            looks.push(look);
        }
        warm = true;
        if looks.len() as u64 == REPORTS {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    drop(soak);
    println!("dropped: {} values alive", Counted::live());
    flat &= Counted::live() == 0;
    flat &= Tolerance::of(users).finds_no_trend(&looks);

    if flat {
        println!("memory is flat");
        ExitCode::SUCCESS
    } else {
        println!("MEMORY GREW");
        ExitCode::FAILURE
    }
}

/// What there was when the threads stood still.
struct Look {
    done: [u64; 4],
    keys: usize,
    alive: usize,
    shown: usize,
    /// When all keys had been removed.
    left: usize,
    emptied: Heap,
    resident: Option<i64>,
}

impl Look {
    /// Empties the map and the store.
    fn at(soak: &Soak, before: Heap) -> Self {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let done = &soak.done;
        let done = [
            of(&done.writes),
            of(&done.removals),
            of(&done.reads),
            of(&done.visitors),
        ];
        let resident = resident();
        let (keys, shown) = soak.shown();
        let alive = Counted::live();
        soak.empty();
        Self {
            done,
            keys,
            alive,
            shown,
            left: Counted::live(),
            emptied: Heap::now() - before,
            resident,
        }
    }

    fn is_within_bounds(&self, soak: &Soak) -> bool {
        let hidden = self.alive.saturating_sub(self.shown);
        let within = hidden <= soak.may_be_hidden() && self.left <= soak.may_be_left();
        if !within {
            println!(
                "TOO MUCH: {hidden} values may be {}, and {} in an empty map {}",
                soak.may_be_hidden(),
                self.left,
                soak.may_be_left(),
            );
        }
        within
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [writes, removals, reads, visitors] = self.done;
        write!(
            f,
            "{} writes, {} removals, {} reads, {visitors} threads come and gone; \
             {} keys; {} values alive, {} shown; emptied: {} alive, {}; resident ",
            Millions(writes),
            Millions(removals),
            Millions(reads),
            self.keys,
            self.alive,
            self.shown,
            self.left,
            self.emptied,
        )?;
        match self.resident {
            Some(resident) => write!(f, "{resident} KiB"),
            None => write!(f, "unknown"),
        }
    }
}

/// How much more there may be later than earlier.
struct Tolerance {
    values: i64,
    heap: Heap,
    /// In KiB, and beside it a tenth of what there was.
    resident: i64,
}

impl Tolerance {
    fn of(users: usize) -> Self {
        Self {
            // What is hidden depends on how the histories happen to be filled.
            values: users as i64 * 4 + 64,
            heap: Heap {
                blocks: 256,
                // The tables, which are rebuilt when removals have worn them, may be of
                // the next size.
                bytes: 128 * users as i64 + 256 * 1_024,
            },
            resident: 16 * 1_024,
        }
    }

    fn finds_no_trend(&self, looks: &[Look]) -> bool {
        let hidden = |look: &Look| look.alive as i64 - look.shown as i64;
        let resident = |look: &Look| look.resident.unwrap_or(0);
        let first = median_of_first_third(looks, resident);
        type Figure<'a> = &'a dyn Fn(&Look) -> i64;
        let series: [(&str, Figure<'_>, i64); 5] = [
            ("values that no history shows", &hidden, self.values),
            ("values when emptied", &|look| look.left as i64, 16),
            (
                "blocks when emptied",
                &|look| look.emptied.blocks,
                self.heap.blocks,
            ),
            (
                "bytes when emptied",
                &|look| look.emptied.bytes,
                self.heap.bytes,
            ),
            ("resident KiB", &resident, self.resident + first / 10),
        ];
        let mut flat = true;
        for (name, figure, tolerated) in series {
            let first = median_of_first_third(looks, figure);
            let last = median_of_last_third(looks, figure);
            println!("{name}: {first} at first, {last} at last, tolerated {tolerated} more");
            flat &= last - first <= tolerated;
        }
        flat
    }
}

fn median_of_first_third(looks: &[Look], figure: impl Fn(&Look) -> i64) -> i64 {
    median(looks[..looks.len() / 3].iter().map(figure))
}

fn median_of_last_third(looks: &[Look], figure: impl Fn(&Look) -> i64) -> i64 {
    median(looks[looks.len() - looks.len() / 3..].iter().map(figure))
}

fn median(figures: impl Iterator<Item = i64>) -> i64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_unstable();
    figures[figures.len() / 2]
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

struct Millions(u64);

impl fmt::Display for Millions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} M", self.0 as f64 / 1e6)
    }
}

/// The resident memory of this process in KiB, where `/proc` says it: on Linux.
fn resident() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    resident.trim().strip_suffix(" kB")?.parse().ok()
}
