//! Removals: of one key, of those that are judged, of what has expired.

use std::hash::BuildHasher;

use super::error::MapError;
use super::key::BorrowedKey;
use super::signals::Removal;
use super::small_value::Mirroring;
use super::timeline::{Closed, Head, Timeline};
use super::version::Version;
use super::{HistoryMap, Pinned};
use crate::removal::RemovalCause;
use crate::revision::{Expected, Revision};
use crate::sync::{Guard, Reclaim as _, epochs};
use crate::versioned::Versioned;

impl<V, M, S> HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// Removes a key with its latest value and its history. Returns a clone of that
    /// value, with the revision and the time of its write; `None` if the key was absent.
    ///
    /// Takes effect at one moment before it returns: latest and history end together. See
    /// [Memory](Self#memory) for what is released when, and [Cost](Self#cost).
    ///
    /// # Errors
    ///
    /// [`MapError::ThreadEnding`] where [threads end](Self#threads-that-end).
    pub fn remove(&self, key: &str) -> Result<Option<Versioned<V>>, MapError> {
        self.remove_if(key, Expected::Any)
    }

    /// Removes a key like [`remove`](Self::remove), if what is there is what the caller
    /// expects.
    ///
    /// # Errors
    ///
    /// [`MapError::Conflict`] with the revision that is there if it is another one; then
    /// nothing has changed. Otherwise those of [`remove`](Self::remove).
    pub fn remove_if(
        &self,
        key: &str,
        expected: Expected,
    ) -> Result<Option<Versioned<V>>, MapError> {
        self.wherever(|| {
            self.close(key, expected, |last, revision| {
                Versioned::new(last.value().clone(), revision, last.written_at())
            })
        })
    }

    /// Removes a key without a copy of its value; true if it was there.
    pub(crate) fn remove_quietly(&self, key: &str, expected: Expected) -> Result<bool, MapError> {
        let removed = self.wherever(|| self.close(key, expected, |_, _| ()))?;
        Ok(removed.is_some())
    }

    /// Removes each key whose latest value `keep` does not want to keep, with its history,
    /// and returns how many those were.
    ///
    /// A key is removed only if the value that `keep` has seen is still the
    /// latest. One that is written in between is never lost: `keep` is asked
    /// again, about that one. So a `keep` that writes the key and then rejects it is asked
    /// without end.
    ///
    /// Keys are met as by [`for_each`](Self::for_each), and removed as by
    /// [`remove`](Self::remove). One that has
    /// [expired](crate::HistoryMapBuilder::time_to_live) is taken out, too: `keep` does not see it,
    /// and it is not counted. If `keep` panics, those that were removed before
    /// stay removed. In a thread that [ends](Self#threads-that-end) it may stop early.
    pub fn retain(&self, keep: impl FnMut(&str, &V) -> bool) -> usize {
        if !self.usable() {
            return self.ending_retain(keep);
        }
        self.close_unless(keep)
    }

    /// Removes all keys, as by [`retain`](Self::retain) of none of them.
    pub fn clear(&self) {
        self.retain(|_, _| false);
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
                        let revision = self.revision_of(timeline, last);
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

    /// Whether the key with this head, which was found before, has expired by now.
    fn has_expired(&self, head: Head<'_, V>) -> bool {
        let expiry = self.expiry.as_deref();
        expiry.is_some_and(|expiry| expiry.is_over(head, expiry.now()))
    }

    /// Closes the timeline of a key that has expired, unless another thread comes first.
    /// To unlink the entry, and to tell those who watch of what this returns, is for the
    /// caller, once the guard is gone.
    #[cold]
    pub(super) fn close_expired<'g>(
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

    /// Takes a closed timeline out of the map, and out of memory, whichever thread closed
    /// it: its removal has taken effect, but may not have got here yet. `removal` is what
    /// those who watch are to be told, if this thread closed it.
    pub(super) fn clear_away_if_closed(
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
