//! What each method of [`MemoryStore`] promises, one thread at a time.

mod common;

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use attuned_store::{
    ConfigError, Expected, MAX_CAPACITY, MAX_HISTORY, MemoryStore, MemoryStoreConfig, Patch,
    Patched, Revision, Source, State, StateStore, StoreError, UserIdError, UserIdField,
};
use common::{copy, snapshot, state};

fn with_history(entries: usize) -> MemoryStore {
    MemoryStore::builder().history(entries).build().unwrap()
}

/// The states of a user's history, newest first.
fn states(store: &MemoryStore, user_id: &str, limit: usize) -> Vec<State> {
    let history = store.history(user_id, limit);
    history.into_iter().map(|entry| entry.value).collect()
}

/// A state whose axes are in an allocation.
fn large_state(at: i64) -> State {
    let axes = (0..20).map(|axis| (format!("axis_{axis}"), 0.25));
    let state = State::builder().updated_at(at).axes(axes);
    state.build_state().unwrap()
}

/// The times of a user's whole history, newest first.
fn times(store: &MemoryStore, user_id: &str) -> Vec<i64> {
    states(store, user_id, usize::MAX)
        .iter()
        .map(State::updated_at_unix_ms)
        .collect()
}

mod configuration {
    use super::*;

    #[test]
    fn by_default_there_is_no_history_and_the_bound_is_100() {
        let config = MemoryStoreConfig::default();
        assert!(!config.enable_history);
        assert_eq!(config.max_history_per_user, 100);

        for store in [
            MemoryStore::default(),
            MemoryStore::new(config),
            MemoryStore::builder().build().unwrap(),
        ] {
            store.insert(snapshot("ada", 1)).unwrap();
            store.insert(snapshot("ada", 2)).unwrap();
            assert_eq!(store.get("ada"), Some(state(2)));
            assert_eq!(store.history("ada", usize::MAX), []);
        }
    }

    #[test]
    fn an_enabled_history_keeps_what_it_is_told_to() {
        let store = MemoryStore::new(MemoryStoreConfig {
            enable_history: true,
            max_history_per_user: 2,
        });
        for at in 1..=5 {
            store.insert(snapshot("ada", at)).unwrap();
        }
        assert_eq!(times(&store, "ada"), [5, 4]);
    }

    #[test]
    fn a_disabled_history_does_not_look_at_its_bound() {
        for max_history_per_user in [0, MAX_HISTORY + 1, usize::MAX] {
            let store = MemoryStore::new(MemoryStoreConfig {
                enable_history: false,
                max_history_per_user,
            });
            assert!(times(&store, "ada").is_empty());
        }
    }

    #[test]
    fn the_builder_refuses_a_history_out_of_bounds() {
        let build = |entries| MemoryStore::builder().history(entries).build();
        assert_eq!(build(0).unwrap_err(), ConfigError::HistoryZero);
        for requested in [MAX_HISTORY + 1, usize::MAX] {
            assert_eq!(
                build(requested).unwrap_err(),
                ConfigError::HistoryTooLarge {
                    requested,
                    max: MAX_HISTORY
                }
            );
        }
        assert_eq!(
            build(70_000).unwrap_err().to_string(),
            "a history of 70000 entries exceeds the maximum of 65536"
        );
    }

    #[test]
    fn the_builder_refuses_a_capacity_out_of_bounds() {
        for requested in [MAX_CAPACITY + 1, usize::MAX] {
            assert_eq!(
                MemoryStore::builder()
                    .capacity(requested)
                    .build()
                    .unwrap_err(),
                ConfigError::CapacityTooLarge {
                    requested,
                    max: MAX_CAPACITY
                }
            );
        }
    }

    /// Whether there is memory for it depends on the machine.
    #[test]
    fn the_largest_capacity_is_within_bounds() {
        let built = MemoryStore::builder().capacity(MAX_CAPACITY).build();
        assert!(
            matches!(built, Ok(_) | Err(ConfigError::CapacityUnavailable { .. })),
            "{built:?}"
        );
    }

    #[test]
    fn the_longest_history_works() {
        let store = with_history(MAX_HISTORY);
        let len = i64::try_from(MAX_HISTORY).unwrap() + 10;
        for at in 1..=len {
            store.insert(snapshot("ada", at)).unwrap();
        }
        assert!(times(&store, "ada").into_iter().eq((11..=len).rev()));
    }

    #[test]
    fn a_history_of_one_is_the_latest() {
        let store = with_history(1);
        for at in 1..=3 {
            store.insert(snapshot("ada", at)).unwrap();
            assert_eq!(times(&store, "ada"), [at]);
        }
    }

    #[test]
    fn a_capacity_is_no_bound() {
        for capacity in [0, 1, 100] {
            let store = MemoryStore::builder().capacity(capacity).build().unwrap();
            for n in 0..1_000 {
                store.insert(snapshot(&format!("user-{n}"), n)).unwrap();
            }
            assert_eq!(store.len(), 1_000);
        }
    }

    #[test]
    fn new_panics_with_a_message_that_says_which_setting_is_wrong_and_where() {
        let new = |max_history_per_user| {
            let panic = catch_unwind(|| {
                MemoryStore::new(MemoryStoreConfig {
                    enable_history: true,
                    max_history_per_user,
                })
            })
            .unwrap_err();
            *panic.downcast::<String>().unwrap()
        };
        assert_eq!(
            new(0),
            "invalid MemoryStoreConfig: \
             a history must have at least 1 entry; leave it off to keep none"
        );
        assert_eq!(
            new(65_537),
            "invalid MemoryStoreConfig: \
             a history of 65537 entries exceeds the maximum of 65536"
        );
    }
}

mod operations {
    use super::*;

    #[test]
    fn an_empty_store_has_nobody() {
        let store = with_history(3);
        assert!(store.is_empty());
        assert_eq!(store.len(), 0);
        assert_eq!(store.get("ada"), None);
        assert_eq!(store.with("ada", |_| ()), None);
        assert_eq!(store.get_versioned("ada"), None);
        assert_eq!(store.history("ada", usize::MAX), []);
        assert!(!store.contains("ada"));
        assert!(!store.remove("ada").unwrap());
        store.clear();
        assert!(store.is_empty());
    }

    #[test]
    fn the_latest_upsert_is_the_latest_whatever_its_timestamp_says() {
        let store = with_history(3);
        for at in [5, 9, -1] {
            store.insert(snapshot("ada", at)).unwrap();
            assert_eq!(store.get("ada"), Some(state(at)));
        }
        assert_eq!(times(&store, "ada"), [-1, 9, 5]);
    }

    #[test]
    fn users_do_not_see_each_other() {
        let store = with_history(3);
        store.insert(snapshot("ada", 1)).unwrap();
        store.insert(snapshot("grace", 10)).unwrap();
        store.insert(snapshot("ada", 2)).unwrap();
        assert_eq!(times(&store, "ada"), [2, 1]);
        assert_eq!(times(&store, "grace"), [10]);
        assert_eq!(store.len(), 2);

        assert!(store.remove("ada").unwrap());
        assert!(!store.contains("ada"));
        assert!(store.contains("grace"));
        assert_eq!(times(&store, "grace"), [10]);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn history_has_at_most_limit_entries_the_newest_first() {
        let store = with_history(4);
        for at in 1..=3 {
            store.insert(snapshot("ada", at)).unwrap();
        }
        for (limit, expected) in [
            (0, &[][..]),
            (1, &[3]),
            (2, &[3, 2]),
            (3, &[3, 2, 1]),
            (4, &[3, 2, 1]),
            (usize::MAX, &[3, 2, 1]),
        ] {
            let history = store.history("ada", limit);
            let times: Vec<i64> = history
                .iter()
                .map(|entry| entry.value.updated_at_unix_ms())
                .collect();
            assert_eq!(times, expected, "limit {limit}");
            assert_eq!(history.capacity(), expected.len(), "limit {limit}");
        }
    }

    #[test]
    fn a_full_history_evicts_the_oldest() {
        let store = with_history(3);
        for at in 1..=10 {
            store.insert(snapshot("ada", at)).unwrap();
            let oldest = (at - 2).max(1);
            assert!(times(&store, "ada").into_iter().eq((oldest..=at).rev()));
        }
    }

    #[test]
    fn the_first_entry_of_the_history_is_the_latest() {
        let store = with_history(2);
        for at in 1..=5 {
            store.insert(snapshot("ada", at)).unwrap();
            let latest = store.get_versioned("ada").unwrap();
            let history = store.history("ada", usize::MAX);
            assert_eq!(latest, history[0]);
            assert_eq!(store.get("ada"), Some(latest.value));
        }
    }

    #[test]
    fn removing_says_whether_there_was_anybody() {
        let store = with_history(2);
        store.insert(snapshot("ada", 1)).unwrap();
        assert!(store.remove("ada").unwrap());
        assert!(!store.remove("ada").unwrap());
        assert_eq!(store.get("ada"), None);
        assert_eq!(store.get_versioned("ada"), None);
        assert_eq!(store.history("ada", usize::MAX), []);
        assert!(!store.contains("ada"));
        assert!(store.is_empty());
    }

    #[test]
    fn a_removed_user_comes_back_with_a_history_of_its_own() {
        let store = with_history(3);
        for life in 0..5 {
            for n in 0..4 {
                store.insert(snapshot("ada", life * 10 + n)).unwrap();
                let oldest = (n - 2).max(0);
                let this_life: Vec<i64> = (oldest..=n).rev().map(|n| life * 10 + n).collect();
                assert_eq!(times(&store, "ada"), this_life);
            }
            assert!(store.remove("ada").unwrap());
        }
    }

    #[test]
    fn clear_removes_everybody_and_the_store_can_be_used_again() {
        let store = with_history(2);
        for n in 0..1_000 {
            store.insert(snapshot(&format!("user-{n}"), 1)).unwrap();
            store.insert(snapshot(&format!("user-{n}"), 2)).unwrap();
        }
        store.clear();
        assert!(store.is_empty());
        for n in 0..1_000 {
            assert!(!store.contains(&format!("user-{n}")));
        }
        store.insert(snapshot("user-0", 3)).unwrap();
        assert_eq!(times(&store, "user-0"), [3]);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn clones_share_the_store() {
        let store = with_history(2);
        let clone = store.clone();
        store.insert(snapshot("ada", 1)).unwrap();
        clone.insert(snapshot("ada", 2)).unwrap();
        assert_eq!(times(&store, "ada"), [2, 1]);
        assert_eq!(times(&clone, "ada"), [2, 1]);

        drop(store);
        assert_eq!(times(&clone, "ada"), [2, 1]);
    }

    #[test]
    fn a_store_that_grows_from_empty_keeps_everybody_within_reach() {
        const USERS: i64 = 50_000;
        let store = MemoryStore::default();
        for n in 0..USERS {
            store.insert(snapshot(&format!("user-{n}"), n)).unwrap();
        }
        assert_eq!(store.len(), 50_000);
        for n in 0..USERS {
            let at = store.with(&format!("user-{n}"), State::updated_at_unix_ms);
            assert_eq!(at, Some(n));
        }
        assert!(!store.contains("user-50000"));
    }

    #[test]
    fn debug_shows_settings_and_counts_but_no_data_of_a_user() {
        let store = MemoryStore::builder()
            .history(3)
            .max_users(9)
            .user_id_field(UserIdField::Off)
            .build()
            .unwrap();
        store.insert(snapshot("ada", 4711)).unwrap();
        assert_eq!(
            format!("{store:?}"),
            "MemoryStore { users: 1, history: Some(3), max_users: Some(9), time_to_live: None, user_id_field: Off }"
        );
        let shown = store.pin(|view| format!("{view:?}"));
        assert_eq!(shown, "View { .. }");
    }
}

mod revisions {
    use super::*;

    fn revision(store: &MemoryStore, user_id: &str) -> Revision {
        store.get_versioned(user_id).unwrap().revision
    }

    #[test]
    fn a_revision_comes_with_the_latest_snapshot_and_changes_only_with_it() {
        let store = with_history(2);
        for at in 1..=5 {
            store.insert(snapshot("ada", at)).unwrap();
            let versioned = store.get_versioned("ada").unwrap();
            assert_eq!(versioned.value, state(at));

            store.insert(snapshot("grace", at)).unwrap();
            assert!(!store.remove("alan").unwrap());
            assert_eq!(store.get_versioned("ada"), Some(versioned));
        }
    }

    #[test]
    fn every_write_has_a_greater_revision_than_all_before_it() {
        let store = with_history(2);
        let same = snapshot("ada", 1);
        store.insert(same.clone()).unwrap();
        let mut last = revision(&store, "ada");
        for _ in 0..10 {
            store.insert(same.clone()).unwrap();
            let next = revision(&store, "ada");
            assert!(next > last, "{next} after {last}");
            last = next;
        }
    }

    /// Whether anybody asked for the revisions of the former life or not, and
    /// however the user was removed.
    #[test]
    fn revisions_go_on_rising_when_a_user_comes_back() {
        for asks_each_time in [true, false] {
            let store = with_history(2);
            store.insert(snapshot("ada", 0)).unwrap();
            let mut last = revision(&store, "ada");
            for life in 0..20 {
                // Shorter and longer lives, with other users' in between.
                for at in 0..(life * 7) % 5 {
                    store.insert(snapshot("ada", at)).unwrap();
                    store.insert(snapshot("grace", at)).unwrap();
                }
                if asks_each_time {
                    last = last.max(revision(&store, "ada"));
                }
                match life % 3 {
                    0 => assert!(store.remove("ada").unwrap()),
                    1 => store.clear(),
                    _ => assert!(store.retain(|user_id, _| user_id != "ada") == 1),
                }
                store.insert(snapshot("ada", life)).unwrap();
                let next = revision(&store, "ada");
                assert!(next > last, "{next} after {last}");
                last = next;
            }
        }
    }

    #[test]
    fn a_revision_converts_to_a_number_and_back() {
        let store = with_history(2);
        store.insert(snapshot("ada", 1)).unwrap();
        let revision = revision(&store, "ada");
        let number = u64::from(revision);
        assert_eq!(Revision::from(number), revision);
        assert_eq!(revision.to_string(), number.to_string());
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_revision_is_written_as_a_number() {
        let revision = Revision::from(7);
        assert_eq!(serde_json::to_string(&revision).unwrap(), "7");
        assert_eq!(serde_json::from_str::<Revision>("7").unwrap(), revision);
        assert!(serde_json::from_str::<Revision>("-1").is_err());
    }
}

mod reading_in_place {
    use super::*;

    #[test]
    fn the_closure_sees_the_state_that_is_stored() {
        let store = MemoryStore::default();
        store.insert(snapshot("ada", 1)).unwrap();
        assert_eq!(store.with("ada", State::clone), Some(state(1)));
    }

    #[test]
    fn the_closure_is_not_called_for_an_absent_user() {
        let store = MemoryStore::default();
        store.insert(snapshot("ada", 1)).unwrap();
        assert_eq!(
            store.with("grace", |_| unreachable!("there is no such user")),
            None::<()>
        );
    }

    /// A small state, which the closure sees as a copy, and a large one.
    #[test]
    fn the_closure_keeps_its_state_while_the_user_is_written_and_removed() {
        for seen_state in [state(1), large_state(1)] {
            let store = with_history(2);
            let first = seen_state.clone().into_snapshot("ada").unwrap();
            store.insert(first).unwrap();
            store.with("ada", |seen| {
                // On another thread, and on the one that is reading.
                thread::scope(|scope| {
                    scope.spawn(|| store.insert(snapshot("ada", 2)).unwrap());
                });
                store.insert(snapshot("ada", 3)).unwrap();
                store.insert(snapshot("ada", 4)).unwrap();
                assert_eq!(times(&store, "ada"), [4, 3]);
                assert_eq!(*seen, seen_state);
                assert!(store.remove("ada").unwrap());
                assert_eq!(store.get("ada"), None);
                assert_eq!(*seen, seen_state);
            });
        }
    }

    #[test]
    fn closures_can_read_the_store_in_turn() {
        fn nested(store: &MemoryStore, depth: i64) -> i64 {
            store
                .with(&format!("user-{depth}"), |state| {
                    let inner = if depth == 0 {
                        0
                    } else {
                        nested(store, depth - 1)
                    };
                    inner + state.updated_at_unix_ms()
                })
                .unwrap()
        }
        let store = MemoryStore::default();
        for n in 0..=20 {
            let state = if n % 2 == 0 { state(n) } else { large_state(n) };
            let user_id = format!("user-{n}");
            store.insert(state.into_snapshot(user_id).unwrap()).unwrap();
        }
        assert_eq!(nested(&store, 20), 210);
    }

    #[test]
    fn a_closure_that_panics_leaves_the_store_as_it_was() {
        let store = with_history(2);
        store.insert(snapshot("ada", 1)).unwrap();
        for _ in 0..20 {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                store.with("ada", |_| panic!("on purpose"))
            }));
            assert!(panic.is_err());
            let panic = catch_unwind(AssertUnwindSafe(|| {
                store.pin(|view| view.with("ada", |_| panic!("on purpose")))
            }));
            assert!(panic.is_err());
        }
        assert_eq!(times(&store, "ada"), [1]);
        store.insert(snapshot("ada", 2)).unwrap();
        store.insert(snapshot("ada", 3)).unwrap();
        assert_eq!(times(&store, "ada"), [3, 2]);
        assert!(store.remove("ada").unwrap());
        assert!(store.is_empty());
    }
}

mod views {
    use super::*;

    #[test]
    fn a_view_has_the_reads_of_the_store() {
        let store = with_history(2);
        store.pin(|view| {
            assert_eq!(view.get("ada"), None);
            assert_eq!(view.get_versioned("ada"), None);
            assert_eq!(view.with("ada", |_| ()), None);
            assert_eq!(view.history("ada", 9), []);
            assert!(!view.contains("ada"));

            for at in 1..=3 {
                store.insert(snapshot("ada", at)).unwrap();
            }
            assert_eq!(view.get("ada"), Some(state(3)));
            assert_eq!(view.with("ada", State::updated_at_unix_ms), Some(3));
            assert_eq!(view.get_versioned("ada"), store.get_versioned("ada"));
            assert_eq!(view.history("ada", 9), store.history("ada", 9));
            assert!(view.contains("ada"));

            assert!(store.remove("ada").unwrap());
            assert!(!view.contains("ada"));
            assert_eq!(view.history("ada", 9), []);
        });
        assert!(store.is_empty());
    }

    #[test]
    fn pin_returns_what_its_closure_returns() {
        let store = with_history(2);
        store.insert(snapshot("ada", 1)).unwrap();
        assert_eq!(store.pin(|view| view.get("ada")), Some(state(1)));
    }

    #[test]
    fn a_view_sees_what_other_threads_do_after_it_was_made() {
        let store = with_history(2);
        let elsewhere = |action: &(dyn Fn() + Sync)| {
            thread::scope(|scope| {
                scope.spawn(action);
            });
        };
        store.pin(|view| {
            elsewhere(&|| store.insert(snapshot("ada", 1)).map(drop).unwrap());
            assert_eq!(view.get("ada"), Some(state(1)));

            elsewhere(&|| store.insert(snapshot("ada", 2)).map(drop).unwrap());
            let history = view.history("ada", 9);
            let history: Vec<_> = history.into_iter().map(|entry| entry.value).collect();
            assert_eq!(history, [state(2), state(1)]);

            elsewhere(&|| assert!(store.remove("ada").unwrap()));
            assert!(!view.contains("ada"));
            assert_eq!(view.get("ada"), None);

            // The map grows into tables that were not there when the view was made.
            elsewhere(&|| {
                for n in 0..1_000 {
                    store.insert(snapshot(&format!("user-{n}"), n)).unwrap();
                }
            });
            assert!((0..1_000).all(|n| view.contains(&format!("user-{n}"))));

            elsewhere(&|| store.clear());
            assert!((0..1_000).all(|n| !view.contains(&format!("user-{n}"))));
        });
    }

    #[test]
    fn views_can_be_inside_each_other_and_write_the_store() {
        let store = with_history(2);
        store.pin(|outer| {
            store.insert(snapshot("ada", 1)).unwrap();
            store.pin(|inner| {
                assert_eq!(inner.get("ada"), outer.get("ada"));
                assert!(store.remove("ada").unwrap());
                store.insert(snapshot("ada", 2)).unwrap();
            });
            assert_eq!(outer.get("ada"), Some(state(2)));
        });
    }
}

mod user_ids {
    use super::*;

    /// What is not a user id, and why.
    fn invalid() -> Vec<(String, UserIdError)> {
        let at = |character, position| UserIdError::InvalidCharacter {
            character,
            position,
        };
        let too_long = |length| UserIdError::TooLong { length, max: 256 };
        vec![
            (String::new(), UserIdError::Empty),
            ("x".repeat(257), too_long(257)),
            ("é".repeat(129), too_long(258)),
            ("two words".to_owned(), at(' ', 3)),
            ("tab\t".to_owned(), at('\t', 3)),
            ("\0".to_owned(), at('\0', 0)),
            ("été\u{7f}".to_owned(), at('\u{7f}', 5)),
            ("user@example".to_owned(), at('@', 4)),
            ("../ada".to_owned(), at('.', 0)),
        ]
    }

    #[tokio::test]
    async fn asking_the_trait_with_what_is_no_user_id_is_an_error_that_changes_nothing() {
        let store = with_history(2);
        let contract: &dyn StateStore = &store;
        for at in 1..=3 {
            store.insert(snapshot("ada", at)).unwrap();
        }

        for (user_id, reason) in invalid() {
            let errors = [
                contract.get_latest(&user_id).await.unwrap_err(),
                contract.get_latest_versioned(&user_id).await.unwrap_err(),
                contract.get_history(&user_id, 10).await.unwrap_err(),
                contract.get_history(&user_id, 0).await.unwrap_err(),
                contract.delete(&user_id).await.unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.to_string(), format!("invalid user id: {reason}"));
                assert!(
                    matches!(&error, StoreError::InvalidUserId(why) if *why == reason),
                    "{error:?}"
                );
            }
        }
        assert_eq!(times(&store, "ada"), [3, 2]);
        assert_eq!(store.len(), 1);
    }

    #[tokio::test]
    async fn the_error_names_the_character_and_its_byte() {
        let store = MemoryStore::default();
        let error = store.get_latest("été\n").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid user id: user_id has '\\n' at byte 5, \
             but only alphanumeric characters, _ and - are allowed"
        );
    }

    #[test]
    fn to_the_inherent_methods_what_is_no_user_id_is_an_absent_user() {
        let store = with_history(2);
        store.insert(snapshot("ada", 1)).unwrap();
        for (user_id, _) in invalid() {
            assert_eq!(store.get(&user_id), None);
            assert_eq!(store.with(&user_id, |_| ()), None);
            assert_eq!(store.get_versioned(&user_id), None);
            assert_eq!(store.history(&user_id, 10), []);
            assert!(!store.contains(&user_id));
            assert!(!store.remove(&user_id).unwrap());
        }
        assert_eq!(times(&store, "ada"), [1]);
    }

    #[test]
    fn ids_of_every_length_are_kept_apart() {
        // Around the length up to which an id is held in place, and the longest
        // ones, of characters of one to four bytes.
        let ids: Vec<String> = [1, 2, 22, 23, 24, 25, 255, 256]
            .into_iter()
            .flat_map(|bytes: usize| {
                ["x", "é", "語", "𐐷"].map(|character| {
                    let whole = character.repeat(bytes / character.len());
                    format!("{whole}{}", "-".repeat(bytes - whole.len()))
                })
            })
            .collect();
        let distinct: HashSet<&String> = ids.iter().collect();

        let store = with_history(2);
        for (at, id) in (0..).zip(&ids) {
            store.insert(snapshot(id, at)).unwrap();
            store.insert(snapshot(id, at + 1_000)).unwrap();
        }
        assert_eq!(store.len(), distinct.len());
        let user_ids = store.user_ids();
        assert_eq!(user_ids.iter().collect::<HashSet<_>>(), distinct);
        for id in &ids {
            let last = ids.iter().rposition(|other| other == id).unwrap() as i64;
            assert_eq!(times(&store, id), [last + 1_000, last]);
        }
        for id in distinct {
            assert!(store.remove(id).unwrap());
        }
        assert!(store.is_empty());
    }

    #[test]
    fn ids_that_differ_in_their_last_byte_or_case_are_different_users() {
        let store = MemoryStore::default();
        let stem = "x".repeat(255);
        let ids = [
            "ada".to_owned(),
            "Ada".to_owned(),
            "ad".to_owned(),
            "ada_".to_owned(),
            "ada-".to_owned(),
            format!("{stem}a"),
            format!("{stem}b"),
            stem,
        ];
        for (at, id) in (0..).zip(&ids) {
            store.insert(snapshot(id, at)).unwrap();
        }
        for (at, id) in (0..).zip(&ids) {
            assert_eq!(store.get(id), Some(state(at)));
        }
    }
}

mod values {
    use super::*;

    /// The mirror of a user is of the latest state, whatever came before it.
    #[test]
    fn small_and_large_states_can_follow_each_other() {
        let store = with_history(3);
        let mut written = Vec::new();
        for (at, axes) in (1..).zip([3, 4, 4, 3, 3, 4]) {
            // 11 bytes each, of 40.
            let axes = (0..axes).map(|axis| (format!("axis_{axis}"), 0.25));
            let state = State::builder().updated_at(at).axes(axes).build_state();
            let state = state.unwrap();
            let snapshot = state.clone().into_snapshot("ada").unwrap();
            store.insert(snapshot).unwrap();
            written.insert(0, state.clone());
            assert_eq!(store.get("ada").as_ref(), Some(&state));
            assert_eq!(store.with("ada", State::clone).as_ref(), Some(&state));
            let versioned = store.get_versioned("ada").map(|latest| latest.value);
            assert_eq!(versioned, Some(state));
            written.truncate(3);
            assert_eq!(states(&store, "ada", 9), written);
        }
        assert!(store.remove("ada").unwrap());
        assert_eq!(store.get("ada"), None);
    }

    #[test]
    fn every_entry_of_a_history_can_be_stored_again() {
        for again in 0..4 {
            let store = with_history(8);
            for at in 0..4 {
                store.insert(snapshot("ada", at)).unwrap();
            }
            let entry = store.history("ada", 8).swap_remove(again).value;
            let at = entry.updated_at_unix_ms();
            store.insert(entry.into_snapshot("ada").unwrap()).unwrap();
            assert_eq!(times(&store, "ada"), [at, 3, 2, 1, 0]);
            store.insert(snapshot("ada", 9)).unwrap();
            assert_eq!(times(&store, "ada"), [9, at, 3, 2, 1, 0]);
        }
    }

    #[test]
    fn a_state_of_one_user_can_be_stored_for_another() {
        let store = with_history(4);
        for at in 1..=3 {
            store.insert(snapshot("ada", at)).unwrap();
        }
        for entry in store.history("ada", 4) {
            let snapshot = entry.value.into_snapshot("grace").unwrap();
            store.insert(snapshot).unwrap();
        }
        assert_eq!(times(&store, "grace"), [1, 2, 3]);
        assert_eq!(times(&store, "ada"), [3, 2, 1]);
    }

    #[test]
    fn what_a_caller_holds_never_changes() {
        for make in [state, large_state] {
            let store = with_history(2);
            let insert = |at| {
                let snapshot = make(at).into_snapshot("ada").unwrap();
                store.insert(snapshot).unwrap()
            };
            insert(1);
            let latest = store.get("ada").unwrap();
            insert(2);
            let [newer, older] = <[_; 2]>::try_from(states(&store, "ada", 2)).unwrap();
            let held = [latest, newer, older];
            let expected = [make(1), make(2), make(1)];
            assert_eq!(held, expected);

            for at in 3..=9 {
                insert(at);
            }
            assert_eq!(held, expected, "after later writes and eviction");
            for state in held.clone() {
                store.insert(state.into_snapshot("ada").unwrap()).unwrap();
            }
            assert_eq!(held, expected, "after they were stored again");
            assert!(store.remove("ada").unwrap());
            assert_eq!(held, expected, "after removal");
            insert(10);
            store.clear();
            assert_eq!(held, expected, "after clearing");
            drop(store);
            assert_eq!(held, expected, "after the store is gone");
        }
    }
}

mod changing {
    use super::*;

    #[test]
    fn an_update_gives_what_it_has_written() {
        let store = with_history(3);
        for at in 1..=3 {
            let updated = store.update("ada", |current| {
                let before = current.map(State::updated_at_unix_ms);
                assert_eq!(before, (at > 1).then_some(at - 1));
                copy(&state(at))
            });
            let updated = updated.unwrap().expect("it was written");
            assert_eq!(updated.value, state(at));
            assert_eq!(store.get_versioned("ada"), Some(updated));
        }
        assert_eq!(times(&store, "ada"), [3, 2, 1]);
        let declined = store.update("ada", |_| None).unwrap();
        assert_eq!(declined, None);
        assert_eq!(times(&store, "ada"), [3, 2, 1]);
    }

    #[test]
    fn an_update_ignores_the_user_id_of_its_builder() {
        let store = with_history(3);
        let grace = |_: Option<&State>| snapshot("grace", 7).to_builder();
        store.update("ada", grace).unwrap();
        assert_eq!(store.user_ids(), ["ada"]);
    }

    #[test]
    fn an_update_that_makes_no_state_is_an_error_that_changes_nothing() {
        let store = with_history(3);
        store.insert(snapshot("ada", 1)).unwrap();
        for user_id in ["ada", "grace"] {
            let invalid = |_: Option<&State>| State::builder().confidence(2.0);
            let error = store.update(user_id, invalid).unwrap_err();
            assert!(matches!(error, StoreError::InvalidSnapshot(_)), "{error}");
        }
        for error in [
            store.update("no id", |_| State::builder()).unwrap_err(),
            store
                .patch("no id", &Patch::new(Source::Inferred))
                .unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::InvalidUserId(_)), "{error}");
        }
        assert_eq!(times(&store, "ada"), [1]);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn a_patch_gives_what_it_has_written() {
        let store = with_history(3);
        let empty = Patch::new(Source::SelfReport);
        for new in [0.25, 0.75] {
            let patched = store.patch("ada", &empty.clone().axis("warmth", new));
            let Patched::Written { value, revision } = patched.unwrap() else {
                panic!("it sets a value");
            };
            assert_eq!(value.get_axis("warmth"), new);
            let latest = store.get_versioned("ada").unwrap();
            assert_eq!((latest.value, latest.revision), (value, revision));
        }
        let Patched::Unchanged { value, revision } = store.patch("ada", &empty).unwrap() else {
            panic!("it changes nothing");
        };
        let latest = store.get_versioned("ada").unwrap();
        assert_eq!((latest.value, latest.revision), (value, revision));
        assert_eq!(store.patch("grace", &empty).unwrap(), Patched::Nobody);
        assert_eq!(store.history("ada", 9).len(), 2);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn a_removal_can_be_conditional() {
        let store = with_history(3);
        let first = store.insert(snapshot("ada", 1)).unwrap();
        let second = store.insert(snapshot("ada", 2)).unwrap();
        for expected in [Expected::At(first), Expected::Absent] {
            let error = store.remove_if("ada", expected).unwrap_err();
            assert!(
                matches!(&error, StoreError::Conflict { user_id, actual, .. }
                    if user_id == "ada" && *actual == Some(second)),
                "{error:?}"
            );
        }
        assert_eq!(times(&store, "ada"), [2, 1]);
        assert!(store.remove_if("ada", Expected::At(second)).unwrap());
        assert!(!store.remove_if("ada", Expected::Absent).unwrap());
        assert!(!store.remove_if("ada", Expected::Any).unwrap());
        let error = store.remove_if("ada", Expected::At(second)).unwrap_err();
        assert!(
            matches!(error, StoreError::Conflict { actual: None, .. }),
            "{error:?}"
        );
    }
}

mod hashers {
    use super::*;

    /// FNV-1a, as an example of a hasher that a user brings.
    struct Fnv(u64);

    impl Default for Fnv {
        fn default() -> Self {
            Self(0xcbf2_9ce4_8422_2325)
        }
    }

    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }

    #[derive(Default)]
    struct Constant;

    impl Hasher for Constant {
        fn finish(&self) -> u64 {
            42
        }

        fn write(&mut self, _: &[u8]) {}
    }

    fn check<H: Hasher + Default + Send + Sync + 'static>(users: i64) {
        let store = MemoryStore::builder()
            .history(2)
            .hasher(BuildHasherDefault::<H>::default())
            .build()
            .unwrap();
        let store: &MemoryStore<BuildHasherDefault<H>> = &store;
        for at in 0..3 {
            for n in 0..users {
                store.insert(snapshot(&format!("user-{n}"), at)).unwrap();
            }
        }
        assert_eq!(store.len() as i64, users);
        for n in (0..users).step_by(2) {
            assert!(store.remove(&format!("user-{n}")).unwrap());
        }
        for n in 0..users {
            let id = format!("user-{n}");
            let history = store.history(&id, 9);
            let expected = if n % 2 == 0 { vec![] } else { vec![2, 1] };
            assert!(
                history
                    .iter()
                    .map(|entry| entry.value.updated_at_unix_ms())
                    .eq(expected)
            );
            assert_eq!(store.contains(&id), n % 2 == 1);
        }
        // The trait is there whatever the hasher.
        let _: &dyn StateStore = store;
        store.clear();
        assert!(store.is_empty());
    }

    #[test]
    fn a_store_works_with_a_hasher_of_the_users_choice() {
        check::<Fnv>(1_000);
    }

    /// No more users than fit into one probe sequence of papaya's first table:
    /// beyond, papaya 0.2.5 looks for a table in which they do, without end.
    #[test]
    fn users_whose_hashes_collide_are_kept_apart() {
        check::<Constant>(20);
    }
}
