//! The time as this crate has it: milliseconds since the Unix epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(attuned_loom)]
use crate::sync::SetClock;

/// Where a map has its time from: the system's clock, unless a test has set another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    #[cfg(any(test, attuned_loom))]
    set: Option<SetClock>,
}

impl Clock {
    /// One that shows what a test sets, to the maps that are given it and to no other.
    #[cfg(any(test, attuned_loom))]
    pub(crate) fn set_by(clock: SetClock) -> Self {
        Self { set: Some(clock) }
    }

    /// The time now.
    #[inline]
    pub(crate) fn now(&self) -> i64 {
        #[cfg(any(test, attuned_loom))]
        if let Some(set) = &self.set {
            return set.now();
        }
        unix_ms_now()
    }
}

/// A clock that stands still until it is set. Clones are the same clock.
#[cfg(all(test, not(attuned_loom)))]
#[derive(Clone, Debug, Default)]
pub(crate) struct SetClock(std::sync::Arc<std::sync::atomic::AtomicI64>);

#[cfg(all(test, not(attuned_loom)))]
impl SetClock {
    pub(crate) fn set(&self, now: i64) {
        self.0.store(now, std::sync::atomic::Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// The time now; always 0 where the standard library has no clock and panics if it is asked.
#[inline]
pub(crate) fn unix_ms_now() -> i64 {
    if cfg!(any(
        all(target_family = "wasm", target_os = "unknown"),
        target_os = "zkvm"
    )) {
        return 0;
    }
    unix_ms(SystemTime::now())
}

/// Milliseconds since the Unix epoch, negative before it, and at the nearest end of `i64`
/// for a clock that is set beyond it.
#[inline]
pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => whole_ms(since).unwrap_or(i64::MAX),
        Err(before) => whole_ms(before.duration()).map_or(i64::MIN, |ms| -ms),
    }
}

// `Duration::as_millis` computes with 128 bits, and each checked step has a branch, which
// every write would pay for.
#[inline]
fn whole_ms(duration: Duration) -> Option<i64> {
    const MAX_SECONDS: u64 = i64::MAX as u64 / 1_000;
    let seconds = duration.as_secs();
    (seconds < MAX_SECONDS)
        .then(|| (seconds * 1_000 + u64::from(duration.subsec_millis())).cast_signed())
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;

    #[test]
    fn any_setting_of_the_clock_gives_a_timestamp() {
        let ms = Duration::from_millis(1_500);
        assert_eq!(unix_ms(UNIX_EPOCH), 0);
        assert_eq!(unix_ms(UNIX_EPOCH + ms), 1_500);
        assert_eq!(unix_ms(UNIX_EPOCH - ms), -1_500);

        // More milliseconds than fit, where the platform's clock goes that far.
        let beyond = Duration::from_secs(i64::MAX as u64 / 1_000 + 1);
        if let Some(time) = UNIX_EPOCH.checked_add(beyond) {
            assert_eq!(unix_ms(time), i64::MAX);
        }
        if let Some(time) = UNIX_EPOCH.checked_sub(beyond) {
            assert_eq!(unix_ms(time), i64::MIN);
        }
    }
}
