//! The store's operations, on a pin.

use std::fmt;
use std::hash::BuildHasher;

use smol_str::SmolStr;

use super::Shared;
use crate::snapshot::SnapshotData;
use crate::sync::{HashMapRef, LocalGuard, Reclaim as _};
use crate::timeline::Timeline;
use crate::{Revision, StateSnapshot, Versioned};

/// A [`MemoryStore`](crate::MemoryStore) under one pin, made by
/// [`MemoryStore::pin`](crate::MemoryStore::pin).
///
/// It has the store's operations, with the same meaning. It does not freeze the
/// store: every operation sees the state of its own moment.
///
/// It belongs to the thread that made it (it is not `Send`).
pub struct PinnedView<'a, S> {
    shared: &'a Shared<S>,
    users: HashMapRef<'a, SmolStr, Timeline<SnapshotData>, S, LocalGuard<'a>>,
}

impl<'a, S: BuildHasher> PinnedView<'a, S> {
    pub(super) fn new(shared: &'a Shared<S>) -> Self {
        Self {
            shared,
            users: shared.users.pin(),
        }
    }

    /// See [`MemoryStore::upsert`](crate::MemoryStore::upsert).
    pub fn upsert(&self, snapshot: StateSnapshot) {
        let mut version = snapshot.0;
        // The loop goes round only when another thread has, in between, made or
        // removed this very user; whichever it was has taken effect.
        loop {
            if let Some(timeline) = self.users.get(version.value().user_id.as_str()) {
                match timeline.publish(version, self.shared.retention()) {
                    Ok(()) => return,
                    // Closed: its removal took effect before us, and may not
                    // have got to the map yet.
                    Err(unpublished) => {
                        version = unpublished;
                        self.unlink_closed(&version.value().user_id);
                        self.reclaim();
                    }
                }
            } else {
                // A new user takes effect at the insertion. If another thread
                // inserts first, this is an update of its timeline: nothing is
                // lost, because `version` stays in hand.
                let timeline = Timeline::starting_with(&mut version);
                let user_id = version.value().user_id.clone();
                if self.users.try_insert(user_id, timeline).is_ok() {
                    return;
                }
            }
        }
    }

    /// See [`MemoryStore::latest`](crate::MemoryStore::latest).
    #[must_use]
    pub fn latest(&self, user_id: &str) -> Option<StateSnapshot> {
        self.with_latest(user_id, StateSnapshot::clone)
    }

    /// See [`MemoryStore::with_latest`](crate::MemoryStore::with_latest).
    ///
    /// A closed timeline means that the user was removed. That is the answer
    /// although the user may have been written again since: the timeline was in
    /// the map when it was found there, and as long as it is, nothing can have
    /// taken its place. So there was a moment, after the call began, at which
    /// the user was absent. The same holds for the other reads.
    pub fn with_latest<R>(
        &self,
        user_id: &str,
        read: impl FnOnce(&StateSnapshot) -> R,
    ) -> Option<R> {
        let latest = self.users.get(user_id)?.latest();
        latest
            .as_ref()
            .map(|version| read(StateSnapshot::of_version(version)))
    }

    /// See [`MemoryStore::versioned`](crate::MemoryStore::versioned).
    #[must_use]
    pub fn versioned(&self, user_id: &str) -> Option<Versioned> {
        let timeline = self.users.get(user_id)?;
        let latest = timeline.latest();
        latest.as_ref().map(|version| {
            let revision = timeline.revision(version, &self.shared.revision_floor);
            Versioned::new(
                StateSnapshot::of_version(version).clone(),
                Revision::from(revision),
            )
        })
    }

    /// See [`MemoryStore::history`](crate::MemoryStore::history).
    #[must_use]
    pub fn history(&self, user_id: &str, limit: usize) -> Vec<StateSnapshot> {
        let Some(retention) = self.shared.history else {
            return Vec::new();
        };
        let Some(timeline) = self.users.get(user_id) else {
            return Vec::new();
        };
        // Collected in place: a snapshot is a version's handle and nothing more.
        timeline
            .history(limit, retention)
            .into_iter()
            .map(StateSnapshot)
            .collect()
    }

    /// See [`MemoryStore::contains`](crate::MemoryStore::contains).
    #[must_use]
    pub fn contains(&self, user_id: &str) -> bool {
        self.users
            .get(user_id)
            .is_some_and(|timeline| !timeline.is_closed())
    }

    /// See [`MemoryStore::remove`](crate::MemoryStore::remove).
    pub fn remove(&self, user_id: &str) -> bool {
        let Some(timeline) = self.users.get(user_id) else {
            return false;
        };
        let removed = timeline.close(&self.shared.revision_floor);
        self.unlink_closed(user_id);
        self.reclaim();
        removed
    }

    /// See [`MemoryStore::clear`](crate::MemoryStore::clear).
    pub fn clear(&self) {
        for (user_id, timeline) in self.users.iter() {
            timeline.close(&self.shared.revision_floor);
            self.unlink_closed(user_id.as_str());
        }
        self.reclaim();
    }

    /// Takes a closed timeline out of the map, whoever closed it. A timeline
    /// that is open stays: it is another one, which has come since.
    fn unlink_closed(&self, user_id: &str) {
        let _ = self
            .users
            .remove_if(user_id, |_, timeline| timeline.is_closed());
    }

    /// Has what this thread unlinked reclaimed as soon as nobody reads it any
    /// more. Otherwise the entries, and the ids in them, would stay in memory
    /// until this thread has unlinked enough of them to make a batch.
    fn reclaim(&self) {
        self.shared.users.guard().flush();
    }
}

impl<S> fmt::Debug for PinnedView<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedView").finish_non_exhaustive()
    }
}
