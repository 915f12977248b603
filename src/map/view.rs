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
    /// `None` in a thread that is about to end: it cannot pin.
    pinned: Option<Pinned<'a, V, S>>,
}

impl<'a, V, M, S> View<'a, V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    pub(super) fn new(map: &'a HistoryMap<V, M, S>) -> Self {
        let pinned = map.usable().then(|| map.timelines.pin());
        Self { map, pinned }
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
        let Some(pinned) = &self.pinned else {
            return match self.map.ending_latest(key) {
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
        match read::not_mirrored::<V, M>(timeline) {
            Some(value) => found(key.text(), value),
            None => absent(),
        }
    }

    /// See [`HistoryMap::with`].
    #[inline]
    pub fn with<R>(&self, key: &str, read: impl FnOnce(&V) -> R) -> Option<R> {
        let Some(pinned) = &self.pinned else {
            let (_, value) = self.map.ending_latest(key)?;
            return Some(read(&value));
        };
        let timeline = pinned.get(&BorrowedKey(key))?;
        read::with::<V, M, R>(timeline, read)
    }

    /// See [`HistoryMap::get_versioned`].
    #[must_use]
    pub fn get_versioned(&self, key: &str) -> Option<Versioned<V>> {
        let Some(pinned) = &self.pinned else {
            return epochs::elsewhere(|| self.map.get_versioned(key))?;
        };
        let timeline = pinned.get(&BorrowedKey(key))?;
        read::versioned(timeline, &self.map.revision_floor)
    }

    /// See [`HistoryMap::history`].
    #[must_use]
    pub fn history(&self, key: &str, limit: usize) -> Vec<Versioned<V>> {
        let Some(pinned) = &self.pinned else {
            return epochs::elsewhere(|| self.map.history(key, limit)).unwrap_or_default();
        };
        match pinned.get(&BorrowedKey(key)) {
            Some(timeline) => {
                let Self { map, .. } = self;
                read::history(timeline, limit, &map.retention, &map.revision_floor)
            }
            None => Vec::new(),
        }
    }

    /// See [`HistoryMap::versions`].
    #[must_use]
    pub fn versions(&self, key: &str, range: VersionRange) -> Vec<Versioned<V>> {
        let Some(pinned) = &self.pinned else {
            return epochs::elsewhere(|| self.map.versions(key, range)).unwrap_or_default();
        };
        match pinned.get(&BorrowedKey(key)) {
            Some(timeline) => {
                let Self { map, .. } = self;
                read::versions(timeline, range, &map.retention, &map.revision_floor)
            }
            None => Vec::new(),
        }
    }

    /// See [`HistoryMap::as_of`].
    #[must_use]
    pub fn as_of(&self, key: &str, time: impl Into<Timestamp>) -> AsOf<V> {
        let time = time.into();
        let Some(pinned) = &self.pinned else {
            return epochs::elsewhere(|| self.map.as_of(key, time)).unwrap_or(AsOf::NotThere);
        };
        match pinned.get(&BorrowedKey(key)) {
            Some(timeline) => {
                let Self { map, .. } = self;
                read::as_of(timeline, time, &map.retention, &map.revision_floor)
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
        let Some(pinned) = &self.pinned else {
            let history = || self.map.pin(|view| view.map_history(key, limit, take));
            return epochs::elsewhere(history).unwrap_or_default();
        };
        match pinned.get_key_value(&BorrowedKey(key)) {
            Some((key, timeline)) => {
                let guard = epochs::enter();
                timeline.history(limit, &self.map.retention, &guard, |version| {
                    take(key.text(), version.value())
                })
            }
            None => Vec::new(),
        }
    }

    /// See [`HistoryMap::contains`].
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        let Some(pinned) = &self.pinned else {
            return self.map.ending_contains(key);
        };
        let timeline = pinned.get(&BorrowedKey(key));
        timeline.is_some_and(|timeline| !timeline.is_closed())
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
