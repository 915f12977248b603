//! Reads of a part of the history, and of what was the latest at some time: through the map,
//! the view, the store and its trait; and under writers.
//!
//! What each bound of a range means is checked beside [`VersionRange`]; that a walk stops where
//! the range does, beside the kernel; that what is read under writers is a window of the true
//! history, also by `linearizability` and by the models.

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use attuned_store::{
    AsOf, Expected, HistoryMap, MemoryStore, StateSnapshot, StateStore, StateStoreExt, StoreError,
    UserIdError, VersionRange, Versioned,
};
use common::snapshot;
use proptest::prelude::*;

fn map(history: usize) -> HistoryMap<u64> {
    HistoryMap::builder().history(history).build().unwrap()
}

fn store(history: usize) -> MemoryStore {
    MemoryStore::builder().history(history).build().unwrap()
}

fn values<V: Copy>(versions: &[Versioned<V>]) -> Vec<V> {
    versions.iter().map(|version| version.value).collect()
}

fn range(
    (after, before, limit, oldest_first): (Option<u64>, Option<u64>, Option<usize>, bool),
) -> VersionRange {
    let mut range = VersionRange::all();
    if let Some(after) = after {
        range = range.after(after.into());
    }
    if let Some(before) = before {
        range = range.before(before.into());
    }
    if let Some(limit) = limit {
        range = range.limit(limit);
    }
    if oldest_first {
        range = range.oldest_first();
    }
    range
}

proptest! {
    /// The history is the model: it has tests of its own.
    #[test]
    fn versions_are_what_the_range_selects_of_the_history(
        history in 1_usize..8,
        writes in 0_u64..20,
        parts in (
            prop::option::of(0_u64..24),
            prop::option::of(0_u64..24),
            prop::option::of(0_usize..10),
            any::<bool>(),
        ),
    ) {
        let range = range(parts);
        let (map, store) = (map(history), store(history));
        for number in 1..=writes {
            map.insert("ada", number).unwrap();
            store.insert(snapshot("ada", number as i64)).unwrap();
        }
        let kept = map.history("ada", usize::MAX);
        let expected = range.select(&kept);
        prop_assert_eq!(&map.versions("ada", range), &expected);
        prop_assert_eq!(&map.pin(|view| view.versions("ada", range)), &expected);

        let kept = store.history("ada", usize::MAX);
        let expected = range.select(&kept);
        prop_assert_eq!(&store.versions("ada", range), &expected);
        prop_assert_eq!(&store.pin(|view| view.versions("ada", range)), &expected);
    }
}

#[test]
fn pages_are_the_whole_history_in_either_order() {
    let map = map(50);
    for number in 1..=80 {
        map.insert("ada", number).unwrap();
    }
    let mut newest_first: Vec<u64> = Vec::new();
    let mut next = VersionRange::all().limit(7);
    loop {
        let page = map.versions("ada", next);
        newest_first.extend(values(&page));
        let Some(last) = page.last() else { break };
        next = next.before(last.revision);
    }
    assert!(newest_first.iter().copied().eq((31..=80).rev()));

    let mut oldest_first: Vec<u64> = Vec::new();
    let mut next = VersionRange::all().limit(7).oldest_first();
    loop {
        let page = map.versions("ada", next);
        oldest_first.extend(values(&page));
        let Some(last) = page.last() else { break };
        next = next.after(last.revision);
    }
    assert!(oldest_first.iter().copied().eq(31..=80));
}

#[test]
fn without_history_there_is_the_latest_version_alone() {
    let map = HistoryMap::builder().build().unwrap();
    let store = MemoryStore::default();
    for number in 1..=3 {
        map.insert("ada", number).unwrap();
        store.insert(snapshot("ada", number)).unwrap();
    }
    let all = VersionRange::all();
    assert_eq!(
        map.versions("ada", all),
        [map.get_versioned("ada").unwrap()]
    );
    assert_eq!(store.history("ada", 9), []);
    let latest = store.get_versioned("ada").unwrap();
    let alone = std::slice::from_ref(&latest);
    assert_eq!(store.versions("ada", all), alone);
    assert_eq!(
        store.as_of("ada", latest.written_at),
        AsOf::Was(latest.clone())
    );
    assert_eq!(store.as_of("ada", latest.written_at - 1), AsOf::Evicted);
}

#[test]
fn what_was_there_before_a_removal_is_not_kept() {
    let map = map(3);
    for number in 1..=9 {
        map.insert("ada", number).unwrap();
    }
    let before = map.get_versioned("ada").unwrap();
    assert_eq!(map.as_of("ada", i64::MIN), AsOf::Evicted);
    map.remove("ada").unwrap();
    for time in [i64::MIN, before.written_at, i64::MAX] {
        assert_eq!(map.as_of("ada", time), AsOf::NotThere);
        assert_eq!(map.pin(|view| view.as_of("ada", time)), AsOf::NotThere);
    }
    assert_eq!(map.versions("ada", VersionRange::all()), []);

    map.insert("ada", 10).unwrap();
    let again = map.get_versioned("ada").unwrap();
    assert_eq!(map.as_of("ada", again.written_at - 1), AsOf::NotThere);
    assert_eq!(map.as_of("ada", i64::MAX), AsOf::Was(again));
    // A client that has seen the former life is given the new one.
    let since = VersionRange::all().after(before.revision);
    assert_eq!(values(&map.versions("ada", since)), [10]);
    assert_eq!(map.versions("ada", VersionRange::at(before.revision)), []);
}

#[tokio::test]
async fn the_trait_reads_what_the_store_reads() {
    // Inside the entry, and in an allocation of its own.
    for user in ["ada", "a-user-whose-id-takes-an-allocation-of-its-own"] {
        let memory = store(3);
        let store: &dyn StateStore = &memory;
        for number in 1..=5 {
            store.upsert_latest(snapshot(user, number)).await.unwrap();
        }
        let whole = |version: Versioned<_>| version.map(|state| with_id(user, state));
        let range = VersionRange::all().oldest_first().limit(2);
        let versions = memory.versions(user, range).into_iter().map(whole);
        let versions: Vec<_> = versions.collect();
        assert_eq!(store.get_versions(user, range).await.unwrap(), versions);
        assert_eq!(versions[0].value, snapshot(user, 3));

        let time = versions[1].written_at;
        let then = memory.as_of(user, time).map(|state| with_id(user, state));
        assert_eq!(store.get_as_of(user, time.into()).await.unwrap(), then);
        assert_eq!(
            store.get_as_of(user, i64::MIN.into()).await.unwrap(),
            AsOf::Evicted
        );
        let nobody = store.get_as_of("nobody", time.into()).await.unwrap();
        assert_eq!(nobody, AsOf::NotThere);

        for version in &versions {
            let found = store.get_at(user, version.revision).await.unwrap();
            assert_eq!(found.as_ref(), Some(version));
        }
        let evicted = u64::from(versions[0].revision) - 1;
        assert_eq!(store.get_at(user, evicted.into()).await.unwrap(), None);
    }
}

fn with_id(user_id: &str, state: attuned_store::State) -> StateSnapshot {
    state.into_snapshot(user_id).unwrap()
}

#[tokio::test]
async fn a_conditional_removal_compares_and_removes() {
    let memory = store(3);
    let store: &dyn StateStore = &memory;
    assert!(!store.delete_if("ada", Expected::Absent).await.unwrap());
    assert!(!store.delete_if("ada", Expected::Any).await.unwrap());
    let first = memory.insert(snapshot("ada", 1)).unwrap();
    let second = memory.insert(snapshot("ada", 2)).unwrap();
    for expected in [Expected::Absent, Expected::At(first)] {
        match store.delete_if("ada", expected).await {
            Err(StoreError::Conflict {
                user_id,
                expected: was,
                actual,
            }) => assert_eq!(
                (user_id.as_str(), was, actual),
                ("ada", expected, Some(second))
            ),
            other => panic!("{other:?}"),
        }
        assert_eq!(memory.history("ada", 9).len(), 2);
    }
    assert!(store.delete_if("ada", Expected::At(second)).await.unwrap());
    assert!(!memory.contains("ada"));
    // An invalid id is no absent user, whatever is expected.
    for expected in [Expected::Any, Expected::Absent, Expected::At(second)] {
        let error = store.delete_if("", expected).await.unwrap_err();
        assert!(
            matches!(error, StoreError::InvalidUserId(UserIdError::Empty)),
            "{error}"
        );
    }
}

/// Each thing that is read is a window of the one true history: the numbers from 1 on.
#[test]
fn what_is_read_under_writers_is_a_window_of_the_history() {
    const HISTORY: usize = 20;
    const WRITES: u64 = 20_000;
    let map = map(HISTORY);
    map.insert("ada", 1).unwrap();
    let first = u64::from(map.get_versioned("ada").unwrap().revision);
    let (start, done) = (Barrier::new(3), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for number in 2..=WRITES {
                map.insert("ada", number).unwrap();
            }
            done.store(true, SeqCst);
        });
        for oldest_first in [false, true] {
            let (map, start, done) = (&map, &start, &done);
            scope.spawn(move || {
                start.wait();
                let mut last_seen = 1;
                loop {
                    // What is read after the last write has it.
                    let is_last_round = done.load(SeqCst);
                    let revision = first + last_seen - 1;
                    let since = VersionRange::all().after(revision.into());
                    let since = if oldest_first {
                        since.oldest_first()
                    } else {
                        since
                    };
                    let mut found = map.versions("ada", since);
                    if !oldest_first {
                        found.reverse();
                    }
                    for version in &found {
                        let revision = first + version.value - 1;
                        assert_eq!(u64::from(version.revision), revision);
                    }
                    let found = values(&found);
                    assert!(
                        found.windows(2).all(|pair| pair[1] == pair[0] + 1),
                        "{found:?}"
                    );
                    if let (Some(&oldest), Some(&newest)) = (found.first(), found.last()) {
                        // Nothing is left out that is kept.
                        let kept = newest.saturating_sub(HISTORY as u64) + 1;
                        assert_eq!(oldest, kept.max(last_seen + 1), "{found:?}");
                        last_seen = newest;
                    }
                    if is_last_round {
                        assert_eq!(last_seen, WRITES);
                        break;
                    }
                }
            });
        }
    });
    assert_eq!(values(&map.history("ada", 1)), [WRITES]);
}
