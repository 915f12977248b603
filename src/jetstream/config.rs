//! The settings of a store.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::error::ConnectError;
use super::{JetStreamStore, connect};
use crate::map::{ConfigError, MAX_CAPACITY, MAX_HISTORY, MAX_TIME_TO_LIVE};
use crate::memory::UserIdField;

const MAX_STREAM_NAME_BYTES: usize = 64;

/// Server-side times are in whole seconds, of which one is the shortest.
const SHORTEST_MARKER_LIFETIME: Duration = Duration::from_secs(2);

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

/// How the client says who it is.
#[derive(Clone)]
pub(super) enum Auth {
    None,
    UserAndPassword(String, String),
    Token(String),
    NKey(String),
    CredentialsFile(PathBuf),
}

/// Which kind, and nothing else.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::UserAndPassword(..) => "UserAndPassword(..)",
            Self::Token(_) => "Token(..)",
            Self::NKey(_) => "NKey(..)",
            Self::CredentialsFile(_) => "CredentialsFile(..)",
        })
    }
}

/// Files, not what is in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    pub required: bool,
    pub roots: Option<PathBuf>,
    pub certificate_and_key: Option<(PathBuf, PathBuf)>,
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

    /// Logs in with a user name and a password.
    pub fn user_and_password(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.auth = Auth::UserAndPassword(user.into(), password.into());
        self
    }

    /// Logs in with a token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.auth = Auth::Token(token.into());
        self
    }

    /// Logs in with an NKey, of which this is the seed.
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.auth = Auth::NKey(seed.into());
        self
    }

    /// Logs in with a credentials file: a JWT and the seed of its NKey.
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.auth = Auth::CredentialsFile(path.into());
        self
    }

    /// Refuses connections without TLS. An address that begins with `tls://` does so, too.
    pub fn require_tls(mut self) -> Self {
        self.tls.required = true;
        self
    }

    /// Trusts the certificates in this PEM file, and not those that the system trusts.
    /// Requires TLS.
    pub fn tls_roots(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.roots = Some(path.into());
        self.require_tls()
    }

    /// Shows the servers this certificate, with the private key in the other PEM file.
    /// Requires TLS.
    pub fn tls_client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.tls.certificate_and_key = Some((certificate.into(), key.into()));
        self.require_tls()
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

    fn check(&self) -> Result<(), ConnectError> {
        let name = &self.stream;
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=MAX_STREAM_NAME_BYTES).contains(&name.len()) || !name.bytes().all(in_name) {
            return Err(ConnectError::InvalidStreamName {
                name: name.chars().take(MAX_STREAM_NAME_BYTES).collect(),
            });
        }
        match self.history {
            Some(0) => return Err(ConfigError::HistoryZero.into()),
            Some(requested) if requested > MAX_HISTORY => {
                let max = MAX_HISTORY;
                return Err(ConfigError::HistoryTooLarge { requested, max }.into());
            }
            _ => {}
        }
        if self.capacity > MAX_CAPACITY {
            let (requested, max) = (self.capacity, MAX_CAPACITY);
            return Err(ConfigError::CapacityTooLarge { requested, max }.into());
        }
        let invalid = |setting, rule| Err(ConnectError::InvalidSetting { setting, rule });
        if !(1..=MAX_CAPACITY).contains(&self.cached_users) {
            return invalid("cached_users", "1 to MAX_CAPACITY");
        }
        if let Some(time) = self.time_to_live
            && !(Duration::from_millis(1)..=MAX_TIME_TO_LIVE).contains(&time)
        {
            return invalid("time_to_live", "a millisecond to MAX_TIME_TO_LIVE");
        }
        if self.servers.is_empty() {
            return invalid("builder", "given at least one server");
        }
        if !matches!(self.replicas, 1 | 3 | 5) {
            return invalid("replicas", "1, 3 or 5");
        }
        // One is what tells whether there was more than the history shows.
        if !(1..=MAX_HISTORY).contains(&self.slack) {
            return invalid("slack", "1 to MAX_HISTORY");
        }
        if self.prefetch < 2 {
            return invalid("prefetch", "at least 2");
        }
        if self.marker_lifetime < SHORTEST_MARKER_LIFETIME
            || self.marker_lifetime.subsec_nanos() > 0
        {
            return invalid("marker_lifetime", "2 seconds or more, in whole seconds");
        }
        for (setting, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
            ("operation_timeout", self.operation_timeout),
        ] {
            if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
                return invalid(setting, "more than 0 and at most an hour");
            }
        }
        Ok(())
    }
}

const LONGEST_TIMEOUT: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> JetStreamStoreBuilder {
        JetStreamStoreBuilder::new(vec!["127.0.0.1:4222".to_owned()])
    }

    #[test]
    fn no_secret_is_shown() {
        let builders = [
            builder().user_and_password("service", "hunter2"),
            builder().token("hunter2"),
            builder().nkey("hunter2"),
        ];
        for builder in builders {
            let shown = format!("{builder:?} {builder:#?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn settings_out_of_bounds_are_named() {
        let refused = |builder: JetStreamStoreBuilder| builder.check().unwrap_err().to_string();
        assert_eq!(
            refused(builder().stream("a.b")),
            r#"the stream name "a.b" is not 1 to 64 of A-Z, a-z, 0-9, _ and -"#
        );
        assert!(refused(builder().history(0)).contains("at least 1 entry"));
        assert!(refused(builder().history(MAX_HISTORY + 1)).contains("exceeds the maximum"));
        assert!(refused(builder().capacity(MAX_CAPACITY + 1)).contains("exceeds the maximum"));
        assert_eq!(refused(builder().replicas(2)), "replicas must be 1, 3 or 5");
        let short = Duration::from_millis(1_500);
        assert!(refused(builder().marker_lifetime(short)).starts_with("marker_lifetime must be"));
        for time in [Duration::ZERO, Duration::MAX] {
            assert!(refused(builder().time_to_live(time)).starts_with("time_to_live must be"));
        }
        assert!(refused(builder().request_timeout(Duration::ZERO)).starts_with("request_timeout"));
        assert!(refused(JetStreamStoreBuilder::new(Vec::new())).contains("at least one server"));
        assert!(builder().check().is_ok());
    }
}
