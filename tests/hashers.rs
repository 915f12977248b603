//! Hashers that the map has to live with: one that panics, and one that takes long, while
//! the map is copied into a larger one.
//!
//! What is wrong here hangs. So each scenario runs in a process of its own: this binary
//! once more, which is ended if it does not come to its end by itself.
//!
//! The keys are numbers, and the search for a key begins at the place of its number. A
//! copy goes through the places in order, and hashes the key at each.

use std::collections::BTreeSet;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use attuned_store::{Expected, HistoryMap, MapError, Unmirrored};

/// What is to happen when the key with a certain number is hashed.
struct Plan {
    armed: AtomicBool,
    number: usize,
    /// Wait here, and then there. Otherwise panic.
    barriers: Option<(Barrier, Barrier)>,
}

#[derive(Clone)]
struct ByNumber(Arc<Plan>);

struct NumberHasher {
    plan: Arc<Plan>,
    number: usize,
}

impl BuildHasher for ByNumber {
    type Hasher = NumberHasher;

    fn build_hasher(&self) -> NumberHasher {
        let plan = Arc::clone(&self.0);
        NumberHasher { plan, number: 0 }
    }
}

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.number = 10 * self.number + usize::from(byte - b'0');
        }
    }

    fn finish(&self) -> u64 {
        let Plan {
            armed,
            number,
            barriers,
        } = &*self.plan;
        if self.number == *number && armed.swap(false, SeqCst) {
            match barriers {
                Some((reached, leave)) => {
                    reached.wait();
                    leave.wait();
                }
                None => panic!("on purpose, when {number} is hashed"),
            }
        }
        let number = self.number as u64;
        // The upper bits tell keys apart that have the same place.
        number | number << 57
    }
}

/// Counts those that are alive.
struct Value(Arc<AtomicUsize>);

impl Value {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

type Map = HistoryMap<Value, Unmirrored, ByNumber>;

const PLACES: usize = 64;

/// The keys: they have all the places at which a search that begins at place 0 looks before
/// it gives up, and are at their own places. Two more make the table half full: otherwise
/// the next one would not be larger.
fn keys() -> BTreeSet<usize> {
    let mut place = 0;
    let steps = (0..=30).map(|step| {
        place = (place + step) % PLACES;
        place
    });
    steps.chain([4, 7]).collect()
}

/// Keys whose places are free.
fn free_places() -> Vec<usize> {
    let keys = keys();
    (0..PLACES).filter(|place| !keys.contains(place)).collect()
}

/// A key that is not there. To take it in, the map needs a larger table.
const NEWCOMER: usize = PLACES;

struct Scene {
    map: Arc<Map>,
    plan: Arc<Plan>,
    alive: Arc<AtomicUsize>,
    keys: BTreeSet<usize>,
}

impl Scene {
    /// Something is to happen when a copy comes to the key with that number.
    fn new(number: usize, waits: bool, max_keys: Option<usize>) -> Self {
        let keys = keys();
        assert!(keys.contains(&number) && keys.len() == 33);
        let plan = Arc::new(Plan {
            armed: AtomicBool::new(false),
            number,
            barriers: waits.then(|| (Barrier::new(2), Barrier::new(2))),
        });
        let builder = HistoryMap::builder()
            .history(2)
            .capacity(PLACES / 4 * 3)
            .hasher(ByNumber(Arc::clone(&plan)));
        let builder = match max_keys {
            Some(keys) => builder.max_keys(keys),
            None => builder,
        };
        let (map, alive) = (Arc::new(builder.build().unwrap()), Arc::default());
        for key in &keys {
            map.insert(&key.to_string(), Value::new(&alive)).unwrap();
        }
        Self {
            map,
            plan,
            alive,
            keys,
        }
    }

    fn insert(&self, key: usize) -> Result<(), MapError> {
        let value = Value::new(&self.alive);
        self.map.insert(&key.to_string(), value).map(drop)
    }

    /// Has the newcomer come, in whose copy something happens.
    fn insert_newcomer(&self) {
        self.plan.armed.store(true, SeqCst);
        self.insert(NEWCOMER).unwrap();
    }

    /// In a thread of its own, which says when it has come to its end.
    fn spawn(
        &self,
        action: impl FnOnce(&Map, &Arc<AtomicUsize>) + Send + 'static,
    ) -> Arc<AtomicBool> {
        let ended = Arc::new(AtomicBool::new(false));
        let (map, alive) = (Arc::clone(&self.map), Arc::clone(&self.alive));
        let tell = Arc::clone(&ended);
        thread::spawn(move || {
            action(&map, &alive);
            tell.store(true, SeqCst);
        });
        ended
    }

    /// What goes on whatever has become of a copy.
    fn reads_and_writes_of_known_keys_go_on(&self) {
        let map = &*self.map;
        for key in &self.keys {
            let text = key.to_string();
            assert!(map.get(&text).is_some());
            assert!(map.contains(&text));
            assert_eq!(map.with(&text, |_| ()), Some(()));
            let latest = map.get_versioned(&text);
            self.insert(*key).unwrap();
            let expected = Expected::from(latest.as_ref());
            let late = map.insert_if(&text, Value::new(&self.alive), expected);
            assert!(matches!(late, Err(MapError::Conflict { .. })));
            let updated = map.update(&text, |value| value.cloned()).unwrap();
            assert!(updated.is_some());
            assert_eq!(map.history(&text, 9).len(), 2);
        }
        let mut visited = BTreeSet::new();
        map.for_each(|key, _| assert!(visited.insert(key.parse().unwrap())));
        assert_eq!(visited, self.keys);
        assert_eq!(map.retain(|_, _| true), 0);
        assert_eq!(map.len(), self.keys.len());
        assert_eq!(map.stats().keys, self.keys.len() as u64);
        map.pin(|view| assert!(self.keys.iter().all(|key| view.contains(&key.to_string()))));
        for absent in [free_places()[0], 1_000] {
            let text = absent.to_string();
            assert!(map.get(&text).is_none() && map.history(&text, 9).is_empty());
            assert!(map.remove(&text).unwrap().is_none());
        }
    }

    /// Removes a key to whose place the copy has not come.
    fn remove_unreached(&mut self, key: usize) {
        assert!(self.plan.number < key && self.keys.remove(&key));
        let text = key.to_string();
        assert!(self.map.remove(&text).unwrap().is_some());
        assert!(!self.map.contains(&text));
        assert_eq!(self.map.len(), self.keys.len());
    }
}

/// Lets others run until it is so. If it never is, the parent process ends this one.
fn wait_until(so: impl Fn() -> bool) {
    while !so() {
        thread::yield_now();
    }
}

/// The hasher panics at a place, the first one, the last one, or one in between.
fn panic_at(number: usize, max_keys: Option<usize>) -> Scene {
    let scene = Scene::new(number, false, max_keys);
    let newcomer = catch_unwind(AssertUnwindSafe(|| scene.insert_newcomer()));
    assert!(newcomer.is_err());
    assert!(!scene.map.contains(&NEWCOMER.to_string()));
    scene
}

const BOUNDS: [Option<usize>; 3] = [None, Some(33), Some(1_000)];

const SCENARIOS: [(&str, fn()); 7] = [
    ("a panic in a lookup", || {
        let scene = Scene::new(0, false, None);
        let reads: [fn(&Map); 6] = [
            |map| drop(map.get("0")),
            |map| drop(map.history("0", 9)),
            |map| drop(map.remove("0")),
            |map| drop(map.update("0", |_| panic!("not asked"))),
            |map| drop(map.insert_if("0", map.get("1").unwrap(), Expected::Any)),
            |map| map.pin(|view| assert!(view.contains("0"))),
        ];
        for read in reads {
            scene.plan.armed.store(true, SeqCst);
            let read = catch_unwind(AssertUnwindSafe(|| read(&scene.map)));
            assert!(read.is_err());
            scene.reads_and_writes_of_known_keys_go_on();
        }
        scene.insert(NEWCOMER).unwrap();
        scene.map.clear();
        assert_eq!(scene.alive.load(SeqCst), 0);
    }),
    ("reads and writes after a panic in a copy", || {
        for number in [0, 28, *keys().last().unwrap()] {
            // There is room for the newcomer, who did not come.
            for max_keys in [None, Some(34), Some(1_000)] {
                let scene = panic_at(number, max_keys);
                scene.reads_and_writes_of_known_keys_go_on();
            }
        }
    }),
    ("removals after a panic in a copy", || {
        for max_keys in [None, Some(34), Some(1_000)] {
            let mut scene = panic_at(0, max_keys);
            for key in [1, 3, 28] {
                scene.remove_unreached(key);
                scene.reads_and_writes_of_known_keys_go_on();
            }
        }
    }),
    ("a panic in a copy keeps no place", || {
        // A full map refuses before it copies.
        let scene = Scene::new(0, false, Some(33));
        scene.plan.armed.store(true, SeqCst);
        let refused = scene.insert(NEWCOMER);
        assert_eq!(refused, Err(MapError::Full { max_keys: 33 }));

        let mut scene = panic_at(0, Some(34));
        // A newcomer that finds a free place in the old table, and one that finds none.
        let [free, another, ..] = free_places()[..] else {
            panic!("too many keys");
        };
        scene.insert(free).unwrap();
        scene.keys.insert(free);
        let refused = scene.insert(another);
        assert_eq!(refused, Err(MapError::Full { max_keys: 34 }));
        assert_eq!(scene.map.len(), 34);
    }),
    ("others that wait after a panic in a copy", || {
        for max_keys in [None, Some(1_000)] {
            let mut scene = panic_at(28, max_keys);
            // These never come back. The effect of the removal is there all the same.
            let removal = scene.spawn(|map, _| drop(map.remove("0").unwrap()));
            wait_until(|| !scene.map.contains("0"));
            let newcomer = scene.spawn(|map, alive| {
                map.insert(&NEWCOMER.to_string(), Value::new(alive))
                    .unwrap();
            });
            let retain = scene.spawn(|map, _| assert_eq!(map.retain(|key, _| key != "1"), 1));
            wait_until(|| !scene.map.contains("1"));
            assert!(scene.keys.remove(&0) && scene.keys.remove(&1));
            let map = &*scene.map;
            for key in &scene.keys {
                assert!(map.get(&key.to_string()).is_some());
                scene.insert(*key).unwrap();
            }
            // They hold up no value.
            for _ in 0..1_000 {
                scene.insert(45).unwrap();
            }
            assert!(scene.alive.load(SeqCst) < 500);
            assert!(map.get("0").is_none() && map.history("0", 9).is_empty());
            for key in [36, 45] {
                assert!(scene.keys.remove(&key));
                assert!(map.remove(&key.to_string()).unwrap().is_some());
            }
            let mut visited = BTreeSet::new();
            map.for_each(|key, _| assert!(visited.insert(key.parse().unwrap())));
            assert_eq!(visited, scene.keys);
            assert!(!removal.load(SeqCst) && !newcomer.load(SeqCst));
            assert!(!retain.load(SeqCst));
        }
    }),
    ("the end of a map after a panic in a copy", || {
        for number in [0, 28] {
            let scene = panic_at(number, None);
            scene.reads_and_writes_of_known_keys_go_on();
            let alive = Arc::clone(&scene.alive);
            drop(scene);
            // What is left is the key at which it was, with its history, and the value
            // of the newcomer.
            let left = alive.load(SeqCst);
            assert!((2 + 1..=4 + 1).contains(&left), "{left}");
        }
    }),
    ("a copy that takes long", || {
        for max_keys in BOUNDS {
            let max_keys = max_keys.map(|keys| keys.max(35));
            let mut scene = Scene::new(0, true, max_keys);
            let plan = Arc::clone(&scene.plan);
            let (reached, leave) = plan.barriers.as_ref().unwrap();
            scene.plan.armed.store(true, SeqCst);
            let newcomer = scene.spawn(|map, alive| {
                map.insert(&NEWCOMER.to_string(), Value::new(alive))
                    .unwrap();
            });
            reached.wait();

            scene.reads_and_writes_of_known_keys_go_on();
            for key in [1, 3, 28] {
                scene.remove_unreached(key);
            }
            scene.reads_and_writes_of_known_keys_go_on();

            // A removal of what was reached waits, without a lock that others need.
            let removal = scene.spawn(|map, _| drop(map.remove("0").unwrap()));
            wait_until(|| !scene.map.contains("0"));
            assert!(scene.keys.remove(&0));
            for key in [36, 45] {
                scene.remove_unreached_while_waiting(key);
            }
            // And so does a write of the key that was removed.
            let second = scene.spawn(|map, alive| {
                map.insert("0", Value::new(alive)).unwrap();
            });
            for key in &scene.keys {
                scene.insert(*key).unwrap();
                assert!(scene.map.get(&key.to_string()).is_some());
            }
            assert!(!removal.load(SeqCst) && !second.load(SeqCst));
            assert!(!newcomer.load(SeqCst));

            leave.wait();
            wait_until(|| {
                [&newcomer, &removal, &second]
                    .iter()
                    .all(|end| end.load(SeqCst))
            });
            scene.keys.extend([0, NEWCOMER]);
            let map = &*scene.map;
            let there: BTreeSet<usize> =
                map.keys().iter().map(|key| key.parse().unwrap()).collect();
            assert_eq!(there, scene.keys);
            assert_eq!(map.len(), scene.keys.len());
            if let Some(max_keys) = max_keys {
                let places = max_keys - scene.keys.len();
                for key in (10_000..).take(places) {
                    scene.insert(key).unwrap();
                }
                assert_eq!(scene.insert(1_000), Err(MapError::Full { max_keys }));
            }
            map.clear();
            assert!(map.is_empty());
            wait_until(|| {
                map.clear();
                map.insert("7", Value::new(&scene.alive)).unwrap();
                map.clear();
                scene.alive.load(SeqCst) == 0
            });
        }
    }),
];

impl Scene {
    /// The same as [`remove_unreached`](Self::remove_unreached) while the map still
    /// counts keys that are being removed.
    fn remove_unreached_while_waiting(&mut self, key: usize) {
        assert!(self.plan.number < key && self.keys.remove(&key));
        let text = key.to_string();
        assert!(self.map.remove(&text).unwrap().is_some());
        assert!(!self.map.contains(&text));
    }
}

const SCENARIO: &str = "ATTUNED_STORE_HASHER";

/// Not a test by itself: what the others run in a process of its own.
#[test]
#[ignore = "the other tests run it"]
fn scenario() {
    let Ok(name) = env::var(SCENARIO) else {
        return;
    };
    let (_, run) = SCENARIOS
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap();
    run();
}

/// Far more than any of them takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Ends a process that hangs.
fn succeeds(mut child: Child) -> bool {
    let begun = Instant::now();
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return status.success(),
            None if begun.elapsed() > LIMIT => {
                child.kill().unwrap();
                child.wait().unwrap();
                return false;
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[test]
fn every_scenario_comes_to_its_end() {
    let children = SCENARIOS.map(|(name, _)| {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "scenario", "--ignored", "--nocapture"])
            .env(SCENARIO, name)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        (name, child.unwrap())
    });
    let failed: Vec<_> = children
        .into_iter()
        .filter_map(|(name, child)| (!succeeds(child)).then_some(name))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}
