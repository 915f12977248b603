//! What each method of [`MemoryStore`] promises, one thread at a time.

mod common;

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use attuned_store::{
    ConfigError, MAX_CAPACITY, MAX_HISTORY_PER_USER, MemoryStore, MemoryStoreConfig, Revision,
    StateSnapshot, StateStore, StoreError, UserIdError, UserIdField,
};
use common::snapshot;

fn with_history(entries: usize) -> MemoryStore {
    MemoryStore::builder().history(entries).build().unwrap()
}

/// The times of a user's whole history, newest first.
fn times(store: &MemoryStore, user_id: &str) -> Vec<i64> {
    store
        .history(user_id, usize::MAX)
        .iter()
        .map(StateSnapshot::updated_at_unix_ms)
        .collect()
}

/// Where the snapshot's data is: short ids are held in place.
fn address(snapshot: &StateSnapshot) -> *const u8 {
    snapshot.user_id().as_ptr()
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
            store.upsert(snapshot("ada", 1)).unwrap();
            store.upsert(snapshot("ada", 2)).unwrap();
            assert_eq!(store.latest("ada"), Some(snapshot("ada", 2)));
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
            store.upsert(snapshot("ada", at)).unwrap();
        }
        assert_eq!(times(&store, "ada"), [5, 4]);
    }

    #[test]
    fn a_disabled_history_does_not_look_at_its_bound() {
        for max_history_per_user in [0, MAX_HISTORY_PER_USER + 1, usize::MAX] {
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
        for requested in [MAX_HISTORY_PER_USER + 1, usize::MAX] {
            assert_eq!(
                build(requested).unwrap_err(),
                ConfigError::HistoryTooLarge {
                    requested,
                    max: MAX_HISTORY_PER_USER
                }
            );
        }
        assert_eq!(
            build(70_000).unwrap_err().to_string(),
            "a history of 70000 entries a user exceeds the maximum of 65536"
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
        let store = with_history(MAX_HISTORY_PER_USER);
        let len = i64::try_from(MAX_HISTORY_PER_USER).unwrap() + 10;
        for at in 1..=len {
            store.upsert(snapshot("ada", at)).unwrap();
        }
        assert!(times(&store, "ada").into_iter().eq((11..=len).rev()));
    }

    #[test]
    fn a_history_of_one_is_the_latest() {
        let store = with_history(1);
        for at in 1..=3 {
            store.upsert(snapshot("ada", at)).unwrap();
            assert_eq!(times(&store, "ada"), [at]);
        }
    }

    #[test]
    fn a_capacity_is_no_bound() {
        for capacity in [0, 1, 100] {
            let store = MemoryStore::builder().capacity(capacity).build().unwrap();
            for n in 0..1_000 {
                store.upsert(snapshot(&format!("user-{n}"), n)).unwrap();
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
             a history must have at least 1 entry a user; leave it off to keep none"
        );
        assert_eq!(
            new(65_537),
            "invalid MemoryStoreConfig: \
             a history of 65537 entries a user exceeds the maximum of 65536"
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
        assert_eq!(store.latest("ada"), None);
        assert_eq!(store.with_latest("ada", |_| ()), None);
        assert_eq!(store.versioned("ada"), None);
        assert_eq!(store.history("ada", usize::MAX), []);
        assert!(!store.contains("ada"));
        assert!(!store.remove("ada"));
        store.clear();
        assert!(store.is_empty());
    }

    #[test]
    fn the_latest_upsert_is_the_latest_whatever_its_timestamp_says() {
        let store = with_history(3);
        for at in [5, 9, -1] {
            store.upsert(snapshot("ada", at)).unwrap();
            assert_eq!(store.latest("ada"), Some(snapshot("ada", at)));
        }
        assert_eq!(times(&store, "ada"), [-1, 9, 5]);
    }

    #[test]
    fn users_do_not_see_each_other() {
        let store = with_history(3);
        store.upsert(snapshot("ada", 1)).unwrap();
        store.upsert(snapshot("grace", 10)).unwrap();
        store.upsert(snapshot("ada", 2)).unwrap();
        assert_eq!(times(&store, "ada"), [2, 1]);
        assert_eq!(times(&store, "grace"), [10]);
        assert_eq!(store.len(), 2);

        assert!(store.remove("ada"));
        assert!(!store.contains("ada"));
        assert!(store.contains("grace"));
        assert_eq!(times(&store, "grace"), [10]);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn history_has_at_most_limit_entries_the_newest_first() {
        let store = with_history(4);
        for at in 1..=3 {
            store.upsert(snapshot("ada", at)).unwrap();
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
                .map(StateSnapshot::updated_at_unix_ms)
                .collect();
            assert_eq!(times, expected, "limit {limit}");
            assert_eq!(history.capacity(), expected.len(), "limit {limit}");
        }
    }

    #[test]
    fn a_full_history_evicts_the_oldest() {
        let store = with_history(3);
        for at in 1..=10 {
            store.upsert(snapshot("ada", at)).unwrap();
            let oldest = (at - 2).max(1);
            assert!(times(&store, "ada").into_iter().eq((oldest..=at).rev()));
        }
    }

    #[test]
    fn the_first_entry_of_the_history_is_the_latest() {
        let store = with_history(2);
        for at in 1..=5 {
            store.upsert(snapshot("ada", at)).unwrap();
            let latest = store.latest("ada").unwrap();
            let history = store.history("ada", usize::MAX);
            assert_eq!(latest, history[0]);
        }
    }

    #[test]
    fn removing_says_whether_there_was_anybody() {
        let store = with_history(2);
        store.upsert(snapshot("ada", 1)).unwrap();
        assert!(store.remove("ada"));
        assert!(!store.remove("ada"));
        assert_eq!(store.latest("ada"), None);
        assert_eq!(store.versioned("ada"), None);
        assert_eq!(store.history("ada", usize::MAX), []);
        assert!(!store.contains("ada"));
        assert!(store.is_empty());
    }

    #[test]
    fn a_removed_user_comes_back_with_a_history_of_its_own() {
        let store = with_history(3);
        for life in 0..5 {
            for n in 0..4 {
                store.upsert(snapshot("ada", life * 10 + n)).unwrap();
                let oldest = (n - 2).max(0);
                let this_life: Vec<i64> = (oldest..=n).rev().map(|n| life * 10 + n).collect();
                assert_eq!(times(&store, "ada"), this_life);
            }
            assert!(store.remove("ada"));
        }
    }

    #[test]
    fn clear_removes_everybody_and_the_store_can_be_used_again() {
        let store = with_history(2);
        for n in 0..1_000 {
            store.upsert(snapshot(&format!("user-{n}"), 1)).unwrap();
            store.upsert(snapshot(&format!("user-{n}"), 2)).unwrap();
        }
        store.clear();
        assert!(store.is_empty());
        for n in 0..1_000 {
            assert!(!store.contains(&format!("user-{n}")));
        }
        store.upsert(snapshot("user-0", 3)).unwrap();
        assert_eq!(times(&store, "user-0"), [3]);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn clones_share_the_store() {
        let store = with_history(2);
        let clone = store.clone();
        store.upsert(snapshot("ada", 1)).unwrap();
        clone.upsert(snapshot("ada", 2)).unwrap();
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
            store.upsert(snapshot(&format!("user-{n}"), n)).unwrap();
        }
        assert_eq!(store.len(), 50_000);
        for n in 0..USERS {
            let at = store.with_latest(&format!("user-{n}"), StateSnapshot::updated_at_unix_ms);
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
        store.upsert(snapshot("ada", 4711)).unwrap();
        assert_eq!(
            format!("{store:?}"),
            "MemoryStore { users: 1, history: Some(3), max_users: Some(9), user_id_field: Off }"
        );
        assert_eq!(format!("{:?}", store.pin()), "PinnedView { .. }");
    }
}

mod revisions {
    use super::*;

    fn revision(store: &MemoryStore, user_id: &str) -> Revision {
        store.versioned(user_id).unwrap().revision
    }

    #[test]
    fn a_revision_comes_with_the_latest_snapshot_and_changes_only_with_it() {
        let store = with_history(2);
        for at in 1..=5 {
            store.upsert(snapshot("ada", at)).unwrap();
            let versioned = store.versioned("ada").unwrap();
            assert_eq!(versioned.snapshot, snapshot("ada", at));

            store.upsert(snapshot("grace", at)).unwrap();
            assert!(!store.remove("alan"));
            assert_eq!(store.versioned("ada"), Some(versioned));
        }
    }

    #[test]
    fn every_write_has_a_greater_revision_than_all_before_it() {
        let store = with_history(2);
        let same = snapshot("ada", 1);
        store.upsert(same.clone()).unwrap();
        let mut last = revision(&store, "ada");
        for _ in 0..10 {
            store.upsert(same.clone()).unwrap();
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
            store.upsert(snapshot("ada", 0)).unwrap();
            let mut last = revision(&store, "ada");
            for life in 0..20 {
                // Shorter and longer lives, with other users' in between.
                for at in 0..(life * 7) % 5 {
                    store.upsert(snapshot("ada", at)).unwrap();
                    store.upsert(snapshot("grace", at)).unwrap();
                }
                if asks_each_time {
                    last = last.max(revision(&store, "ada"));
                }
                match life % 3 {
                    0 => assert!(store.remove("ada")),
                    1 => store.clear(),
                    _ => assert!(store.pin().remove("ada")),
                }
                store.upsert(snapshot("ada", life)).unwrap();
                let next = revision(&store, "ada");
                assert!(next > last, "{next} after {last}");
                last = next;
            }
        }
    }

    #[test]
    fn a_revision_converts_to_a_number_and_back() {
        let store = with_history(2);
        store.upsert(snapshot("ada", 1)).unwrap();
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
    fn the_closure_sees_the_snapshot_that_is_stored() {
        let store = MemoryStore::default();
        store.upsert(snapshot("ada", 1)).unwrap();
        let seen = store.with_latest("ada", StateSnapshot::clone);
        assert_eq!(seen, Some(snapshot("ada", 1)));
    }

    #[test]
    fn the_closure_is_not_called_for_an_absent_user() {
        let store = MemoryStore::default();
        store.upsert(snapshot("ada", 1)).unwrap();
        assert_eq!(
            store.with_latest("grace", |_| unreachable!("there is no such user")),
            None::<()>
        );
    }

    #[test]
    fn the_closure_keeps_its_snapshot_while_the_user_is_written_and_removed() {
        let store = with_history(2);
        store.upsert(snapshot("ada", 1)).unwrap();
        store.with_latest("ada", |seen| {
            // On another thread, and on the one that is reading.
            thread::scope(|scope| {
                scope.spawn(|| store.upsert(snapshot("ada", 2)));
            });
            store.upsert(snapshot("ada", 3)).unwrap();
            store.upsert(snapshot("ada", 4)).unwrap();
            assert_eq!(times(&store, "ada"), [4, 3]);
            assert_eq!(*seen, snapshot("ada", 1));
            assert!(store.remove("ada"));
            assert_eq!(store.latest("ada"), None);
            assert_eq!(*seen, snapshot("ada", 1));
        });
    }

    /// Deeper than the slots that a thread has for reads without a reference
    /// count.
    #[test]
    fn closures_can_read_the_store_in_turn() {
        fn nested(store: &MemoryStore, depth: i64) -> i64 {
            store
                .with_latest(&format!("user-{depth}"), |snapshot| {
                    let inner = if depth == 0 {
                        0
                    } else {
                        nested(store, depth - 1)
                    };
                    inner + snapshot.updated_at_unix_ms()
                })
                .unwrap()
        }
        let store = MemoryStore::default();
        for n in 0..=20 {
            store.upsert(snapshot(&format!("user-{n}"), n)).unwrap();
        }
        assert_eq!(nested(&store, 20), 210);
    }

    #[test]
    fn a_closure_that_panics_leaves_the_store_as_it_was() {
        let store = with_history(2);
        store.upsert(snapshot("ada", 1)).unwrap();
        for _ in 0..20 {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                store.with_latest("ada", |_| panic!("on purpose"))
            }));
            assert!(panic.is_err());
        }
        assert_eq!(times(&store, "ada"), [1]);
        store.upsert(snapshot("ada", 2)).unwrap();
        store.upsert(snapshot("ada", 3)).unwrap();
        assert_eq!(times(&store, "ada"), [3, 2]);
        assert!(store.remove("ada"));
        assert!(store.is_empty());
    }
}

mod pinned_view {
    use super::*;

    #[test]
    fn a_view_has_the_operations_of_the_store() {
        let store = with_history(2);
        let view = store.pin();
        assert_eq!(view.latest("ada"), None);
        assert_eq!(view.versioned("ada"), None);
        assert_eq!(view.with_latest("ada", |_| ()), None);
        assert_eq!(view.history("ada", 9), []);
        assert!(!view.contains("ada"));
        assert!(!view.remove("ada"));

        for at in 1..=3 {
            view.upsert(snapshot("ada", at)).unwrap();
        }
        assert_eq!(view.latest("ada"), Some(snapshot("ada", 3)));
        assert_eq!(
            view.with_latest("ada", StateSnapshot::updated_at_unix_ms),
            Some(3)
        );
        assert_eq!(view.versioned("ada"), store.versioned("ada"));
        assert_eq!(
            view.history("ada", 9),
            [snapshot("ada", 3), snapshot("ada", 2)]
        );
        assert!(view.contains("ada"));

        assert!(view.remove("ada"));
        assert!(!view.contains("ada"));
        view.upsert(snapshot("grace", 1)).unwrap();
        view.clear();
        assert!(!view.contains("grace"));
        assert!(store.is_empty());
    }

    #[test]
    fn a_view_sees_what_other_threads_do_after_it_was_made() {
        let store = with_history(2);
        let view = store.pin();
        let elsewhere = |action: &(dyn Fn() + Sync)| {
            thread::scope(|scope| {
                scope.spawn(action);
            });
        };

        elsewhere(&|| store.upsert(snapshot("ada", 1)).unwrap());
        assert_eq!(view.latest("ada"), Some(snapshot("ada", 1)));

        elsewhere(&|| store.upsert(snapshot("ada", 2)).unwrap());
        assert_eq!(
            view.history("ada", 9),
            [snapshot("ada", 2), snapshot("ada", 1)]
        );

        elsewhere(&|| assert!(store.remove("ada")));
        assert!(!view.contains("ada"));
        assert_eq!(view.latest("ada"), None);

        // The map grows into tables that were not there when the view was made.
        elsewhere(&|| {
            for n in 0..1_000 {
                store.upsert(snapshot(&format!("user-{n}"), n)).unwrap();
            }
        });
        assert!((0..1_000).all(|n| view.contains(&format!("user-{n}"))));

        elsewhere(&|| store.clear());
        assert!((0..1_000).all(|n| !view.contains(&format!("user-{n}"))));
    }

    #[test]
    fn a_thread_can_have_several_views_and_end_them_in_any_order() {
        let store = with_history(2);
        let (first, second) = (store.pin(), store.pin());
        first.upsert(snapshot("ada", 1)).unwrap();
        drop(first);
        assert!(second.remove("ada"));
        second.upsert(snapshot("ada", 2)).unwrap();
        let third = store.pin();
        drop(second);
        assert_eq!(third.latest("ada"), Some(snapshot("ada", 2)));
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
            store.upsert(snapshot("ada", at)).unwrap();
        }

        for (user_id, reason) in invalid() {
            let errors = [
                contract.get_latest(&user_id).await.unwrap_err(),
                contract.get_versioned(&user_id).await.unwrap_err(),
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
             but only letters, digits, _ and - are allowed"
        );
    }

    #[test]
    fn to_the_inherent_methods_what_is_no_user_id_is_an_absent_user() {
        let store = with_history(2);
        store.upsert(snapshot("ada", 1)).unwrap();
        for (user_id, _) in invalid() {
            assert_eq!(store.latest(&user_id), None);
            assert_eq!(store.with_latest(&user_id, |_| ()), None);
            assert_eq!(store.versioned(&user_id), None);
            assert_eq!(store.history(&user_id, 10), []);
            assert!(!store.contains(&user_id));
            assert!(!store.remove(&user_id));
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
            store.upsert(snapshot(id, at)).unwrap();
            store.upsert(snapshot(id, at + 1_000)).unwrap();
        }
        assert_eq!(store.len(), distinct.len());
        for id in &ids {
            let last = ids.iter().rposition(|other| other == id).unwrap() as i64;
            assert_eq!(times(&store, id), [last + 1_000, last]);
            let stored = store.latest(id).unwrap();
            assert_eq!(stored.user_id(), id);
        }
        for id in distinct {
            assert!(store.remove(id));
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
            store.upsert(snapshot(id, at)).unwrap();
        }
        for (at, id) in (0..).zip(&ids) {
            assert_eq!(store.latest(id), Some(snapshot(id, at)));
        }
    }
}

mod handles {
    use super::*;

    #[test]
    fn a_fresh_snapshot_is_stored_where_it_is() {
        let store = with_history(3);
        for at in 1..=3 {
            let fresh = snapshot("ada", at);
            let before = address(&fresh);
            store.upsert(fresh).unwrap();
            assert_eq!(address(&store.history("ada", 1)[0]), before);
        }
    }

    #[test]
    fn a_shared_snapshot_is_copied() {
        let store = with_history(3);
        store.upsert(snapshot("ada", 1)).unwrap();
        let shared = snapshot("ada", 2);
        store.upsert(shared.clone()).unwrap();
        let stored = &store.history("ada", 1)[0];
        assert_ne!(address(stored), address(&shared));
        assert_eq!(*stored, shared);
    }

    /// Nothing that a reader holds of a small snapshot is the store's, so readers
    /// share no reference count, and a removal frees it.
    #[test]
    fn a_small_snapshot_is_read_as_a_copy_and_a_large_one_as_a_handle() {
        let store = with_history(3);
        for (user, axes, is_copy) in [("ada", 3, true), ("grace", 4, false)] {
            // 11 bytes each, of 40.
            let axes = (0..axes).map(|axis| (format!("axis_{axis}"), 0.25));
            let fresh = StateSnapshot::builder()
                .user_id(user)
                .axes(axes)
                .build()
                .unwrap();
            let before = address(&fresh);
            store.upsert(fresh).unwrap();
            let read = [
                store.latest(user).unwrap(),
                store.versioned(user).unwrap().snapshot,
            ];
            for read in &read {
                assert_eq!(address(read) != before, is_copy, "{user}");
                assert_eq!(*read, store.history(user, 1)[0], "{user}");
            }
        }
    }

    /// The mirror of a user is of the latest snapshot, whatever came before it.
    #[test]
    fn small_and_large_snapshots_can_follow_each_other() {
        let store = with_history(3);
        for axes in [3, 4, 4, 3, 3, 4] {
            let axes = (0..axes).map(|axis| (format!("axis_{axis}"), 0.25));
            let written = StateSnapshot::builder()
                .user_id("ada")
                .axes(axes)
                .build()
                .unwrap();
            store.upsert(written.clone()).unwrap();
            assert_eq!(store.latest("ada").as_ref(), Some(&written));
            assert_eq!(
                store.with_latest("ada", StateSnapshot::clone).as_ref(),
                Some(&written)
            );
            assert_eq!(
                store.versioned("ada").map(|latest| latest.snapshot),
                Some(written)
            );
        }
        assert!(store.remove("ada"));
        assert_eq!(store.latest("ada"), None);
    }

    #[test]
    fn a_copy_can_be_stored_again() {
        let store = with_history(3);
        store.upsert(snapshot("ada", 1)).unwrap();
        let copy = store.latest("ada").unwrap();
        assert!(store.remove("ada"));
        store.upsert(copy.clone()).unwrap();
        store.upsert(copy.clone()).unwrap();
        assert_eq!(store.history("ada", usize::MAX), [copy.clone(), copy]);
    }

    #[test]
    fn a_handle_can_be_stored_twice() {
        let store = with_history(4);
        store.upsert(snapshot("ada", 1)).unwrap();
        let handle = snapshot("ada", 2);
        store.upsert(handle.clone()).unwrap();
        store.upsert(handle.clone()).unwrap();
        store.upsert(handle).unwrap();
        assert_eq!(times(&store, "ada"), [2, 2, 2, 1]);
        store.upsert(snapshot("ada", 3)).unwrap();
        assert_eq!(times(&store, "ada"), [3, 2, 2, 2]);
    }

    #[test]
    fn every_entry_of_a_history_can_be_stored_again() {
        for again in 0..4 {
            let store = with_history(8);
            for at in 0..4 {
                store.upsert(snapshot("ada", at)).unwrap();
            }
            let handle = store.history("ada", 8).swap_remove(again);
            let at = handle.updated_at_unix_ms();
            store.upsert(handle).unwrap();
            assert_eq!(times(&store, "ada"), [at, 3, 2, 1, 0]);
            store.upsert(snapshot("ada", 9)).unwrap();
            assert_eq!(times(&store, "ada"), [9, at, 3, 2, 1, 0]);
        }
    }

    #[test]
    fn a_handle_from_one_store_can_be_stored_in_another() {
        let (one, other) = (with_history(4), with_history(4));
        for at in 1..=3 {
            one.upsert(snapshot("ada", at)).unwrap();
        }
        other.upsert(snapshot("ada", 10)).unwrap();
        for handle in one.history("ada", 4) {
            other.upsert(handle).unwrap();
            // Linked in place, it would have taken the other store's past with it.
            assert_eq!(times(&one, "ada"), [3, 2, 1]);
        }
        assert_eq!(times(&other, "ada"), [1, 2, 3, 10]);

        one.upsert(snapshot("ada", 4)).unwrap();
        assert!(other.remove("ada"));
        assert_eq!(times(&one, "ada"), [4, 3, 2, 1]);
    }

    #[test]
    fn a_handle_can_be_stored_again_after_its_user_was_removed() {
        let store = with_history(4);
        for at in 1..=3 {
            store.upsert(snapshot("ada", at)).unwrap();
        }
        // Still linked to each other, which the new history must not follow.
        let mut held = store.history("ada", 4);
        assert!(store.remove("ada"));

        store.upsert(held.remove(0)).unwrap();
        assert_eq!(times(&store, "ada"), [3]);
        store.upsert(held.remove(1)).unwrap();
        store.upsert(held.remove(0)).unwrap();
        assert_eq!(times(&store, "ada"), [2, 1, 3]);
    }

    /// The handle is the last one to the snapshot when it comes back, but the
    /// entry that superseded it is still in the history.
    #[test]
    fn an_evicted_handle_can_be_stored_again() {
        for entries in [None, Some(1), Some(2), Some(3)] {
            let builder = MemoryStore::builder();
            let store = match entries {
                Some(entries) => builder.history(entries),
                None => builder,
            }
            .build()
            .unwrap();
            let kept = entries.unwrap_or(0);

            store.upsert(snapshot("ada", 0)).unwrap();
            let evicted = store.latest("ada").unwrap();
            for at in 1..=3 {
                store.upsert(snapshot("ada", at)).unwrap();
            }
            store.upsert(evicted).unwrap();
            assert_eq!(store.latest("ada"), Some(snapshot("ada", 0)));
            assert_eq!(times(&store, "ada"), [0, 3, 2][..kept]);
            store.upsert(snapshot("ada", 4)).unwrap();
            assert_eq!(times(&store, "ada"), [4, 0, 3][..kept]);
        }
    }

    #[test]
    fn a_snapshot_that_a_caller_holds_never_changes() {
        let store = with_history(2);
        let copy = |original: &StateSnapshot| original.to_builder().build().unwrap();

        store.upsert(snapshot("ada", 1)).unwrap();
        let latest = store.latest("ada").unwrap();
        store.upsert(snapshot("ada", 2)).unwrap();
        let history = store.history("ada", 2);
        let expected = [snapshot("ada", 1), snapshot("ada", 2), snapshot("ada", 1)];
        let held = [latest, history[0].clone(), history[1].clone()];
        let copies = held.each_ref().map(copy);
        assert_eq!(copies, expected);

        for at in 3..=9 {
            store.upsert(snapshot("ada", at)).unwrap();
        }
        assert_eq!(held, copies, "after later writes and eviction");
        for handle in &held {
            store.upsert(handle.clone()).unwrap();
        }
        assert_eq!(held, copies, "after they were stored again");
        assert!(store.remove("ada"));
        assert_eq!(held, copies, "after removal");
        store.upsert(held[0].clone()).unwrap();
        store.clear();
        assert_eq!(held, copies, "after clearing");
        drop(store);
        assert_eq!(held, copies, "after the store is gone");
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
                store.upsert(snapshot(&format!("user-{n}"), at)).unwrap();
            }
        }
        assert_eq!(store.len() as i64, users);
        for n in (0..users).step_by(2) {
            assert!(store.remove(&format!("user-{n}")));
        }
        for n in 0..users {
            let id = format!("user-{n}");
            let expected = if n % 2 == 0 {
                vec![]
            } else {
                vec![snapshot(&id, 2), snapshot(&id, 1)]
            };
            assert_eq!(store.history(&id, 9), expected);
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
