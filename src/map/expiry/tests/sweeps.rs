//! How what has expired is taken out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use super::*;
use crate::map::MapError;

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
