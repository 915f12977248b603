//! The meaning of a time to live, under a clock that the tests set.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use futures_core::Stream;

use super::*;
use crate::clock::SetClock;
use crate::map::{HistoryMap, HistoryMapBuilder, MapError, Mirrored, View};
use crate::range::{AsOf, VersionRange};
use crate::removal::RemovalCause;
use crate::revision::{Expected, Revision};
use crate::watch::{AnyEvent, Event, Watch};

type Map = HistoryMap<u64, Mirrored>;

/// Of all the maps below, in milliseconds.
const TIME_TO_LIVE: i64 = 100;
const BEGIN: i64 = 5_000;

fn time_to_live() -> Duration {
    Duration::from_millis(TIME_TO_LIVE.unsigned_abs())
}

/// A map of small numbers, mirrored if there were no time to live, and its clock.
fn timed(
    set: impl FnOnce(HistoryMapBuilder<u64, Mirrored>) -> HistoryMapBuilder<u64, Mirrored>,
) -> (Map, SetClock) {
    let clock = SetClock::default();
    clock.set(BEGIN);
    let builder = HistoryMap::builder()
        .mirrored()
        .history(3)
        .time_to_live(time_to_live())
        .clock(clock.clone());
    (set(builder).build().unwrap(), clock)
}

fn map() -> (Map, SetClock) {
    timed(|builder| builder)
}

/// With "ada" as 1 and then 2, which have just expired.
fn expired() -> (Map, SetClock, Revision) {
    let (map, clock) = map();
    map.insert("ada", 1).unwrap();
    let last = map.insert("ada", 2).unwrap();
    clock.set(BEGIN + TIME_TO_LIVE);
    (map, clock, last)
}

fn values(map: &Map, key: &str) -> Vec<u64> {
    let history = map.history(key, usize::MAX);
    history.iter().map(|entry| entry.value).collect()
}

type Finds = (&'static str, fn(&Map) -> bool);
type ViewFinds = (&'static str, fn(&View<'_, u64, Mirrored>) -> bool);

/// Each way to ask whether "ada" is there.
const READS: [Finds; 13] = [
    ("get", |map| map.get("ada").is_some()),
    ("with", |map| map.with("ada", |_| ()).is_some()),
    ("get_versioned", |map| map.get_versioned("ada").is_some()),
    ("history", |map| !map.history("ada", 9).is_empty()),
    ("versions", |map| {
        !map.versions("ada", VersionRange::all()).is_empty()
    }),
    ("as_of", |map| map.as_of("ada", i64::MAX) != AsOf::NotThere),
    ("contains", |map| map.contains("ada")),
    ("for_each", |map| {
        let mut visited = false;
        map.for_each(|_, _| visited = true);
        visited
    }),
    ("keys", |map| !map.keys().is_empty()),
    ("a listing", |map| {
        !map.keys_where(|_| true).unwrap().is_empty()
    }),
    ("the look of a watch", |map| {
        map.look("ada").unwrap().is_some()
    }),
    ("stats", |map| {
        let stats = map.stats();
        assert_eq!(stats.keys == 0, stats.versions == 0);
        stats.keys != 0
    }),
    ("an update that declines", |map| {
        let mut seen = false;
        let declined = map.update("ada", |value| {
            seen = value.is_some();
            None
        });
        assert_eq!(declined, Ok(None));
        seen
    }),
];

const VIEW_READS: [ViewFinds; 8] = [
    ("view.get", |view| view.get("ada").is_some()),
    ("view.with", |view| view.with("ada", |_| ()).is_some()),
    ("view.get_versioned", |view| {
        view.get_versioned("ada").is_some()
    }),
    ("view.history", |view| !view.history("ada", 9).is_empty()),
    ("view.versions", |view| {
        !view.versions("ada", VersionRange::all()).is_empty()
    }),
    ("view.as_of", |view| {
        view.as_of("ada", i64::MAX) != AsOf::NotThere
    }),
    ("view.contains", |view| view.contains("ada")),
    ("view.map_history", |view| {
        !view.map_history("ada", 9, |_, value| *value).is_empty()
    }),
];

/// What each read finds, in a map in which no other read has left a trace.
fn found(now: i64) -> Vec<(&'static str, bool)> {
    let fresh = || {
        let (map, clock) = map();
        map.insert("ada", 1).unwrap();
        clock.set(now);
        map
    };
    let reads = READS.iter().map(|(name, read)| (*name, read(&fresh())));
    let views = VIEW_READS.iter();
    let views = views.map(|(name, read)| (*name, fresh().pin(*read)));
    reads.chain(views).collect()
}

#[test]
fn a_key_is_gone_for_every_read_from_its_deadline_on_and_not_before() {
    let deadline = BEGIN + TIME_TO_LIVE;
    for now in [BEGIN, deadline - 1, BEGIN - 10_000] {
        for (name, is_there) in found(now) {
            assert!(is_there, "{name} at {now}");
        }
    }
    for now in [deadline, deadline + 1, i64::MAX] {
        for (name, is_there) in found(now) {
            assert!(!is_there, "{name} at {now}");
        }
    }
}

#[test]
fn all_reads_agree_one_after_the_other() {
    let (map, _, _) = expired();
    for (name, read) in READS.iter().chain(&READS) {
        assert!(!read(&map), "{name}");
    }
}

#[test]
fn what_has_expired_takes_its_place_until_it_is_taken_out() {
    let (map, _, _) = expired();
    assert_eq!(map.get("ada"), None);
    assert_eq!(map.len(), 1);
    assert!(!map.is_empty());
    assert_eq!(map.sweep(), 1);
    assert_eq!(map.len(), 0);
    assert_eq!(map.sweep(), 0);
}

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

/// All events that are to be had without waiting.
fn ready<E>(watch: &mut Watch<E>) -> Vec<E> {
    let mut context = Context::from_waker(Waker::noop());
    let mut events = Vec::new();
    while let Poll::Ready(Some(event)) = Pin::new(&mut *watch).poll_next(&mut context) {
        events.push(event);
    }
    events
}

/// Each way to take a key out that has expired.
#[test]
fn those_who_watch_are_told_by_the_one_who_takes_it_out() {
    type TakesOut = (&'static str, fn(&Map, Revision));
    let takes_out: [TakesOut; 9] = [
        ("sweep", |map, _| assert_eq!(map.sweep(), 1)),
        ("expire_older_than", |map, _| {
            assert_eq!(map.expire_older_than(time_to_live()), 1);
        }),
        ("retain", |map, _| assert_eq!(map.retain(|_, _| true), 0)),
        ("clear", |map, _| map.clear()),
        ("remove", |map, _| assert_eq!(map.remove("ada"), Ok(None))),
        ("remove_if", |map, seen| {
            map.remove_if("ada", Expected::At(seen)).unwrap_err();
        }),
        ("insert_if", |map, seen| {
            map.insert_if("ada", 3, Expected::At(seen)).unwrap_err();
        }),
        ("update", |map, _| {
            assert_eq!(map.update("ada", |_| None), Ok(None));
        }),
        ("a newcomer who finds no room", |map, _| {
            map.insert("grace", 1).unwrap();
        }),
    ];
    for (name, take_out) in takes_out {
        let (map, clock) = timed(|builder| builder.max_keys(1));
        let map = Arc::new(map);
        let (mut of_ada, mut of_all) = (map.watch("ada"), map.watch_all());
        let last = map.insert("ada", 1).unwrap();
        assert!(matches!(ready(&mut of_ada)[..], [Event::Put(_)]), "{name}");
        assert_eq!(ready(&mut of_all).len(), 2, "{name}");

        // Nobody tells it at the deadline, nor when somebody finds it.
        clock.set(BEGIN + TIME_TO_LIVE);
        assert_eq!(map.get("ada"), None);
        assert_eq!(ready(&mut of_ada), [], "{name}");
        assert_eq!(ready(&mut of_all), [], "{name}");

        take_out(&map, last);
        let events = ready(&mut of_ada);
        let [Event::Removed { revision, cause }] = events[..] else {
            panic!("{name}: {events:?}");
        };
        assert_eq!(cause, RemovalCause::Expired, "{name}");
        assert!(revision > last, "{name}");
        let of_all = ready(&mut of_all);
        let told = of_all.iter().any(
            |told| matches!(told, AnyEvent::Of { key, event } if key == "ada" && *event == events[0]),
        );
        assert!(told, "{name}: {of_all:?}");
        map.clear();
        assert!(map.insert("ada", 2).unwrap() > revision, "{name}");
    }
}

/// What came in its place is given, and not that anything went.
#[test]
fn a_watch_of_what_begins_anew_gives_that() {
    for told in [false, true] {
        let (map, clock) = map();
        let map = Arc::new(map);
        let mut watch = map.watch("ada");
        map.insert("ada", 1).unwrap();
        assert_eq!(ready(&mut watch).len(), 1);
        clock.set(BEGIN + TIME_TO_LIVE);
        if told {
            assert_eq!(map.get("ada"), None);
        }
        map.insert("ada", 2).unwrap();
        let latest = map.get_versioned("ada").unwrap();
        assert_eq!(ready(&mut watch), [Event::Put(latest)]);
    }
}

#[test]
fn a_watch_that_begins_after_the_deadline_gives_nothing() {
    let (map, _, _) = expired();
    let map = Arc::new(map);
    let (mut of_ada, mut of_all) = (map.watch("ada"), map.watch_all());
    assert_eq!(ready(&mut of_ada), []);
    assert_eq!(ready(&mut of_all), [AnyEvent::CaughtUp]);
    assert_eq!(map.sweep(), 1);
    assert_eq!(ready(&mut of_ada), []);
    assert_eq!(ready(&mut of_all), []);
}

#[test]
fn a_sweep_takes_out_what_has_expired_and_nothing_else() {
    let (map, clock) = map();
    // More than one portion, old ones and new ones in turn.
    let key = |n: u64| format!("key-{n}");
    const KEYS: u64 = 5_000;
    for n in (0..KEYS).step_by(2) {
        map.insert(&key(n), n).unwrap();
    }
    clock.set(BEGIN + 1);
    for n in (1..KEYS).step_by(2) {
        map.insert(&key(n), n).unwrap();
    }
    clock.set(BEGIN + TIME_TO_LIVE - 1);
    assert_eq!(map.sweep(), 0);
    clock.set(BEGIN + TIME_TO_LIVE);
    assert_eq!(map.sweep(), KEYS as usize / 2);
    assert_eq!(map.len(), KEYS as usize / 2);
    for n in 0..KEYS {
        assert_eq!(map.get(&key(n)), (n % 2 == 1).then_some(n));
    }
    clock.set(BEGIN + TIME_TO_LIVE + 1);
    assert_eq!(map.sweep(), KEYS as usize / 2);
    assert_eq!(map.len(), 0);
    assert_eq!(map.stats().expirations, KEYS);
}

#[test]
fn without_a_time_to_live_nothing_expires_and_a_sweep_does_nothing() {
    let clock = SetClock::default();
    let map = HistoryMap::builder().clock(clock.clone()).build().unwrap();
    map.insert("ada", 1).unwrap();
    clock.set(i64::MAX);
    assert_eq!(map.get("ada"), Some(1));
    assert_eq!(map.sweep(), 0);
    assert_eq!(map.len(), 1);
}

#[test]
fn those_go_whose_latest_write_is_as_old_or_older() {
    let ms = Duration::from_millis;
    for (age, left) in [
        (Duration::ZERO, &[][..]),
        // A fraction counts as a whole one.
        (Duration::from_nanos(1), &["new"]),
        (ms(1), &["new"]),
        (ms(2), &["middle", "new"]),
        (ms(10), &["middle", "new"]),
        (ms(11), &["middle", "new", "old"]),
        (Duration::MAX, &["middle", "new", "old"]),
    ] {
        // With a time to live and without.
        for lives in [None, Some(time_to_live())] {
            let clock = SetClock::default();
            let mut builder = HistoryMap::builder().clock(clock.clone());
            if let Some(lives) = lives {
                builder = builder.time_to_live(lives);
            }
            let map = builder.build().unwrap();
            for (now, key) in [(0, "old"), (0, "middle"), (9, "middle"), (10, "new")] {
                clock.set(BEGIN + now);
                map.insert(key, now).unwrap();
            }
            assert_eq!(map.expire_older_than(age), 3 - left.len(), "{age:?}");
            let mut keys = map.keys();
            keys.sort();
            assert_eq!(keys, left, "{age:?}");
            let stats = map.stats();
            assert_eq!(stats.expirations, 3 - left.len() as u64, "{age:?}");
            assert_eq!(stats.removals, 0, "{age:?}");
            assert_eq!(map.expire_older_than(age), 0, "nobody is left to go");
        }
    }
}

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

#[test]
fn a_newcomer_who_finds_no_room_has_the_map_swept() {
    let (map, clock) = timed(|builder| builder.max_keys(2));
    map.insert("ada", 1).unwrap();
    map.insert("grace", 1).unwrap();
    let full = MapError::Full { max_keys: 2 };
    assert_eq!(map.insert("alan", 1), Err(full.clone()));

    clock.set(BEGIN + TIME_TO_LIVE);
    // They have places of their own.
    map.insert("ada", 2).unwrap();
    assert_eq!(values(&map, "ada"), [2]);
    // There is one of the other.
    map.insert("alan", 1).unwrap();
    assert_eq!(map.insert("edsger", 1), Err(full.clone()));
    let mut keys = map.keys();
    keys.sort();
    assert_eq!(keys, ["ada", "alan"]);
    assert_eq!(map.len(), 2);
    assert_eq!(map.stats().expirations, 2);
}

#[test]
fn newcomers_have_a_full_map_swept_once_in_a_64th_of_the_time_to_live() {
    // 64 ms, so that this is 1 ms; and less than that, where it is 1 ms, too.
    for time_to_live in [64, 6_400] {
        let interval = time_to_live as i64 / 64;
        let lives = Duration::from_millis(time_to_live);
        let (map, clock) = timed(|builder| builder.max_keys(1).time_to_live(lives));
        let full = || Err(MapError::Full { max_keys: 1 });
        map.insert("ada", 1).unwrap();
        // In vain, and it is not long ago.
        clock.set(BEGIN + time_to_live as i64 - 1);
        assert_eq!(map.insert("grace", 1), full());
        if interval > 1 {
            clock.set(BEGIN + time_to_live as i64 + interval - 2);
            assert_eq!(map.insert("grace", 1), full());
        }
        clock.set(BEGIN + time_to_live as i64 + interval - 1);
        assert!(map.insert("grace", 1).is_ok());
    }
    // A clock that was set back does not keep newcomers out.
    let (map, clock) = timed(|builder| builder.max_keys(1));
    map.insert("ada", 1).unwrap();
    assert!(map.insert("grace", 1).is_err());
    clock.set(BEGIN - 1_000_000);
    map.remove("ada").unwrap();
    map.insert("alan", 1).unwrap();
    clock.set(BEGIN - 1_000_000 + TIME_TO_LIVE);
    assert!(map.insert("grace", 1).is_ok());
}

#[test]
fn an_expired_key_keeps_its_place_from_others_and_gives_it_back_once() {
    let (map, clock) = timed(|builder| builder.max_keys(2));
    for round in 1..=20 {
        clock.set(BEGIN + round * TIME_TO_LIVE);
        // Each of these takes out what has expired, in another way.
        match round % 4 {
            0 => {
                map.sweep();
            }
            1 => {
                map.remove("ada").unwrap();
            }
            2 => map.clear(),
            _ => {
                map.update("ada", |_| None).unwrap();
            }
        }
        map.insert("ada", 1).unwrap();
        let newcomer = format!("newcomer-{round}");
        map.insert(&newcomer, 1).unwrap();
        assert!(map.insert("alan", 1).is_err(), "round {round}");
        assert_eq!(map.len(), 2, "round {round}");
    }
}

/// Once nobody is inside a guard.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < give_up, "{what}");
        thread::yield_now();
    }
}

#[test]
fn the_values_of_what_was_taken_out_are_dropped() {
    let take_out: [fn(&HistoryMap<Arc<()>>); 3] = [
        |map| {
            map.sweep();
        },
        |map| {
            map.remove("ada").unwrap();
        },
        |map| {
            map.insert("ada", Arc::new(())).unwrap();
        },
    ];
    for take_out in take_out {
        let clock = SetClock::default();
        let builder = HistoryMap::builder().history(20).clock(clock.clone());
        let map = builder.time_to_live(time_to_live()).build().unwrap();
        let alive = Arc::new(());
        for _ in 0..30 {
            map.insert("ada", Arc::clone(&alive)).unwrap();
        }
        clock.set(TIME_TO_LIVE);
        assert_eq!(map.get("ada"), None);
        assert!(Arc::strong_count(&alive) > 20, "it costs memory until then");
        take_out(&map);
        eventually("they are dropped", || {
            // Its other operations go on with it: some thread may have been inside.
            map.insert("grace", Arc::new(())).unwrap();
            map.remove("grace").unwrap();
            Arc::strong_count(&alive) == 1
        });
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let build = |time_to_live| {
        let builder = HistoryMap::<u64>::builder();
        builder.time_to_live(time_to_live).build().map(drop)
    };
    assert_eq!(build(Duration::ZERO), Err(ConfigError::TimeToLiveZero));
    for requested in [MAX_TIME_TO_LIVE + Duration::from_nanos(1), Duration::MAX] {
        let max = MAX_TIME_TO_LIVE;
        let refused = ConfigError::TimeToLiveTooLong { requested, max };
        assert_eq!(build(requested), Err(refused));
    }
    assert_eq!(build(MAX_TIME_TO_LIVE), Ok(()));
    assert_eq!(build(Duration::from_nanos(1)), Ok(()));
}

#[test]
fn a_fraction_of_a_millisecond_counts_as_a_whole_one() {
    for (duration, ms) in [
        (Duration::ZERO, 0),
        (Duration::from_nanos(1), 1),
        (Duration::from_millis(1), 1),
        (Duration::from_micros(1_001), 2),
        (Duration::MAX, i64::MAX),
    ] {
        assert_eq!(whole_ms_above(duration), ms);
    }
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

/// The clock goes on while threads write, read and sweep.
#[test]
fn nothing_that_is_not_old_enough_is_lost_to_sweeps() {
    const WRITES: u64 = 3_000;
    let (map, clock) = timed(|builder| builder.max_keys(4));
    let writing = AtomicUsize::new(2);
    let (map, clock, writing) = (&map, &clock, &writing);
    let while_they_write = |mut action: Box<dyn FnMut() + Send>| {
        move || {
            while writing.load(SeqCst) > 0 {
                action();
                thread::yield_now();
            }
        }
    };
    thread::scope(|scope| {
        let tick = || clock.set(clock.now() + TIME_TO_LIVE / 10);
        scope.spawn(while_they_write(Box::new(tick)));
        scope.spawn(while_they_write(Box::new(|| {
            map.sweep();
        })));
        let expire = || {
            map.expire_older_than(time_to_live());
        };
        scope.spawn(while_they_write(Box::new(expire)));
        for thread in 0..2 {
            scope.spawn(move || {
                // Also if it panics.
                let _written = Finally(|| {
                    writing.fetch_sub(1, SeqCst);
                });
                for round in 0..WRITES {
                    let key = ["ada", "grace"][(thread + round as usize) % 2];
                    let written = map.update(key, |_| Some(round)).unwrap().unwrap();
                    match map.get_versioned(key) {
                        Some(found) => assert!(found.revision >= written.revision),
                        // Whatever came after it is younger.
                        None => assert!(clock.now() - written.written_at >= TIME_TO_LIVE),
                    }
                }
            });
        }
    });
    clock.set(i64::MAX);
    map.sweep();
    assert_eq!(map.len(), 0);
    assert_eq!(map.stats().writes, 2 * WRITES);
    // The count of the bound has come back to nothing, too.
    for n in 0..4 {
        map.insert(&format!("newcomer-{n}"), n).unwrap();
    }
    assert!(map.insert("one too many", 9).is_err());
}

struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
