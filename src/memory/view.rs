//! The store's operations, on a pin.

#![allow(
    clippy::needless_borrow,
    reason = "the map hands out references, but its stand-in handles"
)]

use std::fmt;
use std::hash::BuildHasher;

use super::Shared;
use super::key::{UserId, UserKey};
use super::stats::Stats;
use crate::patch::Patch;
use crate::snapshot::validate_user_id;
use crate::sync::{Arc, HashMapRef, LocalGuard, Reclaim as _};
use crate::timeline::{Timeline, Version};
use crate::{
    Expected, Result, Revision, Source, StateSnapshot, StateSnapshotBuilder, StoreError, Versioned,
};

/// A [`MemoryStore`](crate::MemoryStore) under one pin, made by
/// [`MemoryStore::pin`](crate::MemoryStore::pin).
///
/// It has the store's operations, with the same meaning. It does not freeze the
/// store: every operation sees the state of its own moment.
///
/// It belongs to the thread that made it (it is not `Send`).
pub struct PinnedView<'a, S> {
    shared: &'a Shared<S>,
    users: HashMapRef<'a, UserKey, Timeline<StateSnapshot>, S, LocalGuard<'a>>,
}

impl<'a, S: BuildHasher> PinnedView<'a, S> {
    pub(super) fn new(shared: &'a Shared<S>) -> Self {
        Self {
            shared,
            users: shared.users.pin(),
        }
    }

    /// See [`MemoryStore::upsert`](crate::MemoryStore::upsert).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn upsert(&self, snapshot: StateSnapshot) -> Result<()> {
        let mut version = snapshot.into_version();
        // The loop goes round only when another thread has, in between, made or
        // removed this very user; whichever it was has taken effect.
        loop {
            if let Some(timeline) = self.users.get(&UserId(version.value().user_id())) {
                match timeline.publish(version, self.shared.retention()) {
                    Ok(_) => return Ok(()),
                    // Closed: its removal took effect before us.
                    Err(unpublished) => {
                        version = unpublished;
                        self.clear_away(version.value().user_id());
                    }
                }
            } else if self.insert(&mut version, |_| ())?.is_some() {
                return Ok(());
            }
        }
    }

    /// See [`MemoryStore::upsert_if`](crate::MemoryStore::upsert_if).
    ///
    /// A success takes effect where the timeline says, or at the insertion: the head
    /// is swapped only in the place of the very version whose revision was compared,
    /// and the insertion succeeds only if nobody is there. A conflict takes effect
    /// where the head was found, or at the lookup that found none.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        let conflict = |version: &Version<StateSnapshot>, actual| {
            self.shared.tally.conflict();
            Err(StoreError::Conflict {
                user_id: version.value().user_id().to_owned(),
                expected,
                actual,
            })
        };
        let mut version = snapshot.into_version();
        // Round again for the same reason as in `upsert`, or because the user
        // was written in between: then there is a conflict to tell of.
        loop {
            let Some(timeline) = self.users.get(&UserId(version.value().user_id())) else {
                if expected != Expected::Absent {
                    return conflict(&version, None);
                }
                let first = |timeline: &Timeline<_>| self.revision(timeline, 1);
                match self.insert(&mut version, first)? {
                    Some(revision) => return Ok(revision),
                    None => continue,
                }
            };
            let head = timeline.latest();
            let Some(current) = &*head else {
                if expected != Expected::Absent {
                    return conflict(&version, None);
                }
                self.clear_away(version.value().user_id());
                continue;
            };
            let actual = self.revision(&timeline, current.sequence());
            if expected != Expected::At(actual) {
                return conflict(&version, Some(actual));
            }
            match timeline.replace(head, version, self.shared.retention()) {
                Ok(published) => return Ok(self.revision(&timeline, published.sequence())),
                Err(unpublished) => version = unpublished.version,
            }
        }
    }

    /// See [`MemoryStore::update`](crate::MemoryStore::update).
    ///
    /// Takes effect like [`upsert_if`](Self::upsert_if), in the place of the very
    /// version, or of the absence, that `change` has seen; if `change` declines,
    /// where that was seen.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn update<R>(
        &self,
        user_id: &str,
        mut change: impl FnMut(Option<&StateSnapshot>) -> R,
    ) -> Result<Option<Versioned>>
    where
        R: Into<Option<StateSnapshotBuilder>>,
    {
        validate_user_id(user_id)?;
        let mut make = |current: Option<&StateSnapshot>| -> Result<_> {
            match change(current).into() {
                Some(builder) => Ok(Some(builder.user_id(user_id).build()?.into_version())),
                None => Ok(None),
            }
        };
        // Whatever is published or inserted was made from what it supersedes.
        loop {
            let Some(timeline) = self.users.get(&UserId(user_id)) else {
                let Some(mut version) = make(None)? else {
                    return Ok(None);
                };
                let first = |timeline: &Timeline<_>| self.revision(timeline, 1);
                match self.insert(&mut version, first)? {
                    Some(revision) => {
                        return Ok(Some(Versioned::new(
                            StateSnapshot::shared(version),
                            revision,
                        )));
                    }
                    None => continue,
                }
            };
            let head = timeline.latest();
            let Some(current) = &*head else {
                self.clear_away(user_id);
                continue;
            };
            let Some(version) = make(Some(current.value()))? else {
                return Ok(None);
            };
            if let Ok(published) = timeline.replace(head, version, self.shared.retention()) {
                let revision = self.revision(&timeline, published.sequence());
                return Ok(Some(Versioned::new(
                    StateSnapshot::shared(published),
                    revision,
                )));
            }
        }
    }

    /// See [`MemoryStore::patch`](crate::MemoryStore::patch).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn patch(
        &self,
        user_id: &str,
        axes: &[(&str, f32)],
        source: Source,
        confidence: f32,
    ) -> Result<Option<Versioned>> {
        let patch = Patch::new(user_id, axes, source, confidence)?;
        self.update(user_id, |current| patch.over(current))
    }

    /// See [`MemoryStore::latest`](crate::MemoryStore::latest).
    #[must_use]
    #[inline]
    pub fn latest(&self, user_id: &str) -> Option<StateSnapshot> {
        self.map_latest(user_id, Some, || None)
    }

    /// What `found` makes of the latest snapshot, or `absent` of its absence.
    // Results are so large that it counts whether one is made where it is to be.
    #[inline]
    pub(super) fn map_latest<T>(
        &self,
        user_id: &str,
        found: impl FnOnce(StateSnapshot) -> T,
        absent: impl FnOnce() -> T,
    ) -> T {
        let Some((id, timeline)) = self.users.get_key_value(&UserId(user_id)) else {
            return absent();
        };
        if let Some((_, words)) = timeline.mirrored() {
            return found(StateSnapshot::from_words(id.text(), words));
        }
        match latest_not_mirrored(&id, &timeline) {
            Some((snapshot, _)) => found(snapshot),
            None => absent(),
        }
    }

    /// See [`MemoryStore::with_latest`](crate::MemoryStore::with_latest).
    ///
    /// Takes effect where the mirror is looked into, or the head is found.
    ///
    /// A closed timeline means that the user was removed. That is the answer
    /// although the user may have been written again since: the timeline was in
    /// the map when it was found there, and as long as it is, nothing can have
    /// taken its place. So there was a moment, after the call began, at which
    /// the user was absent. The same holds for the other reads.
    #[inline]
    pub fn with_latest<R>(
        &self,
        user_id: &str,
        read: impl FnOnce(&StateSnapshot) -> R,
    ) -> Option<R> {
        let (id, timeline) = self.users.get_key_value(&UserId(user_id))?;
        match timeline.mirrored() {
            Some((_, words)) => Some(read(&StateSnapshot::from_words(id.text(), words))),
            None => with_latest_not_mirrored(&id, &timeline, read),
        }
    }

    /// See [`MemoryStore::versioned`](crate::MemoryStore::versioned).
    #[must_use]
    #[inline]
    pub fn versioned(&self, user_id: &str) -> Option<Versioned> {
        let (id, timeline) = self.users.get_key_value(&UserId(user_id))?;
        let (snapshot, sequence) = match timeline.mirrored() {
            Some((sequence, words)) => (StateSnapshot::from_words(id.text(), words), sequence),
            None => latest_not_mirrored(&id, &timeline)?,
        };
        Some(Versioned::new(snapshot, self.revision(&timeline, sequence)))
    }

    /// See [`MemoryStore::history`](crate::MemoryStore::history).
    #[must_use]
    pub fn history(&self, user_id: &str, limit: usize) -> Vec<StateSnapshot> {
        let Some(retention) = self.shared.history else {
            return Vec::new();
        };
        let Some(timeline) = self.users.get(&UserId(user_id)) else {
            return Vec::new();
        };
        timeline.history(limit, retention, StateSnapshot::shared)
    }

    /// See [`MemoryStore::contains`](crate::MemoryStore::contains).
    #[must_use]
    pub fn contains(&self, user_id: &str) -> bool {
        self.users
            .get(&UserId(user_id))
            .is_some_and(|timeline| !timeline.is_closed())
    }

    /// See [`MemoryStore::remove`](crate::MemoryStore::remove).
    pub fn remove(&self, user_id: &str) -> bool {
        let Some(timeline) = self.users.get(&UserId(user_id)) else {
            return false;
        };
        let removed = self
            .close(|| timeline.close(&self.shared.revision_floor).ok_or(()))
            .is_ok();
        self.clear_away(user_id);
        removed
    }

    /// See [`MemoryStore::clear`](crate::MemoryStore::clear).
    pub fn clear(&self) {
        self.retain(|_| false);
    }

    /// See [`MemoryStore::for_each`](crate::MemoryStore::for_each).
    pub fn for_each(&self, mut visit: impl FnMut(&StateSnapshot)) {
        for (_, timeline) in self.users.iter() {
            if let Some(version) = &*timeline.latest() {
                visit(version.value());
            }
        }
    }

    /// See [`MemoryStore::retain`](crate::MemoryStore::retain).
    ///
    /// A removal takes effect when the timeline is closed, and that succeeds
    /// only in the place of the very snapshot that `keep` has seen. A snapshot
    /// that came after it is shown to `keep` in its turn.
    pub fn retain(&self, mut keep: impl FnMut(&StateSnapshot) -> bool) -> usize {
        let mut removed = 0;
        for (user_id, timeline) in self.users.iter() {
            let mut head = timeline.latest();
            while let Some(version) = &*head {
                if keep(version.value()) {
                    break;
                }
                match self.close(|| timeline.close_at(head, &self.shared.revision_floor)) {
                    Ok(()) => {
                        removed += 1;
                        self.unlink_closed(user_id.as_str());
                        break;
                    }
                    Err(found) => head = found,
                }
            }
        }
        self.reclaim();
        removed
    }

    /// See [`MemoryStore::stats`](crate::MemoryStore::stats).
    #[must_use]
    pub fn stats(&self) -> Stats {
        let newest = self.users.iter().filter_map(|(_, timeline)| {
            let latest = timeline.latest();
            latest.as_ref().map(|version| version.sequence())
        });
        self.shared.tally.stats(newest, self.shared.retention())
    }

    fn revision(&self, timeline: &Timeline<StateSnapshot>, sequence: u64) -> Revision {
        Revision::from(timeline.revision(sequence, &self.shared.revision_floor))
    }

    /// Puts a user who is not there into the map, and calls `inserted` with the
    /// timeline; `None` if the user is there after all.
    ///
    /// A new user takes effect at the insertion. If another thread inserts
    /// first, nothing is lost: `version` stays in the caller's hand, for an
    /// update of that thread's timeline.
    fn insert<T>(
        &self,
        version: &mut Arc<Version<StateSnapshot>>,
        inserted: impl FnOnce(&Timeline<StateSnapshot>) -> T,
    ) -> Result<Option<T>> {
        let key = UserKey::new(version.value().user_id_text().clone());
        let timeline = Timeline::starting_with(version);
        let Some(bound) = &self.shared.bound else {
            let timeline = self.users.try_insert(key, timeline);
            return Ok(timeline.ok().map(|timeline| inserted(&timeline)));
        };
        let user_id = version.value().user_id();
        bound.admit(
            || {
                let timeline = self.users.try_insert(key, timeline);
                timeline.ok().map(|timeline| inserted(&timeline))
            },
            || self.users.get(&UserId(user_id)).is_some(),
        )
    }

    /// Closes a timeline by `close`, which returns its last sequence, and takes
    /// account of the user who is gone.
    fn close<E>(&self, close: impl FnOnce() -> Result<u64, E>) -> Result<(), E> {
        let last = match &self.shared.bound {
            Some(bound) => bound.dismiss(close),
            None => close(),
        }?;
        self.shared.tally.removed(last, self.shared.retention());
        Ok(())
    }

    /// Takes a closed timeline out of the map, and out of memory, whoever closed
    /// it: its removal has taken effect, but may not have got here yet.
    fn clear_away(&self, user_id: &str) {
        self.unlink_closed(user_id);
        self.reclaim();
    }

    /// A timeline that is open stays: it is another one, which has come since.
    fn unlink_closed(&self, user_id: &str) {
        let _ = self
            .users
            .remove_if(&UserId(user_id), |_, timeline| timeline.is_closed());
    }

    /// Has what this thread unlinked reclaimed as soon as nobody reads it any
    /// more. Otherwise the entries, and the ids in them, would stay in memory
    /// until this thread has unlinked enough of them to make a batch.
    fn reclaim(&self) {
        self.shared.users.guard().flush();
    }
}

/// The latest snapshot, which was not in the mirror, and its sequence.
// Apart, so that it is not in the way of what is read from the mirror.
#[cold]
fn latest_not_mirrored(
    id: &UserKey,
    timeline: &Timeline<StateSnapshot>,
) -> Option<(StateSnapshot, u64)> {
    if let Some((sequence, words)) = timeline.mirrored_again() {
        return Some((StateSnapshot::from_words(id.text(), words), sequence));
    }
    let version = timeline.head_version()?;
    let sequence = version.sequence();
    Some((StateSnapshot::shared(version), sequence))
}

/// The same for a closure, without a reference count.
#[cold]
fn with_latest_not_mirrored<R>(
    id: &UserKey,
    timeline: &Timeline<StateSnapshot>,
    read: impl FnOnce(&StateSnapshot) -> R,
) -> Option<R> {
    if let Some((_, words)) = timeline.mirrored_again() {
        return Some(read(&StateSnapshot::from_words(id.text(), words)));
    }
    let latest = timeline.latest();
    latest.as_ref().map(|version| read(version.value()))
}

impl<S> fmt::Debug for PinnedView<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedView").finish_non_exhaustive()
    }
}
