//! What is allocated and, above all, what is released again, by a count of every
//! allocation of the thread.
//!
//! A thread's first operation on a map, and its first removal, allocate some
//! bookkeeping that stays. All tests leave that behind before they count. They run one
//! after the other, since another thread inside an operation holds up what this one
//! would release.

#[path = "common/alone.rs"]
mod alone;
mod common;
#[path = "common/ready.rs"]
mod ready;

use std::sync::Arc;
use std::thread;

use allocation_counter::{AllocationInfo, measure};
use alone::alone;
use attuned_store::{
    HistoryMap, MemoryStore, MemoryStoreBuilder, State, StateSnapshot, StateStore, Versioned,
};
use common::{snapshot, state};
use ready::ready;

const USER: &str = "ada";
const HISTORY: usize = 10;

/// Asserts that whatever was allocated was released: live memory is what it was,
/// to the byte.
#[track_caller]
fn assert_nothing_left(info: AllocationInfo) {
    assert_eq!((info.count_current, info.bytes_current), (0, 0), "{info:?}");
}

/// A store that this thread has used before and that has room for all users of
/// a test.
fn used(builder: MemoryStoreBuilder) -> MemoryStore {
    let store = builder.capacity(1_000).build().unwrap();
    settle(&store);
    store
}

/// Has everything dropped that this thread has let go of: a removal does so.
fn settle(store: &MemoryStore) {
    store.insert(snapshot("the-first", 1)).unwrap();
    store.insert(snapshot("the-first", 2)).unwrap();
    assert_eq!(store.get("the-first"), Some(state(2)));
    assert!(store.remove("the-first").unwrap());
}

fn with_history() -> MemoryStore {
    used(MemoryStore::builder().history(HISTORY))
}

fn without_history() -> MemoryStore {
    used(MemoryStore::builder())
}

/// A state whose axes are in an allocation.
fn large_state(at: i64) -> State {
    let axes = (0..20).map(|n| (format!("axis_{n}"), 0.5));
    let state = State::builder().updated_at(at).axes(axes);
    state.build_state().unwrap()
}

/// A snapshot of two allocations: the id and the axes have one each.
fn large(at: i64) -> StateSnapshot {
    large_state(at).into_snapshot("x".repeat(100)).unwrap()
}

fn small(at: i64) -> StateSnapshot {
    snapshot(USER, at)
}

fn fill(store: &MemoryStore, make: impl Fn(i64) -> StateSnapshot) {
    // Three times the history: more than a store keeps of a user.
    for at in 0..3 * HISTORY as i64 {
        store.insert(make(at)).unwrap();
    }
}

/// Versions leave a history of this length in fours, and without one a thread
/// reclaims them in fours.
#[test]
fn four_writes_release_as_much_as_they_bring() {
    alone(|| {
        for store in [with_history(), without_history()] {
            for make in [large, small] {
                // Until as much is on its way out as ever is.
                fill(&store, make);
                fill(&store, make);
                for at in 0..100 {
                    assert_nothing_left(measure(|| {
                        for more in 0..4 {
                            store.insert(make(4 * at + more)).unwrap();
                        }
                    }));
                }
            }
        }
    });
}

#[test]
fn without_a_history_a_user_takes_no_more_after_many_writes_than_after_one() {
    alone(|| {
        let store = without_history();
        store.insert(small(0)).unwrap();
        assert_nothing_left(measure(|| {
            for at in 1..1_000 {
                store.insert(small(at)).unwrap();
            }
            settle(&store);
        }));
    });
}

#[test]
fn a_removed_user_leaves_nothing() {
    alone(|| {
        for store in [with_history(), without_history()] {
            for make in [large, small] {
                for writes in [1, 2, HISTORY as i64, 5 * HISTORY as i64] {
                    let user_id = make(0).user_id().to_owned();
                    assert_nothing_left(measure(|| {
                        for at in 0..writes {
                            store.insert(make(at)).unwrap();
                        }
                        assert!(store.remove(&user_id).unwrap());
                    }));
                }
            }
        }
    });
}

#[test]
fn users_that_come_and_go_leave_nothing() {
    alone(|| {
        let store = with_history();
        let come_and_go = || {
            for n in 0..5_000 {
                let user_id = format!("user-{n}");
                store.insert(snapshot(&user_id, 1)).unwrap();
                store.insert(snapshot(&user_id, 2)).unwrap();
                assert!(store.remove(&user_id).unwrap());
            }
        };
        come_and_go();
        assert_nothing_left(measure(come_and_go));
    });
}

#[test]
fn clearing_leaves_nothing_but_the_table() {
    alone(|| {
        for store in [with_history(), without_history()] {
            assert_nothing_left(measure(|| {
                for n in 0..500 {
                    for at in 0..3 {
                        store
                            .insert(snapshot(&format!("a-user-with-a-long-user-id-{n}"), at))
                            .unwrap();
                    }
                }
                store.clear();
            }));
            assert!(store.is_empty());
        }
    });
}

#[test]
fn the_end_of_the_store_leaves_nothing() {
    alone(|| {
        // For the bookkeeping that all stores share.
        drop(with_history());
        assert_nothing_left(measure(|| {
            let store = MemoryStore::builder().history(HISTORY).build().unwrap();
            let clone = store.clone();
            for n in 0..500 {
                for at in 0..3 {
                    store
                        .insert(snapshot(&format!("a-user-with-a-long-user-id-{n}"), at))
                        .unwrap();
                }
            }
            assert!(store.remove("a-user-with-a-long-user-id-7").unwrap());
            drop(store);
            assert_eq!(clone.len(), 499);
        }));
    });
}

/// What a caller holds shares the allocation of the axes with the store, and nothing
/// else.
#[test]
fn a_state_that_a_caller_holds_survives_and_keeps_nothing_but_itself() {
    alone(|| {
        let store = with_history();
        let footprint = {
            let mut made = None;
            let info = measure(|| made = Some(large_state(1)));
            assert!(made.is_some());
            info
        };
        for writes in [1, 3 * HISTORY as i64] {
            let mut held = None;
            let live = measure(|| {
                for at in 1..=writes {
                    store.insert(large(at)).unwrap();
                }
                held = store.get(large(1).user_id());
                assert!(store.remove(large(1).user_id()).unwrap());
            });
            assert_eq!(
                (live.count_current, live.bytes_current),
                (footprint.count_current, footprint.bytes_current)
            );
            assert_eq!(held, Some(large_state(writes)));
            let freed = measure(|| held = None);
            assert_eq!(freed.count_current, -footprint.count_current);
            assert_eq!(freed.bytes_current, -footprint.bytes_current);
        }
    });
}

#[test]
fn a_thread_can_release_what_another_has_written() {
    alone(|| {
        let store = with_history();
        let written = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                settle(&store);
                measure(|| {
                    fill(&store, large);
                    settle(&store);
                })
            });
            writer.join().unwrap()
        });
        assert!(written.bytes_current > 0);

        let user_id = large(0).user_id().to_owned();
        let freed = measure(|| assert!(store.remove(&user_id).unwrap()));
        assert_eq!(freed.count_current, -written.count_current);
        assert_eq!(freed.bytes_current, -written.bytes_current);
    });
}

/// The closure of `pin` holds up entries, not versions.
#[test]
fn a_view_delays_the_release_of_the_entry_and_of_no_version() {
    alone(|| {
        let store = with_history();
        let user_id = large(0).user_id().to_owned();
        let mut live = AllocationInfo::default();
        let all = measure(|| {
            store.pin(|_| {
                live = measure(|| {
                    fill(&store, large);
                    assert!(store.remove(&user_id).unwrap());
                });
            });
        });
        // The entry, its key, the two parts of its queue, and the two of the batch in which
        // they wait.
        assert_eq!(live.count_current, 6, "{live:?}");
        assert_nothing_left(all);
    });
}

#[test]
fn a_user_with_one_snapshot_pays_nothing_for_the_history() {
    alone(|| {
        let first_write = |store: &MemoryStore| {
            measure(|| {
                store.insert(small(1)).unwrap();
            })
        };
        let long = used(MemoryStore::builder().history(10_000));
        assert_eq!(first_write(&long), first_write(&without_history()));
    });
}

/// One allocation per write: the version, which is 40 bytes and the value.
#[test]
fn storing_a_snapshot_of_a_known_user_allocates_its_version() {
    alone(|| {
        for store in [with_history(), without_history()] {
            store.insert(small(1)).unwrap();
            store.insert(small(2)).unwrap();
            // While the history fills, and when it is full.
            for at in 3..5 * HISTORY as i64 {
                for make in [large, small] {
                    let fresh = make(at).into_state().into_snapshot(USER).unwrap();
                    let info = measure(|| drop(store.insert(fresh)));
                    assert_eq!(info.count_total, 1, "write {at}");
                    #[cfg(target_pointer_width = "64")]
                    assert_eq!(
                        info.bytes_total,
                        40 + size_of::<State>() as u64,
                        "write {at}"
                    );
                }
            }
        }
    });
}

#[test]
fn reads_of_the_latest_allocate_nothing() {
    alone(|| {
        let store = with_history();
        for make in [large, small] {
            fill(&store, |at| {
                make(at).into_state().into_snapshot(USER).unwrap()
            });
            store.pin(|view| {
                type Read<'a> = (&'a str, &'a dyn Fn(&str) -> bool);
                let reads: [Read<'_>; 8] = [
                    ("get", &|id| store.get(id).is_some()),
                    ("with", &|id| store.with(id, |_| ()).is_some()),
                    ("get_versioned", &|id| store.get_versioned(id).is_some()),
                    ("contains", &|id| store.contains(id)),
                    ("view.get", &|id| view.get(id).is_some()),
                    ("view.with", &|id| view.with(id, |_| ()).is_some()),
                    ("view.get_versioned", &|id| view.get_versioned(id).is_some()),
                    ("view.contains", &|id| view.contains(id)),
                ];
                for (name, read) in reads {
                    for (user_id, present) in [(USER, true), ("grace", false), ("no id", false)] {
                        let info =
                            measure(|| assert_eq!(read(user_id), present, "{name} {user_id}"));
                        assert_eq!(info, AllocationInfo::default(), "{name} {user_id}");
                    }
                }
            });
        }
        let info = measure(|| {
            assert_eq!(store.len(), 1);
            assert!(!store.is_empty());
            store.pin(|_| ());
            store.for_each(|_, _| ());
            assert_eq!(store.stats().keys, 1);
            drop(store.clone());
        });
        assert_eq!(info, AllocationInfo::default());
    });
}

#[test]
fn a_history_is_one_allocation_of_exactly_its_length() {
    alone(|| {
        let store = with_history();
        fill(&store, small);
        let lengths = [1, 2, HISTORY, HISTORY + 1, usize::MAX];
        for (limit, entries) in lengths.map(|limit| (limit, limit.min(HISTORY))) {
            let sync = measure(|| assert_eq!(store.history(USER, limit).len(), entries));
            let view = measure(|| {
                let history = store.pin(|view| view.history(USER, limit));
                assert_eq!(history.len(), entries);
            });
            for info in [sync, view] {
                assert_eq!(info.count_total, 1, "limit {limit}");
                let bytes = entries * size_of::<Versioned<State>>();
                assert_eq!(info.bytes_total as usize, bytes, "limit {limit}");
                assert_nothing_left(info);
            }
            let contract = measure(|| {
                let history = ready(store.get_history(USER, limit)).unwrap();
                assert_eq!(history.len(), entries);
                assert_eq!(history.capacity(), entries);
            });
            // The future, too.
            assert_eq!(contract.count_total, 2, "limit {limit}");
            assert_nothing_left(contract);
        }
        let info = measure(|| {
            assert!(store.history(USER, 0).is_empty());
            assert!(store.history("grace", 9).is_empty());
        });
        assert_eq!(info, AllocationInfo::default());
    });
}

#[test]
fn a_call_through_the_trait_boxes_one_future_however_many_pointers_it_goes_through() {
    alone(|| {
        let store = with_history();
        fill(&store, small);
        settle(&store);
        let object: &dyn StateStore = &store;
        let shared: Arc<dyn StateStore> = Arc::new(store.clone());
        let nested: Arc<Box<dyn StateStore>> = Arc::new(Box::new(Arc::clone(&shared)));

        let stores: [&dyn StateStore; 4] = [&store, &object, &shared, &nested];
        for store in stores {
            // What the call returns takes allocations of its own only in a history.
            let calls: [(&str, &dyn Fn() -> bool); 5] = [
                ("get_latest", &|| {
                    ready(store.get_latest(USER)).unwrap().is_some()
                }),
                ("get_latest_versioned", &|| {
                    ready(store.get_latest_versioned(USER)).unwrap().is_some()
                }),
                ("get_history", &|| {
                    ready(store.get_history(USER, 0)).unwrap().is_empty()
                }),
                ("delete", &|| !ready(store.delete("grace")).unwrap()),
                ("health_check", &|| ready(store.health_check()).is_ok()),
            ];
            for (name, call) in calls {
                let info = measure(|| assert!(call(), "{name}"));
                assert_eq!(info.count_total, 1, "{name}");
                assert_nothing_left(info);
            }
            let fresh = small(1);
            let info = measure(|| ready(store.upsert_latest(fresh)).unwrap());
            assert_eq!(info.count_total, 2, "the future and the version");
        }
    });
}

/// The numbers that the documentation of `HistoryMap` tells.
#[cfg(target_pointer_width = "64")]
#[test]
fn entries_and_versions_are_as_large_as_documented() {
    fn first_and_second<V: Clone + Send + Sync + 'static>(value: V) -> (u64, u64) {
        let map = HistoryMap::builder().capacity(100).build().unwrap();
        map.insert("the-first", value.clone()).unwrap();
        let write = |value| measure(|| drop(map.insert("key", value))).bytes_total;
        (write(value.clone()), write(value))
    }
    alone(|| {
        for (value_bytes, (first, second)) in [
            (8, first_and_second(7_u64)),
            (56, first_and_second([7_u64; 7])),
            (800, first_and_second([7_u64; 100])),
        ] {
            assert_eq!(second, 40 + value_bytes, "a version");
            assert_eq!(first, 112 + second, "an entry with its first version");
        }
    });
}
