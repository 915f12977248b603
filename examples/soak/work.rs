//! What the threads of a soak do, and what is left of it.
//!
//! A soak has a map and a store, whose values can be counted in the one and have the
//! two forms of a state in the other. It goes in rounds. In a round all threads work,
//! each in its role; after it they stand still, and what is in memory can be counted.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use attuned_store::{Expected, HistoryMap, MemoryStore, State, Versioned};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// How many operations a thread does between two looks at whether the round is over.
const AT_A_TIME: u64 = 1_000;
/// How many of them a thread does that then ends.
const OF_A_VISITOR: u64 = 200;
/// How many versions a thread may keep that has evicted them and sleeps: in a process with
/// few threads, as it is documented of the map, and with any number.
const KEPT_BY_A_SLEEPER: usize = 8;
const KEPT_AMONG_MANY: usize = 80;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// A value that is counted as long as it is in memory.
pub struct Counted(u64);

impl Counted {
    fn new(number: u64) -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Self(number)
    }

    /// How many there are, copies included.
    pub fn live() -> usize {
        LIVE.load(Ordering::Relaxed)
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

pub struct Plan {
    /// How many threads read, write and remove.
    pub workers: usize,
    /// How many keys there are at most, and users.
    pub keys: usize,
    /// How many values of each are kept.
    pub history: usize,
    pub round: Round,
}

/// How long a round is: each thread works this long, and this many times.
#[derive(Clone, Copy)]
pub struct Round {
    pub lasts: Duration,
    pub times: u64,
}

pub struct Soak {
    plan: Plan,
    keys: Vec<String>,
    map: HistoryMap<Counted>,
    store: MemoryStore,
    pub done: Done,
}

/// What was done so far.
#[derive(Default)]
pub struct Done {
    pub writes: AtomicU64,
    pub removals: AtomicU64,
    pub reads: AtomicU64,
    /// Threads that have come and gone.
    pub visitors: AtomicU64,
}

/// What was read by one thread and is dropped by another.
type Handed = (Option<Versioned<Counted>>, Option<State>);

/// What a thread does in a round.
enum Role {
    /// Reads, writes and removes.
    Works,
    Reads,
    /// Drops what others have written: what they have read, and by removals what is in
    /// the map. It writes nothing.
    Drops(Receiver<Handed>),
    /// Starts threads, each of which works a little and ends.
    HasVisitors,
}

impl Soak {
    pub fn new(plan: Plan) -> Result<Self, attuned_store::ConfigError> {
        Ok(Self {
            keys: (0..plan.keys).map(|key| format!("user_{key}")).collect(),
            map: HistoryMap::builder().history(plan.history).build()?,
            store: MemoryStore::builder().history(plan.history).build()?,
            done: Done::default(),
            plan,
        })
    }

    /// Goes round after round until `after_each` has had enough. It is called when all
    /// threads stand still.
    ///
    /// # Panics
    ///
    /// If a thread does, or `after_each`, when all threads have ended.
    pub fn run(&self, mut after_each: impl FnMut(&Self) -> ControlFlow<()>) {
        let (hand, handed) = mpsc::channel();
        let mut roles = vec![Role::Reads, Role::Drops(handed), Role::HasVisitors];
        roles.resize_with(roles.len() + self.plan.workers, || Role::Works);
        let still = StandingStill {
            all: Barrier::new(roles.len() + 1),
            turn: Mutex::new(()),
            ended: AtomicBool::new(false),
        };
        let (wake, asleep) = mpsc::channel::<()>();

        thread::scope(|scope| {
            let (writing, written) = mpsc::channel::<()>();
            let sleeper = scope.spawn(move || {
                self.write_for_once();
                drop(writing);
                let _ = asleep.recv();
            });
            let _ = written.recv();
            let mut threads: Vec<_> = (0..)
                .zip(roles)
                .map(|(seed, role)| {
                    let (still, hand) = (&still, hand.clone());
                    scope.spawn(move || still.work(self, &role, seed, &hand))
                })
                .collect();
            loop {
                still.wait_for_all(); // The round begins,
                still.wait_for_all(); // it is over,
                still.wait_for_all(); // and all is let go of that can be.
                let panicked = still.ended.load(Ordering::Relaxed);
                let looked =
                    catch_unwind(AssertUnwindSafe(|| panicked || after_each(self).is_break()));
                if matches!(looked, Ok(false)) {
                    continue;
                }
                still.ended.store(true, Ordering::Relaxed);
                still.wait_for_all();
                drop(wake);
                threads.push(sleeper);
                threads.into_iter().for_each(end);
                if let Err(panic) = looked {
                    resume_unwind(panic);
                }
                return;
            }
        });
    }

    /// What a thread does that sleeps for the rest of the time: each key becomes full,
    /// and some of its versions are evicted.
    fn write_for_once(&self) {
        for key in &self.keys {
            for number in 0..2 * self.plan.history as u64 {
                self.write(key, number);
            }
        }
    }

    fn works_in(&self, role: &Role, random: &mut SmallRng, hand: &Sender<Handed>) {
        let start = Instant::now();
        let mut times = 0;
        loop {
            let Round {
                lasts,
                times: least,
            } = self.plan.round;
            if times >= least && start.elapsed() >= lasts {
                return;
            }
            times += 1;
            match role {
                Role::Works => self.work(AT_A_TIME, random, hand),
                Role::Reads => self.read(random),
                Role::Drops(handed) => self.drop_some(random, handed),
                Role::HasVisitors => {
                    let seed = random.random();
                    thread::scope(|scope| {
                        end(scope.spawn(|| {
                            self.work(OF_A_VISITOR, &mut SmallRng::seed_from_u64(seed), hand);
                        }));
                    });
                    self.done.visitors.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Half of the work is on a few keys, at which the threads meet.
    fn key(&self, random: &mut SmallRng) -> &str {
        let range = match random.random_range(0..2) {
            0 => self.keys.len().min(4),
            _ => self.keys.len(),
        };
        &self.keys[random.random_range(0..range)]
    }

    /// Removals choose among all alike, or the histories of the few would never be full.
    fn any_key(&self, random: &mut SmallRng) -> &str {
        &self.keys[random.random_range(0..self.keys.len())]
    }

    fn work(&self, operations: u64, random: &mut SmallRng, hand: &Sender<Handed>) {
        let (mut writes, mut removals) = (0, 0);
        for _ in 0..operations {
            let key = self.key(random);
            match random.random_range(0..100) {
                number @ 0..45 => {
                    self.write(key, number);
                    writes += 1;
                }
                45..48 => {
                    self.remove(self.any_key(random));
                    removals += 1;
                }
                48 => {
                    let key = self.any_key(random);
                    let read = self.map.get_versioned(key);
                    let _ = self.map.remove_if(key, Expected::from(read.as_ref()));
                    removals += 1;
                }
                49..52 => {
                    // The thread that drops it has not written it.
                    let _ = hand.send((self.map.get_versioned(key), self.store.get(key)));
                }
                52..75 => {
                    drop(self.map.get(key));
                    drop(self.store.get(key));
                }
                limit => {
                    drop(self.map.history(key, limit as usize - 74));
                    drop(self.store.history(key, limit as usize - 74));
                }
            }
        }
        self.done.writes.fetch_add(writes, Ordering::Relaxed);
        self.done.removals.fetch_add(removals, Ordering::Relaxed);
        let reads = operations - writes - removals;
        self.done.reads.fetch_add(reads, Ordering::Relaxed);
    }

    fn write(&self, key: &str, number: u64) {
        let written = self.map.insert(key, Counted::new(number));
        written.expect("a map without a bound");
        let mut state = State::builder().updated_at(0).axis("warmth", 0.7);
        if number.is_multiple_of(3) {
            // Too large to be beside the user.
            state = state.axis("a_name_that_alone_takes_more_than_forty_bytes", 0.2);
        }
        let snapshot = state.user_id(key).build().expect("a valid snapshot");
        self.store
            .insert(snapshot)
            .expect("a store without a bound");
    }

    fn remove(&self, key: &str) {
        drop(self.map.remove(key).expect("this thread goes on"));
        self.store.remove(key).expect("this thread goes on");
    }

    fn read(&self, random: &mut SmallRng) {
        for _ in 0..AT_A_TIME / 2 {
            let key = self.key(random);
            self.map.with(key, |counted| counted.0);
            self.store.with(key, State::updated_at_unix_ms);
            drop(self.map.get(key));
            drop(self.store.history(key, 3));
        }
        self.done.reads.fetch_add(AT_A_TIME * 2, Ordering::Relaxed);
    }

    fn drop_some(&self, random: &mut SmallRng, handed: &Receiver<Handed>) {
        handed.try_iter().for_each(drop);
        self.remove(self.any_key(random));
        self.done.removals.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_micros(100));
    }

    /// Has dropped what this thread has let go of, which a removal does.
    fn let_go(&self) {
        self.map.retain(|_, _| true);
        self.store.retain(|_, _| true);
    }

    /// How many keys and users there are, and how many values the histories show.
    pub fn shown(&self) -> (usize, usize) {
        let histories = self.keys.iter();
        let values = histories.map(|key| self.map.history(key, usize::MAX).len());
        (self.map.len() + self.store.len(), values.sum())
    }

    /// How many values may be alive that no history shows.
    pub fn may_be_hidden(&self) -> usize {
        // As it is documented of the map.
        let history = self.plan.history;
        let of_each_key = if history > 16 { 19 } else { history };
        self.keys.len() * of_each_key + self.may_be_left()
    }

    /// How many values may be alive when the map is empty.
    pub fn may_be_left(&self) -> usize {
        if self.plan.workers <= 16 {
            KEPT_BY_A_SLEEPER
        } else {
            KEPT_AMONG_MANY
        }
    }

    pub fn empty(&self) {
        self.map.clear();
        self.store.clear();
    }
}

/// Waits until a thread has ended, with the destructors of its thread-local variables:
/// they hand on what the thread has let go of. A scope does not wait for those.
fn end(thread: ScopedJoinHandle<'_, ()>) {
    if let Err(panic) = thread.join() {
        resume_unwind(panic);
    }
}

/// The threads of a soak between two rounds.
struct StandingStill {
    all: Barrier,
    turn: Mutex<()>,
    ended: AtomicBool,
}

impl StandingStill {
    fn wait_for_all(&self) {
        self.all.wait();
    }

    /// A thread of the soak, from the first round to the last. If it panics, the others
    /// end after the round, and then it goes on with its panic.
    fn work(&self, soak: &Soak, role: &Role, seed: u64, hand: &Sender<Handed>) {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut panic: Option<Box<dyn Any + Send>> = None;
        loop {
            self.wait_for_all();
            if self.ended.load(Ordering::Relaxed) {
                break;
            }
            let worked = catch_unwind(AssertUnwindSafe(|| soak.works_in(role, &mut random, hand)));
            self.wait_for_all();
            {
                // One after the other, so that none is inside the map while another
                // waits for its values to be dropped.
                let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
                if let Role::Drops(handed) = role {
                    handed.try_iter().for_each(drop);
                }
                soak.let_go();
            }
            if let Err(caught) = worked {
                panic = Some(caught);
                self.ended.store(true, Ordering::Relaxed);
            }
            self.wait_for_all();
        }
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}
