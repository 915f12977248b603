//! The settings of a store.

mod check;
mod security;

use std::time::Duration;

pub(super) use self::security::{Auth, Tls};
use super::error::ConnectError;
use super::{JetStreamStore, connect};
#[cfg(doc)]
use crate::map::{MAX_CAPACITY, MAX_HISTORY, MAX_TIME_TO_LIVE};
use crate::memory::UserIdField;
use crate::memory::listing::PART;

/// Connects a [`JetStreamStore`]; made by [`JetStreamStore::builder`].
///
/// Its `Debug` shows no password, token, seed or key.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `connect` is called"]
pub struct JetStreamStoreBuilder {
    pub(super) servers: Vec<String>,
    pub(super) stream: String,
    pub(super) replicas: usize,
    pub(super) history: Option<usize>,
    pub(super) slack: usize,
    pub(super) follow: Follow,
    pub(super) capacity: usize,
    pub(super) cached_users: usize,
    pub(super) prefetch: u32,
    pub(super) marker_lifetime: Duration,
    pub(super) time_to_live: Option<Duration>,
    pub(super) auth: Auth,
    pub(super) tls: Tls,
    pub(super) connect_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) operation_timeout: Duration,
    pub(super) user_id_field: UserIdField,
    pub(super) users_of_a_part: usize,
}

/// What a store keeps of the log in its process: the choice of
/// [`JetStreamStoreBuilder::follow`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Follow {
    /// All users with their histories. All reads are answered from memory.
    #[default]
    Histories,
    /// The latest state of all users. Reads of the past get the user's messages from a server
    /// in one batch, and then make sure that nobody has written the user meanwhile: two round
    /// trips, and more while others write the user.
    ///
    /// A user takes the memory of one state, whatever the history is, and a store that
    /// connects gets one message of each.
    Latest,
    /// No user: for states that are larger than a process should be. Each read through the
    /// contract asks the log whether what is known of the user is still the last word: one
    /// round trip if the user is [remembered](JetStreamStoreBuilder::cached_users) and nobody
    /// has written them meanwhile, else two, and more while others write the user. Reads of
    /// the past are as in [`Latest`](Self::Latest).
    ///
    /// An upsert takes one round trip. A conditional write and a deletion take one if the
    /// user is remembered, else two. Each watch has a consumer of its own on the servers, and
    /// a list passes over the last messages of all users. What [`local`](super::Local) reads
    /// show is said there.
    ///
    /// Reads are messages: on a replicated stream, those of one user by many processes
    /// hinder each other, and conditional writes of the user.
    Nobody,
}

impl JetStreamStoreBuilder {
    pub(super) fn new(servers: Vec<String>) -> Self {
        Self {
            servers,
            stream: "ATTUNED".to_owned(),
            replicas: 3,
            history: None,
            slack: 64,
            follow: Follow::default(),
            capacity: 0,
            cached_users: 10_000,
            prefetch: 4_096,
            marker_lifetime: Duration::from_secs(24 * 60 * 60),
            time_to_live: None,
            auth: Auth::None,
            tls: Tls::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(2),
            operation_timeout: Duration::from_secs(6),
            user_id_field: UserIdField::default(),
            users_of_a_part: PART,
        }
    }

    /// The stream's name, with which its subjects begin: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_`
    /// and `-`. Default: `ATTUNED`.
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.stream = name.into();
        self
    }

    /// On how many servers the stream is: 1, 3 or 5. Default: 3, which survives the loss of
    /// any one.
    ///
    /// With 1, what was acknowledged is lost with that server's disk.
    pub fn replicas(mut self, servers: usize) -> Self {
        self.replicas = servers;
        self
    }

    /// Keeps the newest `entries` snapshots of each user, the latest included: 1 to
    /// [`MAX_HISTORY`]. Without this call no history is kept.
    ///
    /// All processes that share a stream must say the same, since the stream keeps so many
    /// messages of each user, and [`slack`](Self::slack) more.
    pub fn history(mut self, entries: usize) -> Self {
        self.history = Some(entries);
        self
    }

    /// How many messages of each user the stream keeps beyond the history: 1 to
    /// [`MAX_HISTORY`]. Default: 64.
    ///
    /// A replica that lags by no more than so many writes of a user misses none of them.
    /// More of them cost room on the servers' disks; with fewer, a replica that lags finds
    /// gaps, and reads wait longer.
    pub fn slack(mut self, messages: usize) -> Self {
        self.slack = messages;
        self
    }

    /// What the store keeps in this process. Default: [`Follow::Histories`].
    ///
    /// It is no setting of the stream: processes that share one can choose differently.
    pub fn follow(mut self, follow: Follow) -> Self {
        self.follow = follow;
        self
    }

    /// Allocates room for so many users up front, as
    /// [`MemoryStoreBuilder::capacity`](crate::MemoryStoreBuilder::capacity).
    pub fn capacity(mut self, users: usize) -> Self {
        self.capacity = users;
        self
    }

    /// How many users a store remembers that [follows nobody](Follow::Nobody): 1 to
    /// [`MAX_CAPACITY`]. Default: 10,000. Other stores ignore it.
    ///
    /// When there is no room, it forgets a user who was not used since it last looked for one
    /// to forget. A user takes the memory of the latest state and some 250 bytes; those count,
    /// too, who are remembered not to be there. Hashes divide the room into up to 16 parts, so
    /// a little of it can stay empty.
    pub fn cached_users(mut self, users: usize) -> Self {
        self.cached_users = users;
        self
    }

    /// How many messages the servers may send ahead of what the replica has applied: at
    /// least 2. Default: 4,096.
    ///
    /// More catch up faster where a round trip takes long; they wait in memory.
    pub fn prefetch(mut self, messages: u32) -> Self {
        self.prefetch = messages;
        self
    }

    /// How long the stream remembers that a user was deleted: 2 seconds or more, in whole
    /// seconds. Default: 24 hours.
    ///
    /// A replica that did not hear from the servers for half of it starts over when it is
    /// back. So it should be longer than any outage, and a deleted user costs the servers a
    /// small message for this time.
    pub fn marker_lifetime(mut self, lifetime: Duration) -> Self {
        self.marker_lifetime = lifetime;
        self
    }

    /// Forgets users whom nobody has written for this long, with their histories: at least a
    /// millisecond, and at most [`MAX_TIME_TO_LIVE`]. Without this call nobody is forgotten.
    ///
    /// It goes by the times of the servers: that of the message which has the user's latest
    /// state. A call of the contract that comes to such a user, to read or to write, takes
    /// them out of the log first, which costs the operation a message; and each store looks
    /// for them in its replica, every tenth of this time and at least once a minute. Reads
    /// through [`local`](super::Local) show no one whose time is over. So a forgotten user is
    /// gone for all processes at once, as if deleted; watches tell
    /// [`Expired`](crate::RemovalCause::Expired). While no process runs, the stream keeps all.
    ///
    /// All processes that share a stream should say the same: the shortest time rules.
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = Some(time);
        self
    }

    /// How long [`connect`](Self::connect) takes at most until it has a connection and the
    /// stream; and how long the catching up that follows may stand still. Default: 10
    /// seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long one request waits for its answer. Default: 2 seconds.
    ///
    /// An operation tries again within [`operation_timeout`](Self::operation_timeout),
    /// where that can do no harm.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long an operation takes at most, all of its requests together. A write whose
    /// outcome is not known then takes up to one `request_timeout` more to find it out.
    /// Default: 6 seconds, in which three servers elect a new leader.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// How a user's id appears on tracing spans. Default: [`UserIdField::Hash`].
    pub fn user_id_field(mut self, field: UserIdField) -> Self {
        self.user_id_field = field;
        self
    }

    /// How many users a part of a listing should have, for the tests of several parts.
    #[doc(hidden)]
    pub fn users_of_a_part(mut self, users: usize) -> Self {
        self.users_of_a_part = users.max(1);
        self
    }

    /// Connects to the servers, creates the stream or checks that it is as this store
    /// needs it, and catches up with it.
    ///
    /// It must be called inside a tokio runtime, on which the store's tasks run until the
    /// last clone of the store is dropped.
    ///
    /// # Errors
    ///
    /// A [`ConnectError`] that says what is wrong. If the stream was created, it stays.
    pub async fn connect(self) -> Result<JetStreamStore, ConnectError> {
        self.check()?;
        connect::connect(self).await
    }

    /// How many messages of each user the stream is to keep.
    pub(super) fn messages_of_user(&self) -> usize {
        self.history.unwrap_or(1) + self.slack
    }

    /// How long the histories of the replica are.
    pub(super) fn replica_history(&self) -> Option<usize> {
        self.history.filter(|_| self.follow == Follow::Histories)
    }
}
