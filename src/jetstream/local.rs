//! Reads without a barrier.

use std::fmt;

use super::Core;
use super::hot::Known;
use super::kept::Kept;
use super::message::Entry;
use crate::revision::Revision;
use crate::snapshot::{State, validate_user_id};
use crate::store::Result;
use crate::versioned::Versioned;

/// Reads of what this process has seen of the stream: from memory, without waiting. Made by
/// [`JetStreamStore::local`](super::JetStreamStore::local).
///
/// A read shows
/// - what this process has written, once that write has returned. (A write waits at most a second
///   for the replica. If the replica lags by more, its readers see the write later);
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
///
/// # In a store that follows nobody
///
/// With [`Follow::Nobody`](crate::Follow::Nobody) these reads show the users whom the process
/// remembers: those whom it has read or written lately. `None` then means, too, that nothing
/// is remembered; [`as_of`](Self::as_of) tells which, and
/// [`get_or_fetch`](Self::get_or_fetch) asks a server. They take a lock for a moment.
///
/// What is remembered of a user does not go back, and has the process's own writes, **as long
/// as the user is remembered**. Others' writes come to it only when a read through the
/// contract finds them. What was forgotten and fetched again can be older than what was shown
/// before. Until this process has read it through the contract, `written_at` of what it has
/// written itself is by its own clock.
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
        !self.core.clock.is_over(latest)
    }

    /// Calls `read` with the latest entry of a user.
    fn with_entry<R>(&self, user_id: &str, read: impl FnOnce(&Entry) -> R) -> Option<R> {
        let read = |latest: &Entry| self.is_there(latest).then(|| read(latest));
        match &self.core.kept {
            Kept::All(replica) => replica.users().with(user_id, read)?,
            Kept::Hot(hot) => read(hot.get(user_id)?.seen.entries.first()?),
        }
    }

    /// The latest state of a user, or `None` if there is none. As
    /// [`MemoryStore::get`](crate::MemoryStore::get): allocates nothing, and never blocks in a
    /// store that has a replica.
    #[must_use]
    pub fn get(&self, user_id: &str) -> Option<State> {
        self.with(user_id, State::clone)
    }

    /// Calls `read` with the latest state of a user, if there is one. As
    /// [`MemoryStore::with`](crate::MemoryStore::with).
    pub fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R> {
        match &self.core.kept {
            // Without an epoch or a reference count, if the state is small.
            Kept::All(replica) if !self.core.clock.has_time_to_live() => {
                replica.users().with_part(user_id, read)
            }
            _ => self.with_entry(user_id, |latest| latest.state.as_ref().map(read))?,
        }
    }

    /// The latest state of a user with its revision and the time of its write.
    #[must_use]
    pub fn get_versioned(&self, user_id: &str) -> Option<Versioned<State>> {
        let latest = self.with_entry(user_id, Entry::clone)?;
        latest.into_versioned()
    }

    /// The latest state of a user: from memory if this process has something of the user,
    /// else by one request to whichever server answers, whose answer is then remembered. So
    /// it can be of use only in a store that [follows nobody](crate::Follow::Nobody); in
    /// others it is [`get_versioned`](Self::get_versioned).
    ///
    /// What a server answers may be old, too: a moment as a rule, and longer if that server
    /// is cut off from the others.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUserId`](crate::StoreError::InvalidUserId);
    /// [`StoreError::Unavailable`](crate::StoreError::Unavailable) if no server answers.
    ///
    /// ```no_run
    /// # async fn read(store: attuned_store::JetStreamStore) -> attuned_store::Result<()> {
    /// if let Some(ada) = store.local().get_or_fetch("ada").await? {
    ///     println!("{} as of {}", ada.value.get_axis("warmth"), ada.revision);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_or_fetch(&self, user_id: &str) -> Result<Option<Versioned<State>>> {
        validate_user_id(user_id)?;
        let core = self.core;
        if let Kept::Hot(hot) = &core.kept
            && hot.get(user_id).is_none()
        {
            let epoch = hot.epoch();
            let seen = core.last_at_any_server(user_id, core.deadline()).await?;
            hot.put(epoch, user_id, Known::told(seen.last, seen.clone()));
            let latest = seen.entries.into_iter().next();
            let latest = latest.filter(|latest| self.is_there(latest));
            return Ok(latest.and_then(Entry::into_versioned));
        }
        Ok(self.get_versioned(user_id))
    }

    /// The place in the log of which the other reads of this user are, as a sequence of the
    /// stream: each write with a revision up to it has been seen, or one that came after it.
    /// `None` if nothing is known of the user, which happens only in a store that
    /// [follows nobody](crate::Follow::Nobody). Takes a lock for a moment.
    #[must_use]
    pub fn as_of(&self, user_id: &str) -> Option<Revision> {
        let sequence = match &self.core.kept {
            Kept::All(replica) => replica.applied(),
            Kept::Hot(hot) => hot.get(user_id)?.as_of(),
        };
        Some(Revision::from(sequence))
    }

    /// The newest states of a user, newest first, the latest included: at most `limit`, and
    /// at most as many as the store keeps. Empty if the store keeps no history; the latest
    /// alone if it [follows](super::JetStreamStoreBuilder::follow) no more than that.
    #[must_use]
    pub fn history(&self, user_id: &str, limit: usize) -> Vec<Versioned<State>> {
        if self.core.history.is_none() {
            return Vec::new();
        }
        let entries: Vec<Entry> = match &self.core.kept {
            Kept::All(replica) => {
                let entries = replica.users().history(user_id, limit);
                entries.into_iter().map(|entry| entry.value).collect()
            }
            Kept::Hot(hot) => {
                let known = hot.get(user_id);
                let entries = known.map_or_else(Vec::new, |known| known.seen.entries.clone());
                entries.into_iter().take(limit).collect()
            }
        };
        if entries.first().is_none_or(|latest| !self.is_there(latest)) {
            return Vec::new();
        }
        let entries = entries.into_iter();
        entries.filter_map(Entry::into_versioned).collect()
    }

    /// Whether there is something of the user. Allocates nothing, and never blocks in a store
    /// that has a replica.
    #[must_use]
    pub fn contains(&self, user_id: &str) -> bool {
        self.with_entry(user_id, |_| ()).is_some()
    }

    /// How many users there are, with those whose time to live is over and who were not
    /// taken out yet. In a store that [follows nobody](crate::Follow::Nobody): of how many
    /// something is remembered, those included who are known not to be there.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.core.kept {
            Kept::All(replica) => replica.users().len(),
            Kept::Hot(hot) => hot.len(),
        }
    }

    /// Whether [`len`](Self::len) is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `visit` with each user's id and latest state, in no order. As
    /// [`MemoryStore::for_each`](crate::MemoryStore::for_each).
    pub fn for_each(&self, mut visit: impl FnMut(&str, &State)) {
        let mut visit = |user_id: &str, latest: &Entry| {
            if let Some(state) = &latest.state
                && self.is_there(latest)
            {
                visit(user_id, state);
            }
        };
        match &self.core.kept {
            Kept::All(replica) => replica.users().for_each(|id, latest| visit(id, latest)),
            Kept::Hot(hot) => hot.for_each(|id, known| {
                if let Some(latest) = known.seen.entries.first() {
                    visit(id, latest);
                }
            }),
        }
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
