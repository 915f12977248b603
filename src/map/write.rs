//! Writes of one key.

use std::hash::BuildHasher;

use smol_str::SmolStr;

use super::error::MapError;
use super::expiry::Expiry;
use super::key::{BorrowedKey, OwnedKey};
use super::small_value::{Mirroring, Words};
use super::timeline::{Facts, Published, Timeline};
use super::version::{Unpublished, Version};
use super::{HistoryMap, Pinned};
use crate::revision::{Expected, Revision};
use crate::sync::epochs;
use crate::versioned::Versioned;

/// A write that was made: its revision, and when.
pub(super) struct Written {
    pub(super) revision: Revision,
    pub(super) written_at: i64,
}

impl Written {
    pub(super) fn with<V>(self, value: V) -> Versioned<V> {
        Versioned::new(value, self.revision, self.written_at)
    }
}

impl<V, M, S> HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// Makes `value` the latest one of its key and the newest entry of the key's history.
    /// Returns the revision of this write.
    ///
    /// Takes effect at one moment before it returns: for a known key soon after the
    /// latest value has been swapped, for a new one when the entry is inserted.
    /// Allocates the version; the first write of a key also an entry, and an early one
    /// its queue.
    ///
    /// # Errors
    ///
    /// [`MapError::Full`] if the key is new and the map has all the keys that it may have
    /// ([`max_keys`](crate::HistoryMapBuilder::max_keys)); [`MapError::ThreadEnding`] where
    /// [threads end](Self#threads-that-end).
    pub fn insert(&self, key: &str, value: V) -> Result<Revision, MapError> {
        self.insert_if(key, value, Expected::Any)
    }

    /// Makes `value` the latest one of its key if what is there is what the
    /// caller expects, and returns the revision of this write.
    ///
    /// Takes effect like [`insert`](Self::insert), in one step with the
    /// comparison. Costs the same, and may wait where that may.
    ///
    /// # Errors
    ///
    /// [`MapError::Conflict`] with the revision that is there if it is another one; then
    /// nothing has changed. Otherwise those of [`insert`](Self::insert).
    ///
    /// ```
    /// use attuned_store::{Expected, HistoryMap, MapError};
    ///
    /// let map = HistoryMap::builder().build()?;
    /// let first = map.insert_if("ada", 1, Expected::Absent)?;
    /// let second = map.insert_if("ada", 2, Expected::At(first))?;
    /// let late = map.insert_if("ada", 3, Expected::At(first));
    /// assert!(matches!(late, Err(MapError::Conflict { actual: Some(a), .. }) if a == second));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert_if(&self, key: &str, value: V, expected: Expected) -> Result<Revision, MapError> {
        self.insert_owned(key, || SmolStr::new(key), value, expected)
    }

    /// The same for a caller that may have the key as a new entry has it.
    #[inline]
    pub(crate) fn insert_owned(
        &self,
        key: &str,
        owned_key: impl Fn() -> SmolStr + Send,
        value: V,
        expected: Expected,
    ) -> Result<Revision, MapError> {
        self.wherever(|| self.write(key, owned_key, value, expected))
            .map(|written| written.revision)
    }

    /// Replaces the latest value of a key by one made from it, atomically.
    /// Returns what was written.
    ///
    /// `change` gets the latest value, or `None` if there is none. It returns the new one,
    /// or `None` to leave things as they are, and then `None` is returned.
    ///
    /// If another write comes between the reading and the writing, `change` is
    /// called again with what that write has left. So it may run several times,
    /// and should have no effects of its own; if it panics, nothing has changed.
    /// There is no bound on the number of times, since each means that another
    /// write or removal of this key has succeeded. While it runs, no memory is reclaimed
    /// (see [Memory](Self#memory)): it should be short.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    ///
    /// ```
    /// use attuned_store::HistoryMap;
    ///
    /// let visits = HistoryMap::builder().build()?;
    /// for _ in 0..3 {
    ///     visits.update("ada", |count| Some(count.copied().unwrap_or(0) + 1))?;
    /// }
    /// assert_eq!(visits.get("ada"), Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update(
        &self,
        key: &str,
        mut change: impl FnMut(Option<&V>) -> Option<V>,
    ) -> Result<Option<Versioned<V>>, MapError> {
        self.update_if(key, Expected::Any, |found| {
            change(found.map(|(value, _)| value))
        })
    }

    /// The same on a condition, with a `change` that is told the revision, too.
    pub(crate) fn update_if(
        &self,
        key: &str,
        expected: Expected,
        change: impl FnMut(Option<(&V, Revision)>) -> Option<V>,
    ) -> Result<Option<Versioned<V>>, MapError> {
        if !self.usable() {
            return self.ending_update(key, expected, change);
        }
        self.change(key, expected, change)
    }

    /// Makes `value` the latest one of `key` if what is there is what is expected.
    /// `owned_key` makes the key that a new entry has.
    ///
    /// A success takes effect where the timeline says, or at the insertion. A conditional
    /// one replaces the very version whose revision was compared, or comes where nobody is.
    /// A conflict takes effect where the head was found, or at the lookup that found
    /// nothing.
    ///
    /// The loop goes round only when another thread has, in between, written, made or
    /// removed this very key; whichever it was has taken effect. Or when the key has
    /// expired, which ends its timeline.
    #[inline]
    pub(super) fn write(
        &self,
        key: &str,
        owned_key: impl Fn() -> SmolStr,
        value: V,
        expected: Expected,
    ) -> Result<Written, MapError> {
        if self.expiry.is_some() {
            self.write_timed(key, owned_key, value, expected)
        } else {
            self.write_where::<false>(key, owned_key, value, expected)
        }
    }

    /// In a map with a time to live.
    // Apart, so that maps without it have nothing of it in their way.
    #[inline(never)]
    fn write_timed(
        &self,
        key: &str,
        owned_key: impl Fn() -> SmolStr,
        value: V,
        expected: Expected,
    ) -> Result<Written, MapError> {
        self.write_where::<true>(key, owned_key, value, expected)
    }

    /// In a map with a time to live, or without. There are two of it, so that one without
    /// pays one comparison. One with it gives the mirror no words: what is not in the mirror
    /// is read at the head, where it is seen whether the key has expired.
    #[inline(always)]
    fn write_where<const EXPIRES: bool>(
        &self,
        key: &str,
        owned_key: impl Fn() -> SmolStr,
        value: V,
        expected: Expected,
    ) -> Result<Written, MapError> {
        let expiry = self.expiry.as_deref().filter(|_| EXPIRES);
        let pinned = self.timelines.pin();
        let mut now = self.clock.now();
        let words = if EXPIRES { None } else { M::to_words(&value) };
        let mut unpublished = Unpublished::Value(value);
        loop {
            let Some(timeline) = pinned.get(&BorrowedKey(key)) else {
                self.expect_absence(expected)?;
                let key_of_entry = owned_key();
                match self.insert_new::<EXPIRES>(&pinned, key_of_entry, unpublished, words, now)? {
                    Ok(written) => {
                        self.notify_of_new(key);
                        return Ok(written);
                    }
                    Err(again) => unpublished = again,
                }
                continue;
            };
            let mut removal = None;
            let published = {
                let guard = epochs::enter();
                let words = &words;
                if expected == Expected::Any && !EXPIRES {
                    let facts = Facts { words, now };
                    timeline.publish(unpublished, facts, &self.retention, &guard)
                } else {
                    let head = timeline.latest(&guard);
                    // After the head was found: `timeline::expiry` says why.
                    now = expiry.map_or(now, Expiry::now);
                    match head.as_ref() {
                        Some(_) if expiry.is_some_and(|expiry| expiry.is_over(head, now)) => {
                            removal = self.close_expired(timeline, head, &guard);
                            Err(unpublished)
                        }
                        Some(current) => {
                            self.expect_version(timeline, current, expected)?;
                            let facts = Facts { words, now };
                            timeline
                                .replace(head, unpublished, facts, &self.retention, &guard)
                                .map_err(|refused| refused.unpublished)
                        }
                        None => {
                            self.expect_absence(expected)?;
                            Err(unpublished)
                        }
                    }
                }
            };
            match published {
                Ok(published) => return Ok(self.written(key, timeline, published)),
                Err(again) => unpublished = again,
            }
            self.clear_away_if_closed(&pinned, key, timeline, removal);
        }
    }

    /// Replaces the latest value of `key` by what `change` makes of it, if what is there is
    /// what is expected.
    ///
    /// Takes effect like [`write`](Self::write), in the place of the very version, or of
    /// the absence, that `change` has seen; if `change` declines, where that was seen.
    pub(super) fn change(
        &self,
        key: &str,
        expected: Expected,
        mut change: impl FnMut(Option<(&V, Revision)>) -> Option<V>,
    ) -> Result<Option<Versioned<V>>, MapError> {
        let expiry = self.expiry.as_deref();
        let pinned = self.timelines.pin();
        loop {
            let mut now = self.clock.now();
            let prepare = |value: V| {
                let words = match expiry {
                    None => M::to_words(&value),
                    Some(_) => None,
                };
                (value.clone(), Unpublished::Value(value), words)
            };
            let Some(timeline) = pinned.get(&BorrowedKey(key)) else {
                self.expect_absence(expected)?;
                let Some(value) = change(None) else {
                    return Ok(None);
                };
                let (value, first, words) = prepare(value);
                let key_of_entry = SmolStr::new(key);
                match self.insert_new::<true>(&pinned, key_of_entry, first, words, now)? {
                    Ok(written) => {
                        self.notify_of_new(key);
                        return Ok(Some(written.with(value)));
                    }
                    Err(_) => continue,
                }
            };
            let mut removal = None;
            let replaced = {
                let guard = epochs::enter();
                let head = timeline.latest(&guard);
                // As in `write_where`.
                now = expiry.map_or(now, Expiry::now);
                match head.as_ref() {
                    Some(_) if expiry.is_some_and(|expiry| expiry.is_over(head, now)) => {
                        removal = self.close_expired(timeline, head, &guard);
                        None
                    }
                    Some(current) => {
                        self.expect_version(timeline, current, expected)?;
                        let revision = self.revision_of(timeline, current);
                        let Some(value) = change(Some((current.value(), revision))) else {
                            return Ok(None);
                        };
                        let (value, next, words) = prepare(value);
                        let words = &words;
                        let facts = Facts { words, now };
                        let replaced = timeline.replace(head, next, facts, &self.retention, &guard);
                        replaced.ok().map(|published| (published, value))
                    }
                    None => None,
                }
            };
            if let Some((published, value)) = replaced {
                let written = self.written(key, timeline, published);
                return Ok(Some(written.with(value)));
            }
            self.clear_away_if_closed(&pinned, key, timeline, removal);
        }
    }

    /// A new key takes effect at the insertion. If another thread inserts
    /// first, nothing is lost: the version is handed back, for an
    /// update of that thread's timeline.
    #[inline]
    fn insert_new<const EXPIRES: bool>(
        &self,
        pinned: &Pinned<'_, V, S>,
        key: SmolStr,
        first: Unpublished<V>,
        words: Option<Words>,
        now: i64,
    ) -> Result<Result<Written, Unpublished<V>>, MapError> {
        let insert = |first| {
            // With a time to live, as late as can be: what comes before may wait for others.
            let expiry = self.expiry.as_deref().filter(|_| EXPIRES);
            let now = expiry.map_or(now, Expiry::now);
            let timeline = Timeline::starting_with(first, words, now);
            match pinned.try_insert(OwnedKey::new(key.clone()), timeline) {
                Ok(timeline) => Ok(Written {
                    revision: self.revision(timeline, 1),
                    written_at: now,
                }),
                Err(occupied) => Err(occupied.not_inserted.into_unpublished()),
            }
        };
        match &self.bound {
            None => Ok(insert(first)),
            Some(bound) => {
                let present = || pinned.get(&BorrowedKey(&key)).is_some();
                let mut newcomer = first;
                let mut has_swept = false;
                loop {
                    match bound.admit(newcomer, insert, present) {
                        Ok(admitted) => return Ok(admitted),
                        Err(refused) if !has_swept && self.sweep_for_newcomer() => {
                            newcomer = refused;
                            has_swept = true;
                        }
                        Err(_) => {
                            return Err(MapError::Full {
                                max_keys: bound.max_keys(),
                            });
                        }
                    }
                }
            }
        }
    }

    /// Accounts for a write that has taken effect in a timeline: what it is to its caller, and
    /// that those who watch are told. Not under a guard, since wakers can run any code.
    #[inline]
    fn written(&self, key: &str, timeline: &Timeline<V>, published: Published) -> Written {
        if published.watched {
            self.notify_of_change(key, timeline);
        }
        Written {
            revision: self.revision(timeline, published.sequence),
            written_at: published.written_at,
        }
    }

    /// Tells those who watch of a key that this thread has brought.
    #[inline]
    fn notify_of_new(&self, key: &str) {
        if self.watchers.any() {
            self.watchers.notify(key, None);
        }
    }

    pub(super) fn expect_absence(&self, expected: Expected) -> Result<(), MapError> {
        match expected {
            Expected::Any | Expected::Absent => Ok(()),
            Expected::At(_) => Err(self.conflict(expected, None)),
        }
    }

    pub(super) fn expect_version(
        &self,
        timeline: &Timeline<V>,
        found: &Version<V>,
        expected: Expected,
    ) -> Result<(), MapError> {
        if expected == Expected::Any {
            return Ok(());
        }
        let actual = self.revision_of(timeline, found);
        if expected == Expected::At(actual) {
            return Ok(());
        }
        Err(self.conflict(expected, Some(actual)))
    }

    #[cold]
    pub(super) fn conflict(&self, expected: Expected, actual: Option<Revision>) -> MapError {
        self.tally.conflict();
        MapError::Conflict { expected, actual }
    }

    /// Of a version that was written here.
    #[inline]
    pub(super) fn revision(&self, timeline: &Timeline<V>, sequence: u64) -> Revision {
        Revision::from(timeline.revision(sequence, &self.revision_floor))
    }

    /// Of any version of the timeline.
    #[inline]
    pub(super) fn revision_of(&self, timeline: &Timeline<V>, version: &Version<V>) -> Revision {
        Revision::from(
            timeline
                .revision_base(&self.revision_floor)
                .revision(version),
        )
    }
}
