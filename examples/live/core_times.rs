//! How long threads ran, and how long they waited for a core to run on.

use std::fs;
use std::ops::{AddAssign, Sub};

/// In nanoseconds, as the scheduler counts them; zeros where the system does not tell.
#[derive(Clone, Copy, Default)]
pub struct CoreTimes {
    ran: u64,
    waited: u64,
}

impl CoreTimes {
    /// Of the calling thread, since it began.
    pub fn now() -> Self {
        read().unwrap_or_default()
    }

    /// Which share of the time threads waited, of that in which they could have run.
    pub fn waited_share(self) -> Option<f64> {
        let wanted = self.ran + self.waited;
        (wanted > 0).then(|| self.waited as f64 / wanted as f64)
    }
}

fn read() -> Option<CoreTimes> {
    // Only Linux has it.
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(CoreTimes {
        ran: numbers.next()?.ok()?,
        waited: numbers.next()?.ok()?,
    })
}

impl Sub for CoreTimes {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            ran: self.ran.saturating_sub(before.ran),
            waited: self.waited.saturating_sub(before.waited),
        }
    }
}

impl AddAssign for CoreTimes {
    fn add_assign(&mut self, other: Self) {
        self.ran += other.ran;
        self.waited += other.waited;
    }
}
