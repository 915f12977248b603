//! The maximum of users: who is refused, and that the number is exact however
//! threads race.

mod common;
#[path = "common/gives_way.rs"]
mod gives_way;
#[path = "common/ready.rs"]
mod ready;
#[path = "common/threads.rs"]
mod threads;

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use attuned_store::{
    ConfigError, Expected, MemoryStore, MemoryStoreBuilder, Patch, Result, Revision, Source, State,
    StateStore, StoreError,
};
use common::snapshot;
use gives_way::GivesWay;
use ready::ready;
use threads::together;

fn bounded(max_users: usize) -> MemoryStoreBuilder {
    MemoryStore::builder().history(2).max_users(max_users)
}

/// A store with this maximum and these users.
fn with_users(max_users: usize, user_ids: &[&str]) -> MemoryStore {
    let store = bounded(max_users).build().unwrap();
    for user_id in user_ids {
        store.insert(snapshot(user_id, 1)).unwrap();
    }
    store
}

/// Whether a write was refused for want of room; it must not fail otherwise.
#[track_caller]
fn is_refused<T>(result: Result<T>, max: usize) -> bool {
    match result {
        Ok(_) => false,
        Err(StoreError::CapacityExceeded { max_users }) => {
            assert_eq!(max_users, max);
            true
        }
        Err(error) => panic!("{error}"),
    }
}

/// A way to write, whatever is there.
type Write = fn(&MemoryStore, &str) -> Result<()>;

const WRITES: [(&str, Write); 6] = [
    ("insert", |store, id| {
        store.insert(snapshot(id, 2)).map(drop)
    }),
    ("inside a view", |store, id| {
        store.pin(|_| store.insert(snapshot(id, 2)).map(drop))
    }),
    ("trait", |store, id| {
        ready(StateStore::upsert_latest(store, snapshot(id, 2)))
    }),
    ("insert_if", |store, id| {
        let expected = Expected::from(store.get_versioned(id).as_ref());
        store.insert_if(snapshot(id, 2), expected).map(drop)
    }),
    ("update", |store, id| {
        let change = |_: Option<&_>| State::builder().updated_at(2);
        store.update(id, change).map(drop)
    }),
    ("patch", |store, id| {
        let patch = Patch::new(Source::SelfReport).axis("warmth", 0.5);
        store.patch(id, &patch).map(drop)
    }),
];

#[test]
fn a_maximum_of_no_users_is_refused() {
    let error = bounded(0).build().unwrap_err();
    assert_eq!(error, ConfigError::MaximumZero);
    assert_eq!(error.to_string(), "the maximum must be at least 1");
}

#[test]
fn a_maximum_has_nothing_to_do_with_the_capacity() {
    for (max_users, capacity) in [(1, 1_000), (100, 0), (usize::MAX, 10)] {
        let store = bounded(max_users).capacity(capacity).build().unwrap();
        let users = max_users.min(100);
        for n in 0..users {
            store.insert(snapshot(&format!("user-{n}"), 1)).unwrap();
        }
        assert_eq!(store.len(), users);
        assert_eq!(
            is_refused(store.insert(snapshot("ada", 1)), max_users),
            max_users == users
        );
    }
}

#[test]
fn without_a_maximum_nobody_is_refused() {
    let store = MemoryStore::default();
    for n in 0..1_000 {
        store.insert(snapshot(&format!("user-{n}"), 1)).unwrap();
    }
    assert_eq!(store.len(), 1_000);
}

#[test]
fn the_first_beyond_the_maximum_is_refused_and_changes_nothing() {
    for (name, write) in WRITES {
        for max in 1..=4 {
            let ids = &["ada", "grace", "alan", "edsger"][..max];
            let store = bounded(max).build().unwrap();
            for id in ids {
                assert!(!is_refused(write(&store, id), max), "{name}");
            }
            let before = store.stats();
            assert!(is_refused(write(&store, "barbara"), max), "{name}");
            assert_eq!(store.stats(), before, "{name}");
            assert_eq!(store.len(), max, "{name}");
            assert_eq!(store.get("barbara"), None, "{name}");
            assert_eq!(store.history("barbara", 9), [], "{name}");
        }
    }
}

#[test]
fn those_who_are_there_go_on() {
    for (name, write) in WRITES {
        let store = with_users(2, &["ada", "grace"]);
        for id in ["ada", "grace", "ada"] {
            assert!(!is_refused(write(&store, id), 2), "{name}");
            assert_eq!(store.history(id, 9).len(), 2, "{name}");
        }
        assert!(is_refused(write(&store, "alan"), 2), "{name}");
    }
}

#[test]
fn the_error_says_how_many_there_may_be() {
    let store = with_users(2, &["ada", "grace"]);
    let error = store.insert(snapshot("alan", 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "capacity exceeded: the store has its maximum of 2 users"
    );
}

#[test]
fn a_removal_frees_as_many_places_as_it_removes_users() {
    type Removal = (&'static str, fn(&MemoryStore), usize);
    let removals: [Removal; 9] = [
        ("remove", |store| assert!(store.remove("ada").unwrap()), 1),
        (
            "remove_if",
            |store| assert!(store.remove_if("ada", Expected::Any).unwrap()),
            1,
        ),
        (
            "trait",
            |store| assert!(ready(StateStore::delete(store, "ada")).unwrap()),
            1,
        ),
        (
            "remove nobody",
            |store| assert!(!store.remove("alan").unwrap()),
            0,
        ),
        (
            "remove twice",
            |store| {
                assert!(store.remove("ada").unwrap());
                assert!(!store.remove("ada").unwrap());
            },
            1,
        ),
        (
            "retain",
            |store| assert_eq!(store.retain(|user_id, _| user_id == "ada"), 2),
            2,
        ),
        (
            "retain all",
            |store| assert_eq!(store.retain(|_, _| true), 0),
            0,
        ),
        (
            "expire",
            |store| assert_eq!(store.expire_older_than(Duration::ZERO), 3),
            3,
        ),
        ("clear", MemoryStore::clear, 3),
    ];
    for (name, remove, free) in removals {
        let store = with_users(3, &["ada", "grace", "edsger"]);
        remove(&store);
        for n in 0..3 {
            let refused = is_refused(store.insert(snapshot(&format!("new-{n}"), 1)), 3);
            assert_eq!(refused, n >= free, "{name}");
        }
        assert_eq!(store.len(), 3, "{name}");
    }
}

#[test]
fn a_user_who_was_removed_needs_a_place_to_come_back() {
    let store = with_users(1, &["ada"]);
    assert!(store.remove("ada").unwrap());
    store.insert(snapshot("grace", 1)).unwrap();
    assert!(is_refused(store.insert(snapshot("ada", 1)), 1));
    assert!(store.remove("grace").unwrap());
    store.insert(snapshot("ada", 1)).unwrap();
}

#[test]
fn of_many_those_are_told_for_whom_there_was_no_room() {
    let store = with_users(3, &["ada"]);
    let users = ["grace", "ada", "alan", "edsger", "grace", "barbara", "ada"];
    let snapshots = users.map(|id| snapshot(id, 2)).to_vec();
    let results = ready(StateStore::upsert_many(&store, snapshots));
    let refused: Vec<_> = results
        .into_iter()
        .map(|result| is_refused(result, 3))
        .collect();
    assert_eq!(refused, [false, false, false, true, false, true, false]);
    let mut user_ids = store.user_ids();
    user_ids.sort_unstable();
    assert_eq!(user_ids, ["ada", "alan", "grace"]);
    assert_eq!(store.stats().writes, 6);
}

/// A conflict is told first: a place would not help.
#[test]
fn what_was_not_expected_is_a_conflict_in_a_full_store_too() {
    let store = with_users(1, &["ada"]);
    let at = Expected::At(Revision::from(1_000));
    for (user_id, expected) in [("ada", Expected::Absent), ("ada", at), ("grace", at)] {
        let error = store.insert_if(snapshot(user_id, 2), expected).unwrap_err();
        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    }
    assert_eq!(store.stats().conflicts, 3);
}

#[test]
fn who_does_not_come_takes_no_place() {
    let store = bounded(1).build().unwrap();
    let nothing = |_: Option<&State>| None;
    assert_eq!(store.update("ada", nothing).unwrap(), None);
    let invalid = |_: Option<&State>| State::builder().confidence(2.0);
    store.update("ada", invalid).unwrap_err();
    let expected = Expected::At(Revision::from(1));
    store.insert_if(snapshot("ada", 1), expected).unwrap_err();
    store.insert(snapshot("grace", 1)).unwrap();
    assert!(is_refused(store.insert(snapshot("ada", 1)), 1));
}

/// A closure runs without the lock: it may bring the last user itself.
#[test]
fn an_update_whose_closure_fills_the_store_is_refused() {
    let store = bounded(1).build().unwrap();
    let result = store.update("ada", |_| {
        store.insert(snapshot("grace", 1)).unwrap();
        State::builder()
    });
    assert!(is_refused(result, 1));
    assert_eq!(store.user_ids(), ["grace"]);
}

mod races {
    use super::*;

    const THREADS: usize = 4;

    fn giving_way(max_users: usize) -> MemoryStore<GivesWay> {
        bounded(max_users)
            .hasher(GivesWay::default())
            .build()
            .unwrap()
    }

    fn assert_users<S: BuildHasher + Send + Sync>(store: &MemoryStore<S>, users: usize) {
        assert_eq!(store.len(), users);
        assert_eq!(store.user_ids().len(), users);
        assert_eq!(store.stats().keys, users as u64);
    }

    #[test]
    fn of_too_many_newcomers_exactly_as_many_come_as_may() {
        const EACH: usize = 100;
        for max in [1, 7, 150, THREADS * EACH] {
            let store = giving_way(max);
            let come = together(THREADS, |thread| {
                let ids = (0..EACH).map(|n| format!("user-{thread}-{n}"));
                ids.filter(|id| !is_refused(store.insert(snapshot(id, 1)), max))
                    .collect::<Vec<_>>()
            });
            let come = come.concat();
            assert_eq!(come.len(), max);
            assert_users(&store, max);
            assert!(come.iter().all(|id| store.contains(id)));
        }
    }

    /// However they race to be the first to bring one.
    #[test]
    fn nobody_is_refused_where_all_bring_the_users_for_whom_there_is_room() {
        const USERS: usize = 60;
        for (_, write) in WRITES {
            let store = bounded(USERS).build().unwrap();
            together(THREADS, |thread| {
                for n in 0..USERS {
                    // Forwards and backwards: they meet, and the last ones find
                    // the store full of users who are theirs, too.
                    let n = if thread % 2 == 0 { n } else { USERS - 1 - n };
                    let refused = loop {
                        match write(&store, &format!("user-{n}")) {
                            Err(StoreError::Conflict { .. }) => {}
                            result => break is_refused(result, USERS),
                        }
                    };
                    assert!(!refused);
                }
            });
            assert_users(&store, USERS);
            assert_eq!(store.stats().writes, (THREADS * USERS) as u64);
        }
    }

    /// The same with a single place, and threads that lose their time at the
    /// moment between finding no user and bringing one.
    #[test]
    fn nobody_is_refused_where_all_bring_the_one_user_for_whom_there_is_room() {
        for _ in 0..100 {
            let store = giving_way(1);
            together(THREADS, |thread| {
                for at in 0..4 {
                    store.insert(snapshot("ada", at)).unwrap();
                    if thread == 0 {
                        assert!(store.remove("ada").unwrap());
                    }
                    store.insert(snapshot("ada", at)).unwrap();
                }
            });
            assert_users(&store, 1);
        }
    }

    /// Each thread has one user at a time, and there is room for one a thread.
    /// A user who was removed must not take a place, although the entry may not
    /// have left the map yet.
    #[test]
    fn nobody_is_refused_as_long_as_there_is_room() {
        let store = giving_way(THREADS);
        together(THREADS, |thread| {
            for round in 0..300 {
                let id = format!("user-{thread}-{}", round % 3);
                store.insert(snapshot(&id, 1)).unwrap();
                store.insert(snapshot(&id, 2)).unwrap();
                match round % 4 {
                    0 => assert_eq!(store.retain(|user_id, _| user_id != id), 1),
                    _ => assert!(store.remove(&id).unwrap()),
                }
            }
        });
        assert_users(&store, 0);
    }

    /// Counted so that there are never fewer users than are counted: a user is
    /// counted after the writing and counted off before the removal.
    #[test]
    fn there_are_never_more_than_may_be() {
        const MAX: usize = 2;
        let store = giving_way(MAX);
        let there = AtomicUsize::new(0);
        let come = together(THREADS, |thread| {
            let mut come = 0;
            for round in 0..300 {
                let id = format!("user-{thread}-{}", round % 3);
                if is_refused(store.insert(snapshot(&id, 1)), MAX) {
                    continue;
                }
                come += 1;
                assert!(there.fetch_add(1, SeqCst) < MAX);
                there.fetch_sub(1, SeqCst);
                assert!(store.remove(&id).unwrap());
            }
            come
        });
        assert!(come.iter().sum::<u64>() > 0);
        assert_users(&store, 0);
        // The count has come back to nothing, too.
        for id in ["ada", "grace"] {
            store.insert(snapshot(id, 1)).unwrap();
        }
        assert!(is_refused(store.insert(snapshot("alan", 1)), MAX));
    }

    #[test]
    fn threads_that_remove_the_same_user_free_one_place() {
        for _ in 0..150 {
            let store = giving_way(2);
            store.insert(snapshot("ada", 1)).unwrap();
            store.insert(snapshot("grace", 2)).unwrap();
            let removed = together(THREADS, |thread| match thread {
                0 => store.retain(|user_id, _| user_id == "grace"),
                1 => store.retain(|_, state| state.updated_at_unix_ms() >= 2),
                _ => usize::from(store.remove("ada").unwrap()),
            });
            assert_eq!(removed.iter().sum::<usize>(), 1);
            assert_eq!(store.stats().removals, 1);
            store.insert(snapshot("alan", 1)).unwrap();
            assert!(is_refused(store.insert(snapshot("edsger", 1)), 2));
        }
    }

    #[test]
    fn clearing_among_newcomers_leaves_the_count_right() {
        const MAX: usize = 20;
        for _ in 0..10 {
            let store = giving_way(MAX);
            together(THREADS, |thread| {
                for n in 0..40 {
                    if thread == 0 {
                        store.clear();
                    } else {
                        let _ = store.insert(snapshot(&format!("user-{thread}-{n}"), 1));
                    }
                }
            });
            let left = store.user_ids().len();
            assert!(left <= MAX);
            for n in left..MAX {
                store.insert(snapshot(&format!("new-{n}"), 1)).unwrap();
            }
            assert!(is_refused(store.insert(snapshot("ada", 1)), MAX));
            assert_users(&store, MAX);
        }
    }
}
