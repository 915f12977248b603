//! After how long a key that nobody writes is gone.
//!
//! [`timeline::expiry`](super::timeline) says how operations agree on the moment.

use std::num::NonZeroI64;
// Not through `sync`: it is part of no protocol.
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::error::ConfigError;
use super::timeline::{Head, is_sealed};
use crate::clock::Clock;

/// The longest time to live that can be asked for: 36,525 days, which is 100 years.
///
/// A key that is to live longer needs none.
pub const MAX_TIME_TO_LIVE: Duration = Duration::from_secs(36_525 * 24 * 60 * 60);

/// Of the time to live, the part after which a newcomer that finds no room has the map
/// swept again.
const SWEEPS_FOR_NEWCOMERS: i64 = 64;

/// The time to live of a map that has one.
#[derive(Debug)]
pub(super) struct Expiry {
    clock: Clock,
    time_to_live: NonZeroI64,
    /// When the map was last swept for a newcomer.
    swept_for_newcomer: AtomicI64,
}

impl Expiry {
    pub(super) fn new(time_to_live: Duration, clock: Clock) -> Result<Self, ConfigError> {
        if time_to_live > MAX_TIME_TO_LIVE {
            return Err(ConfigError::TimeToLiveTooLong {
                requested: time_to_live,
                max: MAX_TIME_TO_LIVE,
            });
        }
        Ok(Self {
            clock,
            time_to_live: NonZeroI64::new(whole_ms_above(time_to_live))
                .ok_or(ConfigError::TimeToLiveZero)?,
            swept_for_newcomer: AtomicI64::new(i64::MIN),
        })
    }

    pub(super) fn time_to_live(&self) -> Duration {
        Duration::from_millis(self.time_to_live.get().unsigned_abs())
    }

    #[inline]
    pub(super) fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Whether the key with this head has expired at that time, or somebody has told so
    /// already.
    pub(super) fn is_over<V>(&self, head: Head<'_, V>, now: i64) -> bool {
        head.as_ref()
            .is_some_and(|version| is_sealed(head) || self.is_over_at(version.written_at(), now))
    }

    /// Whether a key has expired at the time `now` that was written last at this time, which
    /// may be any number: a checkpoint has said it.
    pub(super) fn is_over_at(&self, written_at: i64, now: i64) -> bool {
        now.saturating_sub(written_at) >= self.time_to_live.get()
    }

    /// Whether a newcomer that found no room is to have the map swept. Of several at the
    /// same time one is.
    pub(super) fn sweeps_for_newcomer(&self) -> bool {
        let now = self.now();
        let last = self.swept_for_newcomer.load(Ordering::Relaxed);
        let interval = (self.time_to_live.get() / SWEEPS_FOR_NEWCOMERS).max(1);
        // Not by `now - last` alone: the clock may have been set back.
        let is_recent = (last..last.saturating_add(interval)).contains(&now);
        !is_recent
            && self
                .swept_for_newcomer
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// In milliseconds, rounded up, so that nothing goes before its time.
pub(super) fn whole_ms_above(duration: Duration) -> i64 {
    let ms = duration.as_nanos().div_ceil(1_000_000);
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(all(test, not(attuned_loom)))]
mod tests;
