//! Watching keys and users: what is given, who is woken, and what is left.

mod common;
#[path = "common/depth.rs"]
mod depth;

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use attuned_store::{
    AnyEvent, Event, Expected, HistoryMap, MemoryStore, Mirroring, RemovalCause, Revision,
    StateStore, StoreError, Watch,
};
use common::{large, snapshot};
use depth::Depth;
use futures_core::Stream;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn taken(&self) -> usize {
        self.0.swap(0, SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Asks a watch once, without an executor.
fn poll<E>(watch: &mut Watch<E>, wakes: &Arc<Wakes>) -> Poll<Option<E>> {
    let waker = Waker::from(Arc::clone(wakes));
    Pin::new(watch).poll_next(&mut Context::from_waker(&waker))
}

/// All events that are to be had without waiting.
fn ready<E>(watch: &mut Watch<E>) -> Vec<E> {
    let wakes = Arc::default();
    let mut events = Vec::new();
    while let Poll::Ready(Some(event)) = poll(watch, &wakes) {
        events.push(event);
    }
    events
}

/// A future that is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing is to be waited for"),
    }
}

fn map() -> Arc<HistoryMap<u64>> {
    Arc::new(HistoryMap::builder().history(4).build().unwrap())
}

fn values<V: Clone>(events: &[Event<V>]) -> Vec<Option<V>> {
    let value = |event: &Event<V>| match event {
        Event::Put(found) => Some(found.value.clone()),
        Event::Removed { .. } => None,
    };
    events.iter().map(value).collect()
}

#[test]
fn a_watch_begins_with_what_is_there_and_goes_on_with_each_change() {
    let map = map();
    map.insert("ada", 1).unwrap();
    let mut watch = map.watch("ada");
    assert_eq!(values(&ready(&mut watch)), [Some(1)]);
    assert!(ready(&mut watch).is_empty());

    let revision = map.insert("ada", 2).unwrap();
    let events = ready(&mut watch);
    assert_eq!(values(&events), [Some(2)]);
    assert_eq!(events[0].revision(), revision);
    assert_eq!(events[0], Event::Put(map.get_versioned("ada").unwrap()));

    map.update("ada", |value| value.map(|value| value + 1))
        .unwrap();
    assert_eq!(values(&ready(&mut watch)), [Some(3)]);
}

#[test]
fn of_several_changes_it_gives_the_last() {
    let map = map();
    let mut watch = map.watch("ada");
    for value in 1..=5 {
        map.insert("ada", value).unwrap();
    }
    assert_eq!(values(&ready(&mut watch)), [Some(5)]);

    map.remove("ada").unwrap();
    map.insert("ada", 6).unwrap();
    assert_eq!(values(&ready(&mut watch)), [Some(6)]);
}

#[test]
fn of_one_who_is_not_there_it_gives_nothing_until_they_come() {
    let map = map();
    let mut watch = map.watch("ada");
    assert!(ready(&mut watch).is_empty());
    map.insert("grace", 1).unwrap();
    assert!(ready(&mut watch).is_empty());

    // They came and went meanwhile: they are still not there.
    map.insert("ada", 1).unwrap();
    map.remove("ada").unwrap();
    assert!(ready(&mut watch).is_empty());

    map.insert("ada", 2).unwrap();
    assert_eq!(values(&ready(&mut watch)), [Some(2)]);
}

#[test]
fn a_removal_has_its_cause_and_a_place_among_the_revisions() {
    let map = map();
    let mut watch = map.watch("ada");
    for round in 0..3 {
        let before = map.insert("ada", round).unwrap();
        assert_eq!(values(&ready(&mut watch)), [Some(round)]);
        match round {
            0 => assert!(map.remove("ada").unwrap().is_some()),
            1 => assert_eq!(map.retain(|_, _| false), 1),
            _ => map.clear(),
        }
        let events = ready(&mut watch);
        let [Event::Removed { revision, cause }] = events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(cause, RemovalCause::Deleted);
        assert!(revision > before);
        let after = map.insert("ada", 100).unwrap();
        assert!(revision < after);
        assert_eq!(values(&ready(&mut watch)), [Some(100)]);
    }
}

/// By the system's clock. The tests beside the code, which set theirs, have all the ways in
/// which a key is taken out.
#[test]
fn a_key_that_has_expired_is_told_when_it_is_taken_out() {
    type TakesOut = (&'static str, fn(&HistoryMap<u64>, Revision));
    let takes_out: [TakesOut; 2] = [
        ("a sweep", |map, _| assert_eq!(map.sweep(), 1)),
        ("a write that finds it", |map, seen| {
            map.insert_if("ada", 2, Expected::At(seen)).unwrap_err();
        }),
    ];
    for (name, take_out) in takes_out {
        let builder = HistoryMap::builder().time_to_live(Duration::from_millis(5));
        let map = Arc::new(builder.build().unwrap());
        let mut watch = map.watch("ada");
        // On a slow machine a write can expire before the watch looks.
        let given = loop {
            map.insert("ada", 1).unwrap();
            if let [Event::Put(given)] = ready(&mut watch)[..] {
                break given.revision;
            }
        };
        let wakes = Arc::default();
        assert!(poll(&mut watch, &wakes).is_pending());
        while map.contains("ada") {
            thread::yield_now();
        }
        assert_eq!(wakes.taken(), 0, "{name}");

        take_out(&map, given);
        assert_eq!(wakes.taken(), 1, "{name}");
        let events = ready(&mut watch);
        let [Event::Removed { revision, cause }] = events[..] else {
            panic!("{name}: {events:?}");
        };
        assert_eq!(cause, RemovalCause::Expired, "{name}");
        assert!(revision > given, "{name}");
    }
}

#[test]
fn what_is_removed_for_its_age_is_told_as_expired() {
    let store = MemoryStore::default();
    store.insert(snapshot("ada", 1)).unwrap();
    let mut watch = now(store.watch("ada")).unwrap();
    assert_eq!(ready(&mut watch).len(), 1);
    assert_eq!(store.expire_older_than(Duration::ZERO), 1);
    let events = ready(&mut watch);
    let expired = RemovalCause::Expired;
    assert!(
        matches!(events[..], [Event::Removed { cause, .. }] if cause == expired),
        "{events:?}"
    );
}

#[test]
fn what_fails_or_changes_nothing_wakes_nobody() {
    let map = map();
    let revision = map.insert("ada", 1).unwrap();
    let mut watch = map.watch("ada");
    ready(&mut watch);
    let wakes = Arc::default();
    assert!(poll(&mut watch, &wakes).is_pending());

    map.insert_if("ada", 2, Expected::Absent).unwrap_err();
    map.remove_if("ada", Expected::Absent).unwrap_err();
    map.update("ada", |_| None).unwrap();
    let _ = map.get("ada");
    let _ = map.history("ada", 2);
    map.remove("grace").unwrap();
    assert_eq!(wakes.taken(), 0);

    map.insert_if("ada", 2, Expected::At(revision)).unwrap();
    assert_eq!(wakes.taken(), 1);
}

#[test]
fn only_those_who_watch_the_key_are_woken_and_each_once() {
    let map = map();
    let watches: Vec<_> = (0..3_000)
        .map(|number| {
            let mut watch = map.watch(&format!("user-{}", number / 3));
            ready(&mut watch);
            let wakes = Arc::<Wakes>::default();
            assert!(poll(&mut watch, &wakes).is_pending());
            (watch, wakes)
        })
        .collect();
    for value in 0..4 {
        map.insert("user-7", value).unwrap();
    }
    let woken: Vec<_> = watches
        .iter()
        .map(|(_, wakes)| wakes.taken())
        .enumerate()
        .filter(|(_, taken)| *taken > 0)
        .collect();
    assert_eq!(woken, [(21, 1), (22, 1), (23, 1)]);
}

#[test]
fn a_watch_that_is_dropped_is_gone_and_the_key_costs_what_it_did() {
    let map = map();
    map.insert("ada", 1).unwrap();
    let mut first = map.watch("ada");
    let mut second = map.watch("ada");
    ready(&mut first);
    ready(&mut second);
    let (of_first, of_second) = (Arc::default(), Arc::default());
    assert!(poll(&mut first, &of_first).is_pending());
    assert!(poll(&mut second, &of_second).is_pending());

    // Its waker goes with it.
    let waker = Arc::downgrade(&of_first);
    drop(of_first);
    drop(first);
    assert!(waker.upgrade().is_none());

    map.insert("ada", 2).unwrap();
    assert_eq!(of_second.taken(), 1);
    assert_eq!(values(&ready(&mut second)), [Some(2)]);
    assert!(poll(&mut second, &of_second).is_pending());
    assert_eq!(Arc::strong_count(&of_second), 2, "it has the waker");
    drop(second);
    assert_eq!(Arc::strong_count(&of_second), 1);

    // The next one finds everything as if nobody had ever watched.
    map.insert("ada", 3).unwrap();
    let mut third = map.watch("ada");
    assert_eq!(values(&ready(&mut third)), [Some(3)]);
    map.insert("ada", 4).unwrap();
    assert_eq!(values(&ready(&mut third)), [Some(4)]);
}

#[test]
fn watches_end_with_the_map_and_do_not_keep_it() {
    let map = map();
    map.insert("ada", 1).unwrap();
    let mut of_key = map.watch("ada");
    let mut of_all = map.watch_all();
    ready(&mut of_key);
    ready(&mut of_all);
    let wakes = Arc::default();
    assert!(poll(&mut of_key, &wakes).is_pending());
    assert!(poll(&mut of_all, &wakes).is_pending());

    let weak = Arc::downgrade(&map);
    drop(map);
    assert!(weak.upgrade().is_none());
    assert_eq!(wakes.taken(), 2);
    for _ in 0..2 {
        assert_eq!(poll(&mut of_key, &wakes), Poll::Ready(None));
        assert_eq!(poll(&mut of_all, &wakes), Poll::Ready(None));
    }
}

#[test]
fn a_watch_that_was_never_asked_ends_with_the_map_too() {
    let map = map();
    let weak = Arc::downgrade(&map);
    let mut watch = map.watch("ada");
    drop(map);
    assert!(weak.upgrade().is_none());
    assert_eq!(poll(&mut watch, &Arc::default()), Poll::Ready(None));
}

/// Panics when it is woken.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("woken");
    }
}

#[test]
fn a_waker_that_panics_keeps_nothing_from_others() {
    let map = map();
    map.insert("ada", 1).unwrap();
    let mut panics = map.watch("ada");
    let mut waits = map.watch("ada");
    ready(&mut panics);
    ready(&mut waits);
    let waker = Waker::from(Arc::new(Panics));
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut panics).poll_next(&mut context).is_pending());
    let wakes = Arc::default();
    assert!(poll(&mut waits, &wakes).is_pending());

    let insert = AssertUnwindSafe(|| map.insert("ada", 2));
    assert!(catch_unwind(insert).is_err(), "the panic goes on");
    assert_eq!(wakes.taken(), 1);
    assert_eq!(values(&ready(&mut waits)), [Some(2)]);
    assert_eq!(map.history("ada", 9).len(), 2);
    map.insert("ada", 3).unwrap();
    assert_eq!(values(&ready(&mut panics)), [Some(3)]);
}

/// Panics when it is cloned, if it is told to.
#[derive(Debug)]
struct Fragile(Arc<AtomicBool>);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!self.0.load(SeqCst), "cloned");
        Self(Arc::clone(&self.0))
    }
}

#[test]
fn a_value_that_cannot_be_cloned_is_given_later() {
    let broken = Arc::new(AtomicBool::new(true));
    let map = Arc::new(HistoryMap::builder().build().unwrap());
    map.insert("ada", Fragile(Arc::clone(&broken))).unwrap();
    let mut of_key = map.watch("ada");
    let mut of_all = map.watch_all();
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| ready(&mut of_key))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| ready(&mut of_all))).is_err());
    }
    broken.store(false, SeqCst);
    assert_eq!(ready(&mut of_key).len(), 1);
    assert!(matches!(
        ready(&mut of_all)[..],
        [AnyEvent::Of { .. }, AnyEvent::CaughtUp]
    ));
}

#[test]
fn one_poll_does_not_go_on_for_long() {
    let map = map();
    for number in 0..1_000 {
        map.insert(&format!("user-{number}"), number).unwrap();
    }
    let mut watch = map.watch_all();
    map.clear();
    let wakes = Arc::default();
    let mut polls = 0;
    while poll(&mut watch, &wakes).is_pending() {
        assert_eq!(wakes.taken(), 1, "it asks to go on");
        polls += 1;
    }
    assert!(polls > 3);
}

#[test]
fn watching_all_begins_with_all_says_when_that_is_done_and_goes_on() {
    let map = map();
    for number in 0..100 {
        map.insert(&format!("user-{number}"), number).unwrap();
    }
    let mut watch = map.watch_all();
    map.insert("late", 1_000).unwrap();
    map.remove("user-0").unwrap();
    map.insert("user-1", 1_001).unwrap();

    let events = ready(&mut watch);
    let caught_up = events.iter().position(|event| *event == AnyEvent::CaughtUp);
    let caught_up = caught_up.expect("said once");
    let mut seen = HashMap::new();
    for (place, event) in events.iter().enumerate() {
        if let AnyEvent::Of { key, event } = event {
            let [value] = values(std::slice::from_ref(event))[..] else {
                unreachable!("one event")
            };
            assert!(
                seen.insert(key.clone(), value).is_none(),
                "{key} is given once"
            );
            assert_eq!(place > caught_up, key == "late", "{key}");
        }
    }
    let mut expected: HashMap<_, _> = (2..100)
        .map(|number| (format!("user-{number}"), Some(number)))
        .collect();
    expected.insert("user-1".to_owned(), Some(1_001));
    expected.insert("late".to_owned(), Some(1_000));
    assert_eq!(seen, expected);

    map.remove("late").unwrap();
    let events = ready(&mut watch);
    assert!(
        matches!(
            &events[..],
            [AnyEvent::Of { key, event: Event::Removed { cause: RemovalCause::Deleted, .. } }]
                if key == "late"
        ),
        "{events:?}"
    );
}

#[test]
fn a_slow_watch_of_all_has_each_key_once() {
    let map = map();
    let mut watch = map.watch_all();
    for value in 0..1_000 {
        map.insert(&format!("user-{}", value % 10), value).unwrap();
    }
    let events = ready(&mut watch);
    assert_eq!(events.len(), 11);
    assert_eq!(events[0], AnyEvent::CaughtUp);
}

#[test]
fn a_store_watches_its_users() {
    let store = MemoryStore::builder().history(3).build().unwrap();
    let through: &dyn StateStore = &store;
    let mut ada = now(through.watch("ada")).unwrap();
    let mut all = now(through.watch_all()).unwrap();
    for at in 1..=2 {
        let small = snapshot("ada", at);
        let written = if at == 1 { small } else { large(&small) };
        now(through.upsert_latest(written.clone())).unwrap();
        let latest = now(through.get_latest_versioned("ada")).unwrap().unwrap();
        assert_eq!(latest.value, written);
        assert_eq!(ready(&mut ada), [Event::Put(latest)]);
    }
    let events = ready(&mut all);
    assert_eq!(events.len(), 2);
    assert!(now(through.delete("ada")).unwrap());
    assert!(matches!(ready(&mut ada)[..], [Event::Removed { .. }]));
    assert_eq!(ready(&mut all).len(), 1);

    let refused = now(through.watch("not an id"));
    assert!(matches!(refused, Err(StoreError::InvalidUserId(_))));

    drop(store);
    let wakes = Arc::default();
    assert_eq!(poll(&mut ada, &wakes), Poll::Ready(None));
}

/// Runs the task at once, in the thread that wakes it, as some executors do.
struct Inline {
    map: Weak<HistoryMap<u64>>,
    watch: Mutex<Option<Watch<Event<u64>>>>,
    seen: Mutex<Vec<Option<u64>>>,
    running: AtomicBool,
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        if self.running.swap(true, SeqCst) {
            return;
        }
        let waker = Waker::from(Arc::clone(&self));
        let mut watch = self.watch.lock().unwrap().take().unwrap();
        while let Poll::Ready(Some(event)) =
            Pin::new(&mut watch).poll_next(&mut Context::from_waker(&waker))
        {
            self.seen.lock().unwrap().extend(values(&[event]));
            // It may use the map, the watched key included.
            let map = self.map.upgrade().unwrap();
            let _ = map.update("ada", |value| {
                value.filter(|value| **value < 10).map(|_| 10)
            });
            map.insert("seen", 1).unwrap();
        }
        *self.watch.lock().unwrap() = Some(watch);
        self.running.store(false, SeqCst);
    }
}

#[test]
fn a_waker_may_use_the_map() {
    let map = map();
    let inline = Arc::new(Inline {
        map: Arc::downgrade(&map),
        watch: Mutex::new(Some(map.watch("ada"))),
        seen: Mutex::default(),
        running: AtomicBool::new(false),
    });
    Arc::clone(&inline).wake();
    map.insert("ada", 1).unwrap();
    map.remove("ada").unwrap();
    assert_eq!(*inline.seen.lock().unwrap(), [Some(1), Some(10), None]);
    assert!(map.contains("seen"));

    // Now inside a write of a key that is there: the waker writes it again.
    map.insert("ada", 20).unwrap();
    map.insert("ada", 2).unwrap();
    let seen = [Some(1), Some(10), None, Some(20), Some(2), Some(10)];
    assert_eq!(*inline.seen.lock().unwrap(), seen);
    let history: Vec<_> = map
        .history("ada", 9)
        .iter()
        .map(|entry| entry.value)
        .collect();
    assert_eq!(history, [10, 2, 20]);
}

/// A waker parks the thread that waits, as an executor on a thread of its own does.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Threads write and remove a few keys, others watch them. Each watch ends with what is there,
/// and none goes back.
#[test]
fn each_watch_ends_with_what_is_there_and_none_goes_back() {
    let rounds = Depth::of_this_run().choose(20, 1_000);
    for round in 0..rounds {
        write_and_watch(round, &map());
        let mirrored = HistoryMap::builder().history(4).mirrored();
        write_and_watch(round, &Arc::new(mirrored.build().unwrap()));
    }
}

fn write_and_watch<M>(round: u64, map: &Arc<HistoryMap<u64, M>>)
where
    M: Mirroring<u64> + 'static,
{
    let writes = 400;
    {
        let keys = ["ada", "grace"];
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let watchers: Vec<_> = keys
                .into_iter()
                .cycle()
                .take(4)
                .map(|key| {
                    let watch = map.watch(key);
                    let stop = &stop;
                    scope.spawn(move || (key, last_of_key(watch, stop)))
                })
                .collect();
            let of_all = map.watch_all();
            let of_all = scope.spawn(|| last_of_all(of_all, &stop));
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    let map = &map;
                    scope.spawn(move || {
                        let mut random = SmallRng::seed_from_u64(round * 3 + writer);
                        for value in 0..writes {
                            let key = keys[random.random_range(0..keys.len())];
                            match random.random_range(0..10) {
                                0 | 1 => drop(map.remove(key).unwrap()),
                                2 => drop(map.update(key, |value| value.map(|v| v + 1)).unwrap()),
                                _ => drop(map.insert(key, value).unwrap()),
                            }
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
            // A watcher that was woken before looks once more; the others are up to date or lost.
            stop.store(true, SeqCst);
            for watcher in watchers {
                watcher.thread().unpark();
                let (key, last) = watcher.join().unwrap();
                let there = map.get_versioned(key).map(|found| found.revision);
                assert_eq!(last, there, "{key}, round {round}");
            }
            of_all.thread().unpark();
            let last = of_all.join().unwrap();
            let there: HashMap<_, _> = keys
                .into_iter()
                .filter_map(|key| Some((key.to_owned(), map.get_versioned(key)?.revision)))
                .collect();
            assert_eq!(last, there, "round {round}");
        });
    }
}

/// Waits for events until it is told to stop and nothing has woken it; returns the revision
/// that it was given last, `None` for a removal.
///
/// It stops only on its own waker's silence: it looks at a watch again only if that one has
/// woken it.
fn last_of_key(mut watch: Watch<Event<u64>>, stop: &AtomicBool) -> Option<Revision> {
    let mut last = None;
    let mut newest = None;
    until_stopped(stop, |context| {
        match Pin::new(&mut watch).poll_next(context) {
            Poll::Ready(Some(event)) => {
                assert!(Some(event.revision()) > newest, "went back");
                newest = Some(event.revision());
                match event {
                    Event::Put(found) => last = Some(found.revision),
                    Event::Removed { .. } => {
                        assert!(last.take().is_some(), "removed, but was not there");
                    }
                }
                true
            }
            Poll::Ready(None) => panic!("the map is still there"),
            Poll::Pending => false,
        }
    });
    last
}

fn last_of_all(mut watch: Watch<AnyEvent<u64>>, stop: &AtomicBool) -> HashMap<String, Revision> {
    let mut last = HashMap::new();
    let mut newest = HashMap::new();
    let mut caught_up = HashSet::new();
    until_stopped(stop, |context| {
        match Pin::new(&mut watch).poll_next(context) {
            Poll::Ready(Some(AnyEvent::Of { key, event })) => {
                let before = newest.insert(key.clone(), event.revision());
                assert!(Some(event.revision()) > before, "went back");
                match event {
                    Event::Put(found) => drop(last.insert(key, found.revision)),
                    Event::Removed { .. } => {
                        assert!(last.remove(&key).is_some(), "removed, but was not there");
                    }
                }
                true
            }
            Poll::Ready(Some(AnyEvent::CaughtUp)) => {
                assert!(caught_up.insert(()), "said twice");
                true
            }
            Poll::Ready(None) => panic!("the map is still there"),
            Poll::Pending => false,
        }
    });
    last
}

/// Calls `step` until it says that there is nothing, then waits to be woken by the watch.
fn until_stopped(stop: &AtomicBool, mut step: impl FnMut(&mut Context<'_>) -> bool) {
    struct Woken(AtomicBool, Arc<Unpark>);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
            Arc::clone(&self.1).wake();
        }
    }
    let woken = Arc::new(Woken(
        AtomicBool::new(true),
        Arc::new(Unpark(thread::current())),
    ));
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        let stopped = stop.load(SeqCst);
        if woken.0.swap(false, SeqCst) {
            while step(&mut Context::from_waker(&waker)) {}
        } else if stopped {
            return;
        } else {
            thread::park();
        }
    }
}
