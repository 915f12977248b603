//! A state without an allocation, as a few machine words:
//!
//! | word | what |
//! |--:|---|
//! | 0 | the time |
//! | 1 | the source, the length of the axes and, in the upper half, the confidence |
//! | 2 to 6 | the axes |

use super::axes::INLINE_BYTES;
use super::source::PackedSource;
use super::state::{InlineRest, State};
use crate::map::SmallValue;

const WORDS: usize = 7;

const _: () = assert!(WORDS * size_of::<u64>() == 16 + INLINE_BYTES);

const LEN_SHIFT: u32 = 8;
const CONFIDENCE_SHIFT: u32 = 32;

/// A state has words exactly if its axes are not in an allocation.
impl SmallValue for State {
    fn to_words(&self) -> Option<[u64; WORDS]> {
        let rest = self.inline_rest()?;
        let mut words = [0; WORDS];
        let [time, facts, axes @ ..] = &mut words;
        *time = self.updated_at_unix_ms().cast_unsigned();
        *facts = u64::from(rest.source.code())
            | u64::from(rest.len) << LEN_SHIFT
            | u64::from(rest.confidence.to_bits()) << CONFIDENCE_SHIFT;
        for (word, bytes) in axes.iter_mut().zip(rest.axes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Some(words)
    }

    #[inline]
    fn from_words(words: [u64; WORDS]) -> Self {
        let [time, facts, words @ ..] = words;
        let mut axes = [0; INLINE_BYTES];
        for (bytes, word) in axes.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        // The casts truncate, to take the parts out.
        let rest = InlineRest {
            source: PackedSource::of_code(facts as u8),
            len: (facts >> LEN_SHIFT) as u8,
            confidence: f32::from_bits((facts >> CONFIDENCE_SHIFT) as u32),
            axes,
        };
        Self::of_inline(time.cast_signed(), rest)
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;
    use crate::Source;

    fn of_words(state: &State) -> Option<State> {
        state.to_words().map(State::from_words)
    }

    #[test]
    fn words_give_back_the_state() {
        let names = ["anxiety_level", "warmth", "a", "an_axis_of_my_own"];
        for axes in 0..=names.len() {
            for source in [Source::SelfReport, Source::Inferred, Source::Mixed] {
                for time in [i64::MIN, -1, 0, 1_700_000_000_000, i64::MAX] {
                    let state = State::builder()
                        .updated_at(time)
                        .source(source)
                        .confidence(0.1 + axes as f32 / 10.0)
                        .axes(names.iter().take(axes).zip([0.0, 1.0, 0.3, 0.25]))
                        .build_state()
                        .unwrap();
                    let copy = of_words(&state).unwrap();
                    assert_eq!(copy, state);
                    assert_eq!(of_words(&copy).unwrap(), state);
                }
            }
        }
    }

    #[test]
    fn words_keep_the_bits_of_every_number() {
        for value in [0.0, -0.0, f32::MIN_POSITIVE, 1.0 - f32::EPSILON, 1.0] {
            let state = State::builder()
                .confidence(value)
                .axis("warmth", value)
                .build_state()
                .unwrap();
            let copy = of_words(&state).unwrap();
            assert_eq!(copy.confidence().to_bits(), value.to_bits());
            assert_eq!(copy.get_axis("warmth").to_bits(), value.to_bits());
        }
    }

    #[test]
    fn any_words_can_be_read() {
        for word in [0, 1, u64::MAX, 0x8080_8080_8080_8080, 0x0303_0303_0303_0303] {
            let state = State::from_words([word; WORDS]);
            assert!(state.axes().count() <= 8);
            assert!(state.to_words().is_some());
        }
    }

    #[test]
    fn a_state_with_axes_in_an_allocation_has_no_words() {
        let axes = |count: usize| {
            State::builder()
                .axes((0..count).map(|axis| (format!("axis_{axis}"), 0.5)))
                .build_state()
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
            State::builder()
                .axes(canonical.map(|axis| (axis.name, 0.75)))
                .build_state()
                .unwrap()
        };
        // Five bytes each, of 40.
        let full = axes(8);
        assert_eq!(of_words(&full).unwrap(), full);
        assert!(of_words(&axes(9)).is_none());
    }
}
