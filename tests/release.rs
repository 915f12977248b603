//! What is allocated and, above all, what is released again, by a count of every
//! allocation of the thread.
//!
//! A thread's first operation on a store, and its first removal, allocate some
//! bookkeeping that stays. All tests leave that behind before they count.

mod common;
#[path = "common/ready.rs"]
mod ready;

use std::sync::Arc;
use std::thread;

use allocation_counter::{AllocationInfo, measure};
use attuned_store::{MemoryStore, MemoryStoreBuilder, StateSnapshot, StateStore};
use common::snapshot;
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
    use_once(&store);
    store
}

fn use_once(store: &MemoryStore) {
    store.upsert(snapshot("the-first", 1)).unwrap();
    store.upsert(snapshot("the-first", 2)).unwrap();
    assert_eq!(store.latest("the-first"), Some(snapshot("the-first", 2)));
    assert!(store.remove("the-first"));
}

fn with_history() -> MemoryStore {
    used(MemoryStore::builder().history(HISTORY))
}

fn without_history() -> MemoryStore {
    used(MemoryStore::builder())
}

/// A snapshot of three allocations: the id and the axes have one each.
fn large(at: i64) -> StateSnapshot {
    let axes: Vec<String> = (0..20).map(|n| format!("axis_{n}")).collect();
    StateSnapshot::builder()
        .user_id("x".repeat(100))
        .updated_at(at)
        .axes(axes.iter().map(|name| (name, 0.5)))
        .build()
        .unwrap()
}

fn fill(store: &MemoryStore, make: impl Fn(i64) -> StateSnapshot) {
    // Twice the history is the most that a store may keep of a user.
    for at in 0..3 * HISTORY as i64 {
        store.upsert(make(at)).unwrap();
    }
}

/// Snapshots leave a history of this length in fours.
#[test]
fn four_writes_release_as_much_as_they_bring() {
    for store in [with_history(), without_history()] {
        for make in [large, |at| snapshot(USER, at)] {
            fill(&store, make);
            for at in 0..100 {
                assert_nothing_left(measure(|| {
                    for more in 0..4 {
                        store.upsert(make(4 * at + more)).unwrap();
                    }
                }));
            }
        }
    }
}

#[test]
fn without_a_history_a_user_takes_no_more_after_many_writes_than_after_one() {
    let store = without_history();
    store.upsert(snapshot(USER, 0)).unwrap();
    assert_nothing_left(measure(|| {
        for at in 1..9 {
            store.upsert(snapshot(USER, at)).unwrap();
        }
    }));
}

#[test]
fn a_removed_user_leaves_nothing() {
    for store in [with_history(), without_history()] {
        for make in [large, |at| snapshot(USER, at)] {
            for writes in [1, 2, HISTORY as i64, 5 * HISTORY as i64] {
                let user_id = make(0).user_id().to_owned();
                assert_nothing_left(measure(|| {
                    for at in 0..writes {
                        store.upsert(make(at)).unwrap();
                    }
                    assert!(store.remove(&user_id));
                }));
            }
        }
    }
}

#[test]
fn users_that_come_and_go_leave_nothing() {
    let store = with_history();
    let come_and_go = || {
        for n in 0..5_000 {
            let user_id = format!("user-{n}");
            store.upsert(snapshot(&user_id, 1)).unwrap();
            store.upsert(snapshot(&user_id, 2)).unwrap();
            assert!(store.remove(&user_id));
        }
    };
    come_and_go();
    assert_nothing_left(measure(come_and_go));
}

#[test]
fn clearing_leaves_nothing_but_the_table() {
    for store in [with_history(), without_history()] {
        assert_nothing_left(measure(|| {
            for n in 0..500 {
                for at in 0..3 {
                    store
                        .upsert(snapshot(&format!("a-user-with-a-long-user-id-{n}"), at))
                        .unwrap();
                }
            }
            store.clear();
        }));
        assert!(store.is_empty());
    }
}

#[test]
fn the_end_of_the_store_leaves_nothing() {
    // For the bookkeeping that all stores share.
    drop(with_history());
    assert_nothing_left(measure(|| {
        let store = MemoryStore::builder().history(HISTORY).build().unwrap();
        let clone = store.clone();
        for n in 0..500 {
            for at in 0..3 {
                store
                    .upsert(snapshot(&format!("a-user-with-a-long-user-id-{n}"), at))
                    .unwrap();
            }
        }
        assert!(store.remove("a-user-with-a-long-user-id-7"));
        drop(store);
        assert_eq!(clone.len(), 499);
    }));
}

#[test]
fn a_snapshot_that_a_caller_holds_survives_and_is_released_with_its_last_handle() {
    let store = with_history();
    let footprint = {
        let mut made = None;
        let info = measure(|| made = Some(large(1)));
        assert!(made.is_some());
        info
    };

    let mut held = None;
    let live = measure(|| {
        store.upsert(large(1)).unwrap();
        held = store.latest(large(1).user_id());
        assert!(store.remove(large(1).user_id()));
    });
    assert_eq!(
        (live.count_current, live.bytes_current),
        (footprint.count_current, footprint.bytes_current)
    );
    assert_eq!(held, Some(large(1)));
    let freed = measure(|| held = None);
    assert_eq!(freed.count_current, -footprint.count_current);
    assert_eq!(freed.bytes_current, -footprint.bytes_current);
}

/// An emptied block is what remains of a snapshot, 112 bytes without its id and
/// axes, while the one that came after it points back at it.
#[test]
fn a_held_snapshot_keeps_none_of_its_history_but_one_emptied_block() {
    let store = with_history();
    let footprint = measure(|| std::mem::forget(large(1)));
    let block = measure(|| std::mem::forget(snapshot(USER, 1)));

    let mut held = None;
    let live = measure(|| {
        fill(&store, large);
        held = store.latest(large(1).user_id());
        assert!(store.remove(large(1).user_id()));
    });
    let kept = live.count_current - footprint.count_current;
    assert!((0..=block.count_current).contains(&kept), "{live:?}");
    assert_eq!(
        live.bytes_current - footprint.bytes_current,
        kept * block.bytes_current
    );
    let freed = measure(|| held = None);
    assert_eq!(freed.count_current, -live.count_current);
    assert_eq!(freed.bytes_current, -live.bytes_current);
}

#[test]
fn a_thread_can_release_what_another_has_written() {
    let store = with_history();
    let written = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            use_once(&store);
            measure(|| fill(&store, large))
        });
        writer.join().unwrap()
    });
    assert!(written.bytes_current > 0);

    let user_id = large(0).user_id().to_owned();
    let freed = measure(|| assert!(store.remove(&user_id)));
    assert_eq!(freed.count_current, -written.count_current);
    assert_eq!(freed.bytes_current, -written.bytes_current);
}

#[test]
fn a_view_delays_the_release_of_the_entry_but_of_no_snapshot() {
    let store = with_history();
    let user_id = large(0).user_id().to_owned();
    let mut view = None;
    let live = measure(|| {
        fill(&store, large);
        view = Some(store.pin());
        assert!(store.remove(&user_id));
    });
    // The entry, its key, and the batch in which they wait: less than one
    // allocation for each of the snapshots, which had three.
    assert!(
        (1..HISTORY as i64).contains(&live.count_current),
        "{live:?}"
    );

    let freed = measure(|| view = None);
    assert_eq!(freed.count_current, -live.count_current);
    assert_eq!(freed.bytes_current, -live.bytes_current);
}

#[test]
fn a_user_with_one_snapshot_pays_nothing_for_the_history() {
    let first_write = |store: &MemoryStore| measure(|| store.upsert(snapshot(USER, 1)).unwrap());
    let long = used(MemoryStore::builder().history(10_000));
    assert_eq!(first_write(&long), first_write(&without_history()));
}

#[test]
fn storing_a_fresh_snapshot_of_a_known_user_allocates_nothing() {
    for store in [with_history(), without_history()] {
        store.upsert(snapshot(USER, 1)).unwrap();
        store.upsert(snapshot(USER, 2)).unwrap();
        // While the history fills, and when it is full.
        for at in 3..5 * HISTORY as i64 {
            let fresh = snapshot(USER, at);
            assert_eq!(
                measure(|| store.upsert(fresh).unwrap()).count_total,
                0,
                "write {at}"
            );
        }
        let view = store.pin();
        let fresh = large(1);
        view.upsert(large(0)).unwrap();
        view.upsert(large(0)).unwrap();
        assert_eq!(measure(|| view.upsert(fresh).unwrap()).count_total, 0);
    }
}

#[test]
fn storing_a_shared_snapshot_allocates_its_copy() {
    let store = with_history();
    fill(&store, |at| snapshot(USER, at));
    let shared = snapshot(USER, 1);
    let clone = shared.clone();
    assert_eq!(measure(|| store.upsert(clone).unwrap()).count_total, 1);
    // The one that the store has is shared with the store.
    let latest = store.latest(USER).unwrap();
    assert_eq!(measure(|| store.upsert(latest).unwrap()).count_total, 1);
}

#[test]
fn reads_of_the_latest_allocate_nothing() {
    let store = with_history();
    fill(&store, |at| snapshot(USER, at));
    let view = store.pin();
    type Read<'a> = (&'a str, &'a dyn Fn(&str) -> bool);
    let reads: [Read<'_>; 8] = [
        ("latest", &|id| store.latest(id).is_some()),
        ("with_latest", &|id| store.with_latest(id, |_| ()).is_some()),
        ("versioned", &|id| store.versioned(id).is_some()),
        ("contains", &|id| store.contains(id)),
        ("view.latest", &|id| view.latest(id).is_some()),
        ("view.with_latest", &|id| {
            view.with_latest(id, |_| ()).is_some()
        }),
        ("view.versioned", &|id| view.versioned(id).is_some()),
        ("view.contains", &|id| view.contains(id)),
    ];
    for (name, read) in reads {
        for (user_id, present) in [(USER, true), ("grace", false), ("no id", false)] {
            let info = measure(|| assert_eq!(read(user_id), present, "{name} {user_id}"));
            assert_eq!(info, AllocationInfo::default(), "{name} {user_id}");
        }
    }
    let info = measure(|| {
        assert_eq!(store.len(), 1);
        assert!(!store.is_empty());
        drop(store.pin());
        drop(store.clone());
    });
    assert_eq!(info, AllocationInfo::default());
}

#[test]
fn a_history_is_one_allocation_of_exactly_its_length() {
    let store = with_history();
    fill(&store, |at| snapshot(USER, at));
    for limit in [1, 2, HISTORY, HISTORY + 1, usize::MAX] {
        let entries = limit.min(HISTORY);
        let info = measure(|| assert_eq!(store.history(USER, limit).len(), entries));
        assert_eq!(info.count_total, 1, "limit {limit}");
        assert_eq!(
            info.bytes_total as usize,
            entries * size_of::<StateSnapshot>(),
            "limit {limit}"
        );
        assert_nothing_left(info);
    }
    let info = measure(|| {
        assert!(store.history(USER, 0).is_empty());
        assert!(store.history("grace", 9).is_empty());
    });
    assert_eq!(info, AllocationInfo::default());
}

#[test]
fn a_call_through_the_trait_boxes_one_future_however_many_pointers_it_goes_through() {
    let store = with_history();
    fill(&store, |at| snapshot(USER, at));
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
            ("get_versioned", &|| {
                ready(store.get_versioned(USER)).unwrap().is_some()
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
        let fresh = snapshot(USER, 1);
        let info = measure(|| ready(store.upsert_latest(fresh)).unwrap());
        assert_eq!(info.count_total, 1);
    }
}
