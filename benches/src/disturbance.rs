//! What the machine was like while it was measured: how much others used the cores,
//! whether these had their full pace, and how far they were from each other.

use std::hint::{self, black_box};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde::{Deserialize, Serialize};

use crate::results::Spread;

static RAN: AtomicU64 = AtomicU64::new(0);
static WAITED: AtomicU64 = AtomicU64::new(0);

/// What the scheduler has counted for a thread, in nanoseconds.
#[derive(Clone, Copy)]
pub struct ThreadTimes {
    ran: u64,
    waited: u64,
}

impl ThreadTimes {
    /// The calling thread's; `None` where the system does not tell.
    pub fn now() -> Option<Self> {
        let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let mut numbers = text.split_whitespace().map(str::parse);
        Some(Self {
            ran: numbers.next()?.ok()?,
            waited: numbers.next()?.ok()?,
        })
    }

    /// Adds what has passed since to the process's account, and returns for how long the
    /// thread has waited for a core.
    pub fn account(self) -> Duration {
        let Some(now) = Self::now() else {
            return Duration::ZERO;
        };
        let waited = now.waited - self.waited;
        RAN.fetch_add(now.ran - self.ran, Ordering::Relaxed);
        WAITED.fetch_add(waited, Ordering::Relaxed);
        Duration::from_nanos(waited)
    }
}

/// Which share of their time the accounted threads waited for a core; `None` if
/// nothing was accounted. There were cores enough for them, so they waited
/// because of others.
pub fn waited_for_a_core() -> Option<f64> {
    let (ran, waited) = (RAN.load(Ordering::Relaxed), WAITED.load(Ordering::Relaxed));
    (ran > 0).then(|| waited as f64 / (ran + waited) as f64)
}

/// Nanoseconds, one value for each time that it was measured.
static ROUND_TRIPS: Mutex<Vec<f64>> = Mutex::new(Vec::new());

/// Measures how long a cache line takes from one core to another and back.
///
/// A host can place the processors of a virtual machine side by side or on
/// different chips, and does so anew while it runs. What threads pay for memory
/// that they share goes with it.
pub fn measure_round_trip() {
    const TRIPS: u64 = 5_000;
    const OVER: u64 = u64::MAX;
    let line = AtomicU64::new(0);
    // Both stay awake; where others keep a core busy, they give way in the end.
    let await_other_than = |value| {
        for spins in 0_u64.. {
            let found = line.load(Ordering::Acquire);
            if found != value {
                return found;
            }
            if spins % 100_000 == 99_999 {
                thread::yield_now();
            }
            hint::spin_loop();
        }
        OVER
    };
    let round_trip = thread::scope(|scope| {
        scope.spawn(|| {
            let mut found = await_other_than(0);
            while found != OVER {
                line.store(found + 1, Ordering::Release);
                found = await_other_than(found + 1);
            }
        });
        // The first one takes until the other thread has started.
        line.store(1, Ordering::Release);
        await_other_than(1);
        let start = Instant::now();
        for trip in 1..=TRIPS {
            line.store(2 * trip + 1, Ordering::Release);
            await_other_than(2 * trip + 1);
        }
        let elapsed = start.elapsed();
        line.store(OVER, Ordering::Release);
        elapsed.as_nanos() as f64 / TRIPS as f64
    });
    let mut round_trips = ROUND_TRIPS.lock().unwrap_or_else(PoisonError::into_inner);
    round_trips.push(round_trip);
}

/// The round trips measured so far, in nanoseconds; `None` if there are none.
pub fn round_trips() -> Option<Spread> {
    let round_trips = ROUND_TRIPS.lock().unwrap_or_else(PoisonError::into_inner);
    (!round_trips.is_empty()).then(|| Spread::of(&round_trips))
}

/// Steps a nanosecond, as bits: those of positive numbers have the same order.
static FULL_PACE: AtomicU64 = AtomicU64::new(0);
static SLOWEST_PACE: AtomicU64 = AtomicU64::new(f64::INFINITY.to_bits());
/// Whether threads that start together wait for their full pace.
static WAITS_FOR_FULL_PACE: AtomicBool = AtomicBool::new(false);

/// Which share of the full pace is taken for it. Two threads that share a core have
/// 0.5 to 0.65 each.
const UNDISTURBED: f64 = 0.8;

/// Measures how fast the calling thread gets on with arithmetic alone, in steps a
/// nanosecond, which takes some 0.2 ms.
///
/// What looks like a core to a virtual machine may be one of the two threads of a
/// core, and the other one may be the machine's own second processor, or a
/// stranger's. While both are at work, each has little more than half of what a core
/// can do. That halves whatever is bound by execution, such as reads that share
/// nothing, but not what is bound by the way of a cache line between two cores, such
/// as a contended lock.
fn pace() -> f64 {
    const STEPS: u64 = 200_000;
    let start = Instant::now();
    // As much as a core can do at a time, so that a second thread would be noticed.
    let mut lanes = [1_u64, 2, 3, 4, 5, 6];
    for step in 0..STEPS {
        for lane in &mut lanes {
            *lane = lane.wrapping_add(step) ^ 5;
        }
        lanes[0] = black_box(lanes[0]);
    }
    black_box(lanes);
    let pace = STEPS as f64 / start.elapsed().as_nanos() as f64;
    FULL_PACE.fetch_max(pace.to_bits(), Ordering::Relaxed);
    pace
}

/// Whether a pace is what a core gives that is not shared: nearly the fastest one that
/// was seen. On a machine that never had an unshared core this cannot be told.
pub fn is_undisturbed(pace: f64) -> bool {
    pace >= UNDISTURBED * f64::from_bits(FULL_PACE.load(Ordering::Relaxed))
}

/// Has all threads of some work begin at the same time, awake, and watches their pace.
pub struct Together {
    threads: usize,
    /// As known when they were made: the same for all.
    full_pace: f64,
    arrived: AtomicUsize,
    /// Of each thread, as bits.
    paces: Vec<AtomicU64>,
}

impl Together {
    /// For how long threads wait for their full pace, in measurements of it: some 0.5 s.
    const PATIENCE: usize = 2_000;

    pub fn new(threads: usize) -> Self {
        Self {
            threads,
            full_pace: f64::from_bits(FULL_PACE.load(Ordering::Relaxed)),
            arrived: AtomicUsize::new(0),
            paces: (0..threads).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Waits awake for the others, as many times as this thread has come.
    fn meet(&self, times: usize) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        while self.arrived.load(Ordering::Acquire) < times * self.threads {
            hint::spin_loop();
        }
    }

    /// To be called once by each thread, with its own number.
    pub fn begin(&self, thread: usize) {
        let waits = WAITS_FOR_FULL_PACE.load(Ordering::Relaxed);
        let mut slowest = 0.0;
        for attempt in 0..if waits { Self::PATIENCE } else { 1 } {
            self.meet(2 * attempt + 1);
            self.paces[thread].store(pace().to_bits(), Ordering::Relaxed);
            self.meet(2 * attempt + 2);
            // The same for all threads: nobody changes any before the next meeting.
            slowest = self
                .paces
                .iter()
                .map(|pace| f64::from_bits(pace.load(Ordering::Relaxed)))
                .fold(f64::INFINITY, f64::min);
            if slowest >= UNDISTURBED * self.full_pace {
                break;
            }
        }
        note(slowest);
    }

    /// To be called by each thread when its work is done.
    pub fn end(&self) {
        note(pace());
    }
}

fn note(pace: f64) {
    SLOWEST_PACE.fetch_min(pace.to_bits(), Ordering::Relaxed);
}

/// What one process needs to know of the machine before it does a turn of another one.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Known {
    full_pace: f64,
    waits_for_full_pace: bool,
}

impl Known {
    pub fn here() -> Self {
        Self {
            full_pace: f64::from_bits(FULL_PACE.load(Ordering::Relaxed)),
            waits_for_full_pace: WAITS_FOR_FULL_PACE.load(Ordering::Relaxed),
        }
    }
}

/// What the other process then found out.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Found {
    full_pace: f64,
    slowest_pace: f64,
    ran: u64,
    waited: u64,
}

impl Found {
    /// Takes it for what happened in this process.
    pub fn account(self) {
        FULL_PACE.fetch_max(self.full_pace.to_bits(), Ordering::Relaxed);
        note(self.slowest_pace);
        RAN.fetch_add(self.ran, Ordering::Relaxed);
        WAITED.fetch_add(self.waited, Ordering::Relaxed);
    }
}

/// Does some work for another process, by threads for which there are cores enough.
pub fn for_another_process<T>(known: Known, work: impl FnOnce() -> T) -> (T, Found) {
    FULL_PACE.fetch_max(known.full_pace.to_bits(), Ordering::Relaxed);
    let (result, slowest_pace) = with_slowest_pace(known.waits_for_full_pace, work);
    let found = Found {
        full_pace: f64::from_bits(FULL_PACE.load(Ordering::Relaxed)),
        slowest_pace,
        ran: RAN.swap(0, Ordering::Relaxed),
        waited: WAITED.swap(0, Ordering::Relaxed),
    };
    (result, found)
}

/// What `work` returns, and the slowest pace that its threads began or ended with;
/// infinite if there were more of them than cores.
pub fn with_slowest_pace<T>(waits_for_full_pace: bool, work: impl FnOnce() -> T) -> (T, f64) {
    WAITS_FOR_FULL_PACE.store(waits_for_full_pace, Ordering::Relaxed);
    SLOWEST_PACE.store(f64::INFINITY.to_bits(), Ordering::Relaxed);
    let result = work();
    WAITS_FOR_FULL_PACE.store(false, Ordering::Relaxed);
    (result, f64::from_bits(SLOWEST_PACE.load(Ordering::Relaxed)))
}
