//! What goes over all users: `for_each`, `user_ids`, `retain`, `expire_before`
//! and `clear`.

mod common;
#[path = "common/threads.rs"]
mod threads;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;

use attuned_store::{MemoryStore, StateSnapshot};
use common::snapshot;
use threads::together;

fn store() -> MemoryStore {
    MemoryStore::builder().history(3).build().unwrap()
}

/// A store in which each of these users has two snapshots, the latest of this
/// time.
fn with_users(users: &[(&str, i64)]) -> MemoryStore {
    let store = store();
    for &(user_id, at) in users {
        store.upsert(snapshot(user_id, at - 1)).unwrap();
        store.upsert(snapshot(user_id, at)).unwrap();
    }
    store
}

const USERS: [(&str, i64); 4] = [("ada", 10), ("grace", 20), ("alan", 30), ("größe-語", 40)];

fn sorted(mut user_ids: Vec<String>) -> Vec<String> {
    user_ids.sort_unstable();
    user_ids
}

/// Fails unless exactly these of [`USERS`] are there, as they were, and nothing
/// is left of the others.
#[track_caller]
fn assert_left(store: &MemoryStore, left: &[&str]) {
    for (user_id, at) in USERS {
        if left.contains(&user_id) {
            let history = [snapshot(user_id, at), snapshot(user_id, at - 1)];
            assert_eq!(store.history(user_id, 9), history, "{user_id}");
        } else {
            assert!(!store.contains(user_id), "{user_id}");
            assert_eq!(store.latest(user_id), None, "{user_id}");
            assert_eq!(store.versioned(user_id), None, "{user_id}");
            assert_eq!(store.history(user_id, 9), [], "{user_id}");
        }
    }
    assert_eq!(store.len(), left.len());
    assert_eq!(store.stats().users, left.len() as u64);
    assert_eq!(store.stats().versions, 2 * left.len() as u64);
}

mod visiting {
    use super::*;

    #[test]
    fn each_user_is_visited_once_with_the_latest_snapshot() {
        let store = with_users(&USERS);
        store.upsert(snapshot("edsger", 1)).unwrap();
        assert!(store.remove("edsger"));

        let mut expected = USERS.map(|(user_id, at)| snapshot(user_id, at));
        expected.sort_by(|a, b| a.user_id().cmp(b.user_id()));
        let check = |mut visited: Vec<StateSnapshot>| {
            visited.sort_by(|a, b| a.user_id().cmp(b.user_id()));
            assert_eq!(visited, expected);
        };
        let mut visited = Vec::new();
        store.for_each(|snapshot| visited.push(snapshot.clone()));
        check(visited);
        let mut visited = Vec::new();
        store
            .pin()
            .for_each(|snapshot| visited.push(snapshot.clone()));
        check(visited);
        assert_eq!(
            sorted(store.user_ids()),
            ["ada", "alan", "grace", "größe-語"]
        );
    }

    #[test]
    fn nobody_is_visited_in_an_empty_store() {
        let store = store();
        let visit = |snapshot: &StateSnapshot| panic!("{snapshot:?}");
        store.for_each(visit);
        assert_eq!(store.user_ids(), Vec::<String>::new());
        store.upsert(snapshot("ada", 1)).unwrap();
        store.clear();
        store.for_each(visit);
        assert_eq!(store.user_ids(), Vec::<String>::new());
    }

    #[test]
    fn the_visitor_may_read_and_write_the_store() {
        let store = with_users(&USERS);
        store.for_each(|snapshot| {
            let user_id = snapshot.user_id();
            assert_eq!(store.latest(user_id).as_ref(), Some(snapshot));
            if user_id == "ada" {
                assert!(store.remove(user_id));
            } else {
                let at = snapshot.updated_at_unix_ms();
                let next = snapshot.to_builder().updated_at(at + 1);
                store.upsert(next.build().unwrap()).unwrap();
            }
        });
        assert_eq!(sorted(store.user_ids()), ["alan", "grace", "größe-語"]);
        assert_eq!(store.latest("alan"), Some(snapshot("alan", 31)));
    }

    /// Although the map is copied into larger ones again and again meanwhile.
    #[test]
    fn who_is_there_all_the_time_is_visited_once_whoever_comes_and_goes() {
        const STAYING: usize = 300;
        let store = store();
        for n in 0..STAYING {
            store.upsert(snapshot(&format!("stays-{n}"), 1)).unwrap();
        }
        let walking = AtomicBool::new(true);
        together(2, |thread| {
            if thread == 0 {
                for _ in 0..30 {
                    let mut visits = BTreeMap::<String, usize>::new();
                    store.for_each(|snapshot| {
                        *visits.entry(snapshot.user_id().to_owned()).or_default() += 1;
                    });
                    visits.retain(|user_id, _| user_id.starts_with("stays-"));
                    assert_eq!(visits.len(), STAYING);
                    assert!(visits.values().all(|&visits| visits == 1));
                }
                walking.store(false, SeqCst);
            } else {
                let mut n = 0;
                // With an end to it, wherever the other thread has to wait.
                while walking.load(SeqCst) && n < 50_000 {
                    store.upsert(snapshot(&format!("comes-{n}"), 1)).unwrap();
                    if n % 3 == 0 {
                        assert!(store.remove(&format!("comes-{n}")));
                    }
                    let stays = format!("stays-{}", n % STAYING);
                    store.upsert(snapshot(&stays, n as i64)).unwrap();
                    n += 1;
                }
            }
        });
    }
}

mod retaining {
    use super::*;

    type Retain = fn(&MemoryStore, &mut dyn FnMut(&StateSnapshot) -> bool) -> usize;

    /// The two ways to call it.
    const INTERFACES: [Retain; 2] = [
        |store, keep| store.retain(keep),
        |store, keep| store.pin().retain(keep),
    ];

    #[test]
    fn those_go_whom_the_predicate_does_not_want() {
        for retain in INTERFACES {
            for wanted in [
                &[][..],
                &["ada"],
                &["grace", "größe-語"],
                &["ada", "grace", "alan", "größe-語"],
            ] {
                let store = with_users(&USERS);
                let mut seen = Vec::new();
                let removed = retain(&store, &mut |snapshot| {
                    seen.push((snapshot.user_id().to_owned(), snapshot.updated_at_unix_ms()));
                    wanted.contains(&snapshot.user_id())
                });
                assert_eq!(removed, USERS.len() - wanted.len());
                assert_eq!(store.stats().deletes, removed as u64);
                assert_left(&store, wanted);

                // Each was asked about once, by the latest snapshot.
                seen.sort_by_key(|(_, at)| *at);
                assert_eq!(seen, USERS.map(|(user_id, at)| (user_id.to_owned(), at)));
            }
            assert_eq!(retain(&store(), &mut |_| false), 0);
        }
    }

    #[test]
    fn a_removed_user_comes_back_without_the_former_history() {
        let store = with_users(&USERS);
        store.retain(|_| false);
        store.upsert(snapshot("ada", 99)).unwrap();
        assert_eq!(store.history("ada", 9), [snapshot("ada", 99)]);
    }

    #[test]
    fn what_a_caller_holds_stays() {
        let store = with_users(&USERS);
        let held = store.history("ada", 9);
        store.retain(|_| false);
        assert_eq!(held, [snapshot("ada", 10), snapshot("ada", 9)]);
    }

    /// The predicate itself plays the writer who comes in between.
    #[test]
    fn what_is_written_while_the_predicate_runs_is_asked_about_in_its_turn() {
        for retain in INTERFACES {
            for wanted in [true, false] {
                let store = with_users(&USERS);
                let mut seen = Vec::new();
                let removed = retain(&store, &mut |current| {
                    if current.user_id() != "ada" {
                        return true;
                    }
                    let at = current.updated_at_unix_ms();
                    seen.push(at);
                    if at == 10 {
                        store.upsert(snapshot("ada", 11)).unwrap();
                        return false;
                    }
                    wanted
                });
                assert_eq!(seen, [10, 11]);
                assert_eq!(removed, usize::from(!wanted));
                let left = if wanted { vec![11, 10, 9] } else { vec![] };
                let left: Vec<_> = left.into_iter().map(|at| snapshot("ada", at)).collect();
                assert_eq!(store.history("ada", 9), left);
                assert_eq!(store.latest("ada"), left.first().cloned());
            }
        }
    }

    #[test]
    fn what_another_thread_writes_while_the_predicate_runs_survives() {
        for retain in INTERFACES {
            let store = with_users(&USERS);
            let (asked, questions) = mpsc::channel();
            let (written, answers) = mpsc::channel();
            thread::scope(|scope| {
                let store = &store;
                scope.spawn(move || {
                    for () in questions {
                        store.upsert(snapshot("ada", 1_000)).unwrap();
                        written.send(()).unwrap();
                    }
                });
                let removed = retain(store, &mut |snapshot| {
                    if snapshot.updated_at_unix_ms() == 10 {
                        asked.send(()).unwrap();
                        answers.recv().unwrap();
                    }
                    snapshot.updated_at_unix_ms() >= 100
                });
                assert_eq!(removed, USERS.len() - 1);
                drop(asked);
            });
            assert_eq!(store.user_ids(), ["ada"]);
            assert_eq!(
                store.history("ada", 9),
                [1_000, 10, 9].map(|at| snapshot("ada", at))
            );
        }
    }

    #[test]
    fn a_user_who_is_removed_while_the_predicate_runs_was_removed_by_the_other() {
        for retain in INTERFACES {
            let store = with_users(&USERS);
            let removed = retain(&store, &mut |snapshot| {
                assert!(store.remove(snapshot.user_id()));
                false
            });
            assert_eq!(removed, 0);
            assert_eq!(store.stats().deletes, USERS.len() as u64);
            assert_left(&store, &[]);
        }
    }

    #[test]
    fn a_user_who_is_removed_and_comes_back_while_the_predicate_runs_survives() {
        for retain in INTERFACES {
            let store = with_users(&USERS);
            let removed = retain(&store, &mut |current| {
                if current.updated_at_unix_ms() >= 100 {
                    // Met again in its new place: that may be or may not be.
                    return true;
                }
                assert!(store.remove(current.user_id()));
                store.upsert(snapshot(current.user_id(), 100)).unwrap();
                false
            });
            assert_eq!(removed, 0);
            for (user_id, _) in USERS {
                assert_eq!(store.history(user_id, 9), [snapshot(user_id, 100)]);
            }
        }
    }

    #[test]
    fn a_panic_leaves_those_who_were_not_decided_on() {
        for retain in INTERFACES {
            for calm in 0..USERS.len() {
                let store = with_users(&USERS);
                let mut decided = Vec::new();
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    retain(&store, &mut |snapshot| {
                        assert!(decided.len() < calm, "on purpose");
                        decided.push(snapshot.user_id().to_owned());
                        false
                    })
                }));
                assert!(panicked.is_err());
                let left: Vec<_> = USERS
                    .iter()
                    .map(|(user_id, _)| *user_id)
                    .filter(|user_id| !decided.iter().any(|gone| gone == user_id))
                    .collect();
                assert_eq!(left.len(), USERS.len() - calm);
                assert_left(&store, &left);
                assert_eq!(store.stats().deletes, calm as u64);

                // And the store works as ever.
                store.upsert(snapshot("ada", 100)).unwrap();
                assert_eq!(
                    store.retain(|_| false),
                    store.stats().deletes as usize - calm
                );
                assert!(store.is_empty());
            }
        }
    }

    /// One thread writes and others remove what is of the old time. What was
    /// written last is of the new time, and so must still be there.
    #[test]
    fn nothing_new_is_lost_to_those_who_remove_what_is_old() {
        const OLD: i64 = 1;
        const NEW: i64 = 1_000;
        const ROUNDS: usize = 2_000;

        let store = store();
        let writing = AtomicBool::new(true);
        together(3, |thread| {
            while thread > 0 && writing.load(SeqCst) {
                if thread == 1 {
                    store.expire_before(NEW);
                } else {
                    store.retain(|snapshot| {
                        let keep = snapshot.updated_at_unix_ms() >= NEW;
                        // Time for the other to write.
                        thread::yield_now();
                        keep
                    });
                }
            }
            let lost = (0..ROUNDS).filter(|_| thread == 0).find_map(|round| {
                let user_id = ["ada", "grace"][round % 2];
                store.upsert(snapshot(user_id, OLD)).unwrap();
                store.upsert(snapshot(user_id, NEW)).unwrap();
                let latest = store.latest(user_id);
                (latest != Some(snapshot(user_id, NEW))).then_some(latest)
            });
            writing.store(false, SeqCst);
            assert_eq!(lost, None, "instead of what was written last");
        });
        assert_eq!(sorted(store.user_ids()), ["ada", "grace"]);
    }
}

mod expiring {
    use super::*;

    #[test]
    fn those_go_whose_latest_snapshot_is_older() {
        for (before, left) in [
            (i64::MIN, &["ada", "grace", "alan", "größe-語"][..]),
            (10, &["ada", "grace", "alan", "größe-語"]),
            (11, &["grace", "alan", "größe-語"]),
            (30, &["alan", "größe-語"]),
            (31, &["größe-語"]),
            (i64::MAX, &[]),
        ] {
            let store = with_users(&USERS);
            let removed = store.expire_before(before);
            assert_eq!(removed, USERS.len() - left.len(), "before {before}");
            assert_left(&store, left);
            assert_eq!(store.expire_before(before), 0, "nobody is left to go");
        }
    }

    #[test]
    fn the_ends_of_time_are_times() {
        let store = store();
        store.upsert(snapshot("ada", i64::MIN)).unwrap();
        store.upsert(snapshot("grace", i64::MAX)).unwrap();
        assert_eq!(store.expire_before(i64::MIN), 0);
        assert_eq!(store.expire_before(i64::MIN + 1), 1);
        assert_eq!(store.expire_before(i64::MAX), 0);
        assert_eq!(store.user_ids(), ["grace"]);
    }

    /// Not the newest time, but the time of the newest.
    #[test]
    fn the_latest_snapshot_counts_whatever_its_time() {
        let store = store();
        store.upsert(snapshot("ada", 100)).unwrap();
        store.upsert(snapshot("ada", 1)).unwrap();
        assert_eq!(store.expire_before(50), 1);
    }
}

mod clearing {
    use super::*;

    #[test]
    fn all_go_with_their_history() {
        let clear: [fn(&MemoryStore); 2] = [MemoryStore::clear, |store| store.pin().clear()];
        for clear in clear {
            let store = with_users(&USERS);
            clear(&store);
            assert_left(&store, &[]);
            assert!(store.is_empty());
            assert_eq!(store.stats().deletes, USERS.len() as u64);
            store.upsert(snapshot("ada", 99)).unwrap();
            assert_eq!(store.history("ada", 9), [snapshot("ada", 99)]);
        }
    }
}
