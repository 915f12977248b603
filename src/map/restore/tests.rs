use std::time::Duration;

use super::*;
use crate::clock::SetClock;
use crate::map::small_value::Unmirrored;
use crate::map::{DefaultHashBuilder, Stats};

type Map = HistoryMap<u64, Unmirrored, DefaultHashBuilder>;

const NOW: i64 = 5_000;

fn map() -> Map {
    HistoryMap::builder().history(3).build().unwrap()
}

/// A map with this time to live in milliseconds, and what its clock shows.
fn timed(time_to_live: u64) -> (Map, SetClock) {
    let clock = SetClock::default();
    clock.set(NOW);
    let builder = HistoryMap::builder().history(3).clock(clock.clone());
    let builder = builder.time_to_live(Duration::from_millis(time_to_live));
    (builder.build().unwrap(), clock)
}

/// Versions with these revisions, each as its value, and written at this time; newest first.
fn versions(revisions: &[u64], written_at: i64) -> Vec<Versioned<u64>> {
    let version = |&revision| Versioned::new(revision, Revision::from(revision), written_at);
    revisions.iter().map(version).collect()
}

/// Puts these keys back, one after the other.
fn restore(map: &mut Map, keys: &[(&str, Vec<Versioned<u64>>)]) -> Result<(), MapError> {
    let restorer = map.restorer(NOW);
    let mut portion = restorer.portion()?;
    for (key, versions) in keys {
        portion.put_back(SmolStr::new(key), &mut versions.clone(), false);
    }
    portion.end()?;
    let former = restorer.end();
    map.go_on(former, 100, NOW)
}

fn found(map: &Map, key: &str) -> Vec<u64> {
    map.history(key, 9)
        .iter()
        .map(|entry| {
            assert_eq!(Revision::from(entry.value), entry.revision);
            entry.value
        })
        .collect()
}

#[test]
fn of_a_key_that_came_twice_the_greater_revisions_stay_in_either_order() {
    let early = ("ada", versions(&[9, 8, 5], 10));
    let late = ("ada", versions(&[20, 12], 20));
    for keys in [[early.clone(), late.clone()], [late.clone(), early.clone()]] {
        let mut map = map();
        restore(&mut map, &keys).unwrap();
        assert_eq!(found(&map, "ada"), [20, 12]);
        assert_eq!(map.len(), 1);
        let next = map.insert("ada", 0).unwrap();
        assert!(next > Revision::from(1 << 32));
    }

    // It takes one place.
    let mut map: Map = HistoryMap::builder()
        .history(3)
        .max_keys(1)
        .build()
        .unwrap();
    restore(&mut map, &[early, late]).unwrap();
    assert_eq!(found(&map, "ada"), [20, 12]);
    assert_eq!(map.insert("grace", 1), Err(MapError::Full { max_keys: 1 }));
}

#[test]
fn more_keys_than_there_may_be_are_refused_whatever_portions_they_come_in() {
    let mut map: Map = HistoryMap::builder().max_keys(3).build().unwrap();
    let restorer = map.restorer(NOW);
    let put_back = |keys: &[&str]| {
        let mut portion = restorer.portion().unwrap();
        for &key in keys {
            portion.put_back(SmolStr::new(key), &mut versions(&[9], 10), false);
        }
        portion.end()
    };
    assert_eq!(put_back(&["ada", "grace"]), Ok(()));
    assert_eq!(put_back(&[]), Ok(()));
    assert_eq!(put_back(&["ada"]), Ok(()), "it is there");
    assert_eq!(put_back(&["edsger"]), Ok(()));
    assert_eq!(put_back(&["tony"]), Err(MapError::Full { max_keys: 3 }));
}

#[test]
fn a_key_whose_time_is_over_does_not_come_back_as_it_was_before_a_removal() {
    // Removed, and written again after the clock had been set back.
    let early = ("ada", versions(&[9], NOW - 50));
    let late = ("ada", versions(&[20], NOW - 100));
    for keys in [[early.clone(), late.clone()], [late, early]] {
        let (mut map, _clock) = timed(100);
        restore(&mut map, &keys).unwrap();
        assert_eq!(map.len(), 0);
        assert_eq!(map.get("ada"), None);
    }
}

#[test]
fn time_to_live_goes_by_any_time_of_writing() {
    let keys = [
        ("at the deadline", versions(&[2], NOW - 100)),
        ("just before", versions(&[3], NOW - 99)),
        ("long ago", versions(&[4], i64::MIN)),
        ("in the future", versions(&[5], NOW + 1)),
        ("at the end of time", versions(&[6], i64::MAX)),
    ];
    let (mut map, clock) = timed(100);
    restore(&mut map, &keys).unwrap();
    let mut there = map.keys();
    there.sort_unstable();
    assert_eq!(
        there,
        ["at the end of time", "in the future", "just before"]
    );
    assert_eq!(map.len(), 3, "the others are not to be swept");
    let Stats {
        writes,
        expirations,
        ..
    } = map.stats();
    assert_eq!((writes, expirations), (3, 0));

    clock.set(NOW + 1);
    assert!(!map.contains("just before"));
    assert_eq!(map.sweep(), 1);
    clock.set(i64::MAX);
    assert!(!map.contains("in the future"));
    assert!(map.contains("at the end of time"));
    // A write on top keeps to the order of times.
    map.insert("at the end of time", 1).unwrap();
    let history = map.history("at the end of time", 9);
    assert_eq!((history.len(), history[0].written_at), (2, i64::MAX));
}

#[test]
fn a_shorter_history_takes_the_newest_and_knows_that_there_were_others() {
    let mut map = map();
    restore(&mut map, &[("ada", versions(&[9, 8, 7, 6], 10))]).unwrap();
    assert_eq!(found(&map, "ada"), [9, 8, 7]);
    assert_eq!(map.as_of("ada", 9), crate::range::AsOf::Evicted);
    let mut map = self::map();
    restore(&mut map, &[("ada", versions(&[9, 8, 7], 10))]).unwrap();
    assert_eq!(map.as_of("ada", 9), crate::range::AsOf::NotThere);
}

/// Written until all that was restored has been evicted, as any other history.
#[test]
fn a_restored_history_is_evicted_like_any_other() {
    let mut map: Map = HistoryMap::builder().history(50).build().unwrap();
    let revisions: Vec<u64> = (2..52).rev().collect();
    restore(&mut map, &[("ada", versions(&revisions, 10))]).unwrap();
    for number in 0..200 {
        map.insert("ada", number).unwrap();
        assert_eq!(map.history("ada", usize::MAX).len(), 50);
    }
    let values: Vec<_> = map
        .history("ada", 99)
        .iter()
        .map(|entry| entry.value)
        .collect();
    assert!(values.iter().copied().eq((150..200).rev()));
}
