//! Many reads under one pin.

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
                timeline.history(limit, retention, expiry, &guard, |version| {
                    take(key.text(), version.value())
                })
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
