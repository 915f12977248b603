//! Writes and removals, on a pin.

use std::hash::BuildHasher;

use smol_str::SmolStr;

use super::error::MapError;
use super::key::{BorrowedKey, OwnedKey};
use super::small_value::{Mirroring, Words};
use super::timeline::{Closed, Facts, Head, Published, Timeline};
use super::version::{Unpublished, Version};
use super::watchers::Removal;
use super::{HistoryMap, Pinned};
use crate::clock::unix_ms_now;
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
    /// removed this very key; whichever it was has taken effect.
    pub(super) fn write(
        &self,
        key: &str,
        owned_key: impl Fn() -> SmolStr,
        value: V,
        expected: Expected,
    ) -> Result<Written, MapError> {
        let pinned = self.timelines.pin();
        let now = unix_ms_now();
        let words = M::to_words(&value);
        let mut unpublished = Unpublished::Value(value);
        loop {
            let Some(timeline) = pinned.get(&BorrowedKey(key)) else {
                self.expect_absence(expected)?;
                match self.insert_new(&pinned, owned_key(), unpublished, words, now)? {
                    Ok(written) => {
                        self.notify_of_new(key);
                        return Ok(written);
                    }
                    Err(again) => unpublished = again,
                }
                continue;
            };
            let published = {
                let guard = epochs::enter();
                let words = &words;
                let facts = Facts { words, now };
                if expected == Expected::Any {
                    timeline.publish(unpublished, facts, &self.retention, &guard)
                } else {
                    let head = timeline.latest(&guard);
                    match head.as_ref() {
                        Some(current) => {
                            self.expect_version(timeline, current, expected)?;
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
            self.clear_away_if_closed(&pinned, key, timeline);
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
        let pinned = self.timelines.pin();
        loop {
            let now = unix_ms_now();
            let prepare = |value: V| {
                let words = M::to_words(&value);
                (value.clone(), Unpublished::Value(value), words)
            };
            let Some(timeline) = pinned.get(&BorrowedKey(key)) else {
                self.expect_absence(expected)?;
                let Some(value) = change(None) else {
                    return Ok(None);
                };
                let (value, first, words) = prepare(value);
                match self.insert_new(&pinned, SmolStr::new(key), first, words, now)? {
                    Ok(written) => {
                        self.notify_of_new(key);
                        return Ok(Some(written.with(value)));
                    }
                    Err(_) => continue,
                }
            };
            let replaced = {
                let guard = epochs::enter();
                let head = timeline.latest(&guard);
                match head.as_ref() {
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
            self.clear_away_if_closed(&pinned, key, timeline);
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
                self.expect_version(timeline, last, expected)?;
                match self.close_at(timeline, head, &guard) {
                    Ok(closed) => {
                        let revision = self.revision(timeline, last.sequence());
                        if closed.watched {
                            unlinking.removal = Some(removal_after(revision));
                        }
                        timeline.release(closed, &guard);
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
    /// that came after it is shown to `keep` in its turn.
    pub(super) fn close_unless(&self, mut keep: impl FnMut(&str, &V) -> bool) -> usize {
        let pinned = self.timelines.pin();
        let mut removed = 0;
        for (key, timeline) in pinned.iter() {
            let key = key.as_str();
            if let Some(removal) = self.close_one_unless(timeline, |value| keep(key, value)) {
                removed += 1;
                drop(Unlink {
                    map: self,
                    pinned: &pinned,
                    key,
                    removal,
                });
            }
        }
        drop(pinned);
        self.reclaim();
        removed
    }

    /// The same for one key that was found. If it was removed here, returns what those who
    /// watch are to be told, if anybody does.
    ///
    /// A guard for each key, so that what is let go of can be dropped on the way. The
    /// guard ends before the entry is unlinked, which may have to wait.
    fn close_one_unless(
        &self,
        timeline: &Timeline<V>,
        mut keep: impl FnMut(&V) -> bool,
    ) -> Option<Option<Removal>> {
        let guard = epochs::enter();
        let mut head = timeline.latest(&guard);
        while let Some(version) = head.as_ref() {
            if keep(version.value()) {
                break;
            }
            match self.close_at(timeline, head, &guard) {
                Ok(closed) => {
                    let removal = closed.watched.then(|| {
                        let revision = self.revision(timeline, version.sequence());
                        removal_after(revision)
                    });
                    timeline.release(closed, &guard);
                    return Some(removal);
                }
                Err(found) => head = found,
            }
        }
        None
    }

    /// A new key takes effect at the insertion. If another thread inserts
    /// first, nothing is lost: the version is handed back, for an
    /// update of that thread's timeline.
    fn insert_new(
        &self,
        pinned: &Pinned<'_, V, S>,
        key: SmolStr,
        first: Unpublished<V>,
        words: Option<Words>,
        now: i64,
    ) -> Result<Result<Written, Unpublished<V>>, MapError> {
        let insert = |first| {
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
                bound.admit(first, insert, present)
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

    /// Closes a timeline in the place of `head`, and takes account of the key that is gone.
    fn close_at<'g>(
        &self,
        timeline: &Timeline<V>,
        head: Head<'g, V>,
        guard: &'g Guard,
    ) -> Result<Closed<V>, Head<'g, V>> {
        let close = || timeline.close_at(head, &self.revision_floor, guard);
        let closed = match &self.bound {
            Some(bound) => bound.dismiss(close),
            None => close(),
        }?;
        self.tally.removed(closed.sequence(), &self.retention);
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
    /// it: its removal has taken effect, but may not have got here yet.
    fn clear_away_if_closed(&self, pinned: &Pinned<'_, V, S>, key: &str, timeline: &Timeline<V>) {
        if timeline.is_closed() {
            self.unlink_closed(pinned, key);
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
    fn reclaim(&self) {
        self.timelines.guard().flush();
        epochs::drive();
    }
}

/// The removal of a key whose last write had that revision. The number in between belongs to
/// it: the next timeline's base is at least one above the floor, and the floor has this
/// revision.
fn removal_after(revision: Revision) -> Removal {
    Removal {
        revision: Revision::from(u64::from(revision) + 1),
        cause: RemovalCause::Deleted,
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
