//! Programs: what each thread does to a store in a known state, run by loom in
//! every interleaving and judged in each.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use attuned_store::{
    Expected, MemoryStore, StateSnapshot, StateStore, StoreError, sync::live_values,
};

use crate::specification::{Observed, Operation, Outcome, Specification, User, Value};

/// The state of the user `Ada` before the threads start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Absent,
    Deleted,
    Versions(usize),
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Program {
    pub retention: usize,
    /// The bound on users, if there is one.
    pub max_users: Option<usize>,
    pub start: Start,
    /// Whether the snapshots are small enough for the mirror.
    pub mirrored: bool,
    /// What each thread does; the first one is the thread that joins the others.
    pub threads: Vec<Vec<Operation>>,
    /// How often loom may take the processor away from a thread that could go
    /// on; `None` for as often as possible, which is every interleaving.
    pub preemption_bound: Option<usize>,
}

impl Program {
    pub fn name(&self) -> String {
        let start = match self.start {
            Start::Absent => "absent".to_owned(),
            Start::Deleted => "deleted".to_owned(),
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
            .map(|max_users| format!("at most {max_users} user, "))
            .unwrap_or_default();
        let mirrored = if self.mirrored { "mirrored, " } else { "" };
        format!(
            "retention {}, {mirrored}{bound}{start}: {}",
            self.retention,
            threads.join(" | ")
        )
    }

    /// Runs the program in every interleaving that loom finds and returns how
    /// many there were.
    ///
    /// # Panics
    ///
    /// With the operations as they happened, in the first execution that no
    /// sequential order explains, or after which the store owns more or less
    /// than its state implies.
    pub fn check(&self) -> usize {
        let executions = Arc::new(AtomicUsize::new(0));
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = self.preemption_bound;
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
        let mut builder = MemoryStore::builder().history(self.retention);
        if let Some(max_users) = self.max_users {
            builder = builder.max_users(max_users);
        }
        let store = builder.build().expect("a valid configuration");
        let run = Run {
            mirrored: self.mirrored,
            ..Run::default()
        };
        let mut seen = Expected::Absent;

        let mut start = Specification::new(self.retention, self.max_users);
        let conditional = self.threads.iter().flatten().any(|operation| {
            matches!(
                operation,
                Operation::UpsertIfSeen(_) | Operation::UpsertIfAbsent(_)
            )
        });
        let mut preparation = match self.start {
            Start::Absent => vec![],
            // The revision is seen, so that one that repeats is noticed.
            Start::Deleted => vec![
                Operation::Upsert(User::Ada),
                Operation::GetVersioned(User::Ada),
                Operation::Delete(User::Ada),
            ],
            Start::Versions(versions) => vec![Operation::Upsert(User::Ada); versions],
        };
        if conditional {
            preparation.push(Operation::GetVersioned(User::Ada));
        }
        for (index, operation) in preparation.into_iter().enumerate() {
            let value = -1 - index as Value;
            let outcome = perform(&store, operation, value, self.mirrored, &mut seen);
            assert!(
                start.apply(operation, value, &outcome),
                "{operation}: {outcome:?}"
            );
        }

        let others: Vec<_> = (1..self.threads.len())
            .map(|thread| {
                let (store, run) = (store.clone(), run.clone());
                let operations = self.threads[thread].clone();
                loom::thread::spawn(move || run.thread(thread, &store, &operations, seen))
            })
            .collect();
        run.thread(0, &store, &self.threads[0], seen);
        for other in others {
            other.join().expect("a model thread does not panic");
        }

        // What is left must be explained by the same order.
        for user in [User::Ada, User::Grace] {
            run.thread(
                self.threads.len(),
                &store,
                &[
                    Operation::GetLatest(user),
                    Operation::GetVersioned(user),
                    Operation::GetHistory(user, usize::MAX),
                    Operation::GetHistory(user, 1),
                ],
                seen,
            );
        }
        let observed = run.observed();
        let Some(end) = start.after(&observed) else {
            panic!(
                "no sequential order explains what was seen.\n{}\nfrom {start:?}:\n{}",
                self.name(),
                describe(&observed)
            );
        };
        assert_eq!(
            live_values(),
            end.owned(),
            "the store owns another number of snapshots than its state has.\n{}\n{}",
            self.name(),
            describe(&observed)
        );
        drop(store);
        assert_eq!(
            live_values(),
            0,
            "snapshots outlive the store.\n{}\n{}",
            self.name(),
            describe(&observed)
        );
    }
}

/// The clock and the record that the threads of an execution share. loom does
/// not see them: they must not order what they observe.
#[derive(Clone, Default)]
struct Run {
    mirrored: bool,
    clock: Arc<AtomicUsize>,
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
            let outcome = perform(store, operation, value, self.mirrored, &mut seen);
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
    operation: Operation,
    value: Value,
    mirrored: bool,
    seen: &mut Expected,
) -> Outcome {
    let store: &dyn StateStore = memory;
    // Together too large.
    let axes = ["first_axis", "second_axis", "third_axis", "fourth_axis"];
    let axes = if mirrored { &axes[..0] } else { &axes };
    let snapshot = |user: User| {
        StateSnapshot::builder()
            .user_id(user.id())
            .updated_at(value)
            .axes(axes.iter().map(|name| (name, 0.5)))
            .build()
            .expect("a valid snapshot")
    };
    let upsert_if = |user, expected| match poll(store.upsert_if(snapshot(user), expected)) {
        Ok(revision) => Outcome::Written(expected, revision),
        Err(StoreError::Conflict { actual, .. }) => Outcome::Conflict(expected, actual),
        Err(error) => panic!("a conditional write succeeds or conflicts: {error}"),
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
        Operation::ExpireOld => Outcome::Expired(memory.expire_before(0)),
        Operation::GetLatest(user) => {
            let latest = complete(store.get_latest(user.id()));
            Outcome::Latest(latest.map(|snapshot| snapshot.updated_at_unix_ms()))
        }
        Operation::GetVersioned(user) => {
            let latest = complete(store.get_versioned(user.id()));
            *seen = Expected::unchanged(latest.as_ref());
            Outcome::Versioned(
                latest.map(|latest| (latest.snapshot.updated_at_unix_ms(), latest.revision)),
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
