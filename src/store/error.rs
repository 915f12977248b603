//! What can go wrong in a store.

use std::error::Error;
use std::fmt;

use crate::map::MapError;
use crate::redacted::Redacted;
use crate::revision::{Expected, Found, Revision};
use crate::snapshot::{SnapshotError, UserIdError};

/// The result of a store's operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why an operation of a [`StateStore`](crate::StateStore) failed.
///
/// A failed operation has changed nothing, unless the backend says otherwise of
/// [`Unavailable`](Self::Unavailable) and [`Internal`](Self::Internal) errors: one that
/// talks to another machine may not learn whether its request was carried out.
///
/// The underlying error, where there is one, is the
/// [`source`](Error::source), with its type:
///
/// ```
/// use std::error::Error;
/// use attuned_store::StoreError;
///
/// let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
/// let error = StoreError::unavailable(lost);
/// assert_eq!(error.to_string(), "the store cannot be reached: connection reset");
/// assert!(error.is_retryable());
/// let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
/// assert_eq!(source.map(|io| io.kind()), Some(std::io::ErrorKind::ConnectionReset));
/// ```
///
/// # User ids
///
/// User ids can be personal data, and errors end up in logs. One policy holds for all errors
/// and values of this crate: **neither `Display` nor `Debug` shows a whole user id.**
/// `Display` leaves it out; of an id that breaks the rules it shows the first character that
/// is not allowed. `Debug` shows at most the first four characters. The fields have the id:
///
/// ```
/// use attuned_store::StoreError;
///
/// let error = StoreError::UserNotFound { user_id: "grace-hopper".to_owned() };
/// assert_eq!(error.to_string(), "user not found");
/// assert_eq!(format!("{error:?}"), r#"UserNotFound { user_id: "grac..." }"#);
/// assert!(matches!(error, StoreError::UserNotFound { user_id } if user_id == "grace-hopper"));
/// ```
///
/// What a backend wraps in `Unavailable` and `Internal` is its own text: it should keep to
/// the policy, too.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no snapshot of the user.
    #[error("user not found")]
    UserNotFound {
        /// The id that was asked for.
        user_id: String,
    },

    /// The user id breaks the rules for user ids: one that was asked for, or one that a
    /// snapshot was to be built with.
    #[error("invalid user id: {0}")]
    InvalidUserId(#[from] UserIdError),

    /// The snapshot breaks another rule for snapshots.
    ///
    /// A [`StateSnapshot`](crate::StateSnapshot) is always valid, so this comes
    /// from operations that build one, such as reading it from a backend's own
    /// storage. The conversion from a [`SnapshotError`] makes it, and
    /// [`InvalidUserId`](Self::InvalidUserId) of a bad id.
    #[error("invalid snapshot: {0}")]
    InvalidSnapshot(#[source] SnapshotError),

    /// A conditional write or removal did not find what it expected, and changed nothing.
    #[error("conflict: expected {expected}, found {}", Found(*actual))]
    Conflict {
        /// The user that was to be written or removed.
        user_id: String,
        /// What the operation was conditional on.
        expected: Expected,
        /// The revision that was there instead, or `None` if there was none.
        actual: Option<Revision>,
    },

    /// The store has no room for another user.
    #[error("capacity exceeded: the store has its maximum of {max_users} users")]
    CapacityExceeded {
        /// How many users the store may have.
        max_users: usize,
    },

    /// The backend does not have this operation.
    #[error("unsupported operation: {operation}")]
    Unsupported {
        /// The name of the trait's method.
        operation: &'static str,
    },

    /// The backend cannot be reached now, or is too busy to answer. The same call may succeed
    /// later.
    ///
    /// Nothing is known to have changed. If a request was lost on its way, the backend may
    /// have carried it out all the same: then repeating a conditional write can be a
    /// [`Conflict`](Self::Conflict) with the caller's own first attempt.
    #[error("the store cannot be reached: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),

    /// The backend failed for a reason of its own.
    #[error("storage error: {0}")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Wraps a backend's own error as [`StoreError::Internal`].
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }

    /// Wraps a backend's own error as [`StoreError::Unavailable`].
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }

    /// Whether the same call may succeed later without anything being changed for it:
    /// [`Unavailable`](Self::Unavailable), and no other error.
    ///
    /// A [`Conflict`](Self::Conflict) is not: the caller has to read again before it writes.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// What a map refuses, for the user with this id.
    pub(crate) fn of_map(error: MapError, user_id: &str) -> Self {
        match error {
            MapError::Conflict { expected, actual } => Self::Conflict {
                user_id: user_id.to_owned(),
                expected,
                actual,
            },
            MapError::Full { max_keys } => Self::CapacityExceeded {
                max_users: max_keys,
            },
            error @ MapError::ThreadEnding => Self::internal(error),
        }
    }
}

impl From<SnapshotError> for StoreError {
    /// [`InvalidUserId`](Self::InvalidUserId) of an id that breaks the rules, so that one
    /// mistake has one error; [`InvalidSnapshot`](Self::InvalidSnapshot) of all else.
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::InvalidUserId(error) => Self::InvalidUserId(error),
            error => Self::InvalidSnapshot(error),
        }
    }
}

/// Shows at most the first four characters of a user id ([User ids](StoreError#user-ids)).
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserNotFound { user_id } => f
                .debug_struct("UserNotFound")
                .field("user_id", &Redacted(user_id))
                .finish(),
            Self::InvalidUserId(error) => f.debug_tuple("InvalidUserId").field(error).finish(),
            Self::InvalidSnapshot(error) => f.debug_tuple("InvalidSnapshot").field(error).finish(),
            Self::Conflict {
                user_id,
                expected,
                actual,
            } => f
                .debug_struct("Conflict")
                .field("user_id", &Redacted(user_id))
                .field("expected", expected)
                .field("actual", actual)
                .finish(),
            Self::CapacityExceeded { max_users } => f
                .debug_struct("CapacityExceeded")
                .field("max_users", max_users)
                .finish(),
            Self::Unsupported { operation } => f
                .debug_struct("Unsupported")
                .field("operation", operation)
                .finish(),
            Self::Unavailable(source) => f.debug_tuple("Unavailable").field(source).finish(),
            Self::Internal(source) => f.debug_tuple("Internal").field(source).finish(),
        }
    }
}
