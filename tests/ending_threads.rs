//! The map and the store in destructors of thread-local variables, when the thread's
//! other thread-local variables are gone, or about to go.
//!
//! What is wrong here aborts the process. So each scenario runs in a process of its own:
//! this binary once more, told which.
#![cfg(target_os = "linux")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::future::Future;
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use attuned_store::{
    Expected, HistoryMap, MapError, MemoryStore, Mirrored, Patch, Patched, Source, State,
    StateSnapshot, StateStore, StateStoreExt,
};

const SCENARIO: &str = "ATTUNED_STORE_ENDING_THREAD";

/// What the thread has done before it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    /// It has used the map, and then its thread-local variable: so the destructor runs
    /// while the map's variables are there.
    After,
    /// The other way round: they are gone.
    Before,
    /// The destructor is the first to use the map in this thread.
    Never,
    /// As `Before`, and another crate has used the reclaimers before, between the two,
    /// or alone.
    ForeignFirst,
    ForeignBetween,
    ForeignAlone,
    /// Only one of the two reclaimers was used, by another crate, and is gone.
    SddAlone,
    SeizeAlone,
    /// The same, and it is still there.
    SddAloneAfter,
    SeizeAloneAfter,
}

const ORDERS: [Order; 10] = [
    Order::After,
    Order::Before,
    Order::Never,
    Order::ForeignFirst,
    Order::ForeignBetween,
    Order::ForeignAlone,
    Order::SddAlone,
    Order::SeizeAlone,
    Order::SddAloneAfter,
    Order::SeizeAloneAfter,
];

/// Uses sdd as another crate might.
fn use_sdd() {
    let shared = sdd::AtomicShared::new(7_u64);
    let guard = sdd::Guard::new();
    assert!(shared.load(SeqCst, &guard).as_ref().is_some());
    drop(shared);
}

/// Uses seize as another crate might: papaya has it inside.
fn use_seize() {
    let map = papaya::HashMap::<u64, u64>::new();
    map.pin().insert(1, 1);
    map.pin().remove(&1);
}

/// Does something when the thread ends.
struct AtTheEnd(fn());

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        (self.0)();
        eprintln!("{DONE}");
    }
}

/// What a destructor says when it has done its part.
const DONE: &str = "the destructor has done it";

thread_local! {
    static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

fn at_the_end(action: fn()) {
    AT_THE_END.with(|at_the_end| *at_the_end.borrow_mut() = Some(AtTheEnd(action)));
}

/// Does all that, in the thread that is about to end.
fn prepare(order: Order, action: fn()) {
    match order {
        Order::After => {
            touch();
            at_the_end(action);
        }
        Order::Before => {
            at_the_end(action);
            touch();
        }
        Order::Never => at_the_end(action),
        Order::ForeignFirst => {
            use_sdd();
            use_seize();
            at_the_end(action);
            touch();
        }
        Order::ForeignBetween => {
            at_the_end(action);
            use_seize();
            use_sdd();
            touch();
        }
        Order::ForeignAlone => {
            at_the_end(action);
            use_sdd();
            use_seize();
        }
        Order::SddAlone => {
            at_the_end(action);
            use_sdd();
        }
        Order::SeizeAlone => {
            at_the_end(action);
            use_seize();
        }
        Order::SddAloneAfter => {
            use_sdd();
            at_the_end(action);
        }
        Order::SeizeAloneAfter => {
            use_seize();
            at_the_end(action);
        }
    }
}

/// The thread's ordinary use of the map and the store.
fn touch() {
    MAP.insert("touched", "here".to_owned()).unwrap();
    assert!(NUMBERS.get("small").is_some());
    assert!(STORE.contains("ada"));
}

static MAP: LazyLock<HistoryMap<String>> = LazyLock::new(|| {
    let map = HistoryMap::builder().history(5).build().unwrap();
    for value in ["one", "two", "three"] {
        map.insert("key", value.to_owned()).unwrap();
    }
    map.insert("other", "value".to_owned()).unwrap();
    map
});

static NUMBERS: LazyLock<HistoryMap<u64, Mirrored>> = LazyLock::new(|| {
    let map = HistoryMap::builder()
        .mirrored()
        .max_keys(3)
        .build()
        .unwrap();
    map.insert("small", 7).unwrap();
    map
});

static STORE: LazyLock<MemoryStore> = LazyLock::new(|| {
    let store = MemoryStore::builder().history(5).build().unwrap();
    for at in 1..=3 {
        store.insert(small("ada", at)).unwrap();
        store.insert(large("grace", at)).unwrap();
    }
    store
});

fn small(user_id: &str, at: i64) -> StateSnapshot {
    let builder = StateSnapshot::builder().user_id(user_id).updated_at(at);
    builder.axis("warmth", 0.25).build().unwrap()
}

fn large(user_id: &str, at: i64) -> StateSnapshot {
    let axes = (0..20).map(|axis| (format!("axis_{axis}"), 0.25));
    let builder = StateSnapshot::builder().user_id(user_id).updated_at(at);
    builder.axes(axes).build().unwrap()
}

/// Maps and handles that a destructor is the last to have.
static LAST: Mutex<Vec<Box<dyn Send>>> = Mutex::new(Vec::new());

/// What is alive of the values of the maps in [`LAST`].
static ALIVE: AtomicUsize = AtomicUsize::new(0);

struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, SeqCst);
        Self
    }
}

impl Clone for Alive {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, SeqCst);
    }
}

/// Polls once, which is enough.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("an operation in memory was not ready at once"),
    }
}

fn values(key: &str) -> Vec<String> {
    let history = MAP.history(key, 99);
    history.into_iter().map(|entry| entry.value).collect()
}

/// What destructors do, by name. Each may use what is there at the beginning, and leaves it
/// as [`check_afterwards`] expects.
const ACTIONS: [(&str, fn()); 31] = [
    ("get", || {
        assert_eq!(MAP.get("key").as_deref(), Some("three"))
    }),
    ("get mirrored", || assert_eq!(NUMBERS.get("small"), Some(7))),
    ("get nothing", || {
        assert_eq!(MAP.get("nobody"), None);
        assert_eq!(NUMBERS.get("nobody"), None);
        assert!(MAP.get_versioned("nobody").is_none());
        assert!(MAP.history("nobody", 9).is_empty());
        assert!(!MAP.contains("nobody"));
        assert_eq!(MAP.remove("nobody"), Ok(None));
    }),
    ("with", || {
        assert_eq!(MAP.with("key", String::len), Some(5));
        assert_eq!(NUMBERS.with("small", |number| number + 1), Some(8));
    }),
    ("get_versioned", || {
        let latest = MAP.get_versioned("key").unwrap();
        assert_eq!(latest.value, "three");
        assert_eq!(MAP.history("key", 1), [latest]);
    }),
    ("history", || {
        assert_eq!(values("key"), ["three", "two", "one"]);
        assert_eq!(MAP.history("key", 2).len(), 2);
        assert_eq!(NUMBERS.history("small", 9).len(), 1);
    }),
    ("contains", || {
        assert!(MAP.contains("key") && NUMBERS.contains("small"));
    }),
    ("insert", || {
        let revision = MAP.insert("new", "value".to_owned()).unwrap();
        assert_eq!(MAP.get_versioned("new").unwrap().revision, revision);
        for number in 0..50 {
            MAP.insert("new", format!("{number}")).unwrap();
        }
        assert_eq!(values("new"), ["49", "48", "47", "46", "45"]);
    }),
    ("insert mirrored, up to the maximum", || {
        for number in 0..50 {
            NUMBERS.insert("new", number).unwrap();
            assert_eq!(NUMBERS.get("new"), Some(number));
        }
        NUMBERS.insert("newer", 1).unwrap();
        let refused = NUMBERS.insert("newest", 1);
        assert_eq!(refused, Err(MapError::Full { max_keys: 3 }));
    }),
    ("insert_if", || {
        let latest = MAP.get_versioned("key");
        let expected = Expected::from(latest.as_ref());
        let written = MAP.insert_if("key", "four".to_owned(), expected);
        let actual = Some(written.unwrap());
        let refused = MAP.insert_if("key", "five".to_owned(), expected);
        assert_eq!(refused, Err(MapError::Conflict { expected, actual }));
    }),
    ("update", || {
        let change = |value: Option<&String>| Some(format!("{} and a half", value.unwrap()));
        let updated = MAP.update("key", change).unwrap().unwrap();
        assert_eq!(updated.value, "three and a half");
        assert_eq!(MAP.get_versioned("key"), Some(updated));
        assert_eq!(MAP.update("key", |_| None), Ok(None));
        let brought = MAP.update("new", |value| {
            assert_eq!(value, None);
            Some("value".to_owned())
        });
        assert_eq!(brought.unwrap(), MAP.get_versioned("new"));
    }),
    ("update against another writer", || {
        let mut seen = Vec::new();
        let updated = MAP.update("key", |value| {
            seen.push(value.cloned());
            if seen.len() == 1 {
                MAP.insert("key", "four".to_owned()).unwrap();
            }
            Some("five".to_owned())
        });
        assert_eq!(updated.unwrap().unwrap().value, "five");
        assert_eq!(seen, ["three", "four"].map(|value| Some(value.to_owned())));
    }),
    ("remove", || {
        let latest = MAP.get_versioned("key");
        assert_eq!(MAP.remove("key").unwrap(), latest);
        assert!(!MAP.contains("key"));
        assert_eq!(MAP.remove("key").unwrap(), None);
        assert_eq!(NUMBERS.remove("small").unwrap().unwrap().value, 7);
        assert_eq!(NUMBERS.get("small"), None);
    }),
    ("remove_if", || {
        let latest = MAP.get_versioned("key");
        let refused = MAP.remove_if("key", Expected::Absent);
        assert!(matches!(refused, Err(MapError::Conflict { .. })));
        let removed = MAP.remove_if("key", Expected::from(latest.as_ref()));
        assert_eq!(removed.unwrap(), latest);
    }),
    ("remove and insert", || {
        for number in 0..20 {
            let before = MAP.remove("key").unwrap().unwrap();
            let after = MAP.insert("key", format!("{number}")).unwrap();
            assert!(after > before.revision);
        }
    }),
    ("retain", || {
        let mut seen = BTreeSet::new();
        let removed = MAP.retain(|key, value| {
            seen.insert((key.to_owned(), value.clone()));
            key == "other"
        });
        let expected = [("key", "three"), ("other", "value")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert!(seen.is_superset(&BTreeSet::from(expected)));
        assert_eq!(removed, seen.len() - 1);
        assert_eq!(MAP.keys(), ["other"]);
    }),
    ("retain what is written meanwhile", || {
        let removed = MAP.retain(|key, value| {
            if key == "key" && value == "three" {
                MAP.insert("key", "four".to_owned()).unwrap();
                return false;
            }
            true
        });
        assert_eq!(removed, 0);
        assert_eq!(MAP.get("key").as_deref(), Some("four"));
    }),
    ("clear", || {
        MAP.clear();
        assert!(MAP.is_empty());
        NUMBERS.clear();
        assert_eq!(NUMBERS.len(), 0);
    }),
    ("expiry", || {
        let time_to_live = Duration::from_millis(1);
        let builder = HistoryMap::builder().mirrored().time_to_live(time_to_live);
        let map = builder.build().unwrap();
        map.insert("key", 1).unwrap();
        while map.contains("key") {
            thread::yield_now();
        }
        assert_eq!((map.get("key"), map.len()), (None, 1));
        assert_eq!(map.expire_older_than(Duration::from_secs(3600)), 0);
        assert_eq!(map.sweep(), 1);
        map.insert("key", 2).unwrap();
        map.clear();
        assert_eq!(map.len(), 0);
    }),
    ("for_each", || {
        let mut seen = BTreeSet::new();
        MAP.for_each(|key, _| assert!(seen.insert(key.to_owned())));
        assert!(seen.contains("key") && seen.contains("other"));
        assert_eq!(MAP.keys().into_iter().collect::<BTreeSet<_>>(), seen);
        assert_eq!(MAP.len(), seen.len());
        NUMBERS.for_each(|key, number| assert_eq!((key, *number), ("small", 7)));
    }),
    ("stats", || {
        let stats = MAP.stats();
        assert_eq!(stats.keys, MAP.len() as u64);
        assert!(stats.writes >= 4 && stats.versions >= 4);
        assert_eq!(
            format!("{:?}", *NUMBERS),
            "HistoryMap { keys: 1, history: 1, max_keys: Some(3), time_to_live: None, .. }"
        );
    }),
    ("pin", || {
        let seen = MAP.pin(|view| {
            assert!(view.contains("key") && !view.contains("nobody"));
            assert_eq!(view.with("key", String::len), Some(5));
            assert_eq!(view.history("key", 9).len(), 3);
            assert_eq!(view.get_versioned("key").unwrap().value, "three");
            MAP.insert("new", "value".to_owned()).unwrap();
            assert!(view.contains("new"));
            view.get("key")
        });
        assert_eq!(seen.as_deref(), Some("three"));
        assert_eq!(NUMBERS.pin(|view| view.get("small")), Some(7));
        NUMBERS.pin(|view| assert_eq!(view.history("small", 9).len(), 1));
    }),
    ("a map of its own", || {
        let map = HistoryMap::builder().history(3).build().unwrap();
        for _ in 0..50 {
            map.insert("key", Alive::new()).unwrap();
        }
        map.remove("key").unwrap();
        map.insert("key", Alive::new()).unwrap();
        drop(map);
    }),
    ("the last handle", || drop(LAST.lock().unwrap().pop())),
    ("the store, small", || {
        assert_eq!(STORE.get("ada").unwrap().updated_at_unix_ms(), 3);
        assert_eq!(STORE.with("ada", State::updated_at_unix_ms), Some(3));
        assert_eq!(STORE.history("ada", 9).len(), 3);
        STORE.insert(small("ada", 4)).unwrap();
        STORE.insert(small("alan", 4)).unwrap();
        assert_eq!(STORE.get("ada").unwrap().updated_at_unix_ms(), 4);
        assert!(STORE.remove("ada").unwrap());
    }),
    ("the store, large", || {
        assert_eq!(STORE.get("grace").unwrap().axes().count(), 20);
        assert_eq!(STORE.with("grace", |state| state.axes().count()), Some(20));
        STORE.insert(large("grace", 4)).unwrap();
        STORE.insert(large(&"x".repeat(100), 4)).unwrap();
        assert_eq!(STORE.history("grace", 9).len(), 4);
        assert!(STORE.remove("grace").unwrap());
    }),
    ("the store, changes", || {
        let change = |state: Option<&State>| state.unwrap().to_builder().updated_at(9);
        let updated = STORE.update("ada", change).unwrap().unwrap();
        assert_eq!(updated.value.updated_at_unix_ms(), 9);
        let patch = Patch::new(Source::SelfReport).axis("warmth", 0.5);
        let Patched::Written { value, revision } = STORE.patch("ada", &patch).unwrap() else {
            panic!("it sets a value");
        };
        assert_eq!(value.get_axis("warmth"), 0.5);
        let only_first = patch.expecting(Expected::Absent);
        assert!(STORE.patch("ada", &only_first).is_err());
        let idle = Patch::new(Source::SelfReport).expecting(Expected::At(revision));
        assert_eq!(
            STORE.patch("ada", &idle).unwrap(),
            Patched::Unchanged { value, revision }
        );
        assert!(STORE.retain(|_, state| state.updated_at_unix_ms() >= 5) >= 1);
        assert_eq!(STORE.expire_older_than(Duration::from_secs(3600)), 0);
        assert_eq!(STORE.sweep(), 0);
        assert_eq!(STORE.user_ids(), ["ada"]);
        assert_eq!(STORE.stats().keys, 1);
    }),
    ("the store's contract", || {
        let store: &dyn StateStore = &*STORE;
        assert!(ready(store.get_latest("ada")).unwrap().is_some());
        assert!(ready(store.get_latest("grace")).unwrap().is_some());
        assert!(ready(store.get_latest("no id")).is_err());
        let latest = ready(store.get_latest_versioned("grace")).unwrap().unwrap();
        let history = ready(store.get_history("grace", 9)).unwrap();
        assert_eq!(history.len(), 3);
        assert_eq!(history[0], latest.value);
        ready(store.upsert_latest(small("ada", 4))).unwrap();
        let expected = Expected::At(latest.revision);
        ready(store.upsert_if(large("grace", 5), expected)).unwrap();
        assert!(ready(store.upsert_if(large("grace", 6), expected)).is_err());
        let found = ready(store.get_many(&["ada", "nobody", "grace"])).unwrap();
        assert_eq!(found.iter().flatten().count(), 2);
        let results = ready(store.upsert_many(vec![small("alan", 1), large("ada", 2)]));
        assert!(results.iter().all(Result::is_ok));
        assert!(ready(store.require_latest("ada")).is_ok());
        let change = |state: Option<&State>| state.unwrap().to_builder().updated_at(9);
        assert!(ready(store.update_latest("ada", change)).unwrap().is_some());
        let patch = Patch::new(Source::SelfReport).axis("b", 0.5);
        let patched = ready(store.patch_latest("ada", &patch)).unwrap();
        assert!(matches!(patched, Patched::Written { .. }));
        assert!(ready(store.delete("ada")).unwrap());
        assert!(!ready(store.delete("ada")).unwrap());
        ready(store.health_check()).unwrap();
    }),
    ("the last handle of a store", || {
        drop(LAST.lock().unwrap().pop())
    }),
    ("values that use the map when they are dropped", || {
        for _ in 0..20 {
            ACTING.insert("key", Acting).unwrap();
        }
        ACTING.clear();
    }),
    ("threads of its own", || {
        let read = thread::spawn(|| (MAP.get("key"), NUMBERS.get("small")));
        let (text, number) = read.join().unwrap();
        assert_eq!((text.as_deref(), number), (Some("three"), Some(7)));
    }),
];

static ACTING: LazyLock<HistoryMap<Acting>> = LazyLock::new(HistoryMap::default);

#[derive(Clone)]
struct Acting;

impl Drop for Acting {
    fn drop(&mut self) {
        MAP.insert("dropped", "value".to_owned()).unwrap();
        drop(MAP.get("key"));
        drop(MAP.remove("dropped"));
        let _ = NUMBERS.get("small");
    }
}

/// One scenario, in a process of its own.
fn run(order: Order, action: fn(), threads: usize) {
    LazyLock::force(&MAP);
    LazyLock::force(&NUMBERS);
    LazyLock::force(&STORE);
    LAST.lock().unwrap().push(Box::new({
        let map = HistoryMap::builder().history(20).build().unwrap();
        for number in 0..200 {
            map.insert(&format!("key-{}", number % 5), Alive::new())
                .unwrap();
        }
        (Arc::new(map), STORE.clone())
    }));
    if threads == 0 {
        // The main thread ends with the process.
        return prepare(order, action);
    }
    for ended in 0..threads {
        if ended > 0 {
            restore();
        }
        let thread = thread::spawn(move || prepare(order, action));
        thread.join().unwrap();
    }
    check_afterwards();
}

/// Brings back what an action has changed.
fn restore() {
    MAP.clear();
    for value in ["one", "two", "three"] {
        MAP.insert("key", value.to_owned()).unwrap();
    }
    MAP.insert("other", "value".to_owned()).unwrap();
    NUMBERS.clear();
    NUMBERS.insert("small", 7).unwrap();
    STORE.clear();
    for at in 1..=3 {
        STORE.insert(small("ada", at)).unwrap();
        STORE.insert(large("grace", at)).unwrap();
    }
}

/// Everything works as ever, and what was to be dropped is.
fn check_afterwards() {
    restore();
    assert_eq!(values("key"), ["three", "two", "one"]);
    assert_eq!(NUMBERS.get("small"), Some(7));
    LAST.lock().unwrap().clear();
    for _ in 0..10 {
        MAP.insert("settle", String::new()).unwrap();
        MAP.remove("settle").unwrap();
    }
    assert_eq!(ALIVE.load(SeqCst), 0);
}

/// This binary, told to run one scenario. Fails unless as many destructors as expected
/// have come to their end.
fn spawn(order: Order, action: &str, threads: usize) -> Result<(), String> {
    let scenario = format!("{order:?}/{action}/{threads}");
    let output = Command::new(env::current_exe().unwrap())
        // With one thread for the tests, the main thread runs them.
        .args([
            "--exact",
            "scenario",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(SCENARIO, &scenario)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let done = text.matches(DONE).count();
    if output.status.success() && text.contains("1 passed") && done == threads.max(1) {
        return Ok(());
    }
    Err(format!("{scenario}: {}\n{text}\n", output.status))
}

/// Not a test by itself: what the others run in a process of its own.
#[test]
#[ignore = "the other tests run it"]
fn scenario() {
    let Ok(scenario) = env::var(SCENARIO) else {
        return;
    };
    let parts: Vec<_> = scenario.split('/').collect();
    let [order, action, threads] = parts[..] else {
        panic!("{scenario} is no scenario");
    };
    let known = |known: &Order| format!("{known:?}") == order;
    let order = ORDERS.into_iter().find(known).unwrap();
    let (_, action) = ACTIONS
        .into_iter()
        .find(|(name, _)| *name == action)
        .unwrap();
    run(order, action, threads.parse().unwrap());
}

/// All actions in that order, in threads and in the main thread.
#[track_caller]
fn check(order: Order) {
    let mut failed = String::new();
    for (action, _) in ACTIONS {
        for threads in [3, 0] {
            if let Err(text) = spawn(order, action, threads) {
                failed.push_str(&text);
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

#[test]
fn when_the_maps_variables_are_there() {
    check(Order::After);
}

#[test]
fn when_the_maps_variables_are_gone() {
    check(Order::Before);
}

#[test]
fn when_the_destructor_is_the_first_to_use_the_map() {
    check(Order::Never);
}

#[test]
fn when_another_crate_has_used_the_reclaimers() {
    for order in ORDERS {
        if !matches!(order, Order::After | Order::Before | Order::Never) {
            check(order);
        }
    }
}
