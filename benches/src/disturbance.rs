//! What the machine was like while it was measured: how much others used the cores,
//! and how far these were from each other.

use std::hint;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use std::{fs, thread};

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

    /// Adds what has passed since to the process's account.
    pub fn account(self) {
        if let Some(now) = Self::now() {
            RAN.fetch_add(now.ran - self.ran, Ordering::Relaxed);
            WAITED.fetch_add(now.waited - self.waited, Ordering::Relaxed);
        }
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
