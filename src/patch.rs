//! The rule by which a patch changes a state.

use std::cmp::Ordering;
use std::iter::Peekable;

use crate::snapshot::validate_user_id;
use crate::{Axes, Result, Source, State, StateSnapshotBuilder};

/// Values for some of the axes of a user's state.
pub(crate) struct Patch(State);

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
        let patch = State::builder()
            .source(source)
            .confidence(confidence)
            .axes(axes.iter().copied())
            .build_state()?;
        Ok(Self(patch))
    }

    /// What becomes of `current`, without a user id, or `None` if nothing would
    /// change. Takes time in the sum of both numbers of axes.
    ///
    /// [`StateStoreExt::patch_latest`](crate::StateStoreExt::patch_latest)
    /// documents the rule.
    pub(crate) fn over(&self, current: Option<&State>) -> Option<StateSnapshotBuilder> {
        let Self(patch) = self;
        let Some(current) = current else {
            return patch.axes().next().map(|_| patch.to_builder());
        };
        let overrides =
            patch.source() == Source::SelfReport || current.source() == Source::Inferred;
        let takes_patch = |axis: &Both<'_>| match axis {
            Both { patch: None, .. } => false,
            Both { current: None, .. } => true,
            _ => overrides,
        };
        if !Merge::of(current, patch).any(|axis| takes_patch(&axis)) {
            return None;
        }

        let mut source = patch.source();
        let mut confidence = patch.confidence();
        if Merge::of(current, patch).any(|axis| !takes_patch(&axis)) {
            if current.source() != source {
                source = Source::Mixed;
            }
            confidence = confidence.min(current.confidence());
        }
        let axes = Merge::of(current, patch).filter_map(|axis| {
            let value = if takes_patch(&axis) {
                axis.patch
            } else {
                axis.current
            };
            Some((axis.name, value?))
        });
        let merged = State::builder()
            .updated_at(patch.updated_at_unix_ms())
            .source(source)
            .confidence(confidence)
            .axes(axes);
        Some(merged)
    }
}

/// An axis that at least one of two states has.
struct Both<'a> {
    name: &'a str,
    current: Option<f32>,
    patch: Option<f32>,
}

/// Walks over the axes of two states at once, in the order of their names.
struct Merge<'a> {
    current: Peekable<Axes<'a>>,
    patch: Peekable<Axes<'a>>,
}

impl<'a> Merge<'a> {
    fn of(current: &'a State, patch: &'a State) -> Self {
        Self {
            current: current.axes().peekable(),
            patch: patch.axes().peekable(),
        }
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = Both<'a>;

    fn next(&mut self) -> Option<Both<'a>> {
        let order = match (self.current.peek(), self.patch.peek()) {
            (Some((current, _)), Some((patch, _))) => current.cmp(patch),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let current = order.is_le().then(|| self.current.next()).flatten();
        let patch = order.is_ge().then(|| self.patch.next()).flatten();
        let (name, _) = current.or(patch)?;
        Some(Both {
            name,
            current: current.map(|(_, value)| value),
            patch: patch.map(|(_, value)| value),
        })
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCES: [Source; 3] = [Source::SelfReport, Source::Inferred, Source::Mixed];

    fn state(axes: &[(String, f32)], source: Source, confidence: f32) -> State {
        State::builder()
            .updated_at(1_000)
            .source(source)
            .confidence(confidence)
            .axes(axes.iter().map(|(name, value)| (name, *value)))
            .build_state()
            .unwrap()
    }

    /// The rule, axis by axis and without regard to the time that it takes.
    fn expected(patch: &State, current: &State) -> Option<State> {
        let overrides =
            patch.source() == Source::SelfReport || current.source() == Source::Inferred;
        let changes: Vec<_> = patch
            .axes()
            .filter(|(name, _)| overrides || current.get_axis_opt(name).is_none())
            .collect();
        let kept: Vec<_> = current
            .axes()
            .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name))
            .collect();
        let (source, confidence) = if kept.is_empty() {
            (patch.source(), patch.confidence())
        } else if patch.source() == current.source() {
            (patch.source(), patch.confidence().min(current.confidence()))
        } else {
            (Source::Mixed, patch.confidence().min(current.confidence()))
        };
        let merged = State::builder()
            .updated_at(patch.updated_at_unix_ms())
            .source(source)
            .confidence(confidence)
            .axes(kept)
            .axes(changes.iter().copied());
        (!changes.is_empty()).then(|| merged.build_state().unwrap())
    }

    fn axes() -> impl Strategy<Value = Vec<(String, f32)>> {
        // Few names, so that both sides often have the same, and canonical ones
        // between the others.
        let name = prop_oneof![
            "[a-z]",
            Just("formality".to_owned()),
            Just("warmth".to_owned())
        ];
        prop::collection::vec((name, 0.0_f32..=1.0), 0..12)
    }

    proptest! {
        #[test]
        fn merging_keeps_the_rule(
            patch in axes(),
            current in axes(),
            patch_source in prop::sample::select(SOURCES.to_vec()),
            current_source in prop::sample::select(SOURCES.to_vec()),
            patch_confidence in 0.0_f32..=1.0,
            current_confidence in 0.0_f32..=1.0,
        ) {
            let patch = state(&patch, patch_source, patch_confidence);
            let current = state(&current, current_source, current_confidence);
            let expected = expected(&patch, &current);
            let merged = Patch(patch)
                .over(Some(&current))
                .map(|builder| builder.build_state().unwrap());
            prop_assert_eq!(merged, expected);
        }
    }

    #[test]
    fn a_patch_over_nothing_is_the_state_that_it_says() {
        let axes = [("warmth", 0.25), ("zeal", 0.5)];
        let patch = Patch::new("ada", &axes, Source::Inferred, 0.75).unwrap();
        let made = patch.over(None).unwrap().build_state().unwrap();
        assert!(made.axes().eq(axes));
        assert_eq!(made.source(), Source::Inferred);
        assert_eq!(made.confidence(), 0.75);

        let empty = Patch::new("ada", &[], Source::Inferred, 0.75).unwrap();
        assert!(empty.over(None).is_none());
        assert!(empty.over(Some(&made)).is_none());
    }

    #[test]
    fn what_the_rule_would_leave_out_is_checked() {
        for (user_id, axes, confidence) in [
            ("", [("warmth", 0.5)], 1.0),
            ("ada", [("Warmth", 0.5)], 1.0),
            ("ada", [("warmth", 1.5)], 1.0),
            ("ada", [("warmth", 0.5)], f32::NAN),
        ] {
            assert!(Patch::new(user_id, &axes, Source::Inferred, confidence).is_err());
        }
    }

    /// In time that grows with the square of the number of axes, this takes
    /// minutes.
    #[test]
    fn patches_can_have_very_many_axes() {
        let count = 50_000;
        let names: Vec<_> = (0..count).map(|n| format!("axis_{n}")).collect();
        let axes: Vec<_> = names.iter().map(|name| (name.as_str(), 0.25)).collect();
        let patch = |source| Patch::new("ada", &axes, source, 1.0).unwrap();

        let stated = patch(Source::SelfReport);
        let current = stated.over(None).unwrap().build_state().unwrap();
        assert_eq!(current.axes().count(), count);
        assert!(patch(Source::Inferred).over(Some(&current)).is_none());
        let again = stated.over(Some(&current)).unwrap().build_state().unwrap();
        assert_eq!(again, current);
    }
}
