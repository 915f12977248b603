//! When values are dropped, whatever their `Drop` does: every count here is of values
//! that are alive.
//!
//! The tests run one after the other, since another thread inside an operation holds up
//! what is to be dropped.

#[path = "common/alone.rs"]
mod alone;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, LazyLock, Mutex, PoisonError, Weak, mpsc};
use std::thread;

use alone::alone;
use attuned_store::{Expected, HistoryMap, Mirrored, SmallValue};

/// A value that is counted as long as it is alive, clones included.
struct Counted {
    alive: Arc<AtomicUsize>,
    number: u64,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.alive.fetch_add(1, SeqCst);
        let alive = Arc::clone(&self.alive);
        Self { alive, ..*self }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, SeqCst);
    }
}

/// Makes values and counts them.
#[derive(Clone, Default)]
struct Values(Arc<AtomicUsize>);

impl Values {
    fn make(&self, number: u64) -> Counted {
        self.0.fetch_add(1, SeqCst);
        let alive = Arc::clone(&self.0);
        Counted { alive, number }
    }

    fn alive(&self) -> usize {
        self.0.load(SeqCst)
    }
}

fn with_history(entries: usize) -> HistoryMap<Counted> {
    HistoryMap::builder().history(entries).build().unwrap()
}

/// Has everything dropped that this thread has let go of, as a removal does.
fn settle(map: &HistoryMap<Counted>) {
    map.insert("settle", Values::default().make(0)).unwrap();
    map.remove("settle").unwrap();
}

const HISTORIES: [usize; 12] = [1, 2, 3, 5, 9, 10, 16, 17, 18, 20, 100, 1000];

/// How many versions more than its history a key can keep, as the documentation of
/// `HistoryMap` says.
fn beyond(history: usize) -> usize {
    match history {
        1 => 0,
        2..=16 => 9.min(history),
        _ => 15,
    }
}

/// How many versions a thread can leave that sleeps after a write, if no more than 32
/// threads have used a map. The documentation says that, too.
const LEFT: usize = 12;

mod removals {
    use super::*;

    #[test]
    fn a_removal_drops_all_of_its_key() {
        alone(|| {
            for history in HISTORIES {
                let (map, values) = (with_history(history), Values::default());
                for writes in [1, 2, 3, 4, 5, 8, 13, 50, 300] {
                    for number in 0..writes {
                        map.insert("key", values.make(number)).unwrap();
                    }
                    let removed = map.remove("key").unwrap();
                    assert_eq!(removed.unwrap().value.number, writes - 1);
                    assert_eq!(values.alive(), 0, "history {history}, {writes} writes");
                }
            }
        });
    }

    #[test]
    fn so_does_a_conditional_one_and_so_do_retain_and_clear() {
        alone(|| {
            for history in HISTORIES {
                let (map, values) = (with_history(history), Values::default());
                for way in 0..3 {
                    for number in 0..300 {
                        map.insert("key", values.make(number)).unwrap();
                    }
                    match way {
                        0 => drop(map.remove_if("key", Expected::Any).unwrap()),
                        1 => assert_eq!(map.retain(|_, value| value.number > 300), 1),
                        _ => map.clear(),
                    }
                    assert_eq!(values.alive(), 0, "history {history}");
                }
            }
        });
    }

    #[test]
    fn retain_and_clear_drop_all_of_many_keys() {
        alone(|| {
            for history in [1, 4, 20] {
                let (map, values) = (with_history(history), Values::default());
                for number in 0..5 {
                    for key in 0..2_000 {
                        map.insert(&format!("key-{key}"), values.make(number))
                            .unwrap();
                    }
                }
                assert_eq!(map.retain(|key, _| key.len() == "key-1".len()), 1_990);
                assert!(values.alive() >= 10 * history.min(5));
                assert!(values.alive() <= 10 * (history + beyond(history)).min(5));
                map.clear();
                assert_eq!(values.alive(), 0);
            }
        });
    }

    /// Any thread may have written it, and those threads may sleep. What they have let go of
    /// themselves, and have not dropped, is theirs.
    #[test]
    fn a_removal_drops_what_other_threads_have_written() {
        const SLEEPERS: usize = 8;
        alone(|| {
            for all_of_them_settle in [false, true] {
                let (map, values) = (with_history(20), Values::default());
                let (written, sleeping) = mpsc::channel();
                let wake = Barrier::new(SLEEPERS + 1);
                let left = thread::scope(|scope| {
                    for _ in 0..SLEEPERS {
                        let written = written.clone();
                        let (map, values, wake) = (&map, &values, &wake);
                        scope.spawn(move || {
                            for number in 0..100 {
                                map.insert("key", values.make(number)).unwrap();
                            }
                            if all_of_them_settle {
                                settle(map);
                            }
                            written.send(()).unwrap();
                            wake.wait();
                        });
                        // The next one begins when this one sleeps.
                        sleeping.recv().unwrap();
                    }
                    drop(map.remove("key").unwrap());
                    let left = values.alive();
                    wake.wait();
                    left
                });
                let most = if all_of_them_settle {
                    0
                } else {
                    SLEEPERS * LEFT
                };
                assert!(left <= most, "{left}");
            }
        });
    }

    #[test]
    fn what_a_caller_has_is_the_callers() {
        alone(|| {
            let (map, values) = (with_history(3), Values::default());
            for number in 0..9 {
                map.insert("key", values.make(number)).unwrap();
            }
            let held = (
                map.get("key"),
                map.get_versioned("key"),
                map.history("key", 2),
            );
            let removed = map.remove("key").unwrap();
            assert_eq!(values.alive(), 1 + 1 + 2 + 1);
            drop(held);
            drop(removed);
            assert_eq!(values.alive(), 0);
        });
    }

    #[test]
    fn what_is_refused_is_dropped_by_the_call() {
        alone(|| {
            let map = HistoryMap::builder().max_keys(1).build().unwrap();
            let values = Values::default();
            map.insert("key", values.make(1)).unwrap();
            for _ in 0..50 {
                map.insert("other", values.make(1)).unwrap_err();
                let write = map.insert_if("key", values.make(1), Expected::Absent);
                write.unwrap_err();
                assert_eq!(values.alive(), 1);
            }
        });
    }
}

mod overwriting {
    use super::*;

    /// Exactly as many as documented at the most, and that many at some time.
    #[test]
    fn a_key_keeps_a_bounded_number_beyond_its_history() {
        alone(|| {
            for history in HISTORIES {
                let (map, values) = (with_history(history), Values::default());
                let writes = 3 * history as u64 + 200;
                let mut most = 0;
                for number in 0..writes {
                    map.insert("key", values.make(number)).unwrap();
                    let shown = history.min(number as usize + 1);
                    assert!(values.alive() <= shown + beyond(history) + LEFT);
                    settle(&map);
                    assert!(values.alive() >= shown);
                    most = most.max(values.alive() - shown);
                }
                match history {
                    // 12 to 15.
                    17.. => assert!((12..=15).contains(&most), "history {history}: {most}"),
                    _ => assert_eq!(most, beyond(history), "history {history}"),
                }
                drop(map);
                assert_eq!(values.alive(), 0);
            }
        });
    }

    /// The same for all keys of a map together: what a thread leaves does not grow with
    /// the number of keys.
    #[test]
    fn a_thread_leaves_a_bounded_number_whatever_it_writes() {
        alone(|| {
            for history in HISTORIES {
                let (map, values) = (with_history(history), Values::default());
                for number in 0..2 * history as u64 + 50 {
                    for key in 0..16 {
                        map.insert(&format!("key-{key}"), values.make(number))
                            .unwrap();
                    }
                    let most = 16 * (history + beyond(history)) + LEFT;
                    assert!(values.alive() <= most, "history {history}");
                }
            }
        });
    }

    /// What a thread leaves that sleeps after its last write, over the number of threads
    /// that have used a map.
    #[test]
    fn a_sleeping_thread_leaves_as_many_as_documented() {
        alone(|| {
            for (sleepers, documented) in [(0, 12), (30, 12), (100, 36), (255, 96), (300, 96)] {
                let (map, values) = (with_history(1), Values::default());
                let (sleep, wake) = (Barrier::new(sleepers + 1), Barrier::new(sleepers + 1));
                let most = thread::scope(|scope| {
                    let sleep_until_woken = || {
                        assert!(!map.contains("key"));
                        sleep.wait();
                        wake.wait();
                    };
                    let threads: Vec<_> = (0..sleepers)
                        .map(|_| scope.spawn(sleep_until_woken))
                        .collect();
                    sleep.wait();
                    let mut most = 0;
                    for number in 0..1_000 {
                        map.insert("key", values.make(number)).unwrap();
                        most = most.max(values.alive() - 1);
                    }
                    wake.wait();
                    // The scope would wait until they have returned, not until they have
                    // ended, and so long they count.
                    for thread in threads {
                        thread.join().unwrap();
                    }
                    most
                });
                assert_eq!(most, documented, "{sleepers} sleepers");
            }
        });
    }
}

mod threads {
    use super::*;

    /// Reads of other threads do not free what a sleeping thread has left. A removal does
    /// not, either. When the thread ends, all goes.
    #[test]
    fn what_a_sleeping_thread_has_left_goes_when_it_ends() {
        alone(|| {
            let (map, values) = (with_history(1), Values::default());
            let (sleep, wake) = (Barrier::new(2), Barrier::new(2));
            let (before, after) = thread::scope(|scope| {
                let sleeper = scope.spawn(|| {
                    for number in 0..100 {
                        map.insert("key", values.make(number)).unwrap();
                    }
                    sleep.wait();
                    wake.wait();
                });
                sleep.wait();
                let before = values.alive();
                let all_read_the_last =
                    (0..10_000).all(|_| map.with("key", |value| value.number) == Some(99));
                settle(&map);
                let after = values.alive();
                wake.wait();
                sleeper.join().unwrap();
                assert!(all_read_the_last);
                (before, after)
            });
            assert!((2..=1 + LEFT).contains(&before), "{before}");
            assert_eq!(before, after);
            assert_eq!(values.alive(), 1);
        });
    }

    /// One after the other, while a thread that has used the map does nothing.
    #[test]
    fn threads_that_come_and_go_leave_nothing() {
        alone(|| {
            for writes in [1, 3, 5, 20, 200] {
                let (map, values) = (with_history(1), Values::default());
                map.insert("key", values.make(0)).unwrap();
                for number in 0..2_000 {
                    thread::scope(|scope| {
                        let writer = scope.spawn(|| {
                            for _ in 0..writes {
                                map.insert("key", values.make(number)).unwrap();
                            }
                        });
                        writer.join().unwrap();
                    });
                    assert_eq!(values.alive(), 1);
                }
            }
        });
    }

    #[test]
    fn threads_that_only_read_or_only_drop_leave_nothing() {
        alone(|| {
            let (map, values) = (with_history(3), Values::default());
            for number in 0..100 {
                map.insert("key", values.make(number)).unwrap();
            }
            settle(&map);
            let alive = values.alive();
            for _ in 0..300 {
                thread::scope(|scope| {
                    let history = map.history("key", 9);
                    scope.spawn(move || drop(history)).join().unwrap();
                    let read = || drop((map.get("key"), map.history("key", 9)));
                    scope.spawn(read).join().unwrap();
                });
                assert_eq!(values.alive(), alive);
            }
            drop(map);
            assert_eq!(values.alive(), 0);
        });
    }
}

mod closures {
    use super::*;

    /// A thread that is inside until it is told to leave.
    fn while_inside<R>(inside: impl FnOnce(&dyn Fn()) + Send, meanwhile: impl FnOnce() -> R) -> R {
        let (entered, is_inside) = mpsc::channel();
        let (leave, told) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let stays = move || {
                entered.send(()).unwrap();
                told.recv().unwrap();
            };
            let thread = scope.spawn(move || inside(&stays));
            is_inside.recv().unwrap();
            let result = meanwhile();
            leave.send(()).unwrap();
            thread.join().unwrap();
            result
        })
    }

    type Inside = fn(&HistoryMap<Counted>, &dyn Fn());

    /// Afterwards everything goes with the next removal, or with some operations.
    #[test]
    fn a_closure_that_sleeps_on_a_value_holds_up_everything() {
        alone(|| {
            let ways: [Inside; 5] = [
                |map, stays| map.with("other", |_| stays()).unwrap(),
                |map, stays| map.pin(|view| view.with("other", |_| stays())).unwrap(),
                |map, stays| map.for_each(|_, _| stays()),
                |map, stays| {
                    let nothing = map.update("other", |_| {
                        stays();
                        None
                    });
                    assert!(nothing.unwrap().is_none());
                },
                |map, stays| {
                    let keep = |_: &str, _: &Counted| {
                        stays();
                        true
                    };
                    assert_eq!(map.retain(keep), 0);
                },
            ];
            for inside in ways {
                for by_removal in [true, false] {
                    let (map, values) = (with_history(1), Values::default());
                    map.insert("other", Values::default().make(1)).unwrap();
                    let most = while_inside(
                        |stays| inside(&map, stays),
                        || {
                            for number in 0..500 {
                                map.insert("key", values.make(number)).unwrap();
                            }
                            map.remove("key").unwrap();
                            // These go on with it in vain.
                            for _ in 0..50 {
                                map.with("other", |_| ()).unwrap();
                            }
                            values.alive()
                        },
                    );
                    assert_eq!(most, 500);
                    if by_removal {
                        settle(&map);
                    } else {
                        for _ in 0..80 {
                            map.with("other", |_| ()).unwrap();
                        }
                    }
                    assert_eq!(values.alive(), 0);
                }
            }
        });
    }

    /// They are inside the map, not on a value.
    #[test]
    fn a_view_holds_up_no_value() {
        alone(|| {
            let (map, values) = (with_history(1), Values::default());
            map.insert("other", Values::default().make(1)).unwrap();
            while_inside(
                |stays| {
                    map.pin(|view| {
                        assert!(view.contains("other"));
                        assert!(view.get("other").is_some());
                        assert_eq!(view.history("other", 9).len(), 1);
                        stays();
                    });
                },
                || {
                    for number in 0..500 {
                        map.insert("key", values.make(number)).unwrap();
                    }
                    map.remove("key").unwrap();
                    assert_eq!(values.alive(), 0);
                },
            );
        });
    }

    /// A mirrored value is put together for the closure.
    #[test]
    fn a_closure_on_a_mirrored_value_holds_up_none() {
        alone(|| {
            let numbers = HistoryMap::builder().mirrored().build().unwrap();
            numbers.insert("number", 1_u64).unwrap();
            let (map, values) = (with_history(1), Values::default());
            type Inside = fn(&HistoryMap<u64, Mirrored>, &dyn Fn());
            let ways: [Inside; 2] = [
                |numbers, stays| numbers.with("number", |_| stays()).unwrap(),
                |numbers, stays| numbers.for_each(|_, _| stays()),
            ];
            for inside in ways {
                while_inside(
                    |stays| inside(&numbers, stays),
                    || {
                        for number in 0..500 {
                            map.insert("key", values.make(number)).unwrap();
                        }
                        map.remove("key").unwrap();
                        assert_eq!(values.alive(), 0);
                    },
                );
            }
        });
    }
}

mod maps_that_end {
    use super::*;

    #[test]
    fn the_end_of_a_map_drops_all_that_is_in_it() {
        alone(|| {
            for history in HISTORIES {
                for in_another_thread in [false, true] {
                    let (map, values) = (with_history(history), Values::default());
                    for number in 0..2 * history as u64 + 9 {
                        for key in 0..10 {
                            map.insert(&format!("key-{key}"), values.make(number))
                                .unwrap();
                        }
                    }
                    map.remove("key-3").unwrap();
                    if in_another_thread {
                        // This thread is to have nothing left.
                        settle(&map);
                        thread::spawn(|| drop(map)).join().unwrap();
                    } else {
                        drop(map);
                    }
                    assert_eq!(values.alive(), 0, "history {history}");
                }
            }
        });
    }

    #[test]
    fn the_last_handle_decides() {
        alone(|| {
            let (map, values) = (Arc::new(with_history(3)), Values::default());
            let clone = Arc::clone(&map);
            for number in 0..9 {
                map.insert("key", values.make(number)).unwrap();
            }
            drop(map);
            assert!(values.alive() >= 3);
            drop(clone);
            assert_eq!(values.alive(), 0);
        });
    }
}

mod drops_that_use_the_map {
    use super::*;

    /// What a value does when it is dropped.
    type Action = fn(&HistoryMap<Acting>, u64);

    /// A value that does something to its map when it is dropped.
    struct Acting {
        map: Weak<HistoryMap<Acting>>,
        action: Action,
        counted: Counted,
    }

    /// A clone does nothing.
    impl Clone for Acting {
        fn clone(&self) -> Self {
            Self {
                map: Weak::new(),
                action: nothing,
                counted: self.counted.clone(),
            }
        }
    }

    impl Drop for Acting {
        fn drop(&mut self) {
            if let Some(map) = self.map.upgrade() {
                (self.action)(&map, self.counted.number);
            }
        }
    }

    fn nothing(_: &HistoryMap<Acting>, _: u64) {}

    fn map_of(history: usize) -> Arc<HistoryMap<Acting>> {
        Arc::new(HistoryMap::builder().history(history).build().unwrap())
    }

    fn acting(
        map: &Arc<HistoryMap<Acting>>,
        action: Action,
        values: &Values,
        number: u64,
    ) -> Acting {
        Acting {
            map: Arc::downgrade(map),
            action,
            counted: values.make(number),
        }
    }

    fn insert_one(map: &HistoryMap<Acting>, number: u64) {
        let dropped = Acting {
            map: Weak::new(),
            action: nothing,
            counted: Values::default().make(number),
        };
        map.insert("dropped", dropped).unwrap();
    }

    /// On the key that it was of, and on others.
    const ACTIONS: [Action; 9] = [
        insert_one,
        |map, _| drop(map.get("key")),
        |map, _| drop((map.history("key", 99), map.get_versioned("other"))),
        |map, _| drop(map.remove("key").unwrap()),
        |map, number| drop(map.remove(&format!("key-{number}")).unwrap()),
        |map, _| drop(map.update("other", |value| value.cloned()).unwrap()),
        |map, _| map.clear(),
        |map, _| map.for_each(|_, value| assert!(value.counted.number < 1_000)),
        |map, _| assert!(map.pin(|view| view.history("other", 9).len()) <= 20),
    ];

    #[test]
    fn they_may_do_anything() {
        alone(|| {
            for action in ACTIONS {
                for history in [1, 2, 20] {
                    let (map, values) = (map_of(history), Values::default());
                    for number in 0..200 {
                        for key in ["key", "other", &format!("key-{number}")] {
                            let value = acting(&map, action, &values, number);
                            map.insert(key, value).unwrap();
                        }
                        if number % 10 == 0 {
                            drop(map.remove("key").unwrap());
                        }
                        if number % 50 == 0 {
                            map.retain(|key, _| key.len() % 2 == 0);
                        }
                    }
                    map.clear();
                    for _ in 0..20 {
                        map.clear();
                        insert_one(&map, 1);
                    }
                    assert_eq!(values.alive(), 0);
                    map.clear();
                    drop(map);
                }
            }
        });
    }

    /// Each value brings the end of the next key.
    #[test]
    fn one_can_lead_to_the_next() {
        alone(|| {
            const KEYS: u64 = 200;
            let (map, values) = (map_of(1), Values::default());
            for number in 0..KEYS {
                let remove_next: Action =
                    |map, number| drop(map.remove(&format!("key-{}", number + 1)).unwrap());
                let value = acting(&map, remove_next, &values, number);
                map.insert(&format!("key-{number}"), value).unwrap();
            }
            assert!(map.remove("key-0").unwrap().is_some());
            let mut operations = 0;
            while values.alive() > 0 {
                assert!(map.get("nobody").is_none());
                insert_one(&map, 1);
                operations += 1;
                assert!(operations < 100 * KEYS, "{} are left", values.alive());
            }
            assert_eq!(map.len(), 1);
        });
    }

    /// The last handle of a map is in a value of it.
    #[test]
    fn a_map_can_end_in_a_value_of_another_or_of_its_own() {
        alone(|| {
            #[derive(Clone)]
            struct Owning {
                _map: Option<Arc<HistoryMap<Owning>>>,
                _counted: Counted,
            }
            let values = Values::default();
            let make = |map| Owning {
                _map: map,
                _counted: values.make(1),
            };
            let outer = HistoryMap::<Owning>::builder().build().unwrap();
            for depth in 1..20 {
                let mut next = None;
                for _ in 0..depth {
                    let map = HistoryMap::builder().history(3).build().unwrap();
                    for _ in 0..5 {
                        map.insert("a", make(None)).unwrap();
                    }
                    map.insert("a", make(next)).unwrap();
                    next = Some(Arc::new(map));
                }
                outer.insert("key", make(next)).unwrap();
                outer.retain(|_, _| false);
                let mut operations = 0;
                while values.alive() > 0 {
                    outer.insert("other", make(None)).unwrap();
                    outer.retain(|_, _| false);
                    operations += 1;
                    assert!(operations < 10 * depth, "{} are left", values.alive());
                }
            }
            // Owns itself until that value goes.
            let map = Arc::new(HistoryMap::builder().build().unwrap());
            map.insert("key", make(Some(Arc::clone(&map)))).unwrap();
            let weak = Arc::downgrade(&map);
            map.retain(|_, _| false);
            drop(map);
            assert_eq!(values.alive(), 0);
            assert!(weak.upgrade().is_none());
        });
    }

    /// A map that lives as long as the process, and threads that end.
    #[test]
    fn threads_may_end_with_values_that_use_the_map() {
        static MAP: LazyLock<HistoryMap<Global>> = LazyLock::new(HistoryMap::default);
        static ALIVE: AtomicUsize = AtomicUsize::new(0);

        struct Global(bool);

        impl Global {
            fn new(acts: bool) -> Self {
                ALIVE.fetch_add(1, SeqCst);
                Self(acts)
            }
        }

        impl Clone for Global {
            fn clone(&self) -> Self {
                Self::new(false)
            }
        }

        impl Drop for Global {
            fn drop(&mut self) {
                if self.0 {
                    MAP.insert("dropped", Self::new(false)).unwrap();
                    drop(MAP.get("key"));
                    drop(MAP.history("key", 9));
                    drop(MAP.remove("dropped").unwrap());
                }
                ALIVE.fetch_sub(1, SeqCst);
            }
        }

        alone(|| {
            for user_is_idle in [false, true] {
                if user_is_idle {
                    assert!(!MAP.contains("nobody"));
                }
                for _ in 0..200 {
                    let writer = thread::spawn(|| {
                        for _ in 0..10 {
                            MAP.insert("key", Global::new(true)).unwrap();
                        }
                    });
                    writer.join().unwrap();
                }
            }
            MAP.clear();
            MAP.clear();
            for _ in 0..10 {
                MAP.insert("settle", Global::new(false)).unwrap();
                MAP.clear();
            }
            assert_eq!(ALIVE.load(SeqCst), 0);
        });
    }
}

mod drops_that_panic {
    use super::*;

    /// Numbers of the values that are alive; it is dropped with a panic if so told.
    #[derive(Clone)]
    struct Panics {
        _counted: Counted,
        when_dropped: bool,
    }

    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(!self.when_dropped, "on purpose, when a value is dropped");
        }
    }

    /// The clones do not panic.
    fn calm(value: Option<Panics>) {
        if let Some(mut value) = value {
            value.when_dropped = false;
        }
    }

    #[test]
    fn nobody_notices() {
        alone(|| {
            for history in [1, 2, 5, 20, 100] {
                let values = Values::default();
                let map = HistoryMap::builder().history(history).build().unwrap();
                let make = |number| Panics {
                    _counted: values.make(number),
                    when_dropped: true,
                };
                for number in 0..300 {
                    map.insert("key", make(number)).unwrap();
                    map.insert(&format!("key-{number}"), make(number)).unwrap();
                    calm(map.get("key"));
                    let number = map.with("key", |value| value._counted.number);
                    assert!(number.is_some());
                    let key = format!("key-{}", number.unwrap_or(0));
                    calm(map.remove(&key).unwrap().map(|removed| removed.value));
                }
                assert_eq!(map.retain(|_, _| false), 1);
                assert!(map.is_empty());
                assert_eq!(values.alive(), 0, "history {history}");

                for number in 0..300 {
                    map.insert(&format!("key-{}", number % 7), make(number))
                        .unwrap();
                }
                drop(map);
                assert_eq!(values.alive(), 0, "history {history}");
            }
        });
    }

    #[test]
    fn threads_end_as_ever() {
        alone(|| {
            let values = Values::default();
            let map = HistoryMap::builder().build().unwrap();
            for number in 0..50 {
                thread::scope(|scope| {
                    let writer = scope.spawn(|| {
                        for _ in 0..10 {
                            let value = Panics {
                                _counted: values.make(number),
                                when_dropped: true,
                            };
                            map.insert("key", value).unwrap();
                        }
                    });
                    writer.join().unwrap();
                });
                assert_eq!(values.alive(), 1);
            }
        });
    }
}

mod small_values {
    use super::*;

    /// A small value may have a `Drop`: what readers make of words is dropped by them, and
    /// what was written by the map.
    #[test]
    fn each_value_that_was_written_is_dropped_once() {
        static WRITTEN: Mutex<Vec<u64>> = Mutex::new(Vec::new());

        #[derive(Clone)]
        struct Small {
            number: u64,
            of_words: bool,
        }

        impl SmallValue for Small {
            fn to_words(&self) -> Option<[u64; 7]> {
                self.number.to_words()
            }

            fn from_words(words: [u64; 7]) -> Self {
                let number = u64::from_words(words);
                let of_words = true;
                Self { number, of_words }
            }
        }

        impl Drop for Small {
            fn drop(&mut self) {
                if !self.of_words {
                    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
                    written.push(self.number);
                }
            }
        }

        alone(|| {
            let map = HistoryMap::builder().mirrored().build().unwrap();
            for number in 0..100 {
                let of_words = false;
                map.insert("key", Small { number, of_words }).unwrap();
                assert_eq!(map.get("key").unwrap().number, number);
                assert_eq!(map.with("key", |small| small.number), Some(number));
            }
            drop(map);
            let mut dropped = WRITTEN
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            dropped.sort_unstable();
            assert!(dropped.into_iter().eq(0..100));
        });
    }
}
