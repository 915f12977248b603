//! How much others used the cores while it was measured.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

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
