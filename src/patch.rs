//! The rule by which a patch changes a snapshot.

use crate::snapshot::validate_user_id;
use crate::{Result, Source, StateSnapshot, StateSnapshotBuilder};

/// Values for some of the axes of a user's snapshot.
pub(crate) struct Patch(StateSnapshot);

impl Patch {
    /// Everything is checked here, so that no invalid value goes unnoticed
    /// because the rule leaves it out.
    pub(crate) fn new(
        user_id: &str,
        axes: &[(&str, f32)],
        source: Source,
        confidence: f32,
    ) -> Result<Self> {
        validate_user_id(user_id)?;
        let patch = StateSnapshot::builder()
            .user_id(user_id)
            .source(source)
            .confidence(confidence)
            .axes(axes.iter().copied())
            .build()?;
        Ok(Self(patch))
    }

    /// What becomes of `current`, or `None` if nothing would change. The rule is
    /// documented at [`StateStoreExt::patch`](crate::StateStoreExt::patch).
    pub(crate) fn over(&self, current: Option<&StateSnapshot>) -> Option<StateSnapshotBuilder> {
        let Self(patch) = self;
        let Some(current) = current else {
            return patch.axes().next().map(|_| patch.to_builder());
        };
        let overrides =
            patch.source() == Source::SelfReport || current.source() == Source::Inferred;
        let changes: Vec<_> = patch
            .axes()
            .filter(|(name, _)| overrides || current.get_axis_opt(name).is_none())
            .collect();
        if changes.is_empty() {
            return None;
        }
        let kept: Vec<_> = current
            .axes()
            .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name))
            .collect();

        let mut source = patch.source();
        let mut confidence = patch.confidence();
        if !kept.is_empty() {
            if current.source() != source {
                source = Source::Mixed;
            }
            confidence = confidence.min(current.confidence());
        }
        let merged = StateSnapshot::builder()
            .updated_at(patch.updated_at_unix_ms())
            .source(source)
            .confidence(confidence)
            .axes(kept)
            .axes(changes);
        Some(merged)
    }
}
