//! Reads without a barrier.

use std::fmt;

use super::Core;
use super::message::Entry;
use crate::revision::Revision;
use crate::snapshot::State;
use crate::versioned::Versioned;

/// Reads of what this process has seen of the stream: from memory, without waiting. Made by
/// [`JetStreamStore::local`](super::JetStreamStore::local).
///
/// A read shows
/// - what this process has written, once that write has returned, unless the replica lagged
///   by more than a second: a write waits no longer for it;
/// - never an older state of a user than an earlier read of this process has shown, unless
///   the stream was made anew in between, or the replica starts over while it knows that it
///   has missed messages;
/// - what other processes have written, as soon as it was delivered: within milliseconds as
///   a rule, and not at all while the servers cannot be reached.
///
/// While the replica lags, messages that were already removed from the stream are not
/// delivered. Then a history can have holes, and a user who was deleted can still be shown,
/// until the replica has caught up. Reads through the contract show neither.
///
/// How far behind it is, [`stats`](super::JetStreamStore::stats) says: `pending` messages as
/// of the last one that was delivered, and `silence` since the servers were last heard of.
///
/// A user whose [time to live](super::JetStreamStoreBuilder::time_to_live) is over is not
/// shown. A message that is no snapshot of its user is left out.
#[derive(Clone, Copy)]
pub struct Local<'s> {
    core: &'s Core,
}

impl<'s> Local<'s> {
    pub(super) fn new(core: &'s Core) -> Self {
        Self { core }
    }

    /// Whether the time to live of a user with this latest entry goes on.
    fn is_there(&self, latest: &Entry) -> bool {
        !self.core.replica.clock().is_over(latest)
    }

    fn latest(&self, user_id: &str) -> Option<Entry> {
        let latest = self.core.replica.users().get(user_id)?;
        self.is_there(&latest).then_some(latest)
    }

    /// The latest state of a user, or `None` if there is none. As
    /// [`MemoryStore::get`](crate::MemoryStore::get): never blocks; allocates nothing.
    #[must_use]
    pub fn get(&self, user_id: &str) -> Option<State> {
        self.latest(user_id)?.state
    }

    /// Calls `read` with the latest state of a user, if there is one. As
    /// [`MemoryStore::with`](crate::MemoryStore::with).
    pub fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R> {
        let users = self.core.replica.users();
        users.with(user_id, |entry| {
            let there = self.is_there(entry).then_some(entry)?;
            there.state.as_ref().map(read)
        })?
    }

    /// The latest state of a user with its revision and the time of its write.
    #[must_use]
    pub fn get_versioned(&self, user_id: &str) -> Option<Versioned<State>> {
        self.latest(user_id)?.into_versioned()
    }

    /// The newest states of a user, newest first, the latest included: at most `limit`, and
    /// at most as many as the store keeps. Empty if the store keeps no history; the latest
    /// alone if it [follows](super::JetStreamStoreBuilder::follow) no more than that.
    #[must_use]
    pub fn history(&self, user_id: &str, limit: usize) -> Vec<Versioned<State>> {
        if self.core.history.is_none() {
            return Vec::new();
        }
        let entries = self.core.replica.users().history(user_id, limit);
        if entries
            .first()
            .is_none_or(|latest| !self.is_there(&latest.value))
        {
            return Vec::new();
        }
        let entries = entries.into_iter().map(|entry| entry.value);
        entries.filter_map(Entry::into_versioned).collect()
    }

    /// Whether there is something of the user. Never blocks; allocates nothing.
    #[must_use]
    pub fn contains(&self, user_id: &str) -> bool {
        let users = self.core.replica.users();
        users.with(user_id, |entry| self.is_there(entry)) == Some(true)
    }

    /// How many users there are, with those whose time to live is over and who were not
    /// taken out yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.replica.users().len()
    }

    /// Whether there are no users.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `visit` with each user's id and latest state, in no order. As
    /// [`MemoryStore::for_each`](crate::MemoryStore::for_each).
    pub fn for_each(&self, mut visit: impl FnMut(&str, &State)) {
        self.core.replica.users().for_each(|user_id, entry| {
            if let Some(state) = &entry.state
                && self.is_there(entry)
            {
                visit(user_id, state);
            }
        });
    }
}

impl fmt::Debug for Local<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("users", &self.len())
            .finish_non_exhaustive()
    }
}

impl Entry {
    fn into_versioned(self) -> Option<Versioned<State>> {
        let revision = Revision::from(self.revision);
        Some(Versioned::new(self.state?, revision, self.written_at))
    }
}
