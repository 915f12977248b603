//! What reads find of what has expired.

use super::*;
use crate::map::View;
use crate::range::{AsOf, VersionRange};

pub(super) type Finds = (&'static str, fn(&Map) -> bool);
type ViewFinds = (&'static str, fn(&View<'_, u64, Mirrored>) -> bool);

/// Each way to ask whether "ada" is there.
pub(super) const READS: [Finds; 13] = [
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
