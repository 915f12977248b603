//! Writes and removals that depend on what is there, through both interfaces:
//! `insert_if`, `remove_if`, `update`, `patch`, and `upsert_if`, `update_latest`,
//! `patch_latest`.

mod common;
#[path = "common/ready.rs"]
mod ready;
#[path = "common/threads.rs"]
mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use attuned_store::{
    Expected, MAX_AXES, MemoryStore, Patch, Patched, Result, Revision, SnapshotError, Source,
    State, StateSnapshot, StateSnapshotBuilder, StateStore, StateStoreExt, Stats, StoreError,
    UPDATE_ATTEMPTS, Versioned, async_trait,
};
use common::{copy, snapshot};
use ready::ready;
use threads::together;

fn store() -> MemoryStore {
    MemoryStore::builder().history(3).build().unwrap()
}

fn dynamic(store: &MemoryStore) -> &dyn StateStore {
    store
}

fn revision(store: &MemoryStore, user_id: &str) -> Revision {
    store.get_versioned(user_id).unwrap().revision
}

/// What a conditional operation has written, and the revision of that write.
type Written = (State, Revision);

fn latest(store: &MemoryStore, user_id: &str) -> Option<Written> {
    let found = store.get_versioned(user_id)?;
    Some((found.value, found.revision))
}

fn history(store: &MemoryStore, user_id: &str) -> Vec<State> {
    let history = store.history(user_id, usize::MAX);
    history.into_iter().map(|entry| entry.value).collect()
}

fn state(at: i64) -> State {
    snapshot("ada", at).into_state()
}

fn states<const N: usize>(at: [i64; N]) -> [State; N] {
    at.map(state)
}

/// All that can be read about a user, and about the store except the conflicts.
fn everything(
    store: &MemoryStore,
    user_id: &str,
) -> (Option<Versioned<State>>, Vec<Versioned<State>>, Stats) {
    let mut stats = store.stats();
    stats.conflicts = 0;
    (
        store.get_versioned(user_id),
        store.history(user_id, usize::MAX),
        stats,
    )
}

/// Fails unless `action` leaves everything as it is.
#[track_caller]
fn unchanged<R>(store: &MemoryStore, user_id: &str, action: impl FnOnce() -> R) -> R {
    let before = everything(store, user_id);
    let result = action();
    assert_eq!(everything(store, user_id), before);
    result
}

mod upsert_if {
    use super::*;

    type UpsertIf = fn(&MemoryStore, StateSnapshot, Expected) -> Result<Revision>;

    /// The two ways to call it.
    const INTERFACES: [UpsertIf; 2] = [
        |store, snapshot, expected| store.insert_if(snapshot, expected),
        |store, snapshot, expected| ready(dynamic(store).upsert_if(snapshot, expected)),
    ];

    #[test]
    fn writes_over_what_was_expected() {
        for upsert_if in INTERFACES {
            let store = store();
            let mut expected = Expected::Absent;
            let mut revisions = Vec::new();
            for at in 1..=5 {
                let written = upsert_if(&store, snapshot("ada", at), expected).unwrap();
                assert_eq!(latest(&store, "ada"), Some((state(at), written)));
                revisions.push(written);
                expected = Expected::At(written);
            }
            assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
            assert_eq!(history(&store, "ada"), states([5, 4, 3]));
            let stats = store.stats();
            assert_eq!((stats.writes, stats.evictions), (5, 2));
            assert_eq!(stats.conflicts, 0);
        }
    }

    #[test]
    fn writes_over_anything_if_that_was_expected() {
        for upsert_if in INTERFACES {
            let store = store();
            for at in 1..=3 {
                let written = upsert_if(&store, snapshot("ada", at), Expected::Any).unwrap();
                assert_eq!(latest(&store, "ada"), Some((state(at), written)));
            }
            store.remove("ada").unwrap();
            upsert_if(&store, snapshot("ada", 4), Expected::Any).unwrap();
            assert_eq!(history(&store, "ada"), [state(4)]);
            assert_eq!(store.stats().conflicts, 0);
        }
    }

    #[test]
    fn finds_what_the_other_writes_have_left() {
        for upsert_if in INTERFACES {
            let store = store();
            store.insert(snapshot("ada", 1)).unwrap();
            let expected = Expected::At(revision(&store, "ada"));
            upsert_if(&store, snapshot("ada", 2), expected).unwrap();

            let updated = store
                .update("ada", |_| StateSnapshot::builder().updated_at(3))
                .unwrap();
            let expected = Expected::from(updated.as_ref());
            upsert_if(&store, snapshot("ada", 4), expected).unwrap();
            assert_eq!(store.get("ada"), Some(state(4)));
        }
    }

    #[test]
    fn absent_is_what_a_user_is_who_was_removed() {
        let removals: [fn(&MemoryStore); 3] = [
            |store| assert!(store.remove("ada").unwrap()),
            |store| assert_eq!(store.retain(|_, _| false), 1),
            MemoryStore::clear,
        ];
        for upsert_if in INTERFACES {
            for remove in removals {
                let store = store();
                let before = upsert_if(&store, snapshot("ada", 1), Expected::Absent).unwrap();
                remove(&store);
                let after = upsert_if(&store, snapshot("ada", 2), Expected::Absent).unwrap();
                assert!(before < after);
                assert_eq!(history(&store, "ada"), [state(2)]);
            }
        }
    }

    /// Fails unless the write is refused, tells why, and leaves no trace but the
    /// count.
    #[track_caller]
    fn refused(upsert_if: UpsertIf, store: &MemoryStore, wrong: Expected) {
        let conflicts = store.stats().conflicts;
        let found = store
            .get_versioned("ada")
            .map(|versioned| versioned.revision);
        let error = unchanged(store, "ada", || {
            upsert_if(store, snapshot("ada", 100), wrong).unwrap_err()
        });
        let StoreError::Conflict {
            user_id,
            expected,
            actual,
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(
            (&**user_id, *expected, *actual),
            ("ada", wrong, found),
            "{error}"
        );
        assert_eq!(store.stats().conflicts, conflicts + 1);
    }

    #[test]
    fn refuses_what_was_not_expected() {
        for upsert_if in INTERFACES {
            let store = store();
            // Of a user who was never there.
            refused(upsert_if, &store, Expected::At(Revision::from(0)));
            refused(upsert_if, &store, Expected::At(Revision::from(1)));
            refused(upsert_if, &store, Expected::At(Revision::from(u64::MAX)));

            store.insert(snapshot("ada", 1)).unwrap();
            let first = revision(&store, "ada");
            refused(upsert_if, &store, Expected::Absent);
            for wrong in [u64::from(first) - 1, u64::from(first) + 1] {
                refused(upsert_if, &store, Expected::At(Revision::from(wrong)));
            }

            // The same content, but another write.
            store.insert(snapshot("ada", 1)).unwrap();
            let second = revision(&store, "ada");
            refused(upsert_if, &store, Expected::At(first));

            // Gone, and come again.
            store.remove("ada").unwrap();
            refused(upsert_if, &store, Expected::At(second));
            store.insert(snapshot("ada", 1)).unwrap();
            for former in [first, second] {
                refused(upsert_if, &store, Expected::At(former));
            }
            refused(upsert_if, &store, Expected::Absent);
        }
    }

    /// A conflict does not make revisions of a user who is not there.
    #[test]
    fn refuses_without_making_the_user() {
        for upsert_if in INTERFACES {
            let store = store();
            let expected = Expected::At(Revision::from(7));
            upsert_if(&store, snapshot("ada", 1), expected).unwrap_err();
            assert!(store.is_empty());
            assert!(!store.contains("ada"));
            upsert_if(&store, snapshot("ada", 1), Expected::Absent).unwrap();
        }
    }

    #[test]
    fn a_conflict_says_what_was_expected_and_what_was_found() {
        let conflict = |expected, actual: Option<u64>| {
            StoreError::Conflict {
                user_id: "ada".to_owned(),
                expected,
                actual: actual.map(Revision::from),
            }
            .to_string()
        };
        assert_eq!(
            conflict(Expected::Absent, Some(4)),
            "conflict: expected nothing, found revision 4"
        );
        assert_eq!(
            conflict(Expected::At(Revision::from(3)), Some(4)),
            "conflict: expected revision 3, found revision 4"
        );
        assert_eq!(
            conflict(Expected::At(Revision::from(3)), None),
            "conflict: expected revision 3, found nothing"
        );
    }

    /// Whatever was written on a condition was the only one to follow what it
    /// expected, and the next one of a chain without branches.
    #[test]
    fn no_two_writes_follow_the_same_one() {
        const THREADS: usize = 4;
        const ATTEMPTS: usize = 20_000;

        let store = store();
        let first = store
            .insert_if(snapshot("ada", 0), Expected::Absent)
            .unwrap();
        let written = together(THREADS, |_| {
            let mut written = Vec::new();
            for _ in 0..ATTEMPTS {
                let read = revision(&store, "ada");
                match store.insert_if(snapshot("ada", 1), Expected::At(read)) {
                    Ok(revision) => written.push((read, revision)),
                    Err(StoreError::Conflict { actual, .. }) => assert!(actual > Some(read)),
                    Err(error) => panic!("{error}"),
                }
            }
            written
        });
        let mut chain = written.concat();
        chain.sort_unstable();
        let mut last = first;
        for &(followed, revision) in &chain {
            assert_eq!(followed, last);
            assert!(followed < revision);
            last = revision;
        }
        assert_eq!(revision(&store, "ada"), last);
        let stats = store.stats();
        assert_eq!(stats.writes, 1 + chain.len() as u64);
        assert_eq!(
            stats.writes + stats.conflicts,
            1 + (THREADS * ATTEMPTS) as u64
        );
    }

    /// All begin from the same state in each round, so one of them wins, and the
    /// others find what it has written.
    #[test]
    fn one_of_those_that_race_from_the_same_state_wins() {
        const THREADS: usize = 4;
        const ROUNDS: usize = 400;

        for absent in [false, true] {
            let stores: Vec<_> = (0..ROUNDS).map(|_| store()).collect();
            for store in stores.iter().filter(|_| !absent) {
                store.insert(snapshot("ada", -1)).unwrap();
            }
            let expected: Vec<_> = stores
                .iter()
                .map(|store| Expected::from(store.get_versioned("ada").as_ref()))
                .collect();
            let mut results = together(THREADS, |thread| {
                let race = |(store, &expected): (&MemoryStore, _)| {
                    store.insert_if(snapshot("ada", thread as i64), expected)
                };
                stores.iter().zip(&expected).map(race).collect::<Vec<_>>()
            });
            for store in stores.iter().rev() {
                let results: Vec<_> = results.iter_mut().map(|r| r.pop().unwrap()).collect();
                let latest = store.get_versioned("ada").unwrap();
                let winner = latest.value.updated_at_unix_ms() as usize;
                for (thread, result) in results.into_iter().enumerate() {
                    match result {
                        Ok(revision) => {
                            assert_eq!((thread, revision), (winner, latest.revision));
                        }
                        Err(StoreError::Conflict { actual, .. }) => {
                            assert_ne!(thread, winner);
                            assert_eq!(actual, Some(latest.revision));
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                assert_eq!(store.stats().conflicts, THREADS as u64 - 1);
                assert_eq!(store.stats().writes, 1 + u64::from(!absent));
            }
        }
    }
}

mod remove_if {
    use super::*;

    #[test]
    fn removes_what_was_expected() {
        let store = store();
        for writes in 1..=5 {
            for at in 1..=writes {
                store.insert(snapshot("ada", at)).unwrap();
            }
            store.insert(snapshot("grace", 1)).unwrap();
            let expected = Expected::At(revision(&store, "ada"));
            assert!(store.remove_if("ada", expected).unwrap());
            assert_eq!(store.get("ada"), None);
            assert_eq!(history(&store, "ada"), []);
            assert!(store.contains("grace"));
        }
        let stats = store.stats();
        assert_eq!((stats.removals, stats.conflicts), (5, 0));
    }

    #[test]
    fn removes_whatever_is_there_if_anything_was_expected() {
        let store = store();
        store.insert(snapshot("ada", 1)).unwrap();
        assert!(store.remove_if("ada", Expected::Any).unwrap());
        assert!(!store.remove_if("ada", Expected::Any).unwrap());
        assert!(store.is_empty());
    }

    /// There is nothing to remove, as the caller expected.
    #[test]
    fn of_an_absent_user_nothing_is_removed() {
        let store = store();
        let removed = unchanged(&store, "ada", || {
            store.remove_if("ada", Expected::Absent).unwrap()
        });
        assert!(!removed);
        assert_eq!(store.stats().conflicts, 0);
    }

    #[track_caller]
    fn refused(store: &MemoryStore, wrong: Expected) {
        let conflicts = store.stats().conflicts;
        let found = latest(store, "ada").map(|(_, revision)| revision);
        let error = unchanged(store, "ada", || store.remove_if("ada", wrong).unwrap_err());
        assert!(
            matches!(
                &error,
                StoreError::Conflict { user_id, expected, actual }
                    if user_id == "ada" && *expected == wrong && *actual == found
            ),
            "{error}"
        );
        assert_eq!(store.stats().conflicts, conflicts + 1);
    }

    #[test]
    fn refuses_what_was_not_expected() {
        let store = store();
        refused(&store, Expected::At(Revision::from(0)));
        refused(&store, Expected::At(Revision::from(1)));

        store.insert(snapshot("ada", 1)).unwrap();
        let first = revision(&store, "ada");
        refused(&store, Expected::Absent);
        store.insert(snapshot("ada", 1)).unwrap();
        let second = revision(&store, "ada");
        refused(&store, Expected::At(first));

        assert!(store.remove("ada").unwrap());
        refused(&store, Expected::At(second));
        store.insert(snapshot("ada", 1)).unwrap();
        for former in [first, second] {
            refused(&store, Expected::At(former));
        }
    }

    /// Each removal takes exactly what it expected, so no write is lost: of as many writes
    /// as were made, each was either replaced by a conditional write or removed.
    #[test]
    fn each_write_is_followed_by_one_write_or_one_removal() {
        const THREADS: usize = 4;
        const ATTEMPTS: usize = 10_000;

        let store = store();
        let done = together(THREADS, |thread| {
            let (mut followed, mut written, mut first) = (Vec::new(), Vec::new(), 0);
            for attempt in 0..ATTEMPTS {
                let read = latest(&store, "ada").map(|(_, revision)| revision);
                let expected = Expected::from(read);
                if let Some(read) = read
                    && (attempt + thread) % 4 == 0
                {
                    match store.remove_if("ada", expected) {
                        Ok(removed) => {
                            assert!(removed);
                            followed.push(read);
                        }
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    continue;
                }
                match store.insert_if(snapshot("ada", 1), expected) {
                    Ok(revision) => {
                        written.push(revision);
                        followed.extend(read);
                        first += usize::from(read.is_none());
                    }
                    Err(StoreError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (followed, written, first)
        });
        let mut followed: Vec<_> = done.iter().flat_map(|(followed, ..)| followed).collect();
        let mut written: Vec<_> = done.iter().flat_map(|(_, written, _)| written).collect();
        followed.sort_unstable();
        written.sort_unstable();
        // No two writes have the same revision, and none was followed twice.
        assert!(written.is_sorted_by(|a, b| a < b));
        let left = latest(&store, "ada").map(|(_, revision)| revision);
        followed.extend(&left);
        assert_eq!(followed, written);
        // One begins after each removal, and one at the beginning.
        let begun: usize = done.iter().map(|(.., first)| first).sum();
        let removals = store.stats().removals as usize;
        assert_eq!(begun, removals + usize::from(left.is_some()));
    }
}

mod update {
    use super::*;

    type Change<'a> = dyn FnMut(Option<&State>) -> Option<StateSnapshotBuilder> + Send + 'a;
    type Update = fn(&MemoryStore, &str, &mut Change<'_>) -> Result<Option<Written>>;

    const INHERENT: Update = |store, user_id, change| {
        let written = store.update(user_id, change)?;
        Ok(written.map(|written| (written.value, written.revision)))
    };
    const EXTENSION: Update = |store, user_id, change| {
        let store = dynamic(store);
        let written = ready(store.update_latest(user_id, change))?;
        Ok(written.map(|(snapshot, revision)| {
            assert_eq!(snapshot.user_id(), user_id);
            (snapshot.into_state(), revision)
        }))
    };
    /// The two ways to call it.
    const INTERFACES: [Update; 2] = [INHERENT, EXTENSION];

    fn at(current: Option<&State>) -> Option<i64> {
        current.map(State::updated_at_unix_ms)
    }

    fn next(current: Option<&State>) -> StateSnapshotBuilder {
        copy(&state(at(current).unwrap_or(0) + 1))
    }

    #[test]
    fn makes_the_first_snapshot_and_then_each_from_the_one_before() {
        for update in INTERFACES {
            let store = store();
            for n in 1..=5 {
                let written = update(&store, "ada", &mut |current| {
                    assert_eq!(at(current), (n > 1).then_some(n - 1));
                    Some(next(current))
                });
                let written = written.unwrap().unwrap();
                assert_eq!(written.0, state(n));
                assert_eq!(latest(&store, "ada"), Some(written));
            }
            assert_eq!(history(&store, "ada"), states([5, 4, 3]));
            assert_eq!(store.stats().writes, 5);
        }
    }

    #[test]
    fn returns_a_builder_or_an_option_of_one() {
        let store = store();
        store.update("ada", next).unwrap().unwrap();
        store
            .update("ada", |current| Some(next(current)))
            .unwrap()
            .unwrap();
        ready(dynamic(&store).update_latest("ada", next))
            .unwrap()
            .unwrap();
        assert_eq!(store.get("ada"), Some(state(3)));
    }

    #[test]
    fn the_user_is_the_one_named_whatever_the_builder_says() {
        for update in INTERFACES {
            let store = store();
            store.insert(snapshot("grace", 7)).unwrap();
            for id_in_builder in [None, Some("grace"), Some("no id")] {
                let mut change = |_: Option<&State>| {
                    let builder = StateSnapshot::builder().updated_at(1);
                    Some(match id_in_builder {
                        Some(user_id) => builder.user_id(user_id),
                        None => builder,
                    })
                };
                let written = update(&store, "ada", &mut change).unwrap().unwrap();
                assert_eq!(
                    written.0,
                    StateSnapshot::builder()
                        .updated_at(1)
                        .build_state()
                        .unwrap()
                );
            }
            assert_eq!(store.stats().writes, 4);
            assert_eq!(history(&store, "grace"), [state(7)]);
        }
    }

    #[test]
    fn declining_changes_nothing() {
        for update in INTERFACES {
            let store = store();
            let decline = || update(&store, "ada", &mut |_| None).unwrap();
            assert_eq!(unchanged(&store, "ada", decline), None);
            assert!(store.is_empty());
            store.insert(snapshot("ada", 1)).unwrap();
            assert_eq!(unchanged(&store, "ada", decline), None);
        }
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        for update in INTERFACES {
            let store = store();
            for present in [false, true] {
                if present {
                    store.insert(snapshot("ada", 1)).unwrap();
                }
                for wrong in [
                    StateSnapshot::builder().confidence(1.5),
                    StateSnapshot::builder().axis("warmth", -0.1),
                    StateSnapshot::builder().axis("Not an axis", 0.5),
                ] {
                    let mut calls = 0;
                    let error = unchanged(&store, "ada", || {
                        let mut change = |_: Option<&State>| {
                            calls += 1;
                            Some(wrong.clone())
                        };
                        update(&store, "ada", &mut change).unwrap_err()
                    });
                    assert!(matches!(error, StoreError::InvalidSnapshot(_)), "{error}");
                    assert_eq!(calls, 1);
                }
            }
        }
    }

    #[test]
    fn what_is_no_user_id_is_refused_before_the_closure_is_called() {
        let too_long = "x".repeat(10_000);
        for update in INTERFACES {
            let store = store();
            for user_id in ["", "no id", "ada@example", &too_long] {
                let error = update(&store, user_id, &mut |_| panic!("called")).unwrap_err();
                assert!(matches!(error, StoreError::InvalidUserId(_)), "{error}");
            }
            assert!(store.is_empty());
        }
    }

    /// What another writer does between the reading and the writing.
    type Interference = (&'static str, fn(&MemoryStore), Option<i64>);

    /// With what is there when it is over.
    const INTERFERENCES: [Interference; 6] = [
        (
            "upsert",
            |store| {
                store.insert(snapshot("ada", 50)).unwrap();
            },
            Some(50),
        ),
        (
            "upsert of the same",
            |store| {
                store.insert(snapshot("ada", 1)).unwrap();
            },
            Some(1),
        ),
        (
            "update",
            |store| {
                let change = |_: Option<&_>| StateSnapshot::builder().updated_at(51);
                store.update("ada", change).unwrap().unwrap();
            },
            Some(51),
        ),
        (
            "upsert and remove",
            |store| {
                store.insert(snapshot("ada", 52)).unwrap();
                assert!(store.remove("ada").unwrap());
            },
            None,
        ),
        (
            "remove and upsert",
            |store| {
                store.remove("ada").unwrap();
                store.insert(snapshot("ada", 53)).unwrap();
            },
            Some(53),
        ),
        (
            "retain none, and upsert",
            |store| {
                store.retain(|_, _| false);
                store.insert(snapshot("ada", 54)).unwrap();
            },
            Some(54),
        ),
    ];

    /// The closure itself plays the other writer, the first time.
    #[test]
    fn the_closure_is_called_again_with_what_another_writer_has_left() {
        for update in INTERFACES {
            for present in [false, true] {
                for (name, interfere, left) in INTERFERENCES {
                    if !present && left.is_none() {
                        // The user is as absent as before: nothing to notice.
                        continue;
                    }
                    let case = format!("{name}, present before: {present}");
                    let store = store();
                    if present {
                        store.insert(snapshot("ada", 1)).unwrap();
                    }
                    let mut seen = Vec::new();
                    let mut change = |current: Option<&State>| {
                        seen.push(at(current));
                        if seen.len() == 1 {
                            interfere(&store);
                        }
                        Some(next(current))
                    };
                    let written = update(&store, "ada", &mut change).unwrap().unwrap();
                    assert_eq!(seen, [present.then_some(1), left], "{case}");
                    assert_eq!(written.0, state(left.unwrap_or(0) + 1), "{case}");
                    assert_eq!(latest(&store, "ada"), Some(written), "{case}");
                }
            }
        }
    }

    #[test]
    fn a_user_who_came_and_went_unseen_is_as_absent_as_before() {
        for update in INTERFACES {
            let store = store();
            let mut calls = 0;
            let mut change = |current: Option<&State>| {
                assert_eq!(current, None);
                calls += 1;
                store.insert(snapshot("ada", 50)).unwrap();
                assert!(store.remove("ada").unwrap());
                Some(next(current))
            };
            update(&store, "ada", &mut change).unwrap().unwrap();
            assert_eq!(calls, 1);
            assert_eq!(history(&store, "ada"), [state(1)]);
        }
    }

    #[test]
    fn a_closure_that_declines_the_second_time_leaves_the_other_write() {
        for update in INTERFACES {
            for present in [false, true] {
                let store = store();
                if present {
                    store.insert(snapshot("ada", 1)).unwrap();
                }
                let mut change = |current: Option<&State>| {
                    if at(current) == Some(50) {
                        return None;
                    }
                    store.insert(snapshot("ada", 50)).unwrap();
                    Some(next(current))
                };
                assert_eq!(update(&store, "ada", &mut change).unwrap(), None);
                assert_eq!(store.get("ada"), Some(state(50)));
                assert_eq!(store.stats().writes, 1 + u64::from(present));
            }
        }
    }

    /// More often than the extension does, which has no other bound to set.
    #[test]
    fn the_inherent_method_goes_on_as_long_as_others_write() {
        let store = store();
        let mut calls = 0;
        let mut change = |current: Option<&State>| {
            calls += 1;
            if calls <= 3 * i64::from(UPDATE_ATTEMPTS) {
                store.insert(snapshot("ada", calls)).unwrap();
            }
            Some(next(current))
        };
        let written = INHERENT(&store, "ada", &mut change).unwrap().unwrap();
        assert_eq!(written.0, state(calls));
        assert_eq!(store.stats().conflicts, 0);
    }

    #[test]
    fn the_extension_gives_up_when_every_attempt_meets_another_write() {
        let store = store();
        let mut calls = 0;
        let mut change = |current: Option<&State>| {
            calls += 1;
            store.insert(snapshot("ada", calls)).unwrap();
            Some(next(current))
        };
        let error = EXTENSION(&store, "ada", &mut change).unwrap_err();
        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        assert_eq!(calls, i64::from(UPDATE_ATTEMPTS));
        assert_eq!(store.get("ada"), Some(state(calls)));
    }

    #[test]
    fn a_panic_in_the_closure_changes_nothing() {
        let bounded = MemoryStore::builder().history(3).max_users(1);
        for update in INTERFACES {
            for store in [store(), bounded.clone().build().unwrap()] {
                for present in [false, true] {
                    if present {
                        store.insert(snapshot("ada", 1)).unwrap();
                    }
                    let panicked = unchanged(&store, "ada", || {
                        catch_unwind(AssertUnwindSafe(|| {
                            let _ = update(&store, "ada", &mut |_| panic!("on purpose"));
                        }))
                    });
                    assert!(panicked.is_err());
                }
                update(&store, "ada", &mut |current| Some(next(current))).unwrap();
                assert_eq!(store.get("ada"), Some(state(2)));
                assert!(store.remove("ada").unwrap());
                assert!(store.is_empty());
            }
        }
    }

    const THREADS: usize = 4;
    const UPDATES: usize = 2_000;

    /// One more. The extension may give up, and is called again then.
    fn increment(update: Update, store: &MemoryStore) {
        loop {
            match update(store, "ada", &mut |current| Some(next(current))) {
                Ok(written) => {
                    assert!(written.is_some());
                    return;
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn threads_lose_no_update_of_each_other() {
        for update in INTERFACES {
            let store = store();
            together(THREADS, |_| {
                for _ in 0..UPDATES {
                    increment(update, &store);
                }
            });
            let total = (THREADS * UPDATES) as i64;
            let newest = states([total, total - 1, total - 2]);
            assert_eq!(history(&store, "ada"), newest);
            assert_eq!(store.stats().writes, total as u64);
        }
    }

    /// Each removal takes exactly the count that it was shown, since nothing was
    /// written in between; and what comes after it counts from zero.
    #[test]
    fn threads_lose_no_update_to_removals_that_look_first() {
        for update in INTERFACES {
            let store = store();
            let taken = together(THREADS, |thread| {
                let mut taken = 0;
                for round in 0..UPDATES {
                    if thread > 0 {
                        increment(update, &store);
                    } else if round % 8 == 0 {
                        // Only what is shown first: the walk may meet the user
                        // again, who has come back.
                        let mut seen = None;
                        let removed = store.retain(|_, state| {
                            let again = seen.is_some();
                            seen = seen.or(at(Some(state)));
                            // Time for the others to write.
                            thread::yield_now();
                            again
                        });
                        assert!(removed <= 1);
                        if removed == 1 {
                            taken += seen.unwrap();
                        }
                    }
                }
                taken
            });
            let left = store.with("ada", State::updated_at_unix_ms).unwrap_or(0);
            let total = ((THREADS - 1) * UPDATES) as i64;
            assert_eq!(taken.iter().sum::<i64>() + left, total);
        }
    }
}

mod patch {
    use super::*;
    use Source::{Inferred, Mixed, SelfReport};

    type Axes<'a> = &'a [(&'a str, f32)];
    type Interface = fn(&MemoryStore, &Patch) -> Result<Patched<State>>;

    /// The two ways to call it.
    const INTERFACES: [Interface; 2] = [
        |store, patch| store.patch("ada", patch),
        |store, patch| {
            let state = |snapshot: StateSnapshot| {
                assert_eq!(snapshot.user_id(), "ada");
                snapshot.into_state()
            };
            let patched = ready(dynamic(store).patch_latest("ada", patch))?;
            Ok(match patched {
                Patched::Written { value, revision } => Patched::Written {
                    value: state(value),
                    revision,
                },
                Patched::Unchanged { value, revision } => Patched::Unchanged {
                    value: state(value),
                    revision,
                },
                Patched::Nobody => Patched::Nobody,
            })
        },
    ];

    fn patch_of(axes: Axes<'_>, source: Source, confidence: f32) -> Patch {
        let patch = Patch::new(source).confidence(confidence);
        patch.axes(axes.iter().copied())
    }

    #[track_caller]
    fn written(patched: Result<Patched<State>>) -> Written {
        match patched {
            Ok(Patched::Written { value, revision }) => (value, revision),
            other => panic!("{other:?}"),
        }
    }

    /// What a patch that changes nothing returns.
    fn idle(store: &MemoryStore) -> Patched<State> {
        match latest(store, "ada") {
            Some((value, revision)) => Patched::Unchanged { value, revision },
            None => Patched::Nobody,
        }
    }

    /// The first timestamp that there can be of a patch: a day of 2023. Those of
    /// the snapshots that are patched are smaller.
    const LONG_AGO: i64 = 1_700_000_000_000;

    fn of(axes: Axes<'_>, source: Source, confidence: f32) -> StateSnapshot {
        StateSnapshot::builder()
            .user_id("ada")
            .updated_at(1)
            .source(source)
            .confidence(confidence)
            .axes(axes.iter().copied())
            .build()
            .unwrap()
    }

    /// Patches `current` in all ways, and fails unless it becomes `expected`.
    #[track_caller]
    fn becomes(
        current: Option<(Axes<'_>, Source, f32)>,
        (axes, source, confidence): (Axes<'_>, Source, f32),
        expected: (Axes<'_>, Source, f32),
    ) {
        for patch in INTERFACES {
            let store = store();
            if let Some((axes, source, confidence)) = current {
                store.insert(of(axes, source, confidence)).unwrap();
            }
            let written = written(patch(&store, &patch_of(axes, source, confidence)));
            assert_eq!(latest(&store, "ada").as_ref(), Some(&written));
            let (after, _) = &written;
            assert!(after.updated_at_unix_ms() > LONG_AGO, "{after:?}");
            let found: Vec<_> = after.axes().collect();
            assert_eq!(
                (&*found, after.source(), after.confidence()),
                expected,
                "{current:?}"
            );
            let entries = 1 + usize::from(current.is_some());
            assert_eq!(store.history("ada", usize::MAX).len(), entries);
        }
    }

    /// Each way to call it finds nothing to change.
    #[track_caller]
    fn leaves(
        current: Option<(Axes<'_>, Source, f32)>,
        (axes, source, confidence): (Axes<'_>, Source, f32),
    ) {
        for patch in INTERFACES {
            let store = store();
            if let Some((axes, source, confidence)) = current {
                store.insert(of(axes, source, confidence)).unwrap();
            }
            let patched = unchanged(&store, "ada", || {
                patch(&store, &patch_of(axes, source, confidence)).unwrap()
            });
            assert_eq!(patched, idle(&store));
        }
    }

    #[test]
    fn explicit_values_win() {
        const CURRENT: Axes<'_> = &[("a", 0.1), ("b", 0.2)];
        const PATCH: Axes<'_> = &[("b", 0.9), ("c", 0.7)];
        const OVERRIDDEN: Axes<'_> = &[("a", 0.1), ("b", 0.9), ("c", 0.7)];
        const ADDED: Axes<'_> = &[("a", 0.1), ("b", 0.2), ("c", 0.7)];

        for (current, patch, axes, source) in [
            (None, SelfReport, PATCH, SelfReport),
            (None, Inferred, PATCH, Inferred),
            (None, Mixed, PATCH, Mixed),
            (Some(SelfReport), SelfReport, OVERRIDDEN, SelfReport),
            (Some(SelfReport), Inferred, ADDED, Mixed),
            (Some(SelfReport), Mixed, ADDED, Mixed),
            (Some(Inferred), SelfReport, OVERRIDDEN, Mixed),
            (Some(Inferred), Inferred, OVERRIDDEN, Inferred),
            (Some(Inferred), Mixed, OVERRIDDEN, Mixed),
            (Some(Mixed), SelfReport, OVERRIDDEN, Mixed),
            (Some(Mixed), Inferred, ADDED, Mixed),
            (Some(Mixed), Mixed, ADDED, Mixed),
        ] {
            // Of two parts, the result is as sure as the less sure one.
            for (before, confidence, after) in [(0.8, 0.5, 0.5), (0.3, 0.5, 0.3)] {
                let after = if current.is_some() { after } else { confidence };
                becomes(
                    current.map(|source| (CURRENT, source, before)),
                    (PATCH, patch, confidence),
                    (axes, source, after),
                );
            }
        }
    }

    #[test]
    fn where_nothing_of_the_former_is_left_source_and_confidence_are_those_of_the_patch() {
        for former in [SelfReport, Inferred, Mixed] {
            becomes(
                Some((&[("a", 0.1)], former, 0.2)),
                (&[("a", 0.9), ("b", 0.5)], SelfReport, 0.6),
                (&[("a", 0.9), ("b", 0.5)], SelfReport, 0.6),
            );
            // There was nothing to be left of it.
            for source in [SelfReport, Inferred, Mixed] {
                becomes(
                    Some((&[], former, 0.2)),
                    (&[("a", 0.9)], source, 0.6),
                    (&[("a", 0.9)], source, 0.6),
                );
            }
        }
        for source in [Inferred, Mixed] {
            becomes(
                Some((&[("a", 0.1)], Inferred, 0.2)),
                (&[("a", 0.9)], source, 0.6),
                (&[("a", 0.9)], source, 0.6),
            );
        }
    }

    #[test]
    fn nothing_is_written_where_the_rule_leaves_nothing_to_change() {
        for current in [SelfReport, Mixed] {
            for source in [Inferred, Mixed] {
                let axes: Axes<'_> = &[("a", 0.1), ("b", 0.2)];
                leaves(Some((axes, current, 0.8)), (&[("b", 0.9)], source, 0.1));
                leaves(Some((axes, current, 0.8)), (axes, source, 0.1));
            }
        }
    }

    #[test]
    fn an_empty_patch_changes_nothing() {
        for source in [SelfReport, Inferred, Mixed] {
            leaves(None, (&[], source, 0.5));
            for current in [SelfReport, Inferred, Mixed] {
                leaves(Some((&[("a", 0.1)], current, 0.8)), (&[], source, 0.5));
            }
        }
    }

    /// Also where the rule would leave the value out, or nothing is to change.
    #[test]
    fn invalid_values_are_refused_whatever_is_there() {
        let invalid: [(Axes<'_>, f32); 6] = [
            (&[("warmth", 1.5)], 1.0),
            (&[("warmth", f32::NAN)], 1.0),
            (&[("Not an axis", 0.5)], 1.0),
            (&[("warmth", 0.5)], 1.5),
            (&[("warmth", 0.5)], f32::NAN),
            (&[], -0.5),
        ];
        for patch in INTERFACES {
            for current in [None, Some(SelfReport), Some(Inferred), Some(Mixed)] {
                let store = store();
                if let Some(source) = current {
                    store.insert(of(&[("warmth", 0.5)], source, 0.8)).unwrap();
                }
                for (axes, confidence) in invalid {
                    for source in [SelfReport, Inferred, Mixed] {
                        let error = unchanged(&store, "ada", || {
                            patch(&store, &patch_of(axes, source, confidence)).unwrap_err()
                        });
                        assert!(matches!(error, StoreError::InvalidSnapshot(_)), "{error}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_user_id_is_refused() {
        let store = store();
        let patch = Patch::new(SelfReport).axis("warmth", 0.5);
        for user_id in ["", "no id"] {
            for error in [
                store.patch(user_id, &patch).unwrap_err(),
                ready(dynamic(&store).patch_latest(user_id, &patch)).unwrap_err(),
            ] {
                assert!(matches!(error, StoreError::InvalidUserId(_)), "{error}");
            }
        }
        assert!(store.is_empty());
    }

    #[test]
    fn explicit_values_win_over_removals_too() {
        const CURRENT: Axes<'_> = &[("a", 0.1), ("b", 0.2)];

        for (current, source, removes) in [
            (SelfReport, SelfReport, true),
            (SelfReport, Inferred, false),
            (SelfReport, Mixed, false),
            (Inferred, SelfReport, true),
            (Inferred, Inferred, true),
            (Inferred, Mixed, true),
            (Mixed, SelfReport, true),
            (Mixed, Inferred, false),
            (Mixed, Mixed, false),
        ] {
            for patch in INTERFACES {
                let store = store();
                store.insert(of(CURRENT, current, 0.8)).unwrap();
                let without = Patch::new(source).confidence(0.5).remove("b").remove("c");
                if !removes {
                    let patched = unchanged(&store, "ada", || patch(&store, &without));
                    assert_eq!(patched.unwrap(), idle(&store));
                    continue;
                }
                // What is left is all of the former state, and as sure as that was.
                let (after, _) = written(patch(&store, &without));
                assert!(after.axes().eq([("a", 0.1)]));
                assert_eq!((after.source(), after.confidence()), (current, 0.8));
                // Nothing is left of it then.
                let (after, _) = written(patch(&store, &without.remove("a")));
                assert_eq!(after.axes().count(), 0);
                assert_eq!((after.source(), after.confidence()), (source, 0.5));
            }
        }
    }

    #[test]
    fn a_patch_that_sets_nothing_makes_nobody() {
        for patch in INTERFACES {
            for source in [SelfReport, Inferred, Mixed] {
                let store = store();
                let removal = Patch::new(source).remove("a");
                let patched = unchanged(&store, "ada", || patch(&store, &removal));
                assert_eq!(patched.unwrap(), Patched::Nobody);
                // What is removed of nobody does not keep the rest from being set.
                let (after, _) = written(patch(&store, &removal.axis("b", 0.2)));
                assert!(after.axes().eq([("b", 0.2)]));
            }
        }
    }

    #[test]
    fn a_patch_on_a_condition_is_made_if_it_holds() {
        for patch in INTERFACES {
            let store = store();
            let warm = |expected| {
                let patch = Patch::new(SelfReport).axis("warmth", 0.5);
                patch.expecting(expected)
            };
            let empty = |expected| Patch::new(SelfReport).expecting(expected);
            let refused = |of: &Patch, expected, actual| {
                let error = unchanged(&store, "ada", || patch(&store, of).unwrap_err());
                assert!(
                    matches!(&error, StoreError::Conflict { user_id, expected: told, actual: found }
                        if user_id == "ada" && *told == expected && *found == actual),
                    "{error:?}"
                );
            };

            let never = Expected::At(Revision::from(u64::MAX));
            refused(&warm(never), never, None);
            // Also where there is nothing to change.
            refused(&empty(never), never, None);
            assert_eq!(
                patch(&store, &empty(Expected::Absent)).unwrap(),
                Patched::Nobody
            );
            let (_, first) = written(patch(&store, &warm(Expected::Absent)));
            let (_, second) = written(patch(&store, &warm(Expected::At(first))));
            for expected in [Expected::Absent, Expected::At(first), never] {
                refused(&warm(expected), expected, Some(second));
                refused(&empty(expected), expected, Some(second));
            }
            for expected in [Expected::Any, Expected::At(second)] {
                assert_eq!(patch(&store, &empty(expected)).unwrap(), idle(&store));
            }
            written(patch(&store, &warm(Expected::Any)));
        }
    }

    #[test]
    fn of_patches_on_one_condition_one_is_made() {
        const THREADS: usize = 4;

        for patch in INTERFACES {
            let store = store();
            let mut expected = Expected::Absent;
            for round in 0..200 {
                let won = Mutex::new(vec![]);
                together(THREADS, |thread| {
                    let mine = Patch::new(Inferred).axis(format!("axis_{thread}"), 0.5);
                    match patch(&store, &mine.expecting(expected)) {
                        Err(StoreError::Conflict { .. }) => {}
                        made => won.lock().unwrap().push(written(made)),
                    }
                });
                let won = won.into_inner().unwrap();
                assert_eq!(won.len(), 1, "round {round}");
                assert_eq!(latest(&store, "ada").as_ref(), won.first());
                expected = Expected::At(won[0].1);
            }
        }
    }

    /// In time that grows with the square of the number of axes, this takes long.
    #[test]
    fn patches_can_have_as_many_axes_as_a_state() {
        let names: Vec<_> = (0..MAX_AXES).map(|n| format!("axis_{n}")).collect();
        let of_all = |source| Patch::new(source).axes(names.iter().map(|name| (name, 0.25)));
        for patch in INTERFACES {
            let store = store();
            for _ in 0..20 {
                let (after, _) = written(patch(&store, &of_all(SelfReport)));
                assert_eq!(after.axes().count(), MAX_AXES);
                assert_eq!(patch(&store, &of_all(Inferred)).unwrap(), idle(&store));
            }
            let one_more = Patch::new(Inferred).axis("one_more", 0.5);
            let error = unchanged(&store, "ada", || patch(&store, &one_more).unwrap_err());
            let too_many = SnapshotError::TooManyAxes { max: MAX_AXES };
            assert!(
                matches!(&error, StoreError::InvalidSnapshot(error) if *error == too_many),
                "{error:?}"
            );
            // A removal in the same patch makes room.
            let instead = Patch::new(SelfReport)
                .axis("one_more", 0.5)
                .remove("axis_0");
            let (after, _) = written(patch(&store, &instead));
            assert_eq!(after.axes().count(), MAX_AXES);
        }
    }

    #[test]
    fn threads_lose_no_axis_of_each_other() {
        const THREADS: usize = 4;
        const PATCHES: usize = 1_000;

        for patch in INTERFACES {
            let store = store();
            let names: Vec<_> = (0..THREADS).map(|n| format!("axis_{n}")).collect();
            together(THREADS, |thread| {
                for n in 0..=PATCHES {
                    let value = n as f32 / PATCHES as f32;
                    let of_mine = patch_of(&[(&*names[thread], value)], Inferred, 0.5);
                    // The extension may give up, and is called again then.
                    let written = loop {
                        match patch(&store, &of_mine) {
                            Err(StoreError::Conflict { .. }) => {}
                            result => break written(result),
                        }
                    };
                    assert_eq!(written.0.get_axis_opt(&names[thread]), Some(value));
                    // Nobody else writes this axis.
                    let latest = store.get("ada").unwrap();
                    assert_eq!(latest.get_axis_opt(&names[thread]), Some(value));
                }
            });
            let latest = store.get("ada").unwrap();
            assert!(latest.axes().eq(names.iter().map(|name| (&**name, 1.0))));
        }
    }
}

/// The extension's methods on backends that are not the one in memory.
mod any_backend {
    use super::*;

    /// Answers as it is told, and counts the conditional writes.
    struct Backend {
        has_revisions: bool,
        upsert_if: fn(attempt: u32) -> Result<Revision>,
        attempts: Mutex<u32>,
    }

    impl Backend {
        fn new(has_revisions: bool, upsert_if: fn(u32) -> Result<Revision>) -> Self {
            Self {
                has_revisions,
                upsert_if,
                attempts: Mutex::new(0),
            }
        }

        fn attempts(&self) -> u32 {
            *self.attempts.lock().unwrap()
        }
    }

    fn conflict(attempt: u32) -> Result<Revision> {
        Err(StoreError::Conflict {
            user_id: "ada".to_owned(),
            expected: Expected::At(Revision::from(7)),
            actual: Some(Revision::from(u64::from(attempt))),
        })
    }

    #[async_trait]
    impl StateStore for Backend {
        async fn upsert_latest(&self, _: StateSnapshot) -> Result<()> {
            panic!("an unconditional write could undo another one");
        }

        async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
            Ok(Some(snapshot(user_id, 1)))
        }

        async fn get_latest_versioned(
            &self,
            user_id: &str,
        ) -> Result<Option<Versioned<StateSnapshot>>> {
            if self.has_revisions {
                let versioned = Versioned::new(snapshot(user_id, 1), Revision::from(7), 1);
                return Ok(Some(versioned));
            }
            Err(StoreError::Unsupported {
                operation: "get_latest_versioned",
            })
        }

        async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
            assert_eq!(snapshot.user_id(), "ada");
            assert_eq!(expected, Expected::At(Revision::from(7)));
            let mut attempts = self.attempts.lock().unwrap();
            *attempts += 1;
            (self.upsert_if)(*attempts)
        }
    }

    /// Both methods, which differ only in what they change.
    fn update_and_patch(backend: impl Fn() -> Backend, check: impl Fn(Backend, Result<Revision>)) {
        let of = backend();
        let result = ready(of.update_latest("ada", |_| StateSnapshot::builder()));
        check(of, result.map(|written| written.unwrap().1));
        let of = backend();
        let patch = Patch::new(Source::SelfReport).axis("warmth", 0.5);
        let result = ready(of.patch_latest("ada", &patch));
        let revision = |patched| match patched {
            Patched::Written { revision, .. } => revision,
            other => panic!("{other:?}"),
        };
        check(of, result.map(revision));
    }

    #[test]
    fn a_wrong_patch_or_id_asks_the_backend_for_nothing() {
        let backend = Backend::new(false, conflict);
        let patch = Patch::new(Source::SelfReport).axis("warmth", 1.5);
        let error = ready(backend.patch_latest("ada", &patch)).unwrap_err();
        assert!(matches!(error, StoreError::InvalidSnapshot(_)), "{error}");
        let error = ready(backend.patch_latest("no id", &patch)).unwrap_err();
        assert!(matches!(error, StoreError::InvalidUserId(_)), "{error}");
    }

    #[test]
    fn a_condition_that_no_longer_holds_is_not_tried_again() {
        let backend = Backend::new(true, conflict);
        let patch = Patch::new(Source::SelfReport).axis("warmth", 0.5);
        let gone = Expected::At(Revision::from(6));
        let error = ready(backend.patch_latest("ada", &patch.expecting(gone))).unwrap_err();
        assert_eq!(backend.attempts(), 0);
        assert!(
            matches!(&error, StoreError::Conflict { expected, actual, .. }
                if *expected == gone && *actual == Some(Revision::from(7))),
            "{error:?}"
        );
    }

    #[test]
    fn without_revisions_or_conditional_writes_they_are_unsupported() {
        let unsupported = |_| {
            Err(StoreError::Unsupported {
                operation: "upsert_if",
            })
        };
        for (has_revisions, missing) in [(false, "get_latest_versioned"), (true, "upsert_if")] {
            update_and_patch(
                || Backend::new(has_revisions, unsupported),
                |_, result| {
                    let error = result.unwrap_err();
                    assert!(
                        matches!(error, StoreError::Unsupported { operation } if operation == missing),
                        "{error}"
                    );
                },
            );
        }
    }

    #[test]
    fn conflicts_are_tried_again_so_often_and_no_oftener() {
        update_and_patch(
            || Backend::new(true, conflict),
            |backend, result| {
                assert_eq!(backend.attempts(), UPDATE_ATTEMPTS);
                // The error is that of the last attempt.
                let last = Revision::from(u64::from(UPDATE_ATTEMPTS));
                assert!(matches!(
                    result,
                    Err(StoreError::Conflict { actual, .. }) if actual == Some(last)
                ));
            },
        );
    }

    #[test]
    fn the_last_attempt_is_as_good_as_the_first() {
        let at_last = |attempt| match attempt {
            UPDATE_ATTEMPTS => Ok(Revision::from(8)),
            earlier => conflict(earlier),
        };
        update_and_patch(
            || Backend::new(true, at_last),
            |backend, result| {
                assert_eq!(backend.attempts(), UPDATE_ATTEMPTS);
                assert_eq!(result.unwrap(), Revision::from(8));
            },
        );
    }

    #[test]
    fn other_errors_are_passed_on_at_once() {
        update_and_patch(
            || Backend::new(true, |_| Err(StoreError::internal("connection lost"))),
            |backend, result| {
                assert_eq!(backend.attempts(), 1);
                let error = result.unwrap_err();
                assert_eq!(error.to_string(), "storage error: connection lost");
            },
        );
    }

    #[test]
    fn declining_asks_the_backend_for_nothing_more() {
        let backend = Backend::new(true, conflict);
        let decline = |_: Option<&State>| None::<StateSnapshotBuilder>;
        assert_eq!(ready(backend.update_latest("ada", decline)).unwrap(), None);
        assert_eq!(backend.attempts(), 0);
    }
}
