//! Maps that mirror a part of each value.
//!
//! A value may be too large for the mirror, and most readers may need a part of it that is
//! not. Then the mirror has the words of the part. All other reads find the version where it
//! is stored, as in a map that is not mirrored.

use std::hash::BuildHasher;

use super::HistoryMap;
use super::builder::HistoryMapBuilder;
use super::key::BorrowedKey;
use super::small_value::{Mirroring, SmallValue, Unmirrored, Words, sealed};

/// A value with a part that may fit into the mirror.
pub trait HasSmallPart {
    type Part: SmallValue;

    /// `None` if this value does not have it.
    fn small_part(&self) -> Option<&Self::Part>;
}

/// The parts of the map's latest values are also kept as words beside their keys.
#[derive(Clone, Copy, Debug)]
pub enum PartMirrored {}

impl<V: HasSmallPart> Mirroring<V> for PartMirrored {}

impl<V: HasSmallPart> sealed::Mirroring<V> for PartMirrored {
    /// No whole value is.
    const MIRRORS: bool = false;

    #[inline]
    fn to_words(value: &V) -> Option<Words> {
        value.small_part()?.to_words()
    }

    #[inline]
    fn from_words(_: Words) -> Option<V> {
        None
    }
}

impl<V: HasSmallPart, S> HistoryMapBuilder<V, Unmirrored, S> {
    /// Keeps the part of each key's latest value also as words beside the key.
    pub(crate) fn part_mirrored(self) -> HistoryMapBuilder<V, PartMirrored, S> {
        self.with_mirroring()
    }
}

impl<V, S> HistoryMap<V, PartMirrored, S>
where
    V: HasSmallPart + Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync,
{
    /// Calls `read` with the part of a key's latest value, if there is one that has it. Takes
    /// effect like [`with`](Self::with), or where the mirror is looked into.
    #[inline]
    pub(crate) fn with_part<R>(&self, key: &str, read: impl FnOnce(&V::Part) -> R) -> Option<R> {
        if self.usable() {
            let pinned = self.timelines.pin();
            let timeline = pinned.get(&BorrowedKey(key))?;
            // In a map with a time to live the mirror has nothing.
            if let Some((_, words)) = timeline.mirrored() {
                return Some(read(&V::Part::from_words(words)));
            }
        }
        self.with(key, |value| value.small_part().map(read))?
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;
    use crate::revision::Expected;

    #[derive(Clone, Debug, PartialEq)]
    struct Measured {
        by: String,
        celsius: Option<[f64; 8]>,
        part: Option<f64>,
    }

    impl HasSmallPart for Measured {
        type Part = f64;

        fn small_part(&self) -> Option<&f64> {
            self.part.as_ref()
        }
    }

    fn measured(part: Option<f64>) -> Measured {
        Measured {
            by: "ada".to_owned(),
            celsius: Some([0.5; 8]),
            part,
        }
    }

    #[test]
    fn the_part_is_read_and_so_is_the_whole() {
        let map = HistoryMap::builder()
            .part_mirrored()
            .history(3)
            .build()
            .unwrap();
        let part = || map.with_part("kitchen", |part| *part);
        assert_eq!(part(), None);
        for celsius in [20.0, 21.0, 22.0, 23.0] {
            map.insert("kitchen", measured(Some(celsius))).unwrap();
            assert_eq!(part(), Some(celsius));
            assert_eq!(map.get("kitchen"), Some(measured(Some(celsius))));
        }
        assert_eq!(map.history("kitchen", 9).len(), 3);
        map.insert("kitchen", measured(None)).unwrap();
        assert_eq!(part(), None, "the latest has none");
        assert_eq!(map.get("kitchen"), Some(measured(None)));
        map.insert("kitchen", measured(Some(1.0))).unwrap();
        assert_eq!(part(), Some(1.0));
        map.remove_quietly("kitchen", Expected::Any).unwrap();
        assert_eq!(part(), None);
    }
}
