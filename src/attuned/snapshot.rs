//! Snapshots and sources to those of `attuned_core` and back.

use crate::{SnapshotError, Source, StateSnapshot};

/// Copies a published snapshot, if it keeps the rules.
///
/// # Errors
///
/// As of [`build`](crate::StateSnapshotBuilder::build), or
/// [`UnknownSource`](SnapshotError::UnknownSource). Of several broken rules it
/// names one, as [`validate`](attuned_core::StateSnapshot::validate) does: the
/// same one, unless the source is unknown.
impl TryFrom<&attuned_core::StateSnapshot> for StateSnapshot {
    type Error = SnapshotError;

    fn try_from(published: &attuned_core::StateSnapshot) -> Result<Self, SnapshotError> {
        let axes = published.axes.iter().map(|(name, value)| (name, *value));
        Self::builder()
            .user_id(&published.user_id)
            .updated_at(published.updated_at_unix_ms)
            .source(Source::try_from(published.source.clone())?)
            .confidence(published.confidence)
            .axes(axes)
            .build()
    }
}

/// As from a reference: nothing of a published snapshot can be used again.
impl TryFrom<attuned_core::StateSnapshot> for StateSnapshot {
    type Error = SnapshotError;

    fn try_from(published: attuned_core::StateSnapshot) -> Result<Self, SnapshotError> {
        Self::try_from(&published)
    }
}

/// Copies a snapshot: an allocation for the user id and for each axis, and
/// those of the map.
impl From<&StateSnapshot> for attuned_core::StateSnapshot {
    fn from(snapshot: &StateSnapshot) -> Self {
        Self {
            user_id: snapshot.user_id().to_owned(),
            updated_at_unix_ms: snapshot.updated_at_unix_ms(),
            source: snapshot.source().into(),
            confidence: snapshot.confidence(),
            axes: snapshot
                .axes()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }
}

/// As from a reference: nothing of a snapshot can be used again.
impl From<StateSnapshot> for attuned_core::StateSnapshot {
    fn from(snapshot: StateSnapshot) -> Self {
        Self::from(&snapshot)
    }
}

/// # Errors
///
/// [`SnapshotError::UnknownSource`] if the source is one that `attuned-core` has
/// got after version 1.0.1: it reserves the right to add some.
impl TryFrom<attuned_core::Source> for Source {
    type Error = SnapshotError;

    fn try_from(published: attuned_core::Source) -> Result<Self, SnapshotError> {
        match published {
            attuned_core::Source::SelfReport => Ok(Self::SelfReport),
            attuned_core::Source::Inferred => Ok(Self::Inferred),
            attuned_core::Source::Mixed => Ok(Self::Mixed),
            unknown => Err(SnapshotError::UnknownSource {
                name: unknown.to_string(),
            }),
        }
    }
}

impl From<Source> for attuned_core::Source {
    fn from(source: Source) -> Self {
        match source {
            Source::SelfReport => Self::SelfReport,
            Source::Inferred => Self::Inferred,
            Source::Mixed => Self::Mixed,
        }
    }
}
