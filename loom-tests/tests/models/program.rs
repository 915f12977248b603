//! Programs: what each thread does to a store in a known state, run by loom in
//! every interleaving and judged in each.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use attuned_store::sync::{SetClock, chained_drops, forget_counts, live_values};
use attuned_store::{
    Expected, MemoryStore, State, StateSnapshot, StateStore, StoreError, VersionRange,
};

use crate::depth::{Depth, Preemptions};
use crate::specification::{Observed, Operation, Outcome, Specification, User, Value};

/// The state of the user `Ada` before the threads start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Absent,
    Deleted,
    Versions(usize),
    /// So many versions, whose time to live is over.
    Expired(usize),
}

/// In ticks of the clock, in programs that are about time. Two, and what is there at the
/// start has one left: so the next tick ends its time, and not that of what a thread writes
/// just before.
const TIME_TO_LIVE: u8 = 2;

/// Which snapshots the mirror holds. Its stand-in wants the first version of a timeline to
/// be one of them if any is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sizes {
    /// None.
    #[default]
    Large,
    /// All.
    Small,
    /// The first one and some of the others. Programs with these bring nobody, and remove
    /// nobody.
    Mixed,
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Program {
    pub retention: usize,
    /// The bound on users, if there is one.
    pub max_users: Option<usize>,
    pub start: Start,
    /// Whether the user `Grace` has a version before the threads start, too.
    pub with_grace: bool,
    pub sizes: Sizes,
    /// What each thread does; the first one is the thread that joins the others.
    pub threads: Vec<Vec<Operation>>,
    pub preemptions: Preemptions,
}

impl Program {
    pub fn name(&self) -> String {
        let start = match self.start {
            Start::Absent => "absent".to_owned(),
            Start::Deleted => "deleted".to_owned(),
            Start::Expired(versions) => format!("{versions} expired"),
            Start::Versions(1) => "one version".to_owned(),
            Start::Versions(versions) if versions < self.retention => {
                format!("{versions} versions")
            }
            Start::Versions(versions) if versions == self.retention => "window full".to_owned(),
            Start::Versions(versions) => {
                format!("window full and {} evicted", versions - self.retention)
            }
        };
        let threads: Vec<String> = self
            .threads
            .iter()
            .map(|operations| {
                let operations: Vec<String> = operations.iter().map(ToString::to_string).collect();
                operations.join("; ")
            })
            .collect();
        let bound = self
            .max_users
            .map(|max_users| format!("room for {max_users}, "))
            .unwrap_or_default();
        let sizes = match self.sizes {
            Sizes::Large => "",
            Sizes::Small => "mirrored, ",
            Sizes::Mixed => "large and small, ",
        };
        let grace = if self.with_grace {
            ", other user present"
        } else {
            ""
        };
        format!(
            "retention {}, {sizes}{bound}{start}{grace}: {}",
            self.retention,
            threads.join(" | ")
        )
    }

    /// Whether the store has a time to live.
    fn is_about_time(&self) -> bool {
        let mut operations = self.threads.iter().flatten();
        matches!(self.start, Start::Expired(_))
            || operations.any(|operation| operation.is_about_time())
    }

    /// Whether it keeps to [`Sizes::Mixed`].
    pub fn can_be_mixed(&self) -> bool {
        let mut operations = self.threads.iter().flatten();
        matches!(self.start, Start::Versions(_))
            && operations
                .all(|operation| !operation.removes() && operation.user() == Some(User::Ada))
    }

    /// Runs the program in every interleaving that loom finds and returns how
    /// many there were.
    ///
    /// # Panics
    ///
    /// With the operations as they happened, in the first execution that no
    /// sequential order explains, or after which the store owns more or less
    /// than it may.
    pub fn check(&self, depth: Depth) -> usize {
        let executions = Arc::new(AtomicUsize::new(0));
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = self.preemptions.at(depth);
        builder.max_branches = 10_000;
        let program = self.clone();
        builder.check({
            let executions = Arc::clone(&executions);
            move || {
                executions.fetch_add(1, Ordering::Relaxed);
                program.execute();
            }
        });
        executions.load(Ordering::Relaxed)
    }

    /// One execution.
    fn execute(&self) {
        forget_counts();
        let mut builder = MemoryStore::builder().history(self.retention);
        if let Some(max_users) = self.max_users {
            builder = builder.max_users(max_users);
        }
        let run = Run {
            sizes: self.sizes,
            ..Run::default()
        };
        let time_to_live = self.is_about_time().then_some(TIME_TO_LIVE);
        if let Some(time_to_live) = time_to_live {
            builder = builder
                .time_to_live(Duration::from_millis(time_to_live.into()))
                .clock(run.time.clone());
        }
        let store = builder.build().expect("a valid configuration");
        let mut seen = Expected::Absent;

        let time_to_live = time_to_live.map(i64::from);
        let mut start = Specification::new(self.retention, self.max_users, time_to_live);
        for (index, operation) in self.preparation().into_iter().enumerate() {
            let value = -1 - index as Value;
            let at = run.time.peek();
            let outcome = perform(&store, &run, operation, value, &mut seen);
            assert!(
                start.apply(operation, value, &outcome, at),
                "{operation}: {outcome:?}"
            );
        }

        let observed = store.pin(|view| {
            // A reader who stays has found them before the threads start, so their
            // timelines are there to the end, removed or not. Whatever is alive then
            // is alive because a timeline has it.
            for user in self.users() {
                let _ = view.contains(user.id());
            }
            self.run_threads(&store, &run, seen);
            let observed = run.observed();
            // What has expired may have been taken out on the way, or not.
            if self.is_about_time() {
                store.sweep();
            }
            let (live, entries) = (live_values(), store.len());
            // A write may be explained as one before a time to live ended, and as one after
            // it, and that makes a difference to what is kept.
            let fits = |end: &Specification| {
                let end = end.swept();
                end.owned().contains(&live) && end.users() == entries
            };
            let explained = start.after(&observed, &fits);
            let Some(end) = explained.or_else(|| start.after(&observed, &|_| true)) else {
                panic!(
                    "no sequential order explains what was seen.\n{}\nfrom {start:?}:\n{}",
                    self.name(),
                    describe(&observed)
                );
            };
            let end = end.swept();
            let owned = end.owned();
            assert!(
                owned.contains(&live),
                "the store owns {live} snapshots, where {owned:?} may be: {}\n{}",
                self.name(),
                describe(&observed)
            );
            assert_eq!(
                entries,
                end.users(),
                "the map holds entries of others than its users: {}\n{}",
                self.name(),
                describe(&observed)
            );
            observed
        });
        let told = || format!("{}\n{}", self.name(), describe(&observed));
        drop(store);
        let live = live_values();
        assert_eq!(live, 0, "snapshots outlive the store: {}", told());
        let chained = chained_drops();
        assert_eq!(chained, 0, "snapshots owned those before: {}", told());
    }

    /// What each thread does, and afterwards what is left, which must be explained by the
    /// same order.
    fn run_threads(&self, store: &MemoryStore, run: &Run, seen: Expected) {
        let others: Vec<_> = (1..self.threads.len())
            .map(|thread| {
                let (store, run) = (store.clone(), run.clone());
                let operations = self.threads[thread].clone();
                loom::thread::spawn(move || run.thread(thread, &store, &operations, seen))
            })
            .collect();
        run.thread(0, store, &self.threads[0], seen);
        for other in others {
            other.join().expect("a model thread does not panic");
        }
        for user in self.users() {
            let operations = [
                Operation::GetLatest(user),
                Operation::GetVersioned(user),
                Operation::GetHistory(user, usize::MAX),
                Operation::GetHistory(user, 1),
            ];
            run.thread(self.threads.len(), store, &operations, seen);
        }
    }

    /// Whom it is about.
    fn users(&self) -> BTreeSet<User> {
        let operations = self.threads.iter().flatten();
        let mut users: BTreeSet<User> = operations
            .filter_map(|operation| operation.user())
            .collect();
        users.insert(User::Ada);
        if self.with_grace {
            users.insert(User::Grace);
        }
        users
    }

    /// What is done before the threads start.
    fn preparation(&self) -> Vec<Operation> {
        let operations = || self.threads.iter().flatten();
        if self.sizes == Sizes::Mixed {
            assert!(self.can_be_mixed(), "{}", self.name());
        }
        let mut preparation = match self.start {
            Start::Absent => vec![],
            // The revision is seen, so that one that repeats is noticed.
            Start::Deleted => vec![
                Operation::Upsert(User::Ada),
                Operation::GetVersioned(User::Ada),
                Operation::Delete(User::Ada),
            ],
            Start::Versions(versions) | Start::Expired(versions) => {
                vec![Operation::Upsert(User::Ada); versions]
            }
        };
        if self.with_grace {
            preparation.extend([
                Operation::Upsert(User::Grace),
                Operation::GetVersioned(User::Grace),
            ]);
        }
        if self.with_grace || operations().any(|operation| operation.is_conditional()) {
            preparation.push(Operation::GetVersioned(User::Ada));
        }
        let ticks = match self.start {
            Start::Expired(_) => TIME_TO_LIVE,
            _ => u8::from(self.is_about_time()),
        };
        preparation.extend((0..ticks).map(|_| Operation::TimePasses));
        preparation
    }
}

/// The clock and the record that the threads of an execution share. loom does
/// not see them: they must not order what they observe.
#[derive(Clone, Default)]
struct Run {
    sizes: Sizes,
    clock: Arc<AtomicUsize>,
    /// The clock of the store, if it has a time to live. This one loom sees.
    time: SetClock,
    observed: Arc<Mutex<Vec<Observed>>>,
}

impl Run {
    fn thread(
        &self,
        thread: usize,
        store: &MemoryStore,
        operations: &[Operation],
        mut seen: Expected,
    ) {
        for (index, &operation) in operations.iter().enumerate() {
            let value = (10 * thread + index) as Value;
            let called = self.clock.fetch_add(1, Ordering::SeqCst);
            let called_at = self.time.peek();
            let outcome = perform(store, self, operation, value, &mut seen);
            let returned = self.clock.fetch_add(1, Ordering::SeqCst);
            self.observed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Observed {
                    thread,
                    operation,
                    value,
                    outcome,
                    called,
                    returned,
                    called_at,
                });
        }
    }

    fn observed(&self) -> Vec<Observed> {
        self.observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Performs an operation through the trait, as users do, if it is of the trait.
/// `seen` is what this thread knows of the user that it writes conditionally.
fn perform(
    memory: &MemoryStore,
    run: &Run,
    operation: Operation,
    value: Value,
    seen: &mut Expected,
) -> Outcome {
    let store: &dyn StateStore = memory;
    let is_small = match run.sizes {
        Sizes::Large => false,
        Sizes::Small => true,
        // Every other one, in the order of the threads, and of each thread.
        Sizes::Mixed => (value / 10 + value % 10) % 2 != 0,
    };
    // Together too large.
    let axes = ["first_axis", "second_axis", "third_axis", "fourth_axis"];
    let axes = if is_small { &axes[..0] } else { &axes };
    let builder = || {
        StateSnapshot::builder()
            .updated_at(value)
            .axes(axes.iter().map(|name| (name, 0.5)))
    };
    let snapshot = |user: User| {
        let snapshot = builder().user_id(user.id()).build();
        snapshot.expect("a valid snapshot")
    };
    let upsert_if = |user, expected| match poll(store.upsert_if(snapshot(user), expected)) {
        Ok(revision) => Outcome::Written(expected, revision),
        Err(StoreError::Conflict { actual, .. }) => Outcome::Conflict(expected, actual),
        Err(StoreError::CapacityExceeded { .. }) => Outcome::Refused,
        Err(error) => panic!("a conditional write succeeds, conflicts or is refused: {error}"),
    };
    match operation {
        Operation::Upsert(user) => match poll(store.upsert_latest(snapshot(user))) {
            Ok(()) => Outcome::Upserted,
            Err(StoreError::CapacityExceeded { .. }) => Outcome::Refused,
            Err(error) => panic!("a write succeeds or is refused: {error}"),
        },
        Operation::UpsertIfAbsent(user) => upsert_if(user, Expected::Absent),
        Operation::UpsertIfSeen(user) => {
            let outcome = upsert_if(user, *seen);
            if let Outcome::Written(_, revision) = outcome {
                *seen = Expected::At(revision);
            }
            outcome
        }
        Operation::ExpireOld => {
            Outcome::Expired(memory.retain(|_, state| state.updated_at_unix_ms() >= 0))
        }
        Operation::TimePasses => {
            run.time.advance(1);
            Outcome::Passed
        }
        Operation::Sweep => Outcome::Swept(memory.sweep()),
        Operation::Update(user) => {
            let mut latest = None;
            let updated = memory.update(user.id(), |current| {
                latest = current.map(State::updated_at_unix_ms);
                builder()
            });
            let written = updated.expect("an update succeeds").expect("it writes");
            Outcome::Updated(latest, written.revision)
        }
        Operation::DeleteIfSeen(user) => match memory.remove_if(user.id(), *seen) {
            Ok(removed) => Outcome::Removed(*seen, removed),
            Err(StoreError::Conflict { actual, .. }) => Outcome::Conflict(*seen, actual),
            Err(error) => panic!("a conditional removal succeeds or conflicts: {error}"),
        },
        Operation::GetLatest(user) => {
            let latest = complete(store.get_latest(user.id()));
            Outcome::Latest(latest.map(|snapshot| snapshot.updated_at_unix_ms()))
        }
        Operation::GetVersioned(user) => {
            let latest = complete(store.get_latest_versioned(user.id()));
            *seen = Expected::from(latest.as_ref());
            Outcome::Versioned(
                latest.map(|latest| (latest.value.updated_at_unix_ms(), latest.revision)),
            )
        }
        Operation::GetHistory(user, limit) => {
            let history = complete(store.get_history(user.id(), limit));
            Outcome::History(
                history
                    .iter()
                    .map(StateSnapshot::updated_at_unix_ms)
                    .collect(),
            )
        }
        Operation::GetOldest(user, limit) => {
            let range = VersionRange::all().oldest_first().limit(limit);
            let versions = complete(store.get_versions(user.id(), range));
            Outcome::History(
                versions
                    .iter()
                    .map(|version| version.value.updated_at_unix_ms())
                    .collect(),
            )
        }
        Operation::GetSince(user) => {
            let range = match *seen {
                Expected::At(revision) => VersionRange::all().after(revision),
                Expected::Any | Expected::Absent => VersionRange::all(),
            };
            let versions = complete(store.get_versions(user.id(), range));
            let since = versions
                .iter()
                .map(|version| (version.value.updated_at_unix_ms(), version.revision))
                .collect();
            Outcome::Since(*seen, since)
        }
        Operation::Delete(user) => Outcome::Deleted(complete(store.delete(user.id()))),
    }
}

/// The in-memory store awaits nothing, so one poll completes any of its futures.
fn poll<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the in-memory store does not wait"),
    }
}

/// Completes an operation that does not fail in memory.
fn complete<T>(future: impl Future<Output = attuned_store::Result<T>>) -> T {
    poll(future).unwrap_or_else(|error| panic!("the in-memory store does not fail: {error}"))
}

fn describe(observed: &[Observed]) -> String {
    let mut observed = observed.to_vec();
    observed.sort_by_key(|operation| operation.called);
    observed
        .iter()
        .map(|operation| {
            format!(
                "  thread {} [{:>2}, {:>2}] {:?} of {}: {:?}\n",
                operation.thread,
                operation.called,
                operation.returned,
                operation.operation,
                operation.value,
                operation.outcome,
            )
        })
        .collect()
}
