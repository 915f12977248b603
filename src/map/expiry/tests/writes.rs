//! What writes and removals find of what has expired.

use std::sync::Barrier;
use std::thread;

use super::reads::READS;
use super::*;
use crate::map::MapError;
use crate::revision::Expected;

#[test]
fn every_write_gives_the_whole_time_anew_and_no_read_does() {
    let writes: [fn(&Map); 3] = [
        |map| {
            map.insert("ada", 2).unwrap();
        },
        |map| {
            let current = map.get_versioned("ada").unwrap();
            let expected = Expected::At(current.revision);
            map.insert_if("ada", 2, expected).unwrap();
        },
        |map| {
            map.update("ada", |value| value.map(|value| value + 1))
                .unwrap();
        },
    ];
    for write in writes {
        let (map, clock) = map();
        map.insert("ada", 1).unwrap();
        clock.set(BEGIN + TIME_TO_LIVE - 1);
        write(&map);
        clock.set(BEGIN + 2 * TIME_TO_LIVE - 2);
        for (name, read) in READS {
            assert!(read(&map), "{name}");
        }
        assert_eq!(values(&map, "ada"), [2, 1]);
        clock.set(BEGIN + 2 * TIME_TO_LIVE - 1);
        assert_eq!(map.get("ada"), None);
    }
}

/// Each way to write, as from a place where nobody is.
#[test]
fn a_write_of_an_expired_key_begins_anew() {
    type Write = (&'static str, fn(&Map) -> Revision);
    let writes: [Write; 3] = [
        ("insert", |map| map.insert("ada", 9).unwrap()),
        ("insert_if", |map| {
            map.insert_if("ada", 9, Expected::Absent).unwrap()
        }),
        ("update", |map| {
            let updated = map.update("ada", |value| {
                assert_eq!(value, None);
                Some(9)
            });
            updated.unwrap().unwrap().revision
        }),
    ];
    for told in [false, true] {
        for (name, write) in writes {
            let (map, clock, last) = expired();
            if told {
                assert_eq!(map.get("ada"), None);
            }
            let revision = write(&map);
            assert!(revision > last, "{name}");
            assert_eq!(values(&map, "ada"), [9], "{name}");
            let latest = map.get_versioned("ada").unwrap();
            assert_eq!(latest.revision, revision, "{name}");
            assert_eq!(latest.written_at, BEGIN + TIME_TO_LIVE, "{name}");
            assert_eq!(map.len(), 1);
            let stats = map.stats();
            assert_eq!((stats.removals, stats.expirations), (0, 1), "{name}");
            assert_eq!((stats.writes, stats.versions), (3, 1), "{name}");
            clock.set(BEGIN + 2 * TIME_TO_LIVE);
            assert_eq!(map.get("ada"), None);
        }
    }
}

#[test]
fn a_condition_on_what_has_expired_finds_nobody() {
    for told in [false, true] {
        let (map, _, last) = expired();
        if told {
            assert_eq!(map.get("ada"), None);
        }
        let expected = Expected::At(last);
        let nobody = MapError::Conflict {
            expected,
            actual: None,
        };
        assert_eq!(map.insert_if("ada", 3, expected), Err(nobody.clone()));
        assert_eq!(map.remove_if("ada", expected), Err(nobody));
        assert_eq!(map.stats().conflicts, 2);
        assert_eq!(map.get("ada"), None);
    }
}

#[test]
fn a_removal_of_what_has_expired_finds_nobody_and_takes_it_out() {
    for expected in [Expected::Any, Expected::Absent] {
        let (map, _, last) = expired();
        assert_eq!(map.remove_if("ada", expected), Ok(None));
        assert_eq!(map.len(), 0);
        let stats = map.stats();
        assert_eq!((stats.removals, stats.expirations), (0, 1));
        assert_eq!((stats.writes, stats.conflicts), (2, 0));
        assert!(map.insert("ada", 3).unwrap() > last);
    }
    // One that is there is removed as ever.
    let (map, _) = map();
    map.insert("ada", 1).unwrap();
    assert_eq!(map.remove("ada").unwrap().map(|last| last.value), Some(1));
    let stats = map.stats();
    assert_eq!((stats.removals, stats.expirations), (1, 0));
}

#[test]
fn retain_does_not_show_what_has_expired_and_takes_it_out() {
    let (map, _, _) = expired();
    map.insert("grace", 1).unwrap();
    map.insert("alan", 2).unwrap();
    let mut shown = Vec::new();
    let removed = map.retain(|key, _| {
        shown.push(key.to_owned());
        key != "alan"
    });
    assert_eq!(removed, 1);
    shown.sort();
    assert_eq!(shown, ["alan", "grace"]);
    assert_eq!(map.len(), 1);

    let (map, _, _) = expired();
    map.clear();
    assert_eq!(map.len(), 0);
}

/// A thread that was told that a key has expired does not find it again, and a conditional write
/// on what it was does not succeed any more.
#[test]
fn a_write_on_what_others_have_found_expired_conflicts() {
    for _ in 0..2_000 {
        let (map, clock) = map();
        let seen = map.insert("ada", 1).unwrap();
        clock.set(BEGIN + TIME_TO_LIVE - 1);
        let start = Barrier::new(2);
        let ((first, second), written) = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                start.wait();
                clock.set(BEGIN + TIME_TO_LIVE);
                (values(&map, "ada"), values(&map, "ada"))
            });
            start.wait();
            let written = map.insert_if("ada", 2, Expected::At(seen));
            (reader.join().unwrap(), written)
        });
        if written.is_ok() {
            // It came before the end, so nobody was told of one.
            assert_eq!((first, second), (vec![2, 1], vec![2, 1]));
        } else {
            assert_eq!((first, second), (vec![], vec![]));
        }
    }
}
