//! How a [`HistoryMap`] is set up, and which settings are refused.

use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::time::Duration;

use super::bound::Bound;
use super::error::ConfigError;
use super::expiry::Expiry;
use super::hasher::DefaultHashBuilder;
use super::retention::Retention;
use super::revisions::RevisionFloor;
use super::small_value::{Mirrored, Mirroring, SmallValue, Unmirrored};
use super::stats::Tally;
use super::watchers::Watchers;
use super::{DriveWhenDropped, HistoryMap};
use crate::clock::Clock;
use crate::sync::{HashMap, ResizeMode, epochs};

/// The longest history that can be asked for, in entries per key: 65,536.
///
/// A key's queue is allocated whole, 4 bytes per entry. A use that needs longer histories
/// wants a log, not a map of states.
pub const MAX_HISTORY: usize = 1 << 16;

/// The largest capacity that can be asked for, in keys: 67,108,864.
///
/// It bounds what is allocated up front, 1.2 GB at the most, not how many keys
/// a map can hold.
pub const MAX_CAPACITY: usize = 1 << 26;

/// Builds a [`HistoryMap`]; made by [`HistoryMap::builder`].
///
/// ```
/// use attuned_store::{ConfigError, HistoryMap};
///
/// let map = HistoryMap::<String>::builder()
///     .history(50)
///     .capacity(100_000)
///     .build()?;
/// assert!(map.is_empty());
///
/// let refused = HistoryMap::<String>::builder().history(0).build();
/// assert_eq!(refused.unwrap_err(), ConfigError::HistoryZero);
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct HistoryMapBuilder<V, M = Unmirrored, S = DefaultHashBuilder> {
    settings: Settings<S>,
    values: PhantomData<fn() -> (V, M)>,
}

/// What a map, and a store built on one, can be told.
#[derive(Clone, Debug)]
pub(crate) struct Settings<S> {
    /// `None`: only the latest value is kept.
    pub(crate) history: Option<usize>,
    pub(crate) capacity: usize,
    pub(crate) max_keys: Option<usize>,
    pub(crate) time_to_live: Option<Duration>,
    pub(crate) clock: Clock,
    pub(crate) hasher: S,
}

impl Default for Settings<DefaultHashBuilder> {
    fn default() -> Self {
        Self {
            history: None,
            capacity: 0,
            max_keys: None,
            time_to_live: None,
            clock: Clock::default(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<S> Settings<S> {
    pub(crate) fn with_hasher<H>(self, hasher: H) -> Settings<H> {
        Settings {
            history: self.history,
            capacity: self.capacity,
            max_keys: self.max_keys,
            time_to_live: self.time_to_live,
            clock: self.clock,
            hasher,
        }
    }
}

impl<S: BuildHasher + Send + Sync> Settings<S> {
    /// The map with these settings.
    pub(crate) fn build<V, M>(self) -> Result<HistoryMap<V, M, S>, ConfigError>
    where
        V: Clone + Send + Sync + 'static,
        M: Mirroring<V>,
    {
        match self.history {
            Some(0) => return Err(ConfigError::HistoryZero),
            Some(requested) if requested > MAX_HISTORY => {
                return Err(ConfigError::HistoryTooLarge {
                    requested,
                    max: MAX_HISTORY,
                });
            }
            _ => {}
        }
        let requested = self.capacity;
        if requested > MAX_CAPACITY {
            return Err(ConfigError::CapacityTooLarge {
                requested,
                max: MAX_CAPACITY,
            });
        }
        if self.max_keys == Some(0) {
            return Err(ConfigError::MaximumZero);
        }
        let expiry = self
            .time_to_live
            .map(|time_to_live| Expiry::new(time_to_live, self.clock.clone()))
            .transpose()?
            .map(Box::new);
        // papaya (0.2.5) aborts the process if it cannot have its table: a pointer
        // and a byte for each slot, of which it makes up to 8 for 3 keys.
        if Vec::<[u8; 24]>::new().try_reserve_exact(requested).is_err() {
            return Err(ConfigError::CapacityUnavailable { requested });
        }
        let timelines = HashMap::builder()
            .capacity(self.capacity)
            .hasher(self.hasher)
            // An incremental resize would leave readers to search two tables
            // until enough new keys have come along to finish it.
            .resize_mode(ResizeMode::Blocking)
            .build();
        Ok(HistoryMap {
            timelines,
            after_timelines: DriveWhenDropped,
            retention: Retention::new(self.history.unwrap_or(1)),
            revision_floor: RevisionFloor::default(),
            bound: self.max_keys.map(Bound::new),
            quick: if expiry.is_some() {
                epochs::Quick::NEVER
            } else {
                epochs::Quick::IF_RUNNING
            },
            expiry,
            clock: self.clock,
            tally: Tally::default(),
            watchers: Watchers::new(),
            mirroring: PhantomData,
        })
    }
}

impl<V> HistoryMapBuilder<V> {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings::default(),
            values: PhantomData,
        }
    }
}

impl<V, M, S> HistoryMapBuilder<V, M, S> {
    /// Keeps the newest `entries` values of each key, the latest included:
    /// 1 to [`MAX_HISTORY`]. Without this call only the latest value is kept.
    ///
    /// A key that was written once pays nothing for it. A key's queue is
    /// allocated at one of its first four superseding writes: some 400 bytes and 4 bytes
    /// an entry (16 for histories of at most 16 entries). What has left a history is kept a
    /// little longer, see [Memory](HistoryMap#memory).
    pub fn history(mut self, entries: usize) -> Self {
        self.settings.history = Some(entries);
        self
    }

    /// Allocates room for this many keys up front, 0 to [`MAX_CAPACITY`]: 12 to
    /// 24 bytes each. Until there are more, no new key waits for the map
    /// to be copied into a larger one.
    pub fn capacity(mut self, keys: usize) -> Self {
        self.settings.capacity = keys;
        self
    }

    /// Refuses new keys beyond this number, at least 1, with
    /// [`MapError::Full`](crate::MapError::Full); those that are there go on. Without this
    /// call there is no bound.
    ///
    /// The number is exact, however many newcomers race. In return, newcomers go one after
    /// the other in a map that has a bound, and they and removals take a short lock.
    /// Reads, and writes of keys that are there, take none.
    ///
    /// ```
    /// use attuned_store::{HistoryMap, MapError};
    ///
    /// let map = HistoryMap::builder().max_keys(1).build()?;
    /// map.insert("ada", 1)?;
    /// assert_eq!(map.insert("grace", 1), Err(MapError::Full { max_keys: 1 }));
    /// map.insert("ada", 2)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.settings.max_keys = Some(keys);
        self
    }

    /// Has a key expire when its latest value was written `time_to_live` ago or longer, 1 ms
    /// to [`MAX_TIME_TO_LIVE`](crate::MAX_TIME_TO_LIVE). Without this call none does.
    ///
    /// From that moment on the key is gone, with its history, for every read and for every
    /// condition: [`get`](HistoryMap::get) gives `None`, [`update`](HistoryMap::update) sees
    /// none, [`Expected::Absent`](crate::Expected::Absent) succeeds. Every write of a key
    /// gives it the whole time anew; reads do not. The first write of a key that has expired
    /// begins a new history; its revision is greater than all before.
    ///
    /// ```
    /// use std::time::Duration;
    /// use attuned_store::{Expected, HistoryMap};
    ///
    /// let sessions = HistoryMap::builder()
    ///     .history(10)
    ///     .time_to_live(Duration::from_millis(5))
    ///     .build()?;
    /// let first = sessions.insert("ada", "at the door")?;
    /// while sessions.contains("ada") {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(sessions.get("ada"), None);
    /// let second = sessions.insert_if("ada", "back", Expected::Absent)?;
    /// assert!(second > first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// **By the map's own clock**, the system's, in milliseconds (a fraction of one counts as
    /// a whole one), compared with [`written_at`](crate::Versioned::written_at). If that
    /// clock is set back, keys live longer by as much; if it is set forward, they go sooner.
    /// A key that somebody was told has expired stays expired. Expiry is part of what is
    /// [linearizable](HistoryMap#guarantees) if the clock does not go back: no thread finds a
    /// key after another one was told that it has expired, unless it was written since.
    ///
    /// **Memory** is freed when a sweep takes the key out, or a write or a removal of that
    /// very key; until then it costs what it did, and [`len`](HistoryMap::len) counts it.
    /// Call [`sweep`](HistoryMap::sweep) now and then; `MemoryStore::sweep_every` (feature
    /// `sweep`) does. That is also when a [watch](HistoryMap::watch) tells it.
    ///
    /// **Cost.** A map without a time to live pays one comparison a call. One that has it does not
    /// [mirror](Self::mirrored) its values: every read finds the version where it is stored,
    /// under a guard of the reclaimer, and reads the clock, which takes some 25 ns. The first
    /// read that finds a key expired also writes that down, with one atomic exchange.
    ///
    /// **With [`max_keys`](Self::max_keys)** a key that has expired keeps its place until it
    /// is taken out. A write of a new key that finds no room sweeps the map, within the call,
    /// and tries once more. It does so only if there was no such sweep in the last 64th of the
    /// time to live. So newcomers cause at most 64 sweeps per time to live, and an expired key
    /// keeps its place for at most a 64th of that time (at least 1 ms), and the length of a sweep.
    pub fn time_to_live(mut self, time_to_live: Duration) -> Self {
        self.settings.time_to_live = Some(time_to_live);
        self
    }

    /// Takes the time from a clock that a test sets.
    #[cfg(all(test, not(attuned_loom)))]
    pub(crate) fn clock(mut self, clock: crate::clock::SetClock) -> Self {
        self.settings.clock = Clock::set_by(clock);
        self
    }

    /// Hashes keys with `hasher`.
    ///
    /// The default is [`DefaultHashBuilder`]: fast, and seeded at random, but not
    /// cryptographic. Where strangers choose keys and can measure very exactly
    /// how long calls take, give it the standard library's `RandomState`, which is
    /// SipHash-1-3 and was made to withstand them. It takes some 160 instructions
    /// more for a key of 16 bytes, half as many again as a whole `get`
    /// (x86_64; `cargo bench -p attuned-store-benches --bench operations hasher`
    /// shows it in time).
    ///
    /// ```
    /// use std::hash::RandomState;
    /// use attuned_store::HistoryMap;
    ///
    /// let map = HistoryMap::<u64>::builder().hasher(RandomState::new()).build()?;
    /// # assert!(map.is_empty());
    /// # Ok::<(), attuned_store::ConfigError>(())
    /// ```
    ///
    /// What the map (papaya 0.2.5) needs of a hasher:
    /// - *It is a good one*, and keyed if keys are not your own. Keys whose hashes
    ///   collide are worse than slow: the 32nd key with the same hash makes `insert` loop
    ///   for ever while memory grows, because the map takes a probe that is too long for a
    ///   lack of room and makes another table of the same size. (To see it, run
    ///   this under a memory limit: a `Hasher` whose `finish` returns a constant,
    ///   and 32 keys.)
    /// - *It does not panic.* A panic in a lookup is the caller's, and changes nothing. A panic
    ///   while the map is copied into a larger one leaves the copy unfinished for good.
    ///   Reads, and writes of known keys, go on. A new key waits for ever if the old table has
    ///   no place for it. A removal, `retain` or `clear` waits for ever if it meets a key that
    ///   the copy had reached: it removes the key, but does not return. While a call waits like
    ///   that, the memory of removed entries is not freed; that of values is. In a map with
    ///   [`max_keys`](Self::max_keys), one new key that waits keeps all others waiting, but no
    ///   removal. When the map is dropped, the key that caused the panic is leaked.
    pub fn hasher<H>(self, hasher: H) -> HistoryMapBuilder<V, M, H> {
        HistoryMapBuilder {
            settings: self.settings.with_hasher(hasher),
            values: PhantomData,
        }
    }
}

impl<V: SmallValue, S> HistoryMapBuilder<V, Unmirrored, S> {
    /// Keeps the latest value of each key also as words beside the key, so that readers
    /// share no memory that a reader writes. See [`SmallValue`].
    ///
    /// Each write also stores these words. Without effect in a map with a
    /// [time to live](Self::time_to_live).
    pub fn mirrored(self) -> HistoryMapBuilder<V, Mirrored, S> {
        self.with_mirroring()
    }
}

impl<V, S> HistoryMapBuilder<V, Unmirrored, S> {
    pub(super) fn with_mirroring<M: Mirroring<V>>(self) -> HistoryMapBuilder<V, M, S> {
        HistoryMapBuilder {
            settings: self.settings,
            values: PhantomData,
        }
    }
}

impl<V, M, S> HistoryMapBuilder<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// Builds the map.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the setting that is out of bounds, or the
    /// capacity that there is no memory for.
    pub fn build(self) -> Result<HistoryMap<V, M, S>, ConfigError> {
        self.settings.build()
    }
}
