//! This crate's errors as those of `attuned_store` 1.

use attuned_core::ValidationError;
use attuned_store_v1::StoreError as PublishedError;

use crate::{SnapshotError, StoreError, UserIdError};

/// What breaks a rule becomes the [`ValidationError`] of that rule, an absent
/// user an absent user, and all else `Internal` with the error as its source. There is
/// no [`ValidationError`] of too many axes.
///
/// An axis name in a [`ValidationError`] is only the start of one that is too
/// long.
impl From<StoreError> for PublishedError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::UserNotFound { user_id } => Self::UserNotFound { user_id },
            StoreError::InvalidUserId(error) => from_snapshot_error(error.into()),
            StoreError::InvalidSnapshot(error) => from_snapshot_error(error),
            StoreError::Internal(source) => Self::Internal {
                message: source.to_string(),
                source: Some(source),
            },
            other => Self::internal_with_source(other.to_string(), other),
        }
    }
}

fn from_snapshot_error(error: SnapshotError) -> PublishedError {
    let published = match error {
        SnapshotError::MissingUserId => ValidationError::MissingField {
            field: "user_id".to_owned(),
        },
        SnapshotError::InvalidUserId(UserIdError::Empty) => ValidationError::EmptyUserId,
        SnapshotError::InvalidUserId(UserIdError::TooLong { max, .. }) => {
            ValidationError::UserIdTooLong { max }
        }
        SnapshotError::InvalidUserId(UserIdError::InvalidCharacter { .. }) => {
            ValidationError::InvalidUserIdChars
        }
        SnapshotError::ConfidenceOutOfRange { value } => {
            ValidationError::ConfidenceOutOfRange { value }
        }
        SnapshotError::InvalidAxisName { axis } => ValidationError::InvalidAxisName { axis },
        SnapshotError::AxisOutOfRange { axis, value } => {
            ValidationError::AxisOutOfRange { axis, value }
        }
        // The published errors have none for these.
        other @ (SnapshotError::UnknownSource { .. } | SnapshotError::TooManyAxes { .. }) => {
            return PublishedError::internal_with_source(other.to_string(), other);
        }
    };
    published.into()
}
