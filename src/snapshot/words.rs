//! A small snapshot, but for its user id, as a few machine words:
//!
//! | word | what |
//! |--:|---|
//! | 0 | the time |
//! | 1 | the length of the axes as [`InlineLen`] has it, the source and, in the upper half, the confidence |
//! | 2 to 6 | the axes |

use smol_str::SmolStr;

use super::axes::INLINE_BYTES;
use super::data::{InlineLen, InlineState, SnapshotData};
use super::{Form, StateSnapshot};
use crate::timeline::{MIRRORED_WORDS, Mirrored};

const _: () = assert!(MIRRORED_WORDS * size_of::<u64>() == 16 + INLINE_BYTES);

const SOURCE_SHIFT: u32 = 8;
const CONFIDENCE_SHIFT: u32 = 32;

impl Mirrored for StateSnapshot {
    fn to_words(&self) -> Option<[u64; MIRRORED_WORDS]> {
        let data = self.data();
        // Whoever makes a snapshot of the words clones the id: a long one would
        // have all readers of a user count references in one place.
        if data.user_id.is_heap_allocated() {
            return None;
        }
        let state = data.inline_state()?;
        let mut words = [0; MIRRORED_WORDS];
        let [time, facts, axes @ ..] = &mut words;
        *time = data.updated_at_unix_ms.cast_unsigned();
        *facts = u64::from(state.len.code())
            | u64::from(state.source) << SOURCE_SHIFT
            | u64::from(state.confidence.to_bits()) << CONFIDENCE_SHIFT;
        for (word, bytes) in axes.iter_mut().zip(state.axes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Some(words)
    }
}

impl StateSnapshot {
    /// The snapshot of which these words are, in no allocation of its own.
    #[inline]
    pub(crate) fn from_words(user_id: &SmolStr, words: [u64; MIRRORED_WORDS]) -> Self {
        let [time, facts, words @ ..] = words;
        let mut axes = [0; INLINE_BYTES];
        for (bytes, word) in axes.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        // Truncating, to take the parts out.
        let state = InlineState {
            len: InlineLen::of_code(facts as u8),
            source: (facts >> SOURCE_SHIFT) as u8,
            confidence: f32::from_bits((facts >> CONFIDENCE_SHIFT) as u32),
            axes,
        };
        Self(Form::Inline(SnapshotData::inline(
            user_id.clone(),
            time.cast_signed(),
            state,
        )))
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;
    use crate::Source;

    fn of_words(snapshot: &StateSnapshot) -> Option<StateSnapshot> {
        let words = snapshot.to_words()?;
        Some(StateSnapshot::from_words(&snapshot.data().user_id, words))
    }

    #[test]
    fn words_give_back_the_snapshot() {
        let names = ["anxiety_level", "warmth", "a", "an_axis_of_my_own"];
        for axes in 0..=names.len() {
            for source in [Source::SelfReport, Source::Inferred, Source::Mixed] {
                for time in [i64::MIN, -1, 0, 1_700_000_000_000, i64::MAX] {
                    let snapshot = StateSnapshot::builder()
                        .user_id("an_id_of_just_23_bytes_")
                        .updated_at(time)
                        .source(source)
                        .confidence(0.1 + axes as f32 / 10.0)
                        .axes(names.iter().take(axes).zip([0.0, 1.0, 0.3, 0.25]))
                        .build()
                        .unwrap();
                    let copy = of_words(&snapshot).unwrap();
                    assert_eq!(copy, snapshot);
                    assert_eq!(of_words(&copy).unwrap(), snapshot);
                }
            }
        }
    }

    #[test]
    fn a_snapshot_with_a_long_id_has_no_words() {
        let of_id = |id: &str| StateSnapshot::builder().user_id(id).build().unwrap();
        assert!(of_words(&of_id(&"x".repeat(23))).is_some());
        assert!(of_words(&of_id(&"x".repeat(24))).is_none());
    }

    #[test]
    fn a_snapshot_with_axes_in_an_allocation_of_their_own_has_no_words() {
        let axes = |count: usize| {
            StateSnapshot::builder()
                .user_id("ada")
                .axes((0..count).map(|axis| (format!("axis_{axis}"), 0.5)))
                .build()
                .unwrap()
        };
        // 11 bytes each, of 40.
        assert!(of_words(&axes(3)).is_some());
        assert!(of_words(&axes(4)).is_none());
    }

    #[test]
    fn words_can_be_full_of_axes() {
        let axes = |count: usize| {
            let canonical = attuned_core::CANONICAL_AXES.iter().take(count);
            StateSnapshot::builder()
                .user_id("ada")
                .axes(canonical.map(|axis| (axis.name, 0.75)))
                .build()
                .unwrap()
        };
        // Five bytes each, of 40.
        let full = axes(8);
        assert_eq!(of_words(&full).unwrap(), full);
        assert!(of_words(&axes(9)).is_none());
    }
}
