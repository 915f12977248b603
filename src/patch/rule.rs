//! The rule by which a patch changes a state.

use std::cmp::Ordering;
use std::iter::{Flatten, Peekable};
use std::{option, slice};

use crate::revision::Expected;
use crate::snapshot::{Axes, AxisList, AxisName, Source, State, StateSnapshotBuilder};

/// A [`Patch`](super::Patch) in which all is valid.
pub(crate) struct CheckedPatch {
    pub(super) source: Source,
    pub(super) confidence: f32,
    /// In the order of the names.
    pub(super) changes: AxisList<Option<f32>>,
    pub(crate) expected: Expected,
}

impl CheckedPatch {
    /// What becomes of `current`, without a user id, or `None` if nothing would
    /// change. Takes time in the sum of both numbers of axes.
    ///
    /// [`Patch`](super::Patch) documents the rule.
    pub(crate) fn over(&self, current: Option<&State>) -> Option<StateSnapshotBuilder> {
        let overrides = self.source == Source::SelfReport
            || current.is_some_and(|current| current.source() == Source::Inferred);
        let (mut changed, mut kept, mut set) = (false, false, false);
        let axes = Merge::of(current, self).filter_map(|axis| {
            let change = axis.change.filter(|change| match axis.current {
                Some(_) => overrides,
                None => change.is_some(),
            });
            changed |= change.is_some();
            match change {
                Some(value) => set |= value.is_some(),
                None => kept |= axis.current.is_some(),
            }
            Some((axis.name, change.unwrap_or(axis.current)?))
        });
        let merged = State::builder().axes(axes);
        if !changed {
            return None;
        }
        let (source, confidence) = match current.filter(|_| kept) {
            None => (self.source, self.confidence),
            Some(current) if !set => (current.source(), current.confidence()),
            Some(current) => {
                let same = current.source() == self.source;
                let source = if same { self.source } else { Source::Mixed };
                (source, self.confidence.min(current.confidence()))
            }
        };
        Some(merged.source(source).confidence(confidence))
    }
}

/// An axis that a state has, or a patch names, or both.
struct Both<'a> {
    name: &'a str,
    current: Option<f32>,
    change: Option<Option<f32>>,
}

/// Walks over the axes of a state and of a patch at once, in the order of their names.
struct Merge<'a> {
    current: Peekable<Flatten<option::IntoIter<Axes<'a>>>>,
    changes: Peekable<slice::Iter<'a, (AxisName, Option<f32>)>>,
}

impl<'a> Merge<'a> {
    fn of(current: Option<&'a State>, patch: &'a CheckedPatch) -> Self {
        Self {
            current: current.map(State::axes).into_iter().flatten().peekable(),
            changes: patch.changes.iter().peekable(),
        }
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = Both<'a>;

    fn next(&mut self) -> Option<Both<'a>> {
        let order = match (self.current.peek(), self.changes.peek()) {
            (Some((current, _)), Some((change, _))) => (*current).cmp(change.as_str()),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let current = order.is_le().then(|| self.current.next()).flatten();
        let change = order.is_ge().then(|| self.changes.next()).flatten();
        let name = match (current, change) {
            (Some((name, _)), _) => name,
            (None, change) => change?.0.as_str(),
        };
        Some(Both {
            name,
            current: current.map(|(_, value)| value),
            change: change.map(|(_, value)| *value),
        })
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::patch::Patch;
    use crate::snapshot::{MAX_AXES, SnapshotError};

    const SOURCES: [Source; 3] = [Source::SelfReport, Source::Inferred, Source::Mixed];

    type Changes = Vec<(String, Option<f32>)>;

    fn patch(changes: &Changes, source: Source, confidence: f32) -> CheckedPatch {
        let patch = Patch::new(source).confidence(confidence);
        let patch = changes
            .iter()
            .fold(patch, |patch, (name, value)| match value {
                Some(value) => patch.axis(name, *value),
                None => patch.remove(name),
            });
        patch.checked().unwrap()
    }

    /// Everything but the time.
    type Parts = (Vec<(String, f32)>, Source, f32);

    fn parts(builder: StateSnapshotBuilder) -> Parts {
        let state = builder.build_state().unwrap();
        let axes = state.axes().map(|(name, value)| (name.to_owned(), value));
        (axes.collect(), state.source(), state.confidence())
    }

    /// The rule, axis by axis and without regard to the time that it takes.
    fn expected(
        changes: &Changes,
        (source, confidence): (Source, f32),
        current: Option<&State>,
    ) -> Option<Parts> {
        let changes: BTreeMap<_, _> = changes.iter().cloned().collect();
        let former: BTreeMap<_, _> = current
            .into_iter()
            .flat_map(State::axes)
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let overrides = source == Source::SelfReport
            || current.is_some_and(|current| current.source() == Source::Inferred);
        let mut axes = former.clone();
        let mut set = 0;
        let mut touched = 0;
        for (name, value) in changes {
            match (former.contains_key(&name), value) {
                (true, _) if !overrides => continue,
                (false, None) => continue,
                (true, None) => drop(axes.remove(&name)),
                (_, Some(value)) => {
                    axes.insert(name, value);
                    set += 1;
                }
            }
            touched += 1;
        }
        let kept = axes.len() - set;
        let (source, confidence) = match current {
            Some(current) if kept > 0 && set == 0 => (current.source(), current.confidence()),
            Some(current) if kept > 0 => (
                if current.source() == source {
                    source
                } else {
                    Source::Mixed
                },
                confidence.min(current.confidence()),
            ),
            _ => (source, confidence),
        };
        (touched > 0).then(|| (axes.into_iter().collect(), source, confidence))
    }

    fn name() -> impl Strategy<Value = String> {
        // Few names, so that both sides often have the same, and canonical ones
        // between the others.
        prop_oneof![
            "[a-z]",
            Just("formality".to_owned()),
            Just("warmth".to_owned())
        ]
    }

    proptest! {
        #[test]
        fn merging_keeps_the_rule(
            changes in prop::collection::vec((name(), prop::option::weighted(0.7, 0.0_f32..=1.0)), 0..12),
            current in prop::option::weighted(
                0.9,
                prop::collection::vec((name(), 0.0_f32..=1.0), 0..12),
            ),
            patch_source in prop::sample::select(SOURCES.to_vec()),
            current_source in prop::sample::select(SOURCES.to_vec()),
            patch_confidence in 0.0_f32..=1.0,
            current_confidence in 0.0_f32..=1.0,
        ) {
            let current = current.map(|axes| {
                let state = State::builder().source(current_source).confidence(current_confidence);
                state.axes(axes).build_state().unwrap()
            });
            let expected = expected(&changes, (patch_source, patch_confidence), current.as_ref());
            let merged = patch(&changes, patch_source, patch_confidence).over(current.as_ref());
            prop_assert_eq!(merged.map(parts), expected);
        }
    }

    #[test]
    fn what_the_rule_would_leave_out_is_checked() {
        let patch = || Patch::new(Source::Inferred);
        for wrong in [
            patch().axis("Warmth", 0.5),
            patch().axis("warmth", 1.5),
            patch().remove("Warmth"),
            patch().confidence(f32::NAN),
            patch().axes((0..).map(|n: u64| (format!("axis_{n}"), 0.5))),
            (0..=MAX_AXES).fold(patch(), |patch, n| patch.remove(format!("axis_{n}"))),
        ] {
            assert!(wrong.checked().is_err(), "{wrong:?}");
        }
        // The last call for an axis counts.
        assert!(
            patch()
                .axis("warmth", 1.5)
                .axis("warmth", 0.5)
                .checked()
                .is_ok()
        );
        assert!(
            patch()
                .axis("warmth", 1.5)
                .remove("warmth")
                .checked()
                .is_ok()
        );
    }

    #[test]
    fn a_patch_that_leads_to_too_many_axes_makes_no_state() {
        let axes = |from: usize, to| (from..to).map(|n| (format!("axis_{n}"), 0.25));
        let full = State::builder()
            .axes(axes(0, MAX_AXES))
            .build_state()
            .unwrap();
        let add = Patch::new(Source::SelfReport).axis("one_more", 0.5);
        let over = |patch: &Patch| patch.checked().unwrap().over(Some(&full)).unwrap();
        let too_many = SnapshotError::TooManyAxes { max: MAX_AXES };
        assert_eq!(over(&add).build_state(), Err(too_many));
        let swapped = over(&add.remove("axis_0")).build_state().unwrap();
        assert_eq!(swapped.axes().count(), MAX_AXES);
        // All of them, and as many others.
        let all = (0..MAX_AXES).fold(Patch::new(Source::SelfReport), |patch, n| {
            patch.remove(format!("axis_{n}"))
        });
        assert_eq!(over(&all).build_state().unwrap().axes().count(), 0);
    }
}
