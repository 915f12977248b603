//! Reads of one key, each alone or many under one pin.

use std::fmt;
use std::hash::BuildHasher;

use smol_str::SmolStr;

use super::key::BorrowedKey;
use super::small_value::{Mirroring, Unmirrored};
use super::{DefaultHashBuilder, HistoryMap, Pinned, read};
use crate::range::{AsOf, VersionRange};
use crate::sync::epochs;
use crate::timestamp::Timestamp;
use crate::versioned::Versioned;

impl<V, M, S> HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// The latest value of a key, or `None` if there is none.
    ///
    /// Takes effect at one moment between call and return, when it was the latest.
    /// Never blocks. Clones the value, unless it is [mirrored](crate::SmallValue).
    #[inline]
    #[must_use]
    pub fn get(&self, key: &str) -> Option<V> {
        View::new(self).get(key)
    }

    /// Calls `read` with the latest value of a key, if there is one, where it is stored.
    ///
    /// Takes effect like [`get`](Self::get): `read` sees the value that was the latest
    /// then, even if another is written while it runs. Never blocks, allocates nothing.
    /// While `read` runs, no memory is reclaimed (see [Memory](Self#memory)): it should be
    /// short.
    ///
    /// ```
    /// use attuned_store::HistoryMap;
    ///
    /// let names = HistoryMap::builder().build()?;
    /// names.insert("fruit", vec!["apple", "pear"])?;
    /// assert_eq!(names.with("fruit", |fruit| fruit.len()), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn with<R>(&self, key: &str, read: impl FnOnce(&V) -> R) -> Option<R> {
        View::new(self).with(key, read)
    }

    /// The latest value of a key with the revision and the time of its write, or `None`
    /// if there is none.
    ///
    /// Takes effect like [`get`](Self::get). Never blocks; clones the value.
    #[must_use]
    pub fn get_versioned(&self, key: &str) -> Option<Versioned<V>> {
        View::new(self).get_versioned(key)
    }

    /// The newest values of a key, newest first, the latest included: at
    /// most `limit`, and at most as many as the map keeps. Empty if there are none.
    ///
    /// Takes effect at one moment between call and return: the history is complete as
    /// of that instant. Never blocks. Allocates the vector, with exactly the room needed, and
    /// for more than 16 versions a list of references to them, 8 bytes each. Clones the
    /// values. Under continuous writes of the same key it may have to begin again; a repeated
    /// walk covers only what was written since.
    #[must_use]
    pub fn history(&self, key: &str, limit: usize) -> Vec<Versioned<V>> {
        View::new(self).history(key, limit)
    }

    /// The versions of a key that are in `range`, in its order. Empty if there are none.
    ///
    /// A map without history has the latest version alone.
    ///
    /// Takes effect like [`history`](Self::history), of which the result is a part: versions
    /// that have left the history are [left out without a sign](VersionRange#what-is-missing).
    /// Never blocks. It clones what it returns, nothing else. Allocates that vector, and a
    /// list of references to the versions that it walks over: 8 bytes each.
    ///
    /// It walks from the latest version to the older bound of the range, or to the end of the
    /// history if there is none. A [limit](VersionRange::limit) shortens the walk only in a
    /// range that begins with the newest version: not with
    /// [`before`](VersionRange::before), [`until`](VersionRange::until) or
    /// [`oldest_first`](VersionRange::oldest_first). An [empty](VersionRange::is_empty) range
    /// costs no walk.
    ///
    /// ```
    /// use attuned_store::{HistoryMap, VersionRange};
    ///
    /// let map = HistoryMap::builder().history(10).build()?;
    /// for number in 1..=5 {
    ///     map.insert("ada", number)?;
    /// }
    /// let numbers = |range: VersionRange| -> Vec<i32> {
    ///     map.versions("ada", range).iter().map(|version| version.value).collect()
    /// };
    /// assert_eq!(numbers(VersionRange::all()), [5, 4, 3, 2, 1]);
    ///
    /// // Page by page.
    /// let page = map.versions("ada", VersionRange::all().limit(2));
    /// let next = VersionRange::all().before(page[1].revision).limit(2);
    /// assert_eq!(numbers(next), [3, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn versions(&self, key: &str, range: VersionRange) -> Vec<Versioned<V>> {
        View::new(self).versions(key, range)
    }

    /// What was the latest value of a key at this time: the last version whose
    /// [`written_at`](Versioned::written_at) is not later.
    ///
    /// [`AsOf`] tells a key that was not there from one whose versions of that time have
    /// left the history. Of a removed key nothing is known.
    ///
    /// Takes effect like [`history`](Self::history). For a time in the past the answer stays the
    /// same until that version leaves the history, or the key is removed or expires. There are
    /// two exceptions. A write that has begun and not yet taken effect can get an earlier time:
    /// that of its beginning. And if the clock is set back, the first write of a key, or the
    /// first after a removal, can get a time in the past.
    ///
    /// Never blocks. It walks from the latest version to the one it returns, clones that, and
    /// allocates a list of references to those it has walked over: 8 bytes each.
    ///
    /// ```
    /// use attuned_store::{AsOf, HistoryMap};
    ///
    /// let map = HistoryMap::builder().history(10).build()?;
    /// map.insert("ada", "first")?;
    /// let first = map.get_versioned("ada").expect("it was written");
    ///
    /// assert_eq!(map.as_of("ada", first.written_at), AsOf::Was(first));
    /// assert_eq!(map.as_of("ada", first.written_at - 1), AsOf::NotThere);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn as_of(&self, key: &str, time: impl Into<Timestamp>) -> AsOf<V> {
        View::new(self).as_of(key, time)
    }

    /// Whether the key has a value. Never blocks; allocates nothing.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        View::new(self).contains(key)
    }

    /// Many reads under one pin: each costs less than one of its own.
    ///
    /// While `read` runs, the memory of removed entries and of outgrown tables of this map
    /// is not reclaimed (see [Memory](Self#memory)). Use it for a batch of reads, not for
    /// long. The view cannot leave the closure:
    ///
    /// ```compile_fail
    /// use attuned_store::HistoryMap;
    ///
    /// let map = HistoryMap::<u64>::default();
    /// let view = map.pin(|view| view);
    /// ```
    ///
    /// ```compile_fail,E0521
    /// use attuned_store::HistoryMap;
    ///
    /// let map = HistoryMap::<u64>::default();
    /// let mut views = Vec::new();
    /// map.pin(|view| views.push(view));
    /// ```
    ///
    /// ```compile_fail,E0277
    /// use attuned_store::HistoryMap;
    ///
    /// let map = HistoryMap::<u64>::default();
    /// map.pin(|view| {
    ///     std::thread::scope(|scope| scope.spawn(|| view.contains("ada")).join().is_ok())
    /// });
    /// ```
    ///
    /// Inside, it reads like the map:
    ///
    /// ```
    /// use attuned_store::HistoryMap;
    ///
    /// let map = HistoryMap::<u64>::default();
    /// let keys = ["ada", "grace", "alan"];
    /// let present = map.pin(|view| keys.iter().filter(|key| view.contains(key)).count());
    /// assert_eq!(present, 0);
    /// ```
    #[inline]
    pub fn pin<R>(&self, read: impl FnOnce(&View<'_, V, M, S>) -> R) -> R {
        read(&View::new(self))
    }
}

/// A [`HistoryMap`] under one pin, for the length of a call of [`HistoryMap::pin`].
///
/// It has the map's reads, with the same meaning. It does not freeze the
/// map: every read sees the state of its own moment.
pub struct View<'a, V, M = Unmirrored, S = DefaultHashBuilder>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    map: &'a HistoryMap<V, M, S>,
    pin: Pin<'a, V, S>,
}

/// Two of one kind, so that reads in a map without a time to live need not look whether
/// there is one.
enum Pin<'a, V: 'static, S> {
    Lasting(Pinned<'a, V, S>),
    /// In a map with a time to live.
    Timed(Pinned<'a, V, S>),
    /// In a thread that is about to end: it cannot pin.
    Ending,
}

impl<'a, V, M, S> View<'a, V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    #[inline]
    pub(super) fn new(map: &'a HistoryMap<V, M, S>) -> Self {
        if map.quick.holds() {
            let pin = Pin::Lasting(map.timelines.pin());
            return Self { map, pin };
        }
        Self::new_slowly(map)
    }

    #[cold]
    fn new_slowly(map: &'a HistoryMap<V, M, S>) -> Self {
        let pin = match &map.expiry {
            _ if !map.usable() => Pin::Ending,
            None => Pin::Lasting(map.timelines.pin()),
            Some(_) => Pin::Timed(map.timelines.pin()),
        };
        Self { map, pin }
    }

    #[inline]
    fn pinned(&self) -> Option<&Pinned<'a, V, S>> {
        match &self.pin {
            Pin::Lasting(pinned) | Pin::Timed(pinned) => Some(pinned),
            Pin::Ending => None,
        }
    }

    /// See [`HistoryMap::get`].
    #[inline]
    #[must_use]
    pub fn get(&self, key: &str) -> Option<V> {
        self.map_latest(key, |_, value| Some(value), || None)
    }

    /// What `found` makes of the latest value, with the key as the map has it, or
    /// `absent` of its absence.
    // Values can be so large that it counts whether one is made where it is to be.
    #[inline]
    pub(crate) fn map_latest<T>(
        &self,
        key: &str,
        found: impl FnOnce(&SmolStr, V) -> T,
        absent: impl FnOnce() -> T,
    ) -> T {
        let Pin::Lasting(pinned) = &self.pin else {
            return match self.map_latest_slowly(key) {
                Some((key, value)) => found(&key, value),
                None => absent(),
            };
        };
        let Some((key, timeline)) = pinned.get_key_value(&BorrowedKey(key)) else {
            return absent();
        };
        if let Some(value) = read::mirrored::<V, M>(timeline) {
            return found(key.text(), value);
        }
        match read::not_mirrored::<V, M>(timeline, None) {
            Some(value) => found(key.text(), value),
            None => absent(),
        }
    }

    /// In a map with a time to live, or in a thread that is about to end.
    #[cold]
    fn map_latest_slowly(&self, key: &str) -> Option<(SmolStr, V)> {
        let Some(pinned) = self.pinned() else {
            return self.map.ending_latest(key);
        };
        let (key, timeline) = pinned.get_key_value(&BorrowedKey(key))?;
        let value = read::not_mirrored::<V, M>(timeline, self.map.expiry.as_deref())?;
        Some((key.text().clone(), value))
    }

    /// See [`HistoryMap::with`].
    #[inline]
    pub fn with<R>(&self, key: &str, read: impl FnOnce(&V) -> R) -> Option<R> {
        let Pin::Lasting(pinned) = &self.pin else {
            return self.with_slowly(key, read);
        };
        let timeline = pinned.get(&BorrowedKey(key))?;
        read::with::<V, M, R>(timeline, None, read)
    }

    /// As [`map_latest_slowly`](Self::map_latest_slowly).
    #[cold]
    fn with_slowly<R>(&self, key: &str, read: impl FnOnce(&V) -> R) -> Option<R> {
        let Some(pinned) = self.pinned() else {
            let (_, value) = self.map.ending_latest(key)?;
            return Some(read(&value));
        };
        let timeline = pinned.get(&BorrowedKey(key))?;
        read::with::<V, M, R>(timeline, self.map.expiry.as_deref(), read)
    }

    /// See [`HistoryMap::get_versioned`].
    #[must_use]
    pub fn get_versioned(&self, key: &str) -> Option<Versioned<V>> {
        let Some(pinned) = self.pinned() else {
            return epochs::elsewhere(|| self.map.get_versioned(key))?;
        };
        let timeline = pinned.get(&BorrowedKey(key))?;
        let Self { map, .. } = self;
        read::versioned(timeline, map.expiry.as_deref(), &map.revision_floor)
    }

    /// See [`HistoryMap::history`].
    #[must_use]
    pub fn history(&self, key: &str, limit: usize) -> Vec<Versioned<V>> {
        let Some(pinned) = self.pinned() else {
            return epochs::elsewhere(|| self.map.history(key, limit)).unwrap_or_default();
        };
        match pinned.get(&BorrowedKey(key)) {
            Some(timeline) => {
                let Self { map, .. } = self;
                let (retention, floor) = (&map.retention, &map.revision_floor);
                read::history(timeline, limit, retention, map.expiry.as_deref(), floor)
            }
            None => Vec::new(),
        }
    }

    /// See [`HistoryMap::versions`].
    #[must_use]
    pub fn versions(&self, key: &str, range: VersionRange) -> Vec<Versioned<V>> {
        let Some(pinned) = self.pinned() else {
            return epochs::elsewhere(|| self.map.versions(key, range)).unwrap_or_default();
        };
        match pinned.get(&BorrowedKey(key)) {
            Some(timeline) => {
                let Self { map, .. } = self;
                let (retention, floor) = (&map.retention, &map.revision_floor);
                read::versions(timeline, range, retention, map.expiry.as_deref(), floor)
            }
            None => Vec::new(),
        }
    }

    /// See [`HistoryMap::as_of`].
    #[must_use]
    pub fn as_of(&self, key: &str, time: impl Into<Timestamp>) -> AsOf<V> {
        let time = time.into();
        let Some(pinned) = self.pinned() else {
            return epochs::elsewhere(|| self.map.as_of(key, time)).unwrap_or(AsOf::NotThere);
        };
        match pinned.get(&BorrowedKey(key)) {
            Some(timeline) => {
                let Self { map, .. } = self;
                let (retention, floor) = (&map.retention, &map.revision_floor);
                read::as_of(timeline, time, retention, map.expiry.as_deref(), floor)
            }
            None => AsOf::NotThere,
        }
    }

    /// The newest values of a key, as `take` makes them of the key as the map has it and
    /// the value.
    pub(crate) fn map_history<T: Send>(
        &self,
        key: &str,
        limit: usize,
        take: impl Fn(&SmolStr, &V) -> T + Send,
    ) -> Vec<T> {
        let Some(pinned) = self.pinned() else {
            let history = || self.map.pin(|view| view.map_history(key, limit, take));
            return epochs::elsewhere(history).unwrap_or_default();
        };
        match pinned.get_key_value(&BorrowedKey(key)) {
            Some((key, timeline)) => {
                let guard = epochs::enter();
                let (retention, expiry) = (&self.map.retention, self.map.expiry.as_deref());
                let walked = timeline.history(limit, retention, expiry, &guard, |version| version);
                read::copies(&walked, |version| take(key.text(), version.value()))
            }
            None => Vec::new(),
        }
    }

    /// See [`HistoryMap::contains`].
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        let Some(pinned) = self.pinned() else {
            return self.map.ending_contains(key);
        };
        let timeline = pinned.get(&BorrowedKey(key));
        timeline.is_some_and(|timeline| read::contains(timeline, self.map.expiry.as_deref()))
    }
}

impl<V, M, S> fmt::Debug for View<'_, V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}
