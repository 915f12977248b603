//! A concurrent map that keeps the latest value and a bounded history of each key.

mod bound;
mod builder;
mod ending;
mod error;
mod eviction;
mod expiry;
mod hasher;
mod key;
#[cfg(feature = "jetstream")]
mod part;
mod read;
mod remove;
#[cfg(feature = "checkpoint")]
mod restore;
mod retention;
mod revisions;
mod signals;
mod small_value;
mod stats;
mod sweep;
mod timeline;
mod version;
mod view;
#[cfg(feature = "checkpoint")]
mod walk;
mod watch;
mod watchers;
mod write;

use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::time::Duration;

use smol_str::SmolStr;

use self::bound::Bound;
use self::expiry::Expiry;
use self::key::OwnedKey;
use self::retention::Retention;
use self::revisions::RevisionFloor;
use self::stats::Tally;
use self::timeline::Timeline;
use self::watchers::Watchers;
use crate::clock::Clock;
use crate::sync::{HashMap, HashMapRef, LocalGuard, epochs};

pub use self::builder::{HistoryMapBuilder, MAX_CAPACITY, MAX_HISTORY};
pub use self::error::{ConfigError, MapError};
pub use self::expiry::MAX_TIME_TO_LIVE;
pub use self::hasher::{DefaultHashBuilder, DefaultHasher};
pub use self::small_value::{Mirrored, Mirroring, SmallValue, Unmirrored};
pub use self::stats::Stats;
pub use self::view::View;

pub(crate) use self::builder::Settings;
#[cfg(feature = "jetstream")]
pub(crate) use self::part::{HasSmallPart, PartMirrored};
#[cfg(feature = "checkpoint")]
pub(crate) use self::restore::{GREATEST_REVISION, Portion, Restorer};
#[cfg(feature = "sweep")]
pub(crate) use self::sweep::Walk;
#[cfg(feature = "checkpoint")]
pub(crate) use self::walk::{Kept, Visitor};
pub(crate) use self::watch::Look;

/// A concurrent map that keeps, for each key, the latest value and a bounded history.
///
/// Keys are strings, values are anything that can be cloned and shared between threads:
/// what sensors have measured, quotes, configurations, who is present. Share the map
/// by reference or in an `Arc`.
///
/// ```
/// use attuned_store::{Expected, HistoryMap, MapError};
///
/// let quotes = HistoryMap::builder().history(3).build()?;
/// for price in [10.0, 10.5, 10.2, 10.4] {
///     quotes.insert("ACME", price)?;
/// }
///
/// assert_eq!(quotes.get("ACME"), Some(10.4));
/// let history: Vec<f64> = quotes.history("ACME", 10).iter().map(|entry| entry.value).collect();
/// assert_eq!(history, [10.4, 10.2, 10.5]);
///
/// // Write only on top of what was read.
/// let read = quotes.get_versioned("ACME").expect("it was written");
/// quotes.insert_if("ACME", 10.6, Expected::At(read.revision))?;
/// let late = quotes.insert_if("ACME", 10.3, Expected::At(read.revision));
/// assert!(matches!(late, Err(MapError::Conflict { .. })));
///
/// quotes.remove("ACME")?;
/// assert!(quotes.history("ACME", 10).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Guarantees
///
/// *One key.* The operations on one key are **linearizable**: each takes effect at one
/// instant between its call and its return, and every thread sees the effects in that
/// one order. The latest value and the newest history entry never disagree, a history
/// has no gaps, and a removal leaves nothing of it.
///
/// *Several keys* are independent. [`len`](Self::len), [`for_each`](Self::for_each) and
/// what is like them are not atomic over all keys.
///
/// *Revisions.* Every write of a key has a greater [`Revision`](crate::Revision) than all
/// before it, and none is used again, even after the key was removed.
///
/// *Expiry.* In a map with a [time to live](HistoryMapBuilder::time_to_live), a key that was
/// not written for so long is gone, for all operations from the same moment on. That is part
/// of the order above, if the system's clock does not go back.
///
/// **Reads never block** and never wait for a writer: not on an update of the
/// same key, nor on the growth of the map. [`for_each`](Self::for_each), [`keys`](Self::keys)
/// and [`stats`](Self::stats) do not, either. One exception: a thread's first use of any map
/// takes a lock of the process for a moment, in which the reclaimer (seize 0.5.1) gives it
/// an id, and allocates that thread's bookkeeping.
///
/// **Writes** of a key that is there are lock-free, with two exceptions: two writers
/// that hand a superseded version to the queue of the same key at the same
/// time may wait for each other inside a slot of it, and a write of a
/// [watched](Self::watch) key takes a lock for a moment.
///
/// **New keys and removals** may wait while the map is copied into a larger one. A large enough
/// [`capacity`](HistoryMapBuilder::capacity) prevents that. What may wait is:
/// - a write that brings a new key;
/// - a removal of a key that the copy has reached. It takes effect at once; the call returns later;
/// - a write of a key whose removal waits like that.
///
/// In a map with [`max_keys`](HistoryMapBuilder::max_keys), new keys also wait for each other. A
/// removal does not wait for them.
///
/// # Cost
///
/// | operation | allocates | memory that other threads write, too |
/// |---|---|---|
/// | [`get`](Self::get), [`with`](Self::with), [mirrored](SmallValue) | nothing | none |
/// | the same, not mirrored | what a clone does; `with` nothing | none that readers write |
/// | [`insert`](Self::insert) of a known key | one version | that of the key |
/// | any read with a [time to live](HistoryMapBuilder::time_to_live) | as not mirrored | the key's, when it is first found expired |
/// | [`history`](Self::history), [`versions`](Self::versions), [`as_of`](Self::as_of) | vectors, and what clones do | none that readers write |
///
/// A write of a watched key wakes each of its watches. Beyond that,
/// no cost depends on the number of keys or threads, with two exceptions: reclamation looks
/// at every thread now and then (at one in 4 to 32 superseding writes, the more rarely the
/// more threads there are); and a removal does so some five times, and issues a
/// system call (on Linux `membarrier`) that interrupts all cores on which this process runs. A
/// seccomp filter that comes to forbid that call after the first map was made aborts the
/// process at the first removal (papaya 0.2.5 with seize 0.5.1). Forbid it from the start, or
/// build papaya without its feature `fast-barrier`.
///
/// What visits all keys ([`for_each`](Self::for_each), [`keys`](Self::keys),
/// [`retain`](Self::retain), [`clear`](Self::clear), [`stats`](Self::stats)) goes over the
/// table, which has room for the most keys that there ever were: it does not shrink. After a
/// peak of 1,000,000 keys the table stays at 18 MB, and each such call takes tens of
/// milliseconds, however few keys are left. A new map is the way out. An empty map takes
/// 18 kB, and 500 bytes more for each thread that has used it: with a map for each of very
/// many tenants that counts, and one map with the tenant in the key is smaller.
///
/// # Memory
///
/// A key takes some 130 bytes, and each version 40 bytes beside the value. A key keeps up to
/// 15 versions more than its history shows.
///
/// A value that was evicted or removed is dropped when every thread that was inside a read or
/// write of a value has left it. Only closures that borrow a stored value can keep a thread
/// inside for long: those of [`with`](Self::with) and [`for_each`](Self::for_each) on a value
/// that is not mirrored, of [`retain`](Self::retain), and of [`update`](Self::update). While one
/// of them sleeps, no map of the process can drop the versions that it has let go of.
///
/// When [`remove`](Self::remove) returns and no thread was inside a read or write, nothing of the
/// key is in memory, with two exceptions. Other threads may still hold versions from their last
/// few writes: at most 12 each, more in a process with 40 threads or more. And a
/// [watch](Self::watch) keeps the key, without values; a [watch of all](Self::watch_all) keeps it
/// until it has given the removal.
///
/// **Values are dropped later**, on some thread, inside some operation of a map: not
/// necessarily by the one that superseded them. If the `Drop` of a value that was stored
/// panics, the panic goes nowhere, and the memory of that version is leaked. It may use the
/// map, this one included. A value that is refused is dropped by the call that refuses it.
///
/// A key that has [expired](HistoryMapBuilder::time_to_live) costs what it did until a
/// [`sweep`](Self::sweep), a write or a removal takes it out.
///
/// The chapter [`docs::memory`](crate::docs::memory) has the sizes and the fine print.
///
/// # Threads that end
///
/// A destructor of a thread-local variable can use the map. If the map's own
/// thread-local variables are gone by then, it works in a thread that it starts for the
/// call, which takes some 60 microseconds; mirrored values it reads in place. On
/// Windows a thread cannot be started there: writes and removals are refused with
/// [`MapError::ThreadEnding`], reads of what is not mirrored find nothing, and a map that is
/// dropped there is leaked.
///
/// If such a destructor is the first to use a map in its thread, and another crate has used
/// one of the reclaimers (sdd, seize) in that thread before, then the map learns only
/// from a panic that it cannot use that one any more. It catches the panic and works in
/// another thread, but the process's panic hook is told, and a build with
/// `panic = "abort"` ends there.
pub struct HistoryMap<V, M = Unmirrored, S = DefaultHashBuilder>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    timelines: HashMap<OwnedKey, Timeline<V>, S>,
    // Dropped after the timelines, as it stands behind them.
    #[expect(dead_code, reason = "it is there for its destructor")]
    after_timelines: DriveWhenDropped,
    retention: Retention,
    revision_floor: RevisionFloor,
    bound: Option<Bound>,
    /// In a map with a time to live. In a box, so that others have the layout that they would
    /// have without it.
    expiry: Option<Box<Expiry>>,
    /// Where there is no time to live.
    quick: epochs::Quick,
    clock: Clock,
    tally: Tally,
    watchers: Watchers,
    mirroring: PhantomData<fn() -> M>,
}

type Pinned<'a, V, S> = HashMapRef<'a, OwnedKey, Timeline<V>, S, LocalGuard<'a>>;

impl<V: Clone + Send + Sync + 'static> HistoryMap<V> {
    /// Sets up a map: without history, bound and initial capacity, unless the builder is
    /// told otherwise.
    pub fn builder() -> HistoryMapBuilder<V> {
        HistoryMapBuilder::new()
    }
}

impl<V: Clone + Send + Sync + 'static> Default for HistoryMap<V> {
    /// A map that keeps only the latest values.
    fn default() -> Self {
        match Self::builder().build() {
            Ok(map) => map,
            Err(_) => unreachable!("nothing was asked for that could be refused"),
        }
    }
}

impl<V, M, S> HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// Calls `visit` with each key and its latest value, in no order.
    ///
    /// Every key that is there during the whole call is visited once; one that
    /// comes or goes meanwhile may be or may not be, and one that goes and comes
    /// back may be visited twice. Each value is the latest
    /// at its own moment: there is no view of the whole map at one instant.
    ///
    /// It all runs on one [`pin`](Self::pin), so with many keys `visit` should be quick.
    pub fn for_each(&self, mut visit: impl FnMut(&str, &V)) {
        if !self.usable() {
            return self.ending_for_each(visit);
        }
        for (key, timeline) in self.timelines.pin().iter() {
            let visit = |value: &V| visit(key.as_str(), value);
            read::with::<V, M, ()>(timeline, self.expiry.as_deref(), visit);
        }
    }

    /// All keys, in no order; as good as [`for_each`](Self::for_each).
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let mut keys = Vec::with_capacity(self.len());
        self.for_each(|key, _| keys.push(key.to_owned()));
        keys
    }

    /// The keys of which `wanted` is true, in no order; as good as
    /// [`for_each`](Self::for_each).
    pub(crate) fn keys_where(
        &self,
        wanted: impl Fn(&str) -> bool + Send,
    ) -> Result<Vec<SmolStr>, MapError> {
        self.wherever(move || {
            let pinned = self.timelines.pin();
            let expiry = self.expiry.as_deref();
            let there = pinned
                .iter()
                .filter(|(_, timeline)| read::contains(timeline, expiry));
            let keys = there.map(|(key, _)| key.text());
            Ok(keys.filter(|key| wanted(key)).cloned().collect())
        })
    }

    /// How many keys there are.
    ///
    /// Under concurrent changes an estimate: it counts what the map holds,
    /// without stopping it. Its cost does not depend on the number of keys. Counts keys that
    /// have [expired](HistoryMapBuilder::time_to_live) and were not taken out yet;
    /// [`stats`](Self::stats) does not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timelines.len()
    }

    /// Whether there are no keys; under concurrent changes as good as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Figures of the map: how much is in it and what was done.
    ///
    /// They cost the map's operations nothing, since nearly all of them are
    /// told from the keys' latest versions, all of which are visited here: the
    /// cost is that of [`for_each`](Self::for_each). Ask every few seconds, not
    /// at every request. While others write, the figures are of slightly
    /// different moments; at rest they are exact.
    ///
    /// ```
    /// use attuned_store::HistoryMap;
    ///
    /// let map = HistoryMap::builder().history(2).build()?;
    /// for number in 0..3 {
    ///     map.insert("ada", number)?;
    /// }
    /// let stats = map.stats();
    /// assert_eq!((stats.keys, stats.versions), (1, 2));
    /// assert_eq!((stats.writes, stats.evictions), (3, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        if !self.usable() {
            return epochs::elsewhere(|| self.stats()).unwrap_or_default();
        }
        let pinned = self.timelines.pin();
        let newest = pinned.iter().filter_map(|(_, timeline)| {
            let guard = epochs::enter();
            let expiry = self.expiry.as_deref();
            let sequence = timeline.latest(&guard).as_ref()?.sequence();
            let has_expired = expiry.is_some() && timeline.present(expiry, &guard).is_null();
            Some((sequence, has_expired))
        });
        self.tally.stats(newest, &self.retention)
    }

    /// How many keys the map may have, if there is a bound.
    pub(crate) fn max_keys(&self) -> Option<usize> {
        self.bound.as_ref().map(Bound::max_keys)
    }

    /// After how long a key expires, if it does.
    pub(crate) fn time_to_live(&self) -> Option<Duration> {
        self.expiry.as_deref().map(Expiry::time_to_live)
    }

    /// How many values of a key a history shows.
    pub(crate) fn history_len(&self) -> u64 {
        self.retention.versions()
    }

    /// Does the work in this thread, or in another one if this one is about to end.
    #[inline]
    fn wherever<R: Send>(
        &self,
        work: impl FnOnce() -> Result<R, MapError> + Send,
    ) -> Result<R, MapError> {
        if self.usable() {
            work()
        } else {
            epochs::elsewhere(work).unwrap_or(Err(MapError::ThreadEnding))
        }
    }

    /// Whether this thread can use guards, which it cannot when it is about to end.
    #[inline]
    fn usable(&self) -> bool {
        epochs::usable(|| drop(self.timelines.pin()))
    }
}

impl<V, M, S> Drop for HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// sdd takes what a map has in the thread that drops it. If that one is about to end,
    /// another thread does it first.
    fn drop(&mut self) {
        self.watchers.end();
        if !self.usable() {
            let _ = epochs::elsewhere(|| self.close_unless(|_, _| false));
        }
    }
}

/// Has dropped what the timelines of a map had.
struct DriveWhenDropped;

impl Drop for DriveWhenDropped {
    fn drop(&mut self) {
        if epochs::is_running() {
            epochs::drive();
        }
    }
}

/// Shows the settings and the number of keys, and nothing of what is stored.
impl<V, M, S> fmt::Debug for HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryMap")
            .field("keys", &self.len())
            .field("history", &self.history_len())
            .field("max_keys", &self.max_keys())
            .field("time_to_live", &self.time_to_live())
            .finish_non_exhaustive()
    }
}
