//! [`HistoryMap`] with values of any type, one thread at a time: what each method
//! promises, and the whole against a plain model.
//!
//! # Properties
//!
//! 1. *Every operation returns what the model returns*, in any program over a few keys,
//!    under any retention, mirrored or not, through the map or a view that is as old as the
//!    program.
//! 2. *After every step the whole map equals the whole model*: the latest value, the
//!    history for all limits, the presence of every key, and the number of keys.
//! 3. *Revisions and times of writing are in order*: of one key, each write has a greater
//!    revision than all before it, and a time that is not before its predecessor's in the
//!    same history.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::RandomState;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attuned_store::{
    ConfigError, DefaultHashBuilder, Expected, HistoryMap, HistoryMapBuilder, MAX_CAPACITY,
    MAX_HISTORY, MapError, Mirrored, Mirroring, Revision, SmallValue, Unmirrored, Versioned, View,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn with_history<V: Clone + Send + Sync + 'static>(entries: usize) -> HistoryMap<V> {
    HistoryMap::builder().history(entries).build().unwrap()
}

fn values<V>(history: Vec<Versioned<V>>) -> Vec<V> {
    history.into_iter().map(|entry| entry.value).collect()
}

/// A type of the user's own with no trait but `Clone`.
#[derive(Clone)]
struct Plain {
    name: String,
    number: u64,
}

/// A type of the user's own that can be mirrored, with values that do not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reading {
    Number(u64),
    Text(String),
}

impl SmallValue for Reading {
    fn to_words(&self) -> Option<[u64; 7]> {
        match self {
            Self::Number(number) => Some([*number, !*number, 3, 4, 5, 6, 7]),
            Self::Text(_) => None,
        }
    }

    fn from_words(words: [u64; 7]) -> Self {
        let [number, inverted, 3, 4, 5, 6, 7] = words else {
            panic!("{words:?} are not words of a reading");
        };
        assert_eq!(inverted, !number, "words of different readings");
        Self::Number(number)
    }
}

fn reading(number: u64) -> Reading {
    if number.is_multiple_of(3) {
        Reading::Text(format!("the reading {number}"))
    } else {
        Reading::Number(number)
    }
}

/// Runs all operations once on a map of any values.
fn every_operation<V, M>(builder: HistoryMapBuilder<V, M>, make: impl Fn(u64) -> V)
where
    V: Clone + Debug + PartialEq + Send + Sync + 'static,
    M: Mirroring<V>,
{
    let map = builder.history(3).build().unwrap();
    assert!(map.is_empty());
    assert_eq!(map.get("a"), None);
    assert_eq!(map.with("a", |_| ()), None);
    assert_eq!(map.get_versioned("a"), None);
    assert_eq!(map.history("a", 9), []);
    assert!(!map.contains("a"));
    assert_eq!(map.remove("a"), Ok(None));
    assert_eq!(map.update("a", |current| current.cloned()), Ok(None));

    let mut revisions = Vec::new();
    for number in 0..5 {
        revisions.push(map.insert("a", make(number)).unwrap());
        assert_eq!(map.get("a"), Some(make(number)));
        assert_eq!(map.with("a", V::clone), Some(make(number)));
        let versioned = map.get_versioned("a").unwrap();
        assert_eq!(versioned.value, make(number));
        assert_eq!(Some(&versioned.revision), revisions.last());
        assert_eq!(map.history("a", 1), [versioned]);
    }
    assert!(revisions.is_sorted_by(|a, b| a < b));
    let history = map.history("a", usize::MAX);
    assert_eq!(
        history
            .iter()
            .map(|entry| entry.revision)
            .collect::<Vec<_>>(),
        [revisions[4], revisions[3], revisions[2]]
    );
    assert_eq!(values(history), [make(4), make(3), make(2)]);
    map.pin(|view| {
        assert_eq!(view.get("a"), Some(make(4)));
        assert_eq!(view.with("a", V::clone), Some(make(4)));
        assert_eq!(view.get_versioned("a"), map.get_versioned("a"));
        assert_eq!(view.history("a", 9), map.history("a", 9));
        assert!(view.contains("a") && !view.contains("b"));
    });

    // Conditional writes and removals.
    let (last, before) = (revisions[4], revisions[3]);
    for expected in [Expected::Absent, Expected::At(before)] {
        let actual = Some(last);
        let conflict = MapError::Conflict { expected, actual };
        assert_eq!(map.insert_if("a", make(9), expected), Err(conflict.clone()));
        assert_eq!(map.remove_if("a", expected), Err(conflict));
    }
    let expected = Expected::At(last);
    let conflict = MapError::Conflict {
        expected,
        actual: None,
    };
    assert_eq!(map.insert_if("b", make(9), expected), Err(conflict.clone()));
    assert_eq!(map.remove_if("b", expected), Err(conflict));
    assert_eq!(map.remove_if("b", Expected::Absent), Ok(None));
    assert_eq!(map.remove_if("b", Expected::Any), Ok(None));
    assert!(map.insert_if("b", make(9), Expected::Absent).is_ok());
    assert!(map.insert_if("a", make(5), Expected::Any).unwrap() > last);
    let latest = map.get_versioned("a");
    let next = map.insert_if("a", make(6), Expected::from(latest.as_ref()));
    let next = next.unwrap();
    assert_eq!(map.stats().conflicts, 6);

    // Updates.
    let updated = map.update("a", |current| {
        assert_eq!(current, Some(&make(6)));
        Some(make(7))
    });
    let updated = updated.unwrap().unwrap();
    assert_eq!(updated.value, make(7));
    assert!(updated.revision > next);
    assert_eq!(map.get_versioned("a"), Some(updated.clone()));
    assert_eq!(map.update("a", |_| None), Ok(None));
    let brought = map.update("c", |current| {
        assert_eq!(current, None);
        Some(make(1))
    });
    assert_eq!(brought.unwrap(), map.get_versioned("c"));

    // What goes over all keys.
    assert_eq!(map.len(), 3);
    let mut visited = BTreeMap::new();
    map.for_each(|key, value| assert!(visited.insert(key.to_owned(), value.clone()).is_none()));
    let expected = [("a", make(7)), ("b", make(9)), ("c", make(1))];
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(visited, BTreeMap::from(expected));
    let keys: HashSet<_> = map.keys().into_iter().collect();
    assert_eq!(keys, ["a", "b", "c"].map(str::to_owned).into());
    assert_eq!(map.retain(|key, value| key == "a" || *value == make(1)), 1);
    assert!(!map.contains("b"));

    // The end.
    assert_eq!(map.remove("a"), Ok(Some(updated)));
    assert_eq!(map.history("a", 9), []);
    let revision = map.insert("a", make(1)).unwrap();
    assert!(revision > next);
    assert_eq!(values(map.history("a", 9)), [make(1)]);
    map.clear();
    assert!(map.is_empty() && map.keys().is_empty());
    let stats = map.stats();
    assert_eq!((stats.keys, stats.versions), (0, 0));
    assert_eq!((stats.writes, stats.removals), (11, 4));
}

mod values_of_any_type {
    use super::*;

    #[test]
    fn text() {
        every_operation(HistoryMap::builder(), |number| format!("{number}"));
    }

    #[test]
    fn vectors() {
        let make = |number| vec![number; number as usize];
        every_operation(HistoryMap::builder(), make);
    }

    #[test]
    fn shared_pointers() {
        every_operation(HistoryMap::builder(), Arc::new);
    }

    #[test]
    fn nothing_at_all() {
        let map = with_history::<()>(3);
        for _ in 0..5 {
            map.insert("a", ()).unwrap();
        }
        assert_eq!(map.history("a", 9).len(), 3);
        assert_eq!(map.get("a"), Some(()));
    }

    #[test]
    fn numbers_mirrored_and_not() {
        every_operation(HistoryMap::builder(), |number| number);
        every_operation(HistoryMap::builder().mirrored(), |number| number);
        let float = |number| number as f64 / 8.0;
        every_operation(HistoryMap::builder().mirrored(), float);
        let array = |number| [number; 7];
        every_operation(HistoryMap::builder().mirrored(), array);
        // Too many to be mirrored.
        let array = |number| [number; 8];
        every_operation(HistoryMap::builder().mirrored(), array);
    }

    #[test]
    fn a_type_of_ones_own_mirrored_and_not() {
        every_operation(HistoryMap::builder(), reading);
        every_operation(HistoryMap::builder().mirrored(), reading);
    }

    #[test]
    fn a_type_without_any_trait_but_clone() {
        let map = with_history::<Plain>(2);
        for number in 0..4 {
            let name = format!("number {number}");
            map.insert("a", Plain { name, number }).unwrap();
        }
        let read = map.get("a").unwrap();
        assert_eq!((&*read.name, read.number), ("number 3", 3));
        assert_eq!(map.with("a", |plain| plain.name.len()), Some(8));
        let history = map.history("a", 9);
        let numbers: Vec<_> = history.iter().map(|entry| entry.value.number).collect();
        assert_eq!(numbers, [3, 2]);
        let removed = map.remove("a").unwrap().unwrap();
        assert_eq!(removed.value.number, 3);
    }

    #[test]
    fn maps_in_maps() {
        let outer = HistoryMap::builder().history(2).build().unwrap();
        for number in 0..3 {
            let inner = HistoryMap::builder().mirrored().build().unwrap();
            inner.insert("number", number).unwrap();
            outer.insert("inner", Arc::new(inner)).unwrap();
        }
        let inner = |inner: &Arc<HistoryMap<u64, Mirrored>>| inner.get("number");
        assert_eq!(outer.with("inner", inner), Some(Some(2)));
        let numbers: Vec<_> = outer
            .history("inner", 9)
            .iter()
            .map(|entry| inner(&entry.value))
            .collect();
        assert_eq!(numbers, [Some(2), Some(1)]);
        outer.clear();
    }

    #[test]
    fn maps_and_views_can_be_shared_as_their_parts_can() {
        fn shareable<T: Send + Sync>() {}
        shareable::<HistoryMap<String>>();
        shareable::<HistoryMap<u64, Mirrored, RandomState>>();
        shareable::<HistoryMapBuilder<String>>();
        shareable::<MapError>();
        shareable::<Versioned<String>>();
    }
}

mod configuration {
    use super::*;

    #[test]
    fn by_default_the_latest_value_alone_is_kept() {
        for map in [
            HistoryMap::default(),
            HistoryMap::builder().build().unwrap(),
        ] {
            for number in 0..5 {
                map.insert("a", number).unwrap();
                assert_eq!(values(map.history("a", usize::MAX)), [number]);
            }
        }
    }

    #[test]
    fn a_history_of_one_is_the_latest() {
        let map = with_history(1);
        for number in 0..50 {
            map.insert("a", number).unwrap();
            let latest = map.get_versioned("a").unwrap();
            assert_eq!(map.history("a", usize::MAX), [latest]);
            assert_eq!(map.history("a", 0), []);
        }
        assert_eq!(map.stats().evictions, 49);
    }

    #[test]
    fn settings_out_of_bounds_are_refused() {
        let history = |entries| HistoryMap::<u64>::builder().history(entries).build().err();
        assert_eq!(history(0), Some(ConfigError::HistoryZero));
        let max = MAX_HISTORY;
        for requested in [max + 1, usize::MAX] {
            let error = ConfigError::HistoryTooLarge { requested, max };
            assert_eq!(history(requested), Some(error));
        }
        let capacity = |keys| HistoryMap::<u64>::builder().capacity(keys).build().err();
        let max = MAX_CAPACITY;
        for requested in [max + 1, usize::MAX] {
            let error = ConfigError::CapacityTooLarge { requested, max };
            assert_eq!(capacity(requested), Some(error));
        }
        let max_keys = HistoryMap::<u64>::builder().max_keys(0).build().err();
        assert_eq!(max_keys, Some(ConfigError::MaximumZero));
    }

    #[test]
    fn the_order_of_the_settings_does_not_matter() {
        let one = HistoryMap::<u64>::builder()
            .mirrored()
            .hasher(RandomState::new())
            .history(2)
            .max_keys(1)
            .capacity(100)
            .build()
            .unwrap();
        let other = HistoryMap::<u64>::builder()
            .capacity(100)
            .max_keys(1)
            .history(2)
            .hasher(RandomState::new())
            .mirrored()
            .build()
            .unwrap();
        for map in [one, other] {
            for number in 0..5 {
                map.insert("a", number).unwrap();
            }
            assert_eq!(map.insert("b", 1), Err(MapError::Full { max_keys: 1 }));
            assert_eq!(values(map.history("a", 9)), [4, 3]);
        }
    }

    #[test]
    fn debug_shows_settings_and_counts_but_nothing_that_is_stored() {
        let map = HistoryMap::builder()
            .history(3)
            .max_keys(9)
            .build()
            .unwrap();
        map.insert("secret-key", "secret-value").unwrap();
        assert_eq!(
            format!("{map:?}"),
            "HistoryMap { keys: 1, history: 3, max_keys: Some(9), time_to_live: None, .. }"
        );
        assert_eq!(map.pin(|view| format!("{view:?}")), "View { .. }");
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let map = HistoryMap::builder().max_keys(1).build().unwrap();
        let revision = map.insert("a", 1).unwrap();
        let conflict = map.insert_if("a", 2, Expected::Absent).unwrap_err();
        assert_eq!(
            conflict.to_string(),
            format!("conflict: expected nothing, found revision {revision}")
        );
        let conflict = map.remove_if("b", Expected::At(revision)).unwrap_err();
        assert_eq!(
            conflict.to_string(),
            format!("conflict: expected revision {revision}, found nothing")
        );
        assert_eq!(
            map.insert("b", 1).unwrap_err().to_string(),
            "capacity exceeded: the map has its maximum of 1 keys"
        );
    }
}

mod keys {
    use super::*;

    /// Around the lengths at which a key moves into an allocation, and at which it is
    /// compared in another way.
    #[test]
    fn keys_of_every_length_are_kept_apart() {
        let lengths = [
            0, 1, 7, 8, 9, 16, 17, 22, 23, 24, 25, 32, 33, 63, 64, 65, 1000,
        ];
        let mut keys: Vec<String> = Vec::new();
        for length in lengths {
            keys.push("x".repeat(length));
            for at in [0, length / 2, length.saturating_sub(1)] {
                let mut key = "x".repeat(length);
                if length > 0 {
                    key.replace_range(at..=at, "y");
                    keys.push(key);
                }
            }
        }
        keys.extend([
            "é".repeat(4),
            "語".repeat(8),
            "\0".to_owned(),
            " ".to_owned(),
        ]);
        keys.extend(["\0\0".to_owned(), "\u{10ffff}".repeat(16)]);
        let keys: HashSet<String> = keys.into_iter().collect();

        fn check<M: Mirroring<usize>>(
            builder: HistoryMapBuilder<usize, M>,
            keys: &HashSet<String>,
        ) {
            let map = builder.history(2).build().unwrap();
            for round in 0..3 {
                for (number, key) in keys.iter().enumerate() {
                    map.insert(key, 10 * number + round).unwrap();
                }
            }
            assert_eq!(map.len(), keys.len());
            assert_eq!(map.keys().into_iter().collect::<HashSet<_>>(), *keys);
            for (number, key) in keys.iter().enumerate() {
                assert_eq!(map.get(key), Some(10 * number + 2), "{key:?}");
                assert_eq!(
                    values(map.history(key, 9)),
                    [10 * number + 2, 10 * number + 1]
                );
                assert!(map.contains(key));
            }
            for key in keys {
                assert!(map.remove(key).unwrap().is_some(), "{key:?}");
                assert!(!map.contains(key));
            }
            assert!(map.is_empty());
        }
        check(HistoryMap::builder(), &keys);
        check(HistoryMap::builder().mirrored(), &keys);
    }
}

mod times {
    use super::*;

    fn now() -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(now.as_millis()).unwrap()
    }

    #[test]
    fn a_write_has_the_time_at_which_it_was_made() {
        let map = with_history(9);
        let mut before = now();
        for number in 0..5 {
            match number {
                0..3 => drop(map.insert("a", number).unwrap()),
                3 => drop(map.update("a", |_| Some(number)).unwrap()),
                _ => drop(map.insert_if("a", number, Expected::Any).unwrap()),
            }
            let after = now();
            let written_at = map.get_versioned("a").unwrap().written_at;
            assert!((before..=after).contains(&written_at));
            before = after;
            thread::sleep(Duration::from_millis(2));
        }
        // It does not change afterwards.
        let history = map.history("a", 9);
        thread::sleep(Duration::from_millis(2));
        assert_eq!(map.history("a", 9), history);
        assert!(history.is_sorted_by(|newer, older| newer.written_at > older.written_at));
        let removed = map.remove("a").unwrap().unwrap();
        assert_eq!(removed, history[0]);
    }

    #[test]
    fn no_write_is_before_its_predecessor_of_any_writer() {
        for retention in [2, 3, 20, 400] {
            let map = with_history(retention);
            thread::scope(|scope| {
                for thread in 0..4 {
                    let map = &map;
                    scope.spawn(move || {
                        for number in 0..1_000 {
                            match number % 3 {
                                0 => drop(map.insert("a", thread)),
                                1 => drop(map.update("a", |_| Some(thread))),
                                _ => drop(map.insert_if("a", thread, Expected::Any)),
                            }
                            let history = map.history("a", 9);
                            assert!(history.is_sorted_by(|newer, older| {
                                newer.revision > older.revision
                                    && newer.written_at >= older.written_at
                            }));
                        }
                    });
                }
            });
            let history = map.history("a", usize::MAX);
            assert_eq!(history.len(), retention);
            assert!(history.is_sorted_by(|newer, older| newer.written_at >= older.written_at));
        }
    }
}

mod closures {
    use super::*;

    #[test]
    fn an_update_is_asked_again_if_another_write_came_between() {
        let map = with_history(9);
        map.insert("a", 1).unwrap();
        let mut seen = Vec::new();
        let updated = map.update("a", |current| {
            seen.push(current.copied());
            match seen.len() {
                1 => drop(map.insert("a", 10).unwrap()),
                2 => drop(map.remove("a").unwrap()),
                3 => drop(map.insert("a", 20).unwrap()),
                _ => {}
            }
            Some(current.copied().unwrap_or(0) + 1)
        });
        assert_eq!(seen, [Some(1), Some(10), None, Some(20)]);
        assert_eq!(updated.unwrap().unwrap().value, 21);
        assert_eq!(values(map.history("a", 9)), [21, 20]);
    }

    #[test]
    fn closures_may_use_the_map() {
        let map = with_history(3);
        map.insert("a", vec![1]).unwrap();
        let sum = map.with("a", |first| {
            map.insert("a", vec![2]).unwrap();
            map.remove("a").unwrap();
            map.insert("a", vec![3]).unwrap();
            first[0] + map.with("a", |third| third[0]).unwrap()
        });
        assert_eq!(sum, Some(4));
        map.for_each(|key, _| {
            map.insert(key, vec![4]).unwrap();
        });
        assert_eq!(map.get("a"), Some(vec![4]));
    }

    #[test]
    fn a_closure_that_panics_changes_nothing() {
        let map = with_history(3);
        map.insert("a", vec![1]).unwrap();
        let history = map.history("a", 9);
        let panics: [&dyn Fn(); 6] = [
            &|| map.with("a", |_| panic!("on purpose")).unwrap_or(()),
            &|| drop(map.update("a", |_| panic!("on purpose"))),
            &|| drop(map.update("b", |_| panic!("on purpose"))),
            &|| assert_eq!(map.retain(|_, _| panic!("on purpose")), 0),
            &|| map.for_each(|_, _| panic!("on purpose")),
            &|| map.pin(|_| panic!("on purpose")),
        ];
        for action in panics {
            assert!(catch_unwind(AssertUnwindSafe(action)).is_err());
            assert_eq!(map.history("a", 9), history);
            assert_eq!(map.len(), 1);
        }
        map.insert("a", vec![2]).unwrap();
        assert!(map.remove("a").unwrap().is_some());
    }

    /// A clone is made of a value that is read. That it fails is as if nothing was read;
    /// a removal has happened all the same.
    #[test]
    fn a_clone_that_panics_spoils_nothing() {
        #[derive(Debug)]
        struct Fragile(u64);

        impl Clone for Fragile {
            fn clone(&self) -> Self {
                panic!("on purpose")
            }
        }

        let map = with_history::<Fragile>(3);
        for number in 0..9 {
            map.insert("a", Fragile(number)).unwrap();
        }
        let reads: [&dyn Fn(); 4] = [
            &|| drop(map.get("a")),
            &|| drop(map.get_versioned("a")),
            &|| drop(map.history("a", 9)),
            &|| map.pin(|view| drop(view.get("a"))),
        ];
        for read in reads {
            assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
            assert_eq!(map.with("a", |fragile| fragile.0), Some(8));
        }
        assert_eq!(map.history("a", 0).len(), 0);
        let removal = catch_unwind(AssertUnwindSafe(|| map.remove("a")));
        assert!(removal.is_err());
        assert!(!map.contains("a"), "the removal had taken effect");
        assert!(map.is_empty() && map.keys().is_empty());
        map.insert("a", Fragile(9)).unwrap();
        assert_eq!(map.with("a", |fragile| fragile.0), Some(9));
        assert_eq!(map.retain(|_, _| false), 1);
        assert!(map.is_empty());
    }
}

mod small_values {
    use super::*;

    /// The words are those of the latest value, whatever came before it.
    #[test]
    fn values_that_fit_and_do_not_fit_can_follow_each_other() {
        let map = HistoryMap::builder().mirrored().history(4).build().unwrap();
        let mut written = Vec::new();
        for number in [1, 3, 6, 2, 4, 9, 5, 3, 3, 1] {
            map.insert("a", reading(number)).unwrap();
            written.insert(0, reading(number));
            written.truncate(4);
            assert_eq!(map.get("a"), Some(reading(number)));
            assert_eq!(map.with("a", Reading::clone), Some(reading(number)));
            assert_eq!(values(map.history("a", 9)), written);
        }
        map.remove("a").unwrap();
        assert_eq!(map.get("a"), None);
        map.insert("a", reading(3)).unwrap();
        assert_eq!(map.get("a"), Some(reading(3)));
    }

    #[test]
    fn a_mirrored_value_is_read_without_a_clone() {
        #[derive(Debug, PartialEq)]
        struct Uncloned(u64);

        impl Clone for Uncloned {
            fn clone(&self) -> Self {
                panic!("cloned")
            }
        }

        impl SmallValue for Uncloned {
            fn to_words(&self) -> Option<[u64; 7]> {
                self.0.to_words()
            }

            fn from_words(words: [u64; 7]) -> Self {
                Self(u64::from_words(words))
            }
        }

        let map = HistoryMap::builder().mirrored().build().unwrap();
        map.insert("a", Uncloned(1)).unwrap();
        map.insert("a", Uncloned(2)).unwrap();
        assert_eq!(map.get("a"), Some(Uncloned(2)));
        assert_eq!(map.pin(|view| view.get("a")), Some(Uncloned(2)));
        assert_eq!(map.with("a", |value| value.0), Some(2));
    }

    /// Words are asked for once a write, when nothing has been done yet.
    #[test]
    fn to_words_that_panics_changes_nothing() {
        #[derive(Clone, Debug, PartialEq)]
        struct Wordless(bool);

        impl SmallValue for Wordless {
            fn to_words(&self) -> Option<[u64; 7]> {
                assert!(self.0, "on purpose");
                Some([1; 7])
            }

            fn from_words(_: [u64; 7]) -> Self {
                Self(true)
            }
        }

        let map = HistoryMap::builder()
            .mirrored()
            .history(2)
            .max_keys(2)
            .build()
            .unwrap();
        map.insert("a", Wordless(true)).unwrap();
        for key in ["a", "b"] {
            let write = catch_unwind(AssertUnwindSafe(|| map.insert(key, Wordless(false))));
            assert!(write.is_err());
            let change = |_: Option<&_>| Some(Wordless(false));
            let write = catch_unwind(AssertUnwindSafe(|| map.update(key, change)));
            assert!(write.is_err());
        }
        assert_eq!(map.keys(), ["a"]);
        assert_eq!(map.history("a", 9).len(), 1);
        map.insert("b", Wordless(true)).unwrap();
    }
}

/// The model: each key's history, newest first, of the length that is kept.
struct Model {
    keys: HashMap<&'static str, VecDeque<Reading>>,
    /// How often each key was ever written.
    writes: HashMap<&'static str, u64>,
    retention: usize,
    max_keys: usize,
}

impl Model {
    fn insert(&mut self, key: &'static str, value: Reading) {
        *self.writes.entry(key).or_default() += 1;
        let history = self.keys.entry(key).or_default();
        history.push_front(value);
        history.truncate(self.retention);
    }

    /// Whether a key that is to be written has to be refused.
    fn is_full(&self, key: &str) -> bool {
        !self.keys.contains_key(key) && self.keys.len() >= self.max_keys
    }

    fn latest(&self, key: &str) -> Option<Reading> {
        self.keys.get(key)?.front().cloned()
    }

    fn history(&self, key: &str, limit: usize) -> Vec<Reading> {
        let history = self.keys.get(key).into_iter().flatten();
        history.take(limit).cloned().collect()
    }
}

const KEYS: [&str; 4] = [
    "",
    "ada",
    "größe-語",
    "a-key-that-takes-an-allocation-of-its-own",
];

#[derive(Clone, Copy, Debug)]
enum Condition {
    Any,
    Absent,
    /// At the last revision that was seen of the key.
    Seen,
}

#[derive(Clone, Debug)]
enum Step {
    Insert(&'static str),
    InsertIf(&'static str, Condition),
    Update(&'static str, bool),
    Remove(&'static str),
    RemoveIf(&'static str, Condition),
    Get(&'static str, bool),
    Retain(u64),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || select(KEYS.as_slice());
    let condition = || select(&[Condition::Any, Condition::Absent, Condition::Seen][..]);
    prop_oneof![
        10 => key().prop_map(Step::Insert),
        5 => (key(), condition()).prop_map(|(key, condition)| Step::InsertIf(key, condition)),
        3 => (key(), any::<bool>()).prop_map(|(key, declines)| Step::Update(key, declines)),
        2 => key().prop_map(Step::Remove),
        3 => (key(), condition()).prop_map(|(key, condition)| Step::RemoveIf(key, condition)),
        3 => (key(), any::<bool>()).prop_map(|(key, view)| Step::Get(key, view)),
        1 => (2..5_u64).prop_map(Step::Retain),
        1 => Just(Step::Clear),
    ]
}

struct Session<'a, M: Mirroring<Reading>> {
    map: &'a HistoryMap<Reading, M>,
    view: &'a View<'a, Reading, M, DefaultHashBuilder>,
    model: Model,
    /// The last revision that was seen of each key, and of which write.
    seen: HashMap<&'static str, (u64, Revision)>,
    number: u64,
}

impl<M: Mirroring<Reading>> Session<'_, M> {
    fn saw(&mut self, key: &'static str, revision: Revision) -> Result<(), TestCaseError> {
        let this = (self.model.writes[key], revision);
        if let Some(last) = self.seen.insert(key, this) {
            prop_assert_eq!(this.0.cmp(&last.0), this.1.cmp(&last.1));
        }
        Ok(())
    }

    fn expected(&self, key: &str, condition: Condition) -> Expected {
        match (condition, self.seen.get(key)) {
            (Condition::Any, _) => Expected::Any,
            (Condition::Seen, Some(&(_, revision))) => Expected::At(revision),
            _ => Expected::Absent,
        }
    }

    /// Whether that is what is there.
    fn fits(&self, key: &str, expected: Expected) -> bool {
        let present = self.model.keys.contains_key(key);
        match expected {
            Expected::Any => true,
            Expected::Absent => !present,
            Expected::At(_) => present && self.seen[key].0 == self.model.writes[key],
        }
    }

    fn conflicts(
        &mut self,
        key: &'static str,
        expected: Expected,
        error: MapError,
    ) -> Result<(), TestCaseError> {
        let MapError::Conflict {
            expected: told,
            actual,
        } = error
        else {
            return Err(TestCaseError::fail(format!("{error}")));
        };
        prop_assert_eq!(told, expected);
        prop_assert!(!self.fits(key, expected), "{expected:?} was refused");
        prop_assert_eq!(actual.is_some(), self.model.keys.contains_key(key));
        actual.map_or(Ok(()), |revision| self.saw(key, revision))
    }

    fn run(&mut self, step: Step) -> Result<(), TestCaseError> {
        self.number += 1;
        let value = reading(self.number);
        match step {
            Step::Insert(key) => self.insert_if(key, value, Expected::Any)?,
            Step::InsertIf(key, condition) => {
                let expected = self.expected(key, condition);
                self.insert_if(key, value, expected)?;
            }
            Step::Update(key, declines) => {
                let mut read = None;
                let updated = self.map.update(key, |current| {
                    read = current.cloned();
                    (!declines).then(|| value.clone())
                });
                prop_assert_eq!(&read, &self.model.latest(key));
                if declines {
                    prop_assert_eq!(updated, Ok(None));
                } else if self.model.is_full(key) {
                    let max_keys = self.model.max_keys;
                    prop_assert_eq!(updated, Err(MapError::Full { max_keys }));
                } else {
                    let updated = updated.unwrap().unwrap();
                    prop_assert_eq!(&updated.value, &value);
                    self.model.insert(key, value);
                    self.saw(key, updated.revision)?;
                    prop_assert_eq!(self.map.get_versioned(key), Some(updated));
                }
            }
            Step::Remove(key) => self.remove_if(key, Expected::Any)?,
            Step::RemoveIf(key, condition) => {
                let expected = self.expected(key, condition);
                self.remove_if(key, expected)?;
            }
            Step::Get(key, from_view) => {
                let latest = if from_view {
                    self.view.get_versioned(key)
                } else {
                    self.map.get_versioned(key)
                };
                let value = latest.as_ref().map(|latest| latest.value.clone());
                prop_assert_eq!(value, self.model.latest(key));
                if let Some(latest) = latest {
                    self.saw(key, latest.revision)?;
                }
            }
            Step::Retain(divisor) => {
                let keep = |value: &Reading| match value {
                    Reading::Number(number) => number % divisor != 0,
                    Reading::Text(text) => !(text.len() as u64).is_multiple_of(divisor),
                };
                let removed = self.map.retain(|_, value| keep(value));
                let before = self.model.keys.len();
                self.model.keys.retain(|_, history| keep(&history[0]));
                prop_assert_eq!(removed, before - self.model.keys.len());
            }
            Step::Clear => {
                self.map.clear();
                self.model.keys.clear();
            }
        }
        self.compare_everything()
    }

    fn insert_if(
        &mut self,
        key: &'static str,
        value: Reading,
        expected: Expected,
    ) -> Result<(), TestCaseError> {
        match self.map.insert_if(key, value.clone(), expected) {
            Ok(revision) => {
                prop_assert!(self.fits(key, expected), "{expected:?} was accepted");
                prop_assert!(!self.model.is_full(key));
                self.model.insert(key, value);
                self.saw(key, revision)
            }
            Err(MapError::Full { max_keys }) => {
                prop_assert_eq!(max_keys, self.model.max_keys);
                prop_assert!(self.model.is_full(key));
                Ok(())
            }
            Err(error) => self.conflicts(key, expected, error),
        }
    }

    fn remove_if(&mut self, key: &'static str, expected: Expected) -> Result<(), TestCaseError> {
        let latest = self.map.get_versioned(key);
        match self.map.remove_if(key, expected) {
            Ok(removed) => {
                prop_assert!(self.fits(key, expected), "{expected:?} was accepted");
                prop_assert_eq!(removed, latest);
                self.model.keys.remove(key);
                Ok(())
            }
            Err(error) => self.conflicts(key, expected, error),
        }
    }

    fn compare_everything(&self) -> Result<(), TestCaseError> {
        let Self {
            map, view, model, ..
        } = self;
        prop_assert_eq!(map.len(), model.keys.len());
        prop_assert_eq!(map.is_empty(), model.keys.is_empty());
        let keys: HashSet<_> = map.keys().into_iter().collect();
        prop_assert_eq!(keys, model.keys.keys().map(|&key| key.to_owned()).collect());
        let mut visited = HashMap::new();
        map.for_each(|key, value| drop(visited.insert(key.to_owned(), value.clone())));
        for key in KEYS {
            let latest = model.latest(key);
            prop_assert_eq!(&map.get(key), &latest);
            prop_assert_eq!(&view.get(key), &latest);
            prop_assert_eq!(&map.with(key, Reading::clone), &latest);
            prop_assert_eq!(&view.with(key, Reading::clone), &latest);
            prop_assert_eq!(visited.get(key), latest.as_ref());
            prop_assert_eq!(map.contains(key), latest.is_some());
            prop_assert_eq!(view.contains(key), latest.is_some());
            for limit in (0..=8).chain([25, usize::MAX]) {
                let history = map.history(key, limit);
                let in_order = history.is_sorted_by(|newer, older| {
                    newer.revision > older.revision && newer.written_at >= older.written_at
                });
                prop_assert!(in_order, "not in order");
                prop_assert_eq!(&view.history(key, limit), &history);
                prop_assert_eq!(
                    values(history),
                    model.history(key, limit),
                    "limit {}",
                    limit
                );
            }
        }
        Ok(())
    }
}

fn check<M: Mirroring<Reading>>(
    builder: HistoryMapBuilder<Reading, M>,
    retention: usize,
    max_keys: Option<usize>,
    program: &[Step],
) -> Result<(), TestCaseError> {
    let builder = builder.history(retention);
    let builder = match max_keys {
        Some(keys) => builder.max_keys(keys),
        None => builder,
    };
    let map = builder.build().unwrap();
    map.pin(|view| {
        let mut session = Session {
            map: &map,
            view,
            model: Model {
                keys: HashMap::new(),
                writes: HashMap::new(),
                retention,
                max_keys: max_keys.unwrap_or(usize::MAX),
            },
            seen: HashMap::new(),
            number: 0,
        };
        program
            .iter()
            .try_for_each(|step| session.run(step.clone()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_map_does_what_a_map_of_queues_does(
        retention in select(&[1_usize, 2, 3, 9, 17, 20][..]),
        max_keys in select(&[None, None, Some(1), Some(3)][..]),
        program in vec(step(), 1..120),
    ) {
        check::<Unmirrored>(HistoryMap::builder(), retention, max_keys, &program)?;
        check::<Mirrored>(HistoryMap::builder().mirrored(), retention, max_keys, &program)?;
    }

    /// Keys are any text.
    #[test]
    fn any_text_is_a_key(keys in vec(any::<String>(), 1..20)) {
        let map = with_history(2);
        for (number, key) in keys.iter().enumerate() {
            map.insert(key, number).unwrap();
        }
        let distinct: HashSet<&String> = keys.iter().collect();
        prop_assert_eq!(map.len(), distinct.len());
        for key in distinct {
            let last = keys.iter().rposition(|other| other == key);
            prop_assert_eq!(map.get(key), last);
        }
    }
}
