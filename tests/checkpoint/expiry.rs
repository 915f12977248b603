//! Users whose time to live is over.

use std::time::Duration;

use attuned_store::{Expected, MemoryStore, MemoryStoreBuilder, RestoreError, Versioned};

use super::{bytes_of, snapshot, with_history};

/// Longer than any test takes.
const HOUR: Duration = Duration::from_secs(3_600);

fn builder() -> MemoryStoreBuilder {
    MemoryStore::builder().history(3)
}

/// A store in which "ada" is older than "grace" by more than the returned time to live, by
/// which "ada" has expired and "grace" will when it has passed again.
fn of_two_ages() -> (MemoryStore, Duration) {
    let store = with_history(3);
    store.insert(snapshot("ada", 1)).unwrap();
    let ada = store.insert(snapshot("ada", 2)).unwrap();
    let written_at = |id: &str| {
        store
            .get_versioned(id)
            .map_or(0, |latest| latest.written_at)
    };
    let grace_is_younger = || {
        store.insert(snapshot("grace", 3)).unwrap();
        written_at("grace") > written_at("ada") + 20
    };
    while !grace_is_younger() {
        std::thread::yield_now();
    }
    assert_eq!(store.get_versioned("ada").unwrap().revision, ada);
    (store, Duration::from_millis(20))
}

#[test]
fn a_user_whose_time_is_over_is_left_out_and_takes_no_place() {
    let (store, time_to_live) = of_two_ages();
    let last = store.get_versioned("ada").unwrap().revision;
    let bytes = bytes_of(&store);

    let one = builder().max_users(1);
    let refused = one.clone().restore(bytes.as_slice()).err();
    assert!(matches!(refused, Some(RestoreError::TooManyUsers { .. })));

    let copy = one
        .time_to_live(time_to_live)
        .restore(bytes.as_slice())
        .unwrap();
    assert!(
        copy.len() <= 1,
        "it is not there, and not to be swept, either"
    );
    assert!(!copy.contains("ada"));
    assert!(copy.history("ada", 9).is_empty());
    // The user comes back as a new one, whose revisions go on.
    drop(copy);
    let copy = builder()
        .time_to_live(time_to_live)
        .restore(bytes.as_slice())
        .unwrap();
    let again = copy
        .insert_if(snapshot("ada", 4), Expected::Absent)
        .unwrap();
    assert!(again > last);
}

#[test]
fn a_user_whose_time_is_not_over_comes_back_and_expires_when_it_would_have() {
    let (store, time_to_live) = of_two_ages();
    let bytes = bytes_of(&store);
    let long = builder()
        .time_to_live(HOUR)
        .restore(bytes.as_slice())
        .unwrap();
    for id in ["ada", "grace"] {
        assert_eq!(long.history(id, 9), store.history(id, 9));
    }
    // By the time of its writing, and not by that of the restore.
    let age = |latest: Versioned<_>| {
        let now = attuned_store::Timestamp::now().as_unix_ms();
        Duration::from_millis(now.abs_diff(latest.written_at))
    };
    let before = age(store.get_versioned("grace").unwrap());
    let short = builder()
        .time_to_live(time_to_live)
        .restore(bytes.as_slice())
        .unwrap();
    let was_there = short.contains("grace");
    assert!(was_there || age(store.get_versioned("grace").unwrap()) >= time_to_live);
    assert!(!was_there || before < time_to_live);
    while short.contains("grace") {
        std::thread::yield_now();
    }
    assert!(age(store.get_versioned("grace").unwrap()) >= time_to_live);
}

/// What has expired in a store is in none of its checkpoints.
#[test]
fn an_expired_user_is_not_written() {
    let store = builder()
        .time_to_live(Duration::from_millis(1))
        .build()
        .unwrap();
    store.insert(snapshot("ada", 1)).unwrap();
    while store.contains("ada") {
        std::thread::yield_now();
    }
    assert_eq!(store.len(), 1, "it was not swept");
    let mut bytes = Vec::new();
    let written = store.checkpoint(&mut bytes).unwrap();
    assert_eq!((written.users, written.versions), (0, 0));
    assert!(builder().restore(bytes.as_slice()).unwrap().is_empty());
}
