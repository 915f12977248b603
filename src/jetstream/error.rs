//! What can go wrong between a store and its servers.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::map::ConfigError;
use crate::store::StoreError;

/// Why an operation of a [`JetStreamStore`](super::JetStreamStore) failed: the
/// [`source`](Error::source) of the [`StoreError`] that it returned.
///
/// In a [`StoreError::Unavailable`] it means that nothing has changed and a later try may succeed.
/// All others come in a [`StoreError::Internal`].
///
/// ```
/// use std::error::Error;
/// use attuned_store::{JetStreamError, StoreError};
///
/// fn may_have_been_written(error: &StoreError) -> bool {
///     let source = error.source().and_then(|source| source.downcast_ref::<JetStreamError>());
///     matches!(source, Some(JetStreamError::OutcomeUnknown))
/// }
/// # assert!(!may_have_been_written(&StoreError::internal("something else")));
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JetStreamError {
    /// The client is not connected to any server. Nothing was sent.
    #[error("not connected to a server")]
    Disconnected,

    /// No server answers for the stream: it has no leader now, or is gone. Nothing was
    /// written.
    #[error("no server answers for the stream")]
    NoResponders,

    /// No answer came in time. The operation was to change nothing, so nothing has changed.
    #[error("no answer in time")]
    TimedOut,

    /// The write was sent, and whether it was carried out could not be found out in time.
    /// It may even be carried out after this error was returned, but at most once.
    #[error("no answer in time: the write may or may not have been carried out")]
    OutcomeUnknown,

    /// The replica of this process lags so far behind the log that it could not answer in
    /// time.
    #[error("the replica is too far behind")]
    ReplicaBehind,

    /// The stream was deleted and made anew, and the replica has to begin anew, too.
    #[error("the stream was made anew")]
    StreamReplaced,

    /// The snapshot is larger than what a server takes. Nothing was sent.
    #[error("a message of {bytes} bytes exceeds the server's maximum of {max}")]
    MessageTooLarge {
        /// The size of the snapshot as JSON, with what goes with it.
        bytes: usize,
        /// The server's `max_payload`.
        max: usize,
    },

    /// A server refused the request. Nothing has changed.
    #[error("the server refused ({code}): {description}")]
    Refused {
        /// The error code of the JetStream API.
        code: u64,
        /// The server's words.
        description: String,
    },

    /// What lies in the stream for this user is no snapshot: another program wrote it, or
    /// a later version of this one. The next write of the user replaces it as the latest,
    /// and a deletion removes it.
    ///
    /// The message leaves the user out; the field has the subject.
    #[error("message {sequence} of the stream is no snapshot of its user")]
    Unreadable {
        /// The subject, which ends with the user id.
        subject: String,
        /// The message's sequence in the stream, which is its revision, too.
        sequence: u64,
    },

    /// The client failed in another way.
    #[error("{0}")]
    Client(#[source] Arc<dyn Error + Send + Sync>),
}

/// Shows no user id, and no subject, which has one.
impl fmt::Debug for JetStreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JetStreamError({self})")
    }
}

impl JetStreamError {
    pub(super) fn client(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Client(Arc::new(source))
    }

    /// Whether a conditional write was refused because the last message of its user is
    /// another one than expected. The second code can also mean that the server could not
    /// tell, while other writes were under way.
    pub(super) fn is_wrong_sequence(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                code: 10071 | 10164,
                ..
            }
        )
    }

    /// Whether the server could not tell, because another write of the user is under way there.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Refused { code: 10164, .. })
    }

    /// Whether a message with the same id is under way on the server.
    pub(super) fn is_in_process(&self) -> bool {
        matches!(self, Self::Refused { code: 10158, .. })
    }

    /// Whether nothing is known to have changed, and a later try may succeed.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Disconnected
            | Self::NoResponders
            | Self::TimedOut
            | Self::ReplicaBehind
            | Self::StreamReplaced => true,
            Self::Refused { code, .. } => TEMPORARY.contains(code),
            _ => false,
        }
    }
}

/// JetStream not available now; no peers or no leader; resources that may come back.
const TEMPORARY: [u64; 4] = [10005, 10008, 10009, 10023];

impl From<JetStreamError> for StoreError {
    fn from(error: JetStreamError) -> Self {
        if error.is_temporary() {
            Self::unavailable(error)
        } else {
            Self::internal(error)
        }
    }
}

/// Why a [`JetStreamStore`](super::JetStreamStore) could not be connected.
///
/// No message shows a password, token, seed or key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A setting of the replica is out of bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// The name cannot be that of a stream and the beginning of subjects.
    #[error("the stream name {name:?} is not 1 to 64 of A-Z, a-z, 0-9, _ and -")]
    InvalidStreamName {
        /// The name that was given.
        name: String,
    },

    /// A setting makes no sense.
    #[error("{setting} must be {rule}")]
    InvalidSetting {
        /// The builder's method.
        setting: &'static str,
        /// What it must be.
        rule: &'static str,
    },

    /// A server's address cannot be read, or has a user name or password in it, which
    /// belong into
    /// [`user_and_password`](super::JetStreamStoreBuilder::user_and_password).
    // The address is left out, since it may have a password in it.
    #[error("address {index} of the servers is invalid: {reason}")]
    InvalidAddress {
        /// Which of the addresses, from 0.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The credentials cannot be used as they are. What is wrong is not said in more detail,
    /// since that could show parts of them.
    #[error("the {kind} is malformed or cannot be read")]
    InvalidCredentials {
        /// Which kind of credentials.
        kind: &'static str,
    },

    /// The server refused the credentials.
    #[error("the server refused the credentials")]
    Unauthorized,

    /// No server could be reached, or the connection could not be secured.
    #[error("no server could be connected to: {0}")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),

    /// The server lacks what the store needs.
    #[error("the server has version {found}, but {needed} or later is needed")]
    ServerTooOld {
        /// The server's version.
        found: String,
        /// The oldest version that will do.
        needed: &'static str,
    },

    /// The stream is configured in another way than the store needs.
    #[error("the stream {stream} is configured otherwise: {}", Listed(differences))]
    StreamDiffers {
        /// The stream's name.
        stream: String,
        /// All that differs.
        differences: Vec<StreamDifference>,
    },

    /// The stream could not be looked up or made: JetStream is off, the permissions do not
    /// suffice, or there are too few servers.
    #[error("the stream cannot be used: {0}")]
    Stream(#[source] Box<dyn Error + Send + Sync>),

    /// Connecting and catching up took longer than
    /// [`connect_timeout`](super::JetStreamStoreBuilder::connect_timeout).
    #[error("not connected and caught up in time, while {during}")]
    TimedOut {
        /// What was being done.
        during: &'static str,
    },
}

/// A setting of a stream that is not as the store needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamDifference {
    /// The setting, by its name in the stream's configuration.
    pub setting: &'static str,
    /// What the store needs.
    pub needed: String,
    /// What the stream has.
    pub found: String,
}

impl fmt::Display for StreamDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            needed,
            found,
        } = self;
        write!(f, "{setting} is {found}, needed is {needed}")
    }
}

struct Listed<'a>(&'a [StreamDifference]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            difference.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_display_nor_debug_shows_a_user_id() {
        let error = JetStreamError::Unreadable {
            subject: "USERS.u.ada-lovelace".to_owned(),
            sequence: 7,
        };
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains("ada"), "{shown}");
            assert!(shown.contains("message 7 of the stream"), "{shown}");
        }
        let error = StoreError::from(error);
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains("ada"), "{shown}");
        }
    }

    #[test]
    fn differences_are_listed() {
        let difference = |setting, needed: &str, found: &str| StreamDifference {
            setting,
            needed: needed.to_owned(),
            found: found.to_owned(),
        };
        let error = ConnectError::StreamDiffers {
            stream: "USERS".to_owned(),
            differences: vec![
                difference("num_replicas", "3", "1"),
                difference("storage", "file", "memory"),
            ],
        };
        let expected = "the stream USERS is configured otherwise: num_replicas is 1, needed is 3; \
                        storage is memory, needed is file";
        assert_eq!(error.to_string(), expected);
    }
}
