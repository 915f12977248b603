//! What can go wrong in a store.

use std::error::Error;

use crate::map::MapError;
use crate::revision::{Expected, Found, Revision};
use crate::snapshot::{SnapshotError, UserIdError};

/// The result of a store's operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why an operation of a [`StateStore`](crate::StateStore) failed.
///
/// A failed operation has changed nothing, unless the backend says otherwise
/// of [`Internal`](Self::Internal) errors: one that talks to another machine
/// may not learn whether its request was carried out.
///
/// The underlying error, where there is one, is the
/// [`source`](Error::source), with its type:
///
/// ```
/// use std::error::Error;
/// use attuned_store::StoreError;
///
/// let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
/// let error = StoreError::internal(lost);
/// assert_eq!(error.to_string(), "storage error: connection reset");
/// let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
/// assert_eq!(source.map(|io| io.kind()), Some(std::io::ErrorKind::ConnectionReset));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no snapshot of the user.
    #[error("user not found: {user_id}")]
    UserNotFound {
        /// The id that was asked for.
        user_id: String,
    },

    /// The user id breaks the rules for user ids.
    #[error("invalid user id: {0}")]
    InvalidUserId(#[from] UserIdError),

    /// The snapshot breaks the rules for snapshots.
    ///
    /// A [`StateSnapshot`](crate::StateSnapshot) is always valid, so this comes
    /// from operations that build one, such as reading it from a backend's own
    /// storage.
    #[error("invalid snapshot: {0}")]
    InvalidSnapshot(#[from] SnapshotError),

    /// A conditional write did not find what it expected, and wrote nothing.
    ///
    /// The message leaves the user id out: conflicts are ordinary, and end up in
    /// logs and on spans that are to be without ids.
    #[error("conflict: expected {expected}, found {}", Found(*actual))]
    Conflict {
        /// The user that was to be written.
        user_id: String,
        /// What the write was conditional on.
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

    /// The backend failed for a reason of its own.
    #[error("storage error: {0}")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Wraps a backend's own error as [`StoreError::Internal`].
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }
}

impl StoreError {
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
