//! Values that can be told from a few machine words, and maps that make use of it.

/// How many words a mirror has: 7.
// With its state they make 64 bytes, and with the key and the rest of a timeline 112,
// which is an entry of the map.
pub const WORDS: usize = 7;

/// A value as words.
pub type Words = [u64; WORDS];

/// A value that can be told from at most seven machine words (56 bytes).
///
/// A map that is [mirrored](crate::HistoryMapBuilder::mirrored) keeps the words of each
/// key's latest value beside the key, and readers make the value from them. Such a read
/// takes loads alone: it writes to no memory, touches no reference count, and enters no
/// epoch of the reclaimer, so readers of one key do not slow each other down. A map with a
/// [time to live](crate::HistoryMapBuilder::time_to_live) keeps no words.
///
/// Numbers, `bool`, `char` and arrays of at most seven of them are small values. For a
/// type of your own, say how it becomes words and back. It may have values that do not
/// fit: [`to_words`](Self::to_words) returns `None` for them, and they are read where
/// they are stored.
///
/// ```
/// use attuned_store::{HistoryMap, SmallValue};
///
/// /// What a sensor has measured.
/// #[derive(Clone, Debug, PartialEq)]
/// struct Reading {
///     celsius: f64,
///     battery_percent: u8,
/// }
///
/// impl SmallValue for Reading {
///     fn to_words(&self) -> Option<[u64; 7]> {
///         let battery = u64::from(self.battery_percent);
///         Some([self.celsius.to_bits(), battery, 0, 0, 0, 0, 0])
///     }
///
///     fn from_words([celsius, battery, ..]: [u64; 7]) -> Self {
///         Self { celsius: f64::from_bits(celsius), battery_percent: battery as u8 }
///     }
/// }
///
/// let readings = HistoryMap::builder().mirrored().history(24).build()?;
/// let reading = Reading { celsius: 21.5, battery_percent: 80 };
/// readings.insert("kitchen", reading.clone())?;
/// assert_eq!(readings.get("kitchen"), Some(reading));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SmallValue: Sized {
    /// The value as words, if so few are enough.
    fn to_words(&self) -> Option<Words>;

    /// The value that these words are of. The map calls it only with words that
    /// [`to_words`](Self::to_words) has given.
    ///
    /// It runs on the map's quickest path, in every read: it should do no more than put
    /// the value together.
    fn from_words(words: Words) -> Self;
}

/// Says of a map whether it mirrors its values: [`Mirrored`] or [`Unmirrored`].
///
/// It cannot be implemented outside of this crate.
pub trait Mirroring<V>: sealed::Mirroring<V> {}

/// The latest values of the map are also kept as words beside their keys: see
/// [`SmallValue`].
#[derive(Clone, Copy, Debug)]
pub enum Mirrored {}

/// The map reads every value where it is stored. This suits any type.
#[derive(Clone, Copy, Debug)]
pub enum Unmirrored {}

impl<V: SmallValue> Mirroring<V> for Mirrored {}
impl<V> Mirroring<V> for Unmirrored {}

pub(super) mod sealed {
    use super::{Mirrored, SmallValue, Unmirrored, Words};

    pub trait Mirroring<V> {
        const MIRRORS: bool;
        fn to_words(value: &V) -> Option<Words>;
        fn from_words(words: Words) -> Option<V>;
    }

    impl<V: SmallValue> Mirroring<V> for Mirrored {
        const MIRRORS: bool = true;

        #[inline]
        fn to_words(value: &V) -> Option<Words> {
            value.to_words()
        }

        #[inline]
        fn from_words(words: Words) -> Option<V> {
            Some(V::from_words(words))
        }
    }

    impl<V> Mirroring<V> for Unmirrored {
        const MIRRORS: bool = false;

        #[inline]
        fn to_words(_: &V) -> Option<Words> {
            None
        }

        #[inline]
        fn from_words(_: Words) -> Option<V> {
            None
        }
    }
}

/// A value of one word.
trait Word: Copy {
    fn to_word(self) -> u64;
    fn from_word(word: u64) -> Self;
}

macro_rules! one_word {
    ($($number:ty: $to:expr, $from:expr;)*) => {$(
        impl Word for $number {
            #[inline]
            fn to_word(self) -> u64 {
                ($to)(self)
            }

            #[inline]
            fn from_word(word: u64) -> Self {
                ($from)(word)
            }
        }

        impl SmallValue for $number {
            #[inline]
            fn to_words(&self) -> Option<Words> {
                [*self].to_words()
            }

            #[inline]
            fn from_words([word, ..]: Words) -> Self {
                Self::from_word(word)
            }
        }
    )*};
}

// The conversions back truncate what the conversions there have extended.
one_word! {
    u8: u64::from, |word| word as u8;
    u16: u64::from, |word| word as u16;
    u32: u64::from, |word| word as u32;
    u64: |number| number, |word| word;
    usize: |number| number as u64, |word| word as usize;
    i8: |number| number as u64, |word| word as i8;
    i16: |number| number as u64, |word| word as i16;
    i32: |number| number as u64, |word| word as i32;
    i64: |number: i64| number.cast_unsigned(), |word: u64| word.cast_signed();
    isize: |number| number as u64, |word| word as isize;
    f32: |number: f32| u64::from(number.to_bits()), |word| f32::from_bits(word as u32);
    f64: f64::to_bits, f64::from_bits;
    bool: u64::from, |word| word != 0;
    char: u64::from, |word| char::from_u32(word as u32).unwrap_or_default();
}

/// At most seven numbers have words.
impl<T: Word, const N: usize> SmallValue for [T; N] {
    #[inline]
    fn to_words(&self) -> Option<Words> {
        let mut words = [0; WORDS];
        for (word, number) in words.get_mut(..N)?.iter_mut().zip(self) {
            *word = number.to_word();
        }
        Some(words)
    }

    #[inline]
    fn from_words(words: Words) -> Self {
        std::array::from_fn(|at| T::from_word(words.get(at).copied().unwrap_or_default()))
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn survives<V: SmallValue + PartialEq + Debug>(values: impl IntoIterator<Item = V>) {
        for value in values {
            let words = value.to_words().expect("a small value");
            assert_eq!(V::from_words(words), value);
        }
    }

    #[test]
    fn words_give_back_the_number() {
        survives([u8::MIN, 1, u8::MAX]);
        survives([u16::MIN, 1, u16::MAX]);
        survives([u32::MIN, 1, u32::MAX]);
        survives([u64::MIN, 1, u64::MAX]);
        survives([usize::MIN, 1, usize::MAX]);
        survives([i8::MIN, -1, 0, i8::MAX]);
        survives([i16::MIN, -1, 0, i16::MAX]);
        survives([i32::MIN, -1, 0, i32::MAX]);
        survives([i64::MIN, -1, 0, i64::MAX]);
        survives([isize::MIN, -1, 0, isize::MAX]);
        survives([f32::MIN, -0.5, 0.0, f32::MAX, f32::INFINITY]);
        survives([f64::MIN, -0.5, 0.0, f64::MAX, f64::INFINITY]);
        survives([false, true]);
        survives(['a', 'é', char::MAX]);
    }

    #[test]
    fn words_give_back_an_array_of_at_most_seven() {
        survives([[1.5_f32; 1]]);
        survives([[-1_i8, 0, 1]]);
        survives([['a'; 7]]);
        survives([[u64::MAX; 7]]);
        survives([[0_u8; 0]]);
        assert_eq!([0_u8; 8].to_words(), None);
    }
}
