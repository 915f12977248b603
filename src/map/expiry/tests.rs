//! The meaning of a time to live, under a clock that the tests set.

use super::*;
use crate::clock::SetClock;
use crate::map::{HistoryMap, HistoryMapBuilder, Mirrored};
use crate::revision::Revision;

mod clock;
mod reads;
mod sweeps;
mod watching;
mod writes;

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
