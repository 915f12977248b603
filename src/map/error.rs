//! What a [`HistoryMap`](crate::HistoryMap) refuses.

use std::time::Duration;

use crate::revision::{Expected, Found, Revision};

/// Why a write or a removal was refused. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// A conditional write did not find what it expected.
    #[error("conflict: expected {expected}, found {}", Found(*actual))]
    Conflict {
        /// What the write was conditional on.
        expected: Expected,
        /// The revision that was there instead, or `None` if the key was absent.
        actual: Option<Revision>,
    },

    /// The key is new, and the map has all the keys that it may have
    /// ([`max_keys`](crate::HistoryMapBuilder::max_keys)). Keys that have
    /// [expired](crate::HistoryMapBuilder::time_to_live) and were not taken out yet count.
    #[error("capacity exceeded: the map has its maximum of {max_keys} keys")]
    Full {
        /// How many keys the map may have.
        max_keys: usize,
    },

    /// The calling thread is about to end: its thread-local variables are being
    /// destroyed. There the map works in a thread of its own, and that could not be
    /// started. On Windows it never can be.
    #[error("the thread is about to end and no other could be started")]
    ThreadEnding,
}

/// A setting that a [`HistoryMap`](crate::HistoryMap), or a store built on one, cannot be
/// built with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A history of no entries: to keep only the latest value, leave history off.
    #[error("a history must have at least 1 entry; leave it off to keep none")]
    HistoryZero,

    /// A history of more entries than [`MAX_HISTORY`](crate::MAX_HISTORY).
    #[error("a history of {requested} entries exceeds the maximum of {max}")]
    HistoryTooLarge {
        /// The entries that were asked for.
        requested: usize,
        /// [`MAX_HISTORY`](crate::MAX_HISTORY).
        max: usize,
    },

    /// A capacity of more keys than [`MAX_CAPACITY`](crate::MAX_CAPACITY).
    #[error("a capacity of {requested} exceeds the maximum of {max}")]
    CapacityTooLarge {
        /// The keys, or users, that were asked for.
        requested: usize,
        /// [`MAX_CAPACITY`](crate::MAX_CAPACITY).
        max: usize,
    },

    /// A maximum of no keys or users: nothing could ever be stored.
    #[error("the maximum must be at least 1")]
    MaximumZero,

    /// A time to live of nothing: nothing could ever be found.
    #[error("the time to live must be more than nothing; leave it off to have none")]
    TimeToLiveZero,

    /// A time to live of more than [`MAX_TIME_TO_LIVE`](crate::MAX_TIME_TO_LIVE).
    #[error(
        "a time to live of {requested:?} exceeds the maximum of {max:?}; leave it off to have none"
    )]
    TimeToLiveTooLong {
        /// The time to live that was asked for.
        requested: Duration,
        /// [`MAX_TIME_TO_LIVE`](crate::MAX_TIME_TO_LIVE).
        max: Duration,
    },

    /// The allocator does not have the memory for the capacity asked for.
    #[error("no memory for a capacity of {requested}")]
    CapacityUnavailable {
        /// The keys, or users, that were asked for.
        requested: usize,
    },
}
