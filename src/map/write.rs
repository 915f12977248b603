//! Writes and removals, on a pin.

use std::hash::BuildHasher;

use smol_str::SmolStr;

use super::error::MapError;
use super::expiry::Expiry;
use super::key::{BorrowedKey, OwnedKey};
use super::small_value::{Mirroring, Words};
use super::timeline::{Closed, Facts, Head, Published, Timeline};
use super::version::{Unpublished, Version};
use super::watchers::Removal;
use super::{HistoryMap, Pinned};
use crate::removal::RemovalCause;
use crate::revision::{Expected, Revision};
use crate::sync::{Guard, Reclaim as _, epochs};
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
            self.write_where::<true>(key, owned_key, value, expected)
        } else {
            self.write_where::<false>(key, owned_key, value, expected)
        }
    }

    /// In a map with a time to live, or without. There are two of it, so that one without
    /// pays nothing. One with it gives the mirror no words: what is not in the mirror is read
    /// at the head, where it is seen whether the key has expired.
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
                        let revision = self.revision(timeline, current.sequence());
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

    /// Removes `key` if what is there is what is expected, and returns what `take` makes
    /// of the last version; `None` if nothing was there, and that was expected.
    ///
    /// Takes effect where the timeline is closed. Afterwards what this thread has let
    /// go of is dropped, unless some thread is inside a guard.
    pub(super) fn close<R>(
        &self,
        key: &str,
        expected: Expected,
        take: impl FnOnce(&Version<V>, Revision) -> R,
    ) -> Result<Option<R>, MapError> {
        let pinned = self.timelines.pin();
        let Some(timeline) = pinned.get(&BorrowedKey(key)) else {
            self.expect_absence(expected)?;
            return Ok(None);
        };
        // If `take` panics, the entry goes all the same, and those who watch are told.
        let mut unlinking = Unlink {
            map: self,
            pinned: &pinned,
            key,
            removal: None,
        };
        let mut taken = None;
        {
            let guard = epochs::enter();
            let mut head = timeline.latest(&guard);
            while let Some(last) = head.as_ref() {
                if self.has_expired(head) {
                    unlinking.removal = self.close_expired(timeline, head, &guard);
                    head = timeline.latest(&guard);
                    continue;
                }
                self.expect_version(timeline, last, expected)?;
                match self.close_at(timeline, head, RemovalCause::Deleted, &guard) {
                    Ok(closed) => {
                        unlinking.removal = self.removal(timeline, &closed, RemovalCause::Deleted);
                        timeline.release(closed, &guard);
                        let revision = self.revision(timeline, last.sequence());
                        taken = Some(take(last, revision));
                        break;
                    }
                    Err(found) => head = found,
                }
            }
        }
        if taken.is_none() {
            self.expect_absence(expected)?;
        }
        drop(unlinking);
        drop(pinned);
        self.reclaim();
        Ok(taken)
    }

    /// Removes each key whose latest value `keep` does not want to keep.
    ///
    /// A removal takes effect when the timeline is closed, and that succeeds
    /// only in the place of the very version that `keep` has seen. A version
    /// that came after it is shown to `keep` in its turn. A key that has expired is not shown,
    /// and goes without being counted.
    pub(super) fn close_unless(&self, mut keep: impl FnMut(&str, &V) -> bool) -> usize {
        let pinned = self.timelines.pin();
        let mut removed = 0;
        for (key, timeline) in pinned.iter() {
            let key = key.as_str();
            let judge = |head: Head<'_, V>, version: &Version<V>| {
                if self.has_expired(head) {
                    return Some(RemovalCause::Expired);
                }
                (!keep(key, version.value())).then_some(RemovalCause::Deleted)
            };
            if let Some(cause) = self.close_one(&pinned, key, timeline, judge) {
                removed += usize::from(cause == RemovalCause::Deleted);
            }
        }
        drop(pinned);
        self.reclaim();
        removed
    }

    /// Removes one key that was found, if `judge` has a cause. Returns the cause if it was
    /// removed here.
    ///
    /// A guard for each key, so that what is let go of can be dropped on the way. The
    /// guard ends before the entry is unlinked, which may have to wait.
    pub(super) fn close_one(
        &self,
        pinned: &Pinned<'_, V, S>,
        key: &str,
        timeline: &Timeline<V>,
        mut judge: impl FnMut(Head<'_, V>, &Version<V>) -> Option<RemovalCause>,
    ) -> Option<RemovalCause> {
        let (cause, removal) = 'closed: {
            let guard = epochs::enter();
            let mut head = timeline.latest(&guard);
            while let Some(version) = head.as_ref() {
                let cause = judge(head, version)?;
                match self.close_at(timeline, head, cause, &guard) {
                    Ok(closed) => {
                        let removal = self.removal(timeline, &closed, cause);
                        timeline.release(closed, &guard);
                        break 'closed (cause, removal);
                    }
                    Err(found) => head = found,
                }
            }
            return None;
        };
        drop(Unlink {
            map: self,
            pinned,
            key,
            removal,
        });
        Some(cause)
    }

    /// A new key takes effect at the insertion. If another thread inserts
    /// first, nothing is lost: the version is handed back, for an
    /// update of that thread's timeline.
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

    /// Whether the key with this head, which was found before, has expired by now.
    fn has_expired(&self, head: Head<'_, V>) -> bool {
        let expiry = self.expiry.as_deref();
        expiry.is_some_and(|expiry| expiry.is_over(head, expiry.now()))
    }

    /// Closes the timeline of a key that has expired, unless another thread comes first.
    /// To unlink the entry, and to tell those who watch of what this returns, is for the
    /// caller, once the guard is gone.
    #[cold]
    fn close_expired<'g>(
        &self,
        timeline: &Timeline<V>,
        head: Head<'g, V>,
        guard: &'g Guard,
    ) -> Option<Removal> {
        let cause = RemovalCause::Expired;
        let closed = self.close_at(timeline, head, cause, guard).ok()?;
        let removal = self.removal(timeline, &closed, cause);
        timeline.release(closed, guard);
        removal
    }

    /// What those who watch are to be told of a timeline that this thread has closed, if
    /// anybody does.
    ///
    /// The removal's revision is the number after the last write's. It belongs to the
    /// removal: the next timeline's base is at least one above the floor, and the floor has
    /// the last write's revision.
    fn removal(
        &self,
        timeline: &Timeline<V>,
        closed: &Closed<V>,
        cause: RemovalCause,
    ) -> Option<Removal> {
        closed.watched.then(|| {
            let revision = self.revision(timeline, closed.sequence() + 1);
            Removal { revision, cause }
        })
    }

    /// Closes a timeline in the place of `head`, and takes account of the key that is gone.
    fn close_at<'g>(
        &self,
        timeline: &Timeline<V>,
        head: Head<'g, V>,
        cause: RemovalCause,
        guard: &'g Guard,
    ) -> Result<Closed<V>, Head<'g, V>> {
        let close = || timeline.close_at(head, &self.revision_floor, guard);
        let closed = match &self.bound {
            Some(bound) => bound.dismiss(close),
            None => close(),
        }?;
        self.tally
            .removed(cause, closed.sequence(), &self.retention);
        Ok(closed)
    }

    fn expect_absence(&self, expected: Expected) -> Result<(), MapError> {
        match expected {
            Expected::Any | Expected::Absent => Ok(()),
            Expected::At(_) => Err(self.conflict(expected, None)),
        }
    }

    fn expect_version(
        &self,
        timeline: &Timeline<V>,
        found: &Version<V>,
        expected: Expected,
    ) -> Result<(), MapError> {
        if expected == Expected::Any {
            return Ok(());
        }
        let actual = self.revision(timeline, found.sequence());
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

    #[inline]
    pub(super) fn revision(&self, timeline: &Timeline<V>, sequence: u64) -> Revision {
        Revision::from(timeline.revision(sequence, &self.revision_floor))
    }

    /// Takes a closed timeline out of the map, and out of memory, whichever thread closed
    /// it: its removal has taken effect, but may not have got here yet. `removal` is what
    /// those who watch are to be told, if this thread closed it.
    fn clear_away_if_closed(
        &self,
        pinned: &Pinned<'_, V, S>,
        key: &str,
        timeline: &Timeline<V>,
        removal: Option<Removal>,
    ) {
        if timeline.is_closed() {
            drop(Unlink {
                map: self,
                pinned,
                key,
                removal,
            });
            self.timelines.guard().flush();
        }
    }

    /// A timeline that is open stays: it is another one, which has come since.
    fn unlink_closed(&self, pinned: &Pinned<'_, V, S>, key: &str) {
        let _ = pinned.remove_if(&BorrowedKey(key), |_, timeline| timeline.is_closed());
    }

    /// Has what this thread unlinked and let go of reclaimed as soon as nobody reads it
    /// any more. Otherwise the entries, and the keys in them, would stay in memory
    /// until this thread has unlinked enough of them to make a batch, and the
    /// versions until it has made enough guards.
    pub(super) fn reclaim(&self) {
        self.timelines.guard().flush();
        epochs::drive();
    }
}

/// When this goes, tells those who watch, and takes the entry of a key out of the map if its
/// timeline is closed.
struct Unlink<'a, 'p, V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    map: &'a HistoryMap<V, M, S>,
    pinned: &'a Pinned<'p, V, S>,
    key: &'a str,
    /// What they are to be told, if anybody watches.
    removal: Option<Removal>,
}

impl<V, M, S> Drop for Unlink<'_, '_, V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    fn drop(&mut self) {
        // First, in case the user's hasher panics: who looks finds a closed timeline, and
        // that is absence.
        if self.removal.is_some() {
            self.map.watchers.notify(self.key, self.removal);
        }
        self.map.unlink_closed(self.pinned, self.key);
    }
}
