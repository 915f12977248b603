//! What goes over all users: `for_each`, `user_ids`, `retain` and `clear`.

mod common;
#[path = "common/threads.rs"]
mod threads;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;

use attuned_store::{MemoryStore, State, Versioned};
use common::{snapshot, state};
use threads::together;

fn store() -> MemoryStore {
    MemoryStore::builder().history(3).build().unwrap()
}

/// A store in which each of these users has two snapshots, the latest of this
/// time.
fn with_users(users: &[(&str, i64)]) -> MemoryStore {
    let store = store();
    for &(user_id, at) in users {
        store.insert(snapshot(user_id, at - 1)).unwrap();
        store.insert(snapshot(user_id, at)).unwrap();
    }
    store
}

const USERS: [(&str, i64); 4] = [("ada", 10), ("grace", 20), ("alan", 30), ("größe-語", 40)];

fn sorted(mut user_ids: Vec<String>) -> Vec<String> {
    user_ids.sort_unstable();
    user_ids
}

/// The times of a user's history, newest first.
fn times(store: &MemoryStore, user_id: &str) -> Vec<i64> {
    let history = store.history(user_id, usize::MAX);
    let time = |entry: &Versioned<State>| entry.value.updated_at_unix_ms();
    history.iter().map(time).collect()
}

/// Fails unless exactly these of [`USERS`] are there, as they were, and nothing
/// is left of the others.
#[track_caller]
fn assert_left(store: &MemoryStore, left: &[&str]) {
    for (user_id, at) in USERS {
        if left.contains(&user_id) {
            assert_eq!(times(store, user_id), [at, at - 1], "{user_id}");
        } else {
            assert!(!store.contains(user_id), "{user_id}");
            assert_eq!(store.get(user_id), None, "{user_id}");
            assert_eq!(store.get_versioned(user_id), None, "{user_id}");
            assert_eq!(store.history(user_id, 9), [], "{user_id}");
        }
    }
    assert_eq!(store.len(), left.len());
    assert_eq!(store.stats().keys, left.len() as u64);
    assert_eq!(store.stats().versions, 2 * left.len() as u64);
}

mod visiting {
    use super::*;

    #[test]
    fn each_user_is_visited_once_with_the_latest_snapshot() {
        let store = with_users(&USERS);
        store.insert(snapshot("edsger", 1)).unwrap();
        assert!(store.remove("edsger").unwrap());

        let mut visited = Vec::new();
        store.for_each(|user_id, state| visited.push((user_id.to_owned(), state.clone())));
        visited.sort_by_key(|(_, state)| state.updated_at_unix_ms());
        assert_eq!(
            visited,
            USERS.map(|(user_id, at)| (user_id.to_owned(), state(at)))
        );
        assert_eq!(
            sorted(store.user_ids()),
            ["ada", "alan", "grace", "größe-語"]
        );
    }

    #[test]
    fn nobody_is_visited_in_an_empty_store() {
        let store = store();
        let visit = |user_id: &str, _: &State| panic!("{user_id}");
        store.for_each(visit);
        assert_eq!(store.user_ids(), Vec::<String>::new());
        store.insert(snapshot("ada", 1)).unwrap();
        store.clear();
        store.for_each(visit);
        assert_eq!(store.user_ids(), Vec::<String>::new());
    }

    #[test]
    fn the_visitor_may_read_and_write_the_store() {
        let store = with_users(&USERS);
        store.for_each(|user_id, state| {
            assert_eq!(store.get(user_id).as_ref(), Some(state));
            if user_id == "ada" {
                assert!(store.remove(user_id).unwrap());
            } else {
                let at = state.updated_at_unix_ms();
                store.insert(snapshot(user_id, at + 1)).unwrap();
            }
        });
        assert_eq!(sorted(store.user_ids()), ["alan", "grace", "größe-語"]);
        assert_eq!(store.get("alan"), Some(state(31)));
    }

    /// Although the map is copied into larger ones again and again meanwhile.
    #[test]
    fn who_is_there_all_the_time_is_visited_once_while_others_come_and_go() {
        const STAYING: usize = 300;
        let store = store();
        for n in 0..STAYING {
            store.insert(snapshot(&format!("stays-{n}"), 1)).unwrap();
        }
        let walking = AtomicBool::new(true);
        together(2, |thread| {
            if thread == 0 {
                for _ in 0..30 {
                    let mut visits = BTreeMap::<String, usize>::new();
                    store.for_each(|user_id, _| {
                        *visits.entry(user_id.to_owned()).or_default() += 1;
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
                    store.insert(snapshot(&format!("comes-{n}"), 1)).unwrap();
                    if n % 3 == 0 {
                        assert!(store.remove(&format!("comes-{n}")).unwrap());
                    }
                    let stays = format!("stays-{}", n % STAYING);
                    store.insert(snapshot(&stays, n as i64)).unwrap();
                    n += 1;
                }
            }
        });
    }
}

mod retaining {
    use super::*;

    #[test]
    fn those_go_whom_the_predicate_does_not_want() {
        for wanted in [
            &[][..],
            &["ada"],
            &["grace", "größe-語"],
            &["ada", "grace", "alan", "größe-語"],
        ] {
            let store = with_users(&USERS);
            let mut seen = Vec::new();
            let removed = store.retain(|user_id, state| {
                seen.push((user_id.to_owned(), state.updated_at_unix_ms()));
                wanted.contains(&user_id)
            });
            assert_eq!(removed, USERS.len() - wanted.len());
            assert_eq!(store.stats().removals, removed as u64);
            assert_left(&store, wanted);

            // Each was asked about once, by the latest snapshot.
            seen.sort_by_key(|(_, at)| *at);
            assert_eq!(seen, USERS.map(|(user_id, at)| (user_id.to_owned(), at)));
        }
        assert_eq!(store().retain(|_, _| false), 0);
    }

    #[test]
    fn a_removed_user_comes_back_without_the_former_history() {
        let store = with_users(&USERS);
        store.retain(|_, _| false);
        store.insert(snapshot("ada", 99)).unwrap();
        assert_eq!(times(&store, "ada"), [99]);
    }

    #[test]
    fn what_a_caller_holds_stays() {
        let store = with_users(&USERS);
        let held = store.history("ada", 9);
        store.retain(|_, _| false);
        let held = held.into_iter().map(|entry| entry.value);
        assert!(held.eq([state(10), state(9)]));
    }

    /// The predicate itself plays the writer who comes in between.
    #[test]
    fn what_is_written_while_the_predicate_runs_is_asked_about_in_its_turn() {
        for wanted in [true, false] {
            let store = with_users(&USERS);
            let mut seen = Vec::new();
            let removed = store.retain(|user_id, current| {
                if user_id != "ada" {
                    return true;
                }
                let at = current.updated_at_unix_ms();
                seen.push(at);
                if at == 10 {
                    store.insert(snapshot("ada", 11)).unwrap();
                    return false;
                }
                wanted
            });
            assert_eq!(seen, [10, 11]);
            assert_eq!(removed, usize::from(!wanted));
            let left = if wanted { vec![11, 10, 9] } else { vec![] };
            assert_eq!(times(&store, "ada"), left);
            assert_eq!(store.get("ada"), left.first().map(|&at| state(at)));
        }
    }

    #[test]
    fn what_another_thread_writes_while_the_predicate_runs_survives() {
        let store = with_users(&USERS);
        let (asked, questions) = mpsc::channel();
        let (written, answers) = mpsc::channel();
        thread::scope(|scope| {
            let store = &store;
            scope.spawn(move || {
                for () in questions {
                    store.insert(snapshot("ada", 1_000)).unwrap();
                    written.send(()).unwrap();
                }
            });
            let removed = store.retain(|_, state| {
                if state.updated_at_unix_ms() == 10 {
                    asked.send(()).unwrap();
                    answers.recv().unwrap();
                }
                state.updated_at_unix_ms() >= 100
            });
            assert_eq!(removed, USERS.len() - 1);
            drop(asked);
        });
        assert_eq!(store.user_ids(), ["ada"]);
        assert_eq!(times(&store, "ada"), [1_000, 10, 9]);
    }

    #[test]
    fn a_user_who_is_removed_while_the_predicate_runs_was_removed_by_the_other() {
        let store = with_users(&USERS);
        let removed = store.retain(|user_id, _| {
            assert!(store.remove(user_id).unwrap());
            false
        });
        assert_eq!(removed, 0);
        assert_eq!(store.stats().removals, USERS.len() as u64);
        assert_left(&store, &[]);
    }

    #[test]
    fn a_user_who_is_removed_and_comes_back_while_the_predicate_runs_survives() {
        let store = with_users(&USERS);
        let removed = store.retain(|user_id, current| {
            if current.updated_at_unix_ms() >= 100 {
                // Met again in its new place: that may be or may not be.
                return true;
            }
            assert!(store.remove(user_id).unwrap());
            store.insert(snapshot(user_id, 100)).unwrap();
            false
        });
        assert_eq!(removed, 0);
        for (user_id, _) in USERS {
            assert_eq!(times(&store, user_id), [100]);
        }
    }

    #[test]
    fn a_panic_leaves_those_who_were_not_decided_on() {
        for calm in 0..USERS.len() {
            let store = with_users(&USERS);
            let mut decided = Vec::new();
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                store.retain(|user_id, _| {
                    assert!(decided.len() < calm, "on purpose");
                    decided.push(user_id.to_owned());
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
            assert_eq!(store.stats().removals, calm as u64);

            // And the store works as ever.
            store.insert(snapshot("ada", 100)).unwrap();
            assert_eq!(
                store.retain(|_, _| false),
                store.stats().removals as usize - calm
            );
            assert!(store.is_empty());
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
                    store.retain(|_, state| state.updated_at_unix_ms() >= NEW);
                } else {
                    store.retain(|_, state| {
                        let keep = state.updated_at_unix_ms() >= NEW;
                        // Time for the other to write.
                        thread::yield_now();
                        keep
                    });
                }
            }
            let lost = (0..ROUNDS).filter(|_| thread == 0).find_map(|round| {
                let user_id = ["ada", "grace"][round % 2];
                store.insert(snapshot(user_id, OLD)).unwrap();
                store.insert(snapshot(user_id, NEW)).unwrap();
                let latest = store.get(user_id);
                (latest != Some(state(NEW))).then_some(latest)
            });
            writing.store(false, SeqCst);
            assert_eq!(lost, None, "instead of what was written last");
        });
        assert_eq!(sorted(store.user_ids()), ["ada", "grace"]);
    }
}

mod clearing {
    use super::*;

    #[test]
    fn all_go_with_their_history() {
        let store = with_users(&USERS);
        store.clear();
        assert_left(&store, &[]);
        assert!(store.is_empty());
        assert_eq!(store.stats().removals, USERS.len() as u64);
        store.insert(snapshot("ada", 99)).unwrap();
        assert_eq!(times(&store, "ada"), [99]);
    }
}
