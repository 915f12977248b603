//! A clock that is set back.

use super::reads::READS;
use super::*;
use crate::map::MapError;
use crate::revision::Expected;

#[test]
fn what_somebody_was_told_has_expired_stays_so_if_the_clock_is_set_back() {
    // Each leaves a trace, or takes it out.
    let tell = READS.iter().copied().chain([
        (
            "remove",
            (|map| map.remove("ada").unwrap().is_some()) as fn(&Map) -> bool,
        ),
        ("sweep", |map| map.sweep() == 0),
    ]);
    for (name, tell) in tell {
        let (map, clock, last) = expired();
        assert!(!tell(&map), "{name}");
        clock.set(BEGIN);
        for (read_name, read) in READS {
            assert!(!read(&map), "{name}, then {read_name}");
        }
        assert!(map.insert_if("ada", 3, Expected::At(last)).is_err());
        map.insert("ada", 3).unwrap();
        assert_eq!(values(&map, "ada"), [3], "{name}");
    }
    // What nobody was told of lives until the clock is there again.
    let (map, clock, _) = expired();
    clock.set(BEGIN);
    assert_eq!(values(&map, "ada"), [2, 1]);
}

/// A time of writing is never less than that of the write before, and a key lives by it.
#[test]
fn a_clock_that_is_set_back_makes_keys_live_longer() {
    let (map, clock) = map();
    map.insert("ada", 1).unwrap();
    clock.set(BEGIN - 1_000);
    map.insert("ada", 2).unwrap();
    assert_eq!(map.get_versioned("ada").unwrap().written_at, BEGIN);
    clock.set(BEGIN + TIME_TO_LIVE - 1);
    assert_eq!(map.get("ada"), Some(2));
    clock.set(BEGIN + TIME_TO_LIVE);
    assert_eq!(map.get("ada"), None);
}

/// The seal stays, also for those who go by an earlier time.
#[test]
fn what_was_told_to_have_expired_does_not_come_back_with_the_clock() {
    let told = || {
        let (map, clock, last) = expired();
        assert_eq!(map.get("ada"), None);
        clock.set(BEGIN);
        (map, last)
    };
    let (map, last) = told();
    for (name, read) in READS {
        assert!(!read(&map), "{name}");
    }
    let expected = Expected::At(last);
    let actual = None;
    let nobody = MapError::Conflict { expected, actual };
    assert_eq!(map.insert_if("ada", 3, expected), Err(nobody.clone()));
    assert!(map.insert("ada", 3).unwrap() > last);
    assert_eq!(values(&map, "ada"), [3]);

    let (map, _) = told();
    map.insert("ada", 3).unwrap();
    assert_eq!(values(&map, "ada"), [3]);

    let (map, _) = told();
    map.update("ada", |value| {
        assert_eq!(value, None);
        Some(3)
    })
    .unwrap();
    assert_eq!(values(&map, "ada"), [3]);

    let (map, _) = told();
    assert_eq!(map.remove_if("ada", expected), Err(nobody));
    assert_eq!(map.len(), 0);

    let (map, _) = told();
    assert_eq!(map.retain(|_, _| unreachable!("nobody is there")), 0);
    assert_eq!(map.len(), 0);

    let (map, _) = told();
    assert_eq!(map.sweep(), 1);
}
