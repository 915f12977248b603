//! Runs programs on real threads and records what they see.

use std::hint;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::announce;
use crate::history::Observed;
use crate::program::{Interface, Operation, Pause, Program, Step, User, Value};
use crate::specification::{Outcome, Performed};

/// A store that can be recorded.
///
/// Snapshots are made before an operation is called and looked into after it
/// has returned, so that the recorded times enclose little else than the store.
pub trait Subject: Send + Sync + 'static {
    /// What is written.
    type Snapshot;
    /// What is read.
    type Found;
    /// What tells a user's writes apart.
    type Revision: Copy;

    /// Whether it has the conditional operations. If not, no program does.
    const CONDITIONAL: bool;

    fn snapshot(&self, user: User, value: Value, large: bool) -> Self::Snapshot;
    fn value(found: &Self::Found) -> Value;

    fn upsert(&self, interface: Interface, user: User, snapshot: Self::Snapshot);
    fn get_latest(&self, interface: Interface, user: User) -> Option<Self::Found>;
    fn get_history(&self, interface: Interface, user: User, limit: usize) -> Vec<Self::Found>;
    /// The oldest that are kept, oldest first.
    fn get_oldest(&self, interface: Interface, user: User, limit: usize) -> Vec<Self::Found>;
    /// Those that came after a revision, or all without one; newest first.
    fn get_since(
        &self,
        interface: Interface,
        user: User,
        revision: Option<Self::Revision>,
    ) -> Vec<Self::Found>;
    /// Whether there was something to delete, if the store says so.
    fn delete(&self, interface: Interface, user: User) -> Option<bool>;

    fn get_versioned(
        &self,
        interface: Interface,
        user: User,
    ) -> Option<(Self::Found, Self::Revision)>;
    /// The revision of the write, or `None` if it found something else than it
    /// expected.
    fn upsert_if(
        &self,
        interface: Interface,
        user: User,
        snapshot: Self::Snapshot,
        expected: Option<Self::Revision>,
    ) -> Option<Self::Revision>;
    /// Writes in the place of what is there, and returns what that was, and whether the
    /// write was made. It may give up if others write again and again.
    fn update(
        &self,
        interface: Interface,
        user: User,
        value: Value,
        large: bool,
    ) -> (Option<Value>, bool);
    /// Whether the latest snapshot was the one that was read or written with this value
    /// and revision, or was absent as expected. If so, the user is deleted.
    fn delete_if(
        &self,
        interface: Interface,
        user: User,
        expected: Option<(Value, Self::Revision)>,
    ) -> bool;
}

/// What a thread remembers of each user: the last snapshot that it has read or
/// stored together with its revision.
struct Memory<S: Subject>([Option<(Value, S::Revision)>; User::ALL.len()]);

impl<S: Subject> Memory<S> {
    fn new() -> Self {
        Self([None; User::ALL.len()])
    }
}

/// The clock that all threads of a run share: the number of operations that
/// have returned.
///
/// It is the weakest clock that never accuses falsely. If an operation is
/// recorded as called after another has returned, then the call's load has seen
/// the return's increment, and by release and acquire the one *happens before*
/// the other in the sense of the memory model: a store must show its effect. No
/// such thing follows from the times of a wall clock or a processor's cycle
/// counter, however well they agree; on weakly ordered processors their order
/// of two operations could be held against a correct store.
///
/// What it hides: the increment orders a thread's operation before all that
/// follows, and on x86 it drains the store buffer. An effect that would become
/// visible to others only some time after its operation has returned is made
/// visible by recording it. Within an operation the clock orders nothing, and a
/// call is a plain load, but its cache line travels between the cores and keeps
/// them somewhat in step. The weak orders that this cannot show are for the
/// models.
#[derive(Default)]
pub struct Clock(AtomicUsize);

impl Clock {
    fn call(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn ret(&self) -> usize {
        self.0.fetch_add(1, Ordering::Release)
    }
}

/// One run of a program, as the threads share it.
struct Run<S> {
    program: Program,
    store: S,
    clock: Clock,
    /// How many threads have come to the start.
    arrived: AtomicUsize,
    /// How many have done their part.
    finished: AtomicUsize,
}

impl<S: Subject> Run<S> {
    fn new(program: Program, store: S) -> Self {
        for value in program.written_before() {
            for &user in program.users {
                let snapshot = store.snapshot(user, value, value % 2 == 0);
                store.upsert(Interface::Inherent, user, snapshot);
            }
        }
        Self {
            program,
            store,
            clock: Clock::default(),
            arrived: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
        }
    }

    fn thread(&self, thread: usize) -> Vec<Observed> {
        let steps = &self.program.threads[thread];
        let mut observed = Vec::with_capacity(steps.len());
        let mut memory = Memory::new();
        self.wait_for_the_others();
        for step in steps {
            observed.push(self.step(thread, step, &mut memory));
        }
        let others = self.program.threads.len() - 1;
        if self.finished.fetch_add(1, Ordering::AcqRel) == others {
            observed.extend(self.reads_of_what_is_left());
        }
        observed
    }

    /// Waits on the processor, if it is to be had.
    fn wait_for_the_others(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        let mut turns = 0u32;
        while !self.has_started() {
            turns += 1;
            if turns.is_multiple_of(64) {
                thread::yield_now();
            } else {
                hint::spin_loop();
            }
        }
    }

    fn has_started(&self) -> bool {
        self.arrived.load(Ordering::Acquire) >= self.program.threads.len()
    }

    fn step(&self, thread: usize, step: &Step, memory: &mut Memory<S>) -> Observed {
        let &Step {
            pause,
            user,
            operation,
            interface,
            large,
        } = step;
        let Self { store, clock, .. } = self;
        let memory = &mut memory.0[user.index()];
        pause.take();
        let (called, returned, outcome);
        match operation {
            Operation::Upsert(value) => {
                let snapshot = store.snapshot(user, value, large);
                called = clock.call();
                store.upsert(interface, user, snapshot);
                returned = clock.ret();
                outcome = Outcome::Upserted;
            }
            Operation::GetLatest => {
                called = clock.call();
                let latest = store.get_latest(interface, user);
                returned = clock.ret();
                outcome = Outcome::Latest(latest.as_ref().map(S::value));
            }
            Operation::GetHistory { limit } => {
                called = clock.call();
                let history = store.get_history(interface, user, limit);
                returned = clock.ret();
                outcome = Outcome::History(history.iter().map(S::value).collect());
            }
            Operation::GetOldest { limit } => {
                called = clock.call();
                let oldest = store.get_oldest(interface, user, limit);
                returned = clock.ret();
                outcome = Outcome::History(oldest.iter().map(S::value).collect());
            }
            Operation::GetSince => {
                let revision = memory.map(|(_, revision)| revision);
                called = clock.call();
                let since = store.get_since(interface, user, revision);
                returned = clock.ret();
                outcome = Outcome::Since {
                    last: memory.map(|(value, _)| value),
                    values: since.iter().map(S::value).collect(),
                };
            }
            Operation::Delete => {
                called = clock.call();
                let deleted = store.delete(interface, user);
                returned = clock.ret();
                outcome = Outcome::Deleted(deleted);
            }
            Operation::GetVersioned => {
                called = clock.call();
                let latest = store.get_versioned(interface, user);
                returned = clock.ret();
                *memory = latest.map(|(found, revision)| (S::value(&found), revision));
                outcome = Outcome::Latest(memory.map(|(value, _)| value));
            }
            Operation::UpsertIf(value) => {
                let snapshot = store.snapshot(user, value, large);
                let expected = memory.map(|(_, revision)| revision);
                called = clock.call();
                let written = store.upsert_if(interface, user, snapshot, expected);
                returned = clock.ret();
                outcome = Outcome::If {
                    expected: memory.map(|(value, _)| value),
                    done: written.is_some(),
                };
                if let Some(revision) = written {
                    *memory = Some((value, revision));
                }
            }
            Operation::Update(value) => {
                called = clock.call();
                let (expected, done) = store.update(interface, user, value, large);
                returned = clock.ret();
                outcome = Outcome::If { expected, done };
            }
            Operation::DeleteIf => {
                called = clock.call();
                let done = store.delete_if(interface, user, *memory);
                returned = clock.ret();
                let expected = memory.map(|(value, _)| value);
                outcome = Outcome::If { expected, done };
            }
        }
        Observed {
            thread,
            user,
            performed: Performed { operation, outcome },
            called,
            returned,
        }
    }

    /// What is left in the end has to be explained too. The thread that
    /// finishes last reads it, as one thread more.
    fn reads_of_what_is_left(&self) -> impl Iterator<Item = Observed> {
        let reads = [
            Operation::GetHistory { limit: usize::MAX },
            Operation::GetLatest,
        ];
        self.program.users.iter().flat_map(move |&user| {
            reads.map(|operation| {
                let step = Step {
                    pause: Pause::None,
                    user,
                    operation,
                    interface: Interface::Inherent,
                    large: false,
                };
                self.step(self.program.threads.len(), &step, &mut Memory::new())
            })
        })
    }
}

/// What a thread has to do, one after the other.
type Batch<S> = Arc<[Run<S>]>;

/// What it has observed in each, or its panic.
type Log = thread::Result<Vec<Vec<Observed>>>;

/// Threads that run programs.
///
/// A program is so short that threads started, or only woken, for it would
/// hardly meet. So they are started once, and run many programs of as many
/// threads from one waking to the next.
pub struct Recorder<S> {
    threads: Vec<Sender<Batch<S>>>,
    logs: Receiver<Log>,
}

impl<S: Subject> Recorder<S> {
    pub fn new() -> Self {
        let (log, logs) = mpsc::channel();
        let threads = (0..Program::MOST_THREADS)
            .map(|index| {
                let (batch, batches) = mpsc::channel::<Batch<S>>();
                let log = log.clone();
                thread::spawn(move || {
                    for batch in batches {
                        let observed = observe_all(&batch, index);
                        if log.send(observed).is_err() {
                            return;
                        }
                    }
                });
                batch
            })
            .collect();
        Self { threads, logs }
    }

    /// Runs programs, all of the same number of threads, and returns what was
    /// observed in each.
    ///
    /// # Panics
    ///
    /// If the store does, with its panic.
    pub fn record(
        &self,
        programs: &[Program],
        store: impl Fn(&Program) -> S,
    ) -> Vec<Vec<Observed>> {
        let Some(first) = programs.first() else {
            return Vec::new();
        };
        let runs: Batch<S> = programs
            .iter()
            .map(|program| Run::new(program.clone(), store(program)))
            .collect();
        let threads = &self.threads[..first.threads.len()];
        for thread in threads {
            thread
                .send(Arc::clone(&runs))
                .expect("a recording thread ends only with its recorder");
        }
        let mut observed = vec![Vec::new(); programs.len()];
        for _ in threads {
            for (all, of_one_thread) in observed.iter_mut().zip(self.log(&runs)) {
                all.extend(of_one_thread);
            }
        }
        observed
    }

    /// What one of the threads has recorded.
    ///
    /// # Panics
    ///
    /// If no program has begun or ended for a minute, which is tens of thousands
    /// of times as long as one takes: then it never will. (A reader that looks
    /// for a version that is gone, for instance, looks for ever.) A single
    /// minute is not enough, because the whole process may have been stopped.
    fn log(&self, runs: &[Run<S>]) -> Vec<Vec<Observed>> {
        let mut begun = None;
        loop {
            match self.logs.recv_timeout(Duration::from_secs(60)) {
                Ok(Ok(observed)) => return observed,
                Ok(Err(panic)) => panic::resume_unwind(panic),
                Err(RecvTimeoutError::Timeout) => {
                    let latest = runs.iter().rposition(Run::has_started);
                    if let Some(latest) = latest.filter(|_| begun == Some(latest)) {
                        panic!("no end of {}", runs[latest].program.again());
                    }
                    begun = Some(latest);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("a recording thread ends only with its recorder")
                }
            }
        }
    }
}

/// A thread's part of a batch.
fn observe_all<S: Subject>(batch: &[Run<S>], thread: usize) -> Log {
    let observe = |run: &Run<S>| {
        panic::catch_unwind(AssertUnwindSafe(|| run.thread(thread))).inspect_err(|_| {
            announce(format_args!("a panic in {}", run.program.again()));
            // The other threads shall not wait for this one.
            for run in batch {
                run.arrived
                    .fetch_add(run.program.threads.len(), Ordering::AcqRel);
            }
        })
    };
    batch.iter().map(observe).collect()
}
