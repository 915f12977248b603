//! A point in time, in the unit that states and histories have.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::{unix_ms, unix_ms_now};

/// A point in time: whole milliseconds since the Unix epoch, negative before it.
///
/// It is what [`updated_at`](crate::StateSnapshotBuilder::updated_at) and ranges of
/// histories take: an `i64` of milliseconds or a [`SystemTime`], whichever is at hand.
/// With the feature `serde` it serializes as the number of milliseconds.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use attuned_store::{State, Timestamp};
///
/// let of_number = State::builder().updated_at(1_500).build_state()?;
/// let of_time = State::builder().updated_at(UNIX_EPOCH + Duration::from_millis(1_500));
/// assert_eq!(of_number, of_time.build_state()?);
/// assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)).as_unix_ms(), -1_000);
/// # Ok::<(), attuned_store::SnapshotError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time now, by the system's clock. It does not panic, whatever the clock is set
    /// to. On a platform without a clock (`wasm32-unknown-unknown`) it is always 0.
    #[must_use]
    pub fn now() -> Self {
        Self(unix_ms_now())
    }

    /// The time at so many milliseconds since the Unix epoch, negative before it.
    ///
    /// ```
    /// use attuned_store::Timestamp;
    ///
    /// const LAUNCH: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);
    /// assert_eq!(LAUNCH.as_unix_ms(), 1_700_000_000_000);
    /// ```
    #[must_use]
    pub const fn from_unix_ms(unix_ms: i64) -> Self {
        Self(unix_ms)
    }

    /// Milliseconds since the Unix epoch, negative before it.
    #[must_use]
    pub const fn as_unix_ms(self) -> i64 {
        self.0
    }

    /// The same time as the standard library has it. It does not panic: a time that the
    /// platform cannot represent becomes the nearest that it can.
    ///
    /// ```
    /// use std::time::UNIX_EPOCH;
    /// use attuned_store::Timestamp;
    ///
    /// assert!(Timestamp::from(-1).to_system_time() < UNIX_EPOCH);
    /// ```
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        if self.0 < 0 {
            nearest(self.0.unsigned_abs(), |ms| UNIX_EPOCH.checked_sub(ms))
        } else {
            nearest(self.0.unsigned_abs(), |ms| UNIX_EPOCH.checked_add(ms))
        }
    }
}

/// What `at` makes of the greatest distance from the epoch of which it makes a time, up to
/// this one.
fn nearest(unix_ms: u64, at: impl Fn(Duration) -> Option<SystemTime>) -> SystemTime {
    let mut nearest = at(Duration::from_millis(unix_ms));
    if nearest.is_none() {
        // Bit by bit from the highest: each is left out if it leads too far.
        let mut reached = 0;
        for bit in (0..u64::BITS).rev() {
            let further = reached | 1 << bit;
            if further < unix_ms
                && let Some(time) = at(Duration::from_millis(further))
            {
                (reached, nearest) = (further, Some(time));
            }
        }
    }
    nearest.unwrap_or(UNIX_EPOCH)
}

/// Of milliseconds since the Unix epoch.
impl From<i64> for Timestamp {
    fn from(unix_ms: i64) -> Self {
        Self(unix_ms)
    }
}

/// Cuts off what is less than a millisecond. A time that is too far from the epoch for an
/// `i64` of milliseconds becomes the nearest that is not.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(unix_ms(time))
    }
}

/// As by [`to_system_time`](Timestamp::to_system_time).
impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        time.to_system_time()
    }
}

#[cfg(feature = "serde")]
impl serde_core::Serialize for Timestamp {
    fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde_core::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde_core::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self)
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_time_goes_there_and_back() {
        for ms in [0, 1, -1, 1_700_000_000_123, -1_700_000_000_123] {
            let time = Timestamp::from(ms).to_system_time();
            assert_eq!(Timestamp::from(time), Timestamp::from_unix_ms(ms));
            assert_eq!(SystemTime::from(Timestamp::from_unix_ms(ms)), time);
        }
        let before = Timestamp::from(-1_500).to_system_time();
        assert_eq!(before, UNIX_EPOCH - Duration::from_millis(1_500));
    }

    #[test]
    fn the_ends_do_not_panic_and_keep_their_order() {
        let time = |ms| Timestamp::from(ms).to_system_time();
        assert!(time(i64::MIN) < UNIX_EPOCH && UNIX_EPOCH < time(i64::MAX));
        assert!(time(i64::MIN) <= time(i64::MIN + 1));
        assert!(time(i64::MAX - 1) <= time(i64::MAX));
    }

    /// A platform that can represent less, as Windows does.
    #[test]
    fn a_time_that_cannot_be_represented_becomes_the_nearest() {
        for limit in [0, 1, 2, 1_000, 910_692_730_085_477, u64::MAX >> 1] {
            let limited = |ms: Duration| {
                let limit = Duration::from_millis(limit);
                (ms <= limit).then(|| UNIX_EPOCH + ms)
            };
            for ms in [0, 1, limit / 2, limit, limit + 1, u64::MAX >> 1, 1 << 63] {
                let expected = UNIX_EPOCH + Duration::from_millis(ms.min(limit));
                assert_eq!(nearest(ms, limited), expected, "{ms} of {limit}");
            }
        }
        assert_eq!(nearest(5, |_| None), UNIX_EPOCH);
    }
}
