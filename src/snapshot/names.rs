//! States taken apart: which axes a state has, and their values.
//!
//! Most of the states of a store have the same axes. So a checkpoint spells the names out
//! once, and of each state it has only the values.

use std::sync::Arc;

use smallvec::SmallVec;

use super::axes::{
    Axes, AxisList, AxisName, CUSTOM, INLINE_AXES, INLINE_BYTES, MIN_PACKED_LEN, PackedAxes,
};
use super::validate::{in_unit_range, is_axis_name};
use super::{Source, State};

/// The bytes of a value.
const VALUE_BYTES: usize = size_of::<f32>();

/// The names of the axes that a state has.
pub(crate) struct AxisNames {
    /// The packed axes, with zeros for the values.
    template: Box<[u8]>,
    /// Zeros for the values, and ones for all bits between them.
    mask: Box<[u8]>,
    /// Where the values begin.
    values_at: Box<[usize]>,
    /// The same, if all of the names are canonical and a state has room for the axes in place.
    in_place: Option<NamesInPlace>,
}

/// Canonical names of axes that a state has in place, where each axis takes as many bytes. To
/// compare and copy all that there may be takes less than to count them.
struct NamesInPlace {
    /// How many bytes the axes take.
    len: u8,
    tags: [u8; INLINE_AXES],
}

/// The values of axes that a state has in place, as [`AxisNames::state`] takes them.
pub(crate) struct ValuesInPlace {
    pub(crate) bytes: [u8; INLINE_AXES * VALUE_BYTES],
    /// How many of the bytes are meant.
    pub(crate) len: usize,
}

impl AxisNames {
    /// `None` if a name breaks the rules for names or is not greater than the one before.
    pub(crate) fn new<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Option<Self> {
        let in_order = names.clone().is_sorted_by(|before, name| before < name);
        if !in_order || !names.clone().all(is_axis_name) {
            return None;
        }
        let mut axes = AxisList::default();
        for name in names {
            axes.push(AxisName::new(name), 0.0).ok()?;
        }
        let axes = PackedAxes::pack(axes).ok()?;
        Some(Self::of_packed(match &axes {
            PackedAxes::Inline(len, bytes) => bytes.get(..usize::from(*len))?,
            PackedAxes::Allocated(bytes) => bytes,
        }))
    }

    /// The names of a state's axes.
    pub(crate) fn of(state: &State) -> Self {
        Self::of_packed(state.axes().packed())
    }

    fn of_packed(packed: &[u8]) -> Self {
        let mut template = Box::from(packed);
        let mut mask: Box<[u8]> = vec![u8::MAX; packed.len()].into();
        let mut values_at = Vec::new();
        let mut axes = Axes::of_packed(packed);
        while axes.next().is_some() {
            let end = packed.len() - axes.packed().len();
            let at = end - VALUE_BYTES;
            values_at.push(at);
            zero(&mut template, at);
            zero(&mut mask, at);
        }
        Self {
            in_place: NamesInPlace::of_packed(&template),
            template,
            mask,
            values_at: values_at.into(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        Axes::of_packed(&self.template).map(|(name, _)| name)
    }

    /// How many axes there are.
    pub(crate) fn len(&self) -> usize {
        self.values_at.len()
    }

    /// How many bytes their values take.
    pub(crate) fn values_len(&self) -> usize {
        self.values_at.len() * VALUE_BYTES
    }

    /// The same for states with the same axes, and for no others.
    pub(crate) fn as_key(&self) -> &[u8] {
        &self.template
    }

    /// The values of a state, if it has just these axes, in place, and with canonical names.
    #[inline]
    pub(crate) fn values_in_place(&self, state: &State) -> Option<ValuesInPlace> {
        let (names, state) = (self.in_place.as_ref()?, state.inline_rest()?);
        let axes = in_place(&state.axes)?;
        let has_these = state.len == names.len && axes.map(|[tag, ..]| tag) == names.tags;
        has_these.then(|| {
            let mut bytes = [0; INLINE_AXES * VALUE_BYTES];
            for (place, [_, value @ ..]) in bytes.as_chunks_mut().0.iter_mut().zip(axes) {
                *place = *value;
            }
            let len = self.values_len();
            ValuesInPlace { bytes, len }
        })
    }

    /// The values of a state, as [`state`](Self::state) takes them, if it has just these axes.
    pub(crate) fn values(&self, state: &State) -> Option<SmallVec<[u8; 128]>> {
        let packed = state.axes().packed();
        let has_these =
            packed.len() == self.template.len() && same_names(packed, &self.mask, &self.template);
        has_these.then(|| {
            let mut values = SmallVec::new();
            for &at in &self.values_at {
                values.extend_from_slice(packed.get(at..at + VALUE_BYTES).unwrap_or_default());
            }
            values
        })
    }

    /// The state with these axes and values; `None` if a number is not from 0 to 1.
    ///
    /// `values` has [as many bytes](Self::values_len) as the values take, each in the
    /// order of its bytes from the least significant one.
    #[inline]
    pub(crate) fn state(
        &self,
        updated_at_unix_ms: i64,
        source: Source,
        confidence: f32,
        values: &[u8],
    ) -> Option<State> {
        if !in_unit_range(confidence) {
            return None;
        }
        let mut inline = [0; INLINE_BYTES];
        let axes = match inline.get_mut(..self.template.len()) {
            Some(packed) => {
                self.pack(values, packed)?;
                // Not truncated: `INLINE_BYTES` is less than 256.
                PackedAxes::Inline(packed.len() as u8, inline)
            }
            None => {
                let mut packed = self.template.clone();
                self.pack(values, &mut packed)?;
                PackedAxes::Allocated(Arc::from(packed))
            }
        };
        Some(State::new(updated_at_unix_ms, source, confidence, axes))
    }

    /// Packs axes with these values into as many bytes as the template has; `None` if a value
    /// is not from 0 to 1.
    fn pack(&self, values: &[u8], packed: &mut [u8]) -> Option<()> {
        packed.copy_from_slice(&self.template);
        for (&at, value) in self.values_at.iter().zip(values.as_chunks().0) {
            if !in_unit_range(f32::from_le_bytes(*value)) {
                return None;
            }
            packed.get_mut(at..at + VALUE_BYTES)?.copy_from_slice(value);
        }
        Some(())
    }
}

impl NamesInPlace {
    fn of_packed(packed: &[u8]) -> Option<Self> {
        let mut axes = [0; INLINE_BYTES];
        axes.get_mut(..packed.len())?.copy_from_slice(packed);
        let tags = in_place(&axes)?.map(|[tag, ..]| tag);
        let is_canonical = tags.iter().all(|tag| tag & CUSTOM == 0);
        is_canonical.then_some(Self {
            len: packed.len() as u8,
            tags,
        })
    }
}

/// Axes with canonical names, each of them a tag and a value.
#[inline]
fn in_place(axes: &[u8; INLINE_BYTES]) -> Option<&[[u8; MIN_PACKED_LEN]; INLINE_AXES]> {
    axes.as_chunks().0.try_into().ok()
}

/// Whether the bytes that the mask leaves of `packed` are those of `names`, eight at a time. All
/// three have the same length.
fn same_names(packed: &[u8], mask: &[u8], names: &[u8]) -> bool {
    let ((packed, end), (mask, mask_end), (names, names_end)) =
        (packed.as_chunks(), mask.as_chunks(), names.as_chunks());
    let words = packed.iter().zip(mask).zip(names);
    let ends = end.iter().zip(mask_end).zip(names_end);
    words
        .map(|((packed, mask), names)| {
            let [packed, mask, names] = [packed, mask, names].map(|word| u64::from_le_bytes(*word));
            packed & mask ^ names
        })
        .chain(ends.map(|((packed, mask), names)| u64::from(packed & mask ^ names)))
        .fold(0, |differences, word| differences | word)
        == 0
}

fn zero(template: &mut [u8], at: usize) {
    if let Some(value) = template.get_mut(at..at + VALUE_BYTES) {
        value.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn state(axes: &[(&str, f32)]) -> State {
        let state = State::builder().updated_at(5).axes(axes.iter().copied());
        state.build_state().unwrap()
    }

    #[test]
    fn a_state_comes_back_from_its_names_and_values() {
        let canonical = attuned_core::CANONICAL_AXES.iter().map(|axis| axis.name);
        let canonical: BTreeSet<_> = canonical.collect();
        let first = |count| -> Vec<_> {
            let values = (0..count).map(|n| n as f32 / 16.0);
            canonical.iter().copied().zip(values).collect()
        };
        let many: Vec<_> = (10..99).map(|n| format!("axis_{n}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), 0.5)).collect();
        for axes in [
            &[][..],
            &[("warmth", 0.25)],
            &first(8),
            &first(9),
            &[("a", 0.0), ("formality", 1.0), ("warmth", -0.0)],
            &many,
        ] {
            let state = state(axes);
            let names = AxisNames::of(&state);
            assert!(names.iter().eq(state.axes().map(|(name, _)| name)));
            assert_eq!(names.len(), axes.len());

            let values = names.values(&state).unwrap();
            assert_eq!(values.len(), names.values_len());
            let in_place = names.values_in_place(&state);
            let in_place = in_place
                .as_ref()
                .map(|in_place| &in_place.bytes[..in_place.len]);
            let fits = axes.len() <= 8 && axes.iter().all(|axis| canonical.contains(axis.0));
            assert_eq!(in_place, fits.then_some(&*values));
            let again = AxisNames::new(names.iter().collect::<Vec<_>>().into_iter()).unwrap();
            assert_eq!(again.as_key(), names.as_key());
            let copy = again.state(5, state.source(), state.confidence(), &values);
            assert_eq!(copy, Some(state));
        }
    }

    #[test]
    fn values_are_of_the_same_axes_only() {
        let names = AxisNames::of(&state(&[("formality", 0.1), ("warmth", 0.2)]));
        for other in [
            &[][..],
            &[("warmth", 0.2)],
            &[("autonomy_preference", 0.1), ("warmth", 0.2)],
            &[("formality", 0.1), ("x", 0.2)],
            // As many bytes.
            &[("abcde", 0.1)],
            &[("formality", 0.1), ("verbosity_preference", 0.2)],
        ] {
            let other = state(other);
            assert!(names.values(&other).is_none() && names.values_in_place(&other).is_none());
        }
    }

    #[test]
    fn names_and_numbers_that_break_the_rules_are_refused() {
        for names in [
            &["b", "a"][..],
            &["a", "a"],
            &["A"],
            &[""],
            &["_a"],
            &["a_name_of_65_bytes_0123456789_0123456789_0123456789_0123456789_012"],
        ] {
            assert!(AxisNames::new(names.iter().copied()).is_none(), "{names:?}");
        }
        let names = AxisNames::new(["warmth"].into_iter()).unwrap();
        for (confidence, value) in [(1.5, 0.5), (f32::NAN, 0.5), (0.5, -0.1), (0.5, f32::NAN)] {
            let value = value.to_le_bytes();
            assert!(names.state(0, Source::Mixed, confidence, &value).is_none());
        }
    }
}
