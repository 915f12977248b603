//! The axes of a state, packed into bytes.
//!
//! One axis is a tag, the rest of its name and its value, without padding:
//!
//! | name | tag | rest of the name | value |
//! |---|---|---|---|
//! | canonical | its index in [`CANONICAL`] | none | `f32`, little-endian |
//! | any other | [`CUSTOM`] plus its length | its bytes | `f32`, little-endian |
//!
//! The axes follow each other in the order of their names. An axis with a
//! canonical name thus takes five bytes, where a map entry with an owned name
//! takes at least 28 and an allocation.

use std::cmp::Ordering;
use std::fmt;
use std::iter::FusedIterator;
use std::slice;
use std::sync::Arc;

use smallvec::SmallVec;
use smol_str::SmolStr;

use super::validate::{
    MAX_AXES, MAX_AXIS_NAME_BYTES, SnapshotError, validate_axis_name, validate_axis_value,
};

/// The names that pack into one byte, sorted.
///
/// They are the vocabulary of Attuned, but only a compaction here: any valid
/// name can be used. Indices never leave the process, so names can be added.
const CANONICAL: [&str; 23] = [
    "anxiety_level",
    "assertiveness",
    "autonomy_preference",
    "boundary_strength",
    "cognitive_load",
    "decision_fatigue",
    "directness_preference",
    "emotional_openness",
    "emotional_stability",
    "formality",
    "interruption_tolerance",
    "need_for_reassurance",
    "privacy_sensitivity",
    "reciprocity_expectation",
    "reflection_vs_action_bias",
    "ritual_need",
    "stakes_awareness",
    "suggestion_tolerance",
    "tolerance_for_complexity",
    "transactional_preference",
    "urgency_sensitivity",
    "verbosity_preference",
    "warmth",
];

/// The bit of a tag that says that the tag's other bits are a length. Neither
/// an index nor the length of a valid name reaches it.
pub(super) const CUSTOM: u8 = 0x80;

/// A state has room for so many axes with canonical names, and a builder for so
/// many with any names. More take an allocation.
pub(super) const INLINE_AXES: usize = 8;

/// What [`INLINE_AXES`] with canonical names take.
pub(super) const INLINE_BYTES: usize = INLINE_AXES * MIN_PACKED_LEN;

/// The packed length of an axis with a canonical name.
pub(super) const MIN_PACKED_LEN: usize = 1 + size_of::<f32>();

/// No packed axis is longer.
const MAX_PACKED_LEN: usize = MIN_PACKED_LEN + MAX_AXIS_NAME_BYTES;

/// The name of an axis that is yet to be packed, valid or not.
#[derive(Clone)]
pub(crate) enum AxisName {
    Canonical { index: u8, name: &'static str },
    Custom(SmolStr),
}

impl AxisName {
    pub(crate) fn new(name: &str) -> Self {
        // Faster than a binary search: most of the names differ in length.
        match CANONICAL
            .iter()
            .zip(0..)
            .find(|&(&canonical, _)| canonical == name)
        {
            Some((&name, index)) => Self::Canonical { index, name },
            None => Self::Custom(SmolStr::new(name)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Canonical { name, .. } => name,
            Self::Custom(name) => name,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), SnapshotError> {
        match self {
            Self::Canonical { .. } => Ok(()),
            Self::Custom(name) => validate_axis_name(name),
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            // Sorted by name, so the indices are in the order of the names.
            (Self::Canonical { index: a, .. }, Self::Canonical { index: b, .. }) => a.cmp(b),
            _ => self.as_str().cmp(other.as_str()),
        }
    }
}

/// What was said of axes, in the order in which it was said, all of it yet to be checked.
///
/// However much is said, a list does not grow beyond [`LIST_BOUND`].
#[derive(Clone)]
pub(crate) struct AxisList<V = f32>(SmallVec<[(AxisName, V); INLINE_AXES]>);

/// How many entries a list may have. With twice as many as there may be axes, those that
/// are said anew need not be looked for at each entry.
const LIST_BOUND: usize = 2 * MAX_AXES;

impl<V> Default for AxisList<V> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<V: Copy> AxisList<V> {
    /// Adds an entry, which counts in the place of an earlier one of the same name.
    ///
    /// Fails if there are too many names. Then the entry is left out, and
    /// [`sorted`](Self::sorted) fails, too, whatever comes.
    pub(crate) fn push(&mut self, name: AxisName, value: V) -> Result<(), SnapshotError> {
        if self.0.len() >= LIST_BOUND {
            self.sort();
            if self.0.len() > MAX_AXES {
                // So many stay that there are too many.
                self.0.truncate(MAX_AXES + 1);
                return Err(SnapshotError::TooManyAxes { max: MAX_AXES });
            }
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Adds several entries. Takes no more of them once there are too many names.
    pub(crate) fn extend<N: AsRef<str>>(&mut self, entries: impl IntoIterator<Item = (N, V)>) {
        let entries = entries.into_iter();
        // The iterator may claim anything.
        self.0.reserve(entries.size_hint().0.min(MAX_AXES));
        for (name, value) in entries {
            if self.push(AxisName::new(name.as_ref()), value).is_err() {
                break;
            }
        }
    }

    /// The entries that count, in the order of their names, which are not checked.
    ///
    /// Takes linear time for entries that are sorted already.
    pub(crate) fn sorted(mut self) -> Result<Self, SnapshotError> {
        self.sort();
        if self.0.len() > MAX_AXES {
            return Err(SnapshotError::TooManyAxes { max: MAX_AXES });
        }
        Ok(self)
    }

    /// Sorts by name, and leaves the last entry of each.
    fn sort(&mut self) {
        // Stable, so that the last one given is the last one of its name.
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.0.dedup_by(|(name, value), (kept, kept_value)| {
            let same = name.cmp(kept).is_eq();
            if same {
                *kept_value = *value;
            }
            same
        });
    }

    pub(crate) fn iter(&self) -> slice::Iter<'_, (AxisName, V)> {
        self.0.iter()
    }
}

/// Shows all entries, also those that no longer count.
impl<V: fmt::Debug> fmt::Debug for AxisList<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.0.iter().map(|(name, value)| (name.as_str(), value));
        f.debug_list().entries(entries).finish()
    }
}

/// Valid axes with distinct names, in the order of the names.
pub(super) enum PackedAxes {
    /// The length, and so many bytes of these.
    Inline(u8, [u8; INLINE_BYTES]),
    Allocated(Arc<[u8]>),
}

impl PackedAxes {
    /// Sorts, checks and packs. Of several axes with one name the last one counts.
    ///
    /// Takes linear time for axes that are sorted already.
    pub(super) fn pack(axes: AxisList) -> Result<Self, SnapshotError> {
        let axes = axes.sorted()?;
        let mut packed_len = 0;
        for (name, value) in axes.iter() {
            name.validate()?;
            validate_axis_value(name.as_str(), *value)?;
            packed_len += MIN_PACKED_LEN;
            if let AxisName::Custom(name) = name {
                packed_len += name.len();
            }
        }

        let mut bytes = SmallVec::<[u8; INLINE_BYTES]>::with_capacity(packed_len);
        for (name, value) in axes.iter() {
            match name {
                AxisName::Canonical { index, .. } => bytes.push(*index),
                AxisName::Custom(name) => {
                    // Not truncated: a valid name is shorter than `CUSTOM`.
                    bytes.push(CUSTOM | name.len() as u8);
                    bytes.extend_from_slice(name.as_bytes());
                }
            }
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        let mut inline = [0; INLINE_BYTES];
        Ok(match inline.get_mut(..bytes.len()) {
            Some(start) => {
                start.copy_from_slice(&bytes);
                // Not truncated: `INLINE_BYTES` is less than 256.
                Self::Inline(bytes.len() as u8, inline)
            }
            None => Self::Allocated(Arc::from(bytes.as_slice())),
        })
    }
}

/// The first of the packed axes, and the bytes of the others.
///
/// `None` at the end. Bytes that are not packed axes would count as the end,
/// too, but there are none: only [`PackedAxes::pack`] writes these bytes.
#[inline]
fn split_first(packed: &[u8]) -> Option<((&str, f32), &[u8])> {
    let (&tag, rest) = packed.split_first()?;
    let (name, rest) = if tag & CUSTOM == 0 {
        (*CANONICAL.get(usize::from(tag))?, rest)
    } else {
        let (name, rest) = rest.split_at_checked(usize::from(tag & !CUSTOM))?;
        (str::from_utf8(name).ok()?, rest)
    };
    let (value, rest) = rest.split_first_chunk()?;
    Some(((name, f32::from_le_bytes(*value)), rest))
}

/// The axes of a state with their values, in the order of their names.
///
/// [`State::axes`](crate::State::axes) and
/// [`StateSnapshot::axes`](crate::StateSnapshot::axes) make it. It yields each
/// name once, with a value from 0 to 1, and allocates nothing. Only a walk over
/// the axes tells how many there are, so [`size_hint`](Iterator::size_hint)
/// gives bounds.
///
/// ```
/// use attuned_store::State;
///
/// let state = State::builder().axes([("warmth", 0.7), ("formality", 0.2)]).build_state()?;
/// assert!(state.axes().eq([("formality", 0.2), ("warmth", 0.7)]));
/// # Ok::<(), attuned_store::SnapshotError>(())
/// ```
#[derive(Clone)]
pub struct Axes<'a> {
    packed: &'a [u8],
}

impl<'a> Axes<'a> {
    /// Of bytes that [`PackedAxes::pack`] made.
    pub(super) fn of_packed(packed: &'a [u8]) -> Self {
        Self { packed }
    }

    /// The axes still to come, packed.
    #[cfg(feature = "checkpoint")]
    pub(super) fn packed(&self) -> &'a [u8] {
        self.packed
    }
}

impl<'a> Iterator for Axes<'a> {
    type Item = (&'a str, f32);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (axis, rest) = split_first(self.packed)?;
        self.packed = rest;
        Some(axis)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.packed.len();
        (len.div_ceil(MAX_PACKED_LEN), Some(len / MIN_PACKED_LEN))
    }
}

impl FusedIterator for Axes<'_> {}

/// Shows the axes still to come as a map.
impl fmt::Debug for Axes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_names_are_the_published_ones_sorted() {
        let mut published: Vec<_> = attuned_core::CANONICAL_AXES
            .iter()
            .map(|axis| axis.name)
            .collect();
        published.sort_unstable();
        assert_eq!(CANONICAL.as_slice(), published);
        assert!(CANONICAL.len() < usize::from(CUSTOM));
    }

    #[test]
    fn every_canonical_name_packs_into_one_byte() {
        for name in CANONICAL {
            let mut list = AxisList::default();
            list.extend([(name, 0.25)]);
            let PackedAxes::Inline(len, bytes) = PackedAxes::pack(list).unwrap() else {
                panic!("{name} takes an allocation");
            };
            assert_eq!(usize::from(len), MIN_PACKED_LEN, "{name}");
            let axes = Axes::of_packed(&bytes[..MIN_PACKED_LEN]);
            assert_eq!(axes.collect::<Vec<_>>(), [(name, 0.25)]);
        }
    }

    #[test]
    fn a_list_is_bounded_whatever_comes() {
        let mut list = AxisList::default();
        list.extend((0..).map(|n: u64| (format!("axis_{n}"), 0.25)));
        assert!(list.iter().len() <= LIST_BOUND);
        for _ in 0..3 * LIST_BOUND {
            let _ = list.push(AxisName::new("warmth"), 0.25);
            assert!(list.iter().len() <= LIST_BOUND);
        }
        let too_many = SnapshotError::TooManyAxes { max: MAX_AXES };
        assert_eq!(PackedAxes::pack(list).err(), Some(too_many));
    }

    #[test]
    fn what_is_said_anew_takes_no_room() {
        let mut list = AxisList::default();
        for round in 0..8 {
            list.extend((0..MAX_AXES).map(|n| (format!("axis_{n}"), f64::from(round))));
            assert!(list.iter().len() <= LIST_BOUND);
        }
        let list = list.sorted().unwrap();
        assert_eq!(list.iter().len(), MAX_AXES);
        assert!(list.iter().all(|(_, value)| *value == 7.0));
    }

    #[test]
    fn reading_ends_at_bytes_that_are_no_axis() {
        let malformed: [&[u8]; 5] = [
            &[23, 0, 0, 0, 0],
            &[0, 0, 0, 0],
            &[CUSTOM | 2, b'a'],
            &[CUSTOM | 1, b'a', 0, 0, 0],
            &[CUSTOM | 1, 0xff, 0, 0, 0, 0],
        ];
        for tail in malformed {
            let bytes = [&[22, 0, 0, 0, 0], tail].concat();
            let mut axes = Axes { packed: &bytes };
            assert_eq!(axes.next(), Some(("warmth", 0.0)));
            assert_eq!(axes.next(), None, "{tail:?}");
            assert_eq!(axes.next(), None, "{tail:?}");
        }
    }
}
