//! Is what several stores on one stream show linearizable?
//!
//! The random programs, the specification and the checker are those of the test binary
//! `linearizability`; what differs is that operations are asynchronous, go to different
//! stores, take long, and can fail. One whose outcome is not known may have taken effect at
//! any time after its call, or never.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use attuned_store::{
    Expected, JetStreamError, JetStreamStore, Revision, State, StateSnapshot, StateStore,
    StateStoreExt, StoreError, VersionRange, Versioned,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::history::{Observed, UserHistory};
use crate::program::{Operation, Program, Step, User, Value};
use crate::random::Random;
use crate::specification::{Outcome, Performed};

/// How many snapshots of a user the stores keep.
pub const HISTORY: usize = 3;

/// How many programs run at once.
const AT_ONCE: usize = 12;

/// A history with more operations of unknown outcome is not judged: each doubles the work.
const MOST_UNKNOWN: usize = 6;

/// What was recorded and judged.
#[derive(Debug, Default)]
pub struct Tally {
    pub operations: usize,
    pub overlapping: usize,
    pub done: usize,
    pub refused: usize,
    /// Operations that failed, and are known to have changed nothing.
    pub failed: usize,
    /// Operations of which it is not known what they did.
    pub unknown: usize,
    pub histories: usize,
    pub not_judged: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            operations,
            overlapping,
            done,
            refused,
            failed,
            unknown,
            histories,
            not_judged,
        } = self;
        write!(
            f,
            "{operations} operations in {histories} histories ({not_judged} not judged), \
             {overlapping} overlapped; conditional: {done} done, {refused} refused; \
             {failed} failed, {unknown} with unknown outcome"
        )
    }
}

/// How the programs read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Through the contract.
    Contract,
    /// From the replica as it is, which is not linearizable.
    Local,
}

/// Runs programs until so many operations are judged and `until` says that it is enough.
/// The first history that is not linearizable is an error.
pub async fn record(
    stores: &[JetStreamStore],
    reads: Reads,
    operations: usize,
    until: Arc<AtomicBool>,
) -> Result<Tally, String> {
    let stores: Arc<[JetStreamStore]> = stores.into();
    let mut seeds = Random::from_entropy();
    let mut tally = Tally::default();
    let mut running = JoinSet::new();
    let mut number = 0;
    loop {
        let enough = tally.operations >= operations && until.load(Ordering::SeqCst);
        while !enough && running.len() < AT_ONCE {
            let mut program = Program::from_seed(seeds.next());
            program.retention = HISTORY;
            number += 1;
            running.spawn(run(program, stores.clone(), reads, format!("r{number}")));
        }
        let Some(recorded) = running.join_next().await else {
            return Ok(tally);
        };
        recorded.expect("no operation panics").judge(&mut tally)?;
    }
}

struct Recorded {
    program: Program,
    observed: Vec<Observed>,
    unknown: Vec<Observed>,
    failed: usize,
}

/// An operation's end.
enum End {
    Of(Outcome),
    /// It may have had, or still have, this outcome.
    Unknown(Outcome),
    /// It changed nothing.
    Failed,
}

async fn run(
    program: Program,
    stores: Arc<[JetStreamStore]>,
    reads: Reads,
    prefix: String,
) -> Recorded {
    let clock = Arc::new(AtomicUsize::new(0));
    let start = Arc::new(Barrier::new(program.threads.len()));
    let mut threads = JoinSet::new();
    for (thread, steps) in program.threads.iter().cloned().enumerate() {
        let runner = Runner {
            thread,
            stores: stores.clone(),
            reads,
            prefix: prefix.clone(),
            clock: clock.clone(),
            memory: [None; User::ALL.len()],
        };
        let start = start.clone();
        threads.spawn(async move {
            start.wait().await;
            runner.run(steps).await
        });
    }
    let mut recorded = Recorded {
        observed: Vec::new(),
        unknown: Vec::new(),
        failed: 0,
        program,
    };
    while let Some(thread) = threads.join_next().await {
        recorded.take(thread.expect("no operation panics"));
    }
    // What is left in the end has to be explained, too.
    let last_reads = [
        Operation::GetHistory { limit: usize::MAX },
        Operation::GetLatest,
    ];
    let steps = recorded.program.users.iter().flat_map(|&user| {
        last_reads.map(|operation| Step {
            user,
            operation,
            ..recorded.program.threads[0][0]
        })
    });
    let runner = Runner {
        thread: recorded.program.threads.len(),
        stores,
        reads,
        prefix,
        clock,
        memory: [None; User::ALL.len()],
    };
    let last = runner.run(steps.collect()).await;
    recorded.take(last);
    recorded
}

/// One thread of a program.
struct Runner {
    thread: usize,
    stores: Arc<[JetStreamStore]>,
    reads: Reads,
    prefix: String,
    /// How many operations have returned.
    clock: Arc<AtomicUsize>,
    memory: [Option<(Value, Revision)>; User::ALL.len()],
}

type Log = (Vec<Observed>, Vec<Observed>, usize);

impl Runner {
    async fn run(mut self, steps: Vec<Step>) -> Log {
        let (mut observed, mut unknown, mut failed) = (Vec::new(), Vec::new(), 0);
        for (index, step) in steps.into_iter().enumerate() {
            let store = self.stores
                [(self.thread + index * usize::from(step.large)) % self.stores.len()]
            .clone();
            let called = self.clock.load(Ordering::Acquire);
            let operation = step.operation;
            let end = self.step(&store, step.user, operation).await;
            let made = |thread, returned, outcome| Observed {
                thread,
                user: step.user,
                performed: Performed { operation, outcome },
                called,
                returned,
            };
            match end {
                End::Of(outcome) => {
                    let returned = self.clock.fetch_add(1, Ordering::AcqRel);
                    observed.push(made(self.thread, returned, outcome));
                }
                End::Unknown(outcome) => {
                    // In a thread of its own, because it never returns.
                    let thread = 100 * (self.thread + 1) + index;
                    unknown.push(made(thread, usize::MAX - thread, outcome));
                }
                End::Failed => failed += 1,
            }
        }
        (observed, unknown, failed)
    }

    async fn step(&mut self, store: &JetStreamStore, user: User, operation: Operation) -> End {
        let user_id = format!("{}-{}", self.prefix, user.id());
        let memory = &mut self.memory[user.index()];
        match operation {
            Operation::GetLatest if self.reads == Reads::Local => {
                let latest = store.local().get(&user_id);
                End::Of(Outcome::Latest(
                    latest.map(|state| state.updated_at_unix_ms()),
                ))
            }
            Operation::Upsert(value) => {
                let written = store.upsert_latest(snapshot(&user_id, value)).await;
                end(written, Outcome::Upserted, |()| Outcome::Upserted)
            }
            Operation::GetLatest => {
                let latest = store.get_latest(&user_id).await;
                read(latest, |latest| {
                    Outcome::Latest(latest.as_ref().map(value_of))
                })
            }
            Operation::GetHistory { limit } => {
                let history = store.get_history(&user_id, limit).await;
                read(history, |history| {
                    Outcome::History(history.iter().map(value_of).collect())
                })
            }
            Operation::GetVersioned => {
                let latest = store.get_latest_versioned(&user_id).await;
                read(latest, |latest| {
                    *memory = latest.map(|latest| (value_of(&latest.value), latest.revision));
                    Outcome::Latest(memory.map(|(value, _)| value))
                })
            }
            Operation::UpsertIf(value) => {
                let expected = memory.map(|(value, _)| value);
                let revision = memory.map(|(_, revision)| revision);
                let outcome = |done| Outcome::If { expected, done };
                let condition = Expected::from(revision);
                let written = store.upsert_if(snapshot(&user_id, value), condition).await;
                if let Ok(revision) = written {
                    *memory = Some((value, revision));
                }
                match written {
                    Err(StoreError::Conflict { .. }) => End::Of(outcome(false)),
                    written => end(written, outcome(true), |_| outcome(true)),
                }
            }
            Operation::Update(value) => {
                let mut expected = None;
                let change = |current: Option<&State>| {
                    expected = current.map(State::updated_at_unix_ms);
                    State::builder().updated_at(value)
                };
                let written = store.update_latest(&user_id, change).await;
                let outcome = |done| Outcome::If { expected, done };
                match written {
                    Err(StoreError::Conflict { .. }) => End::Of(outcome(false)),
                    written => end(written, outcome(true), |_| outcome(true)),
                }
            }
            Operation::GetOldest { limit } => {
                let range = VersionRange::all().limit(limit).oldest_first();
                let oldest = store.get_versions(&user_id, range).await;
                read(oldest, |oldest| Outcome::History(values_of(&oldest)))
            }
            Operation::GetSince => {
                let last = memory.map(|(value, _)| value);
                let range = match memory {
                    Some((_, revision)) => VersionRange::all().after(*revision),
                    None => VersionRange::all(),
                };
                let since = store.get_versions(&user_id, range).await;
                let values = |since: Vec<_>| values_of(&since);
                read(since, |since| Outcome::Since {
                    last,
                    values: values(since),
                })
            }
            Operation::DeleteIf => {
                let expected = memory.map(|(value, _)| value);
                let condition = Expected::from(memory.map(|(_, revision)| revision));
                let outcome = |done| Outcome::If { expected, done };
                match store.delete_if(&user_id, condition).await {
                    Err(StoreError::Conflict { .. }) => End::Of(outcome(false)),
                    deleted => end(deleted, outcome(true), |deleted| {
                        assert_eq!(deleted, expected.is_some());
                        outcome(true)
                    }),
                }
            }
            Operation::Delete => {
                let deleted = store.delete(&user_id).await;
                end(deleted, Outcome::Deleted(None), |deleted| {
                    Outcome::Deleted(Some(deleted))
                })
            }
        }
    }
}

fn end<T>(
    result: attuned_store::Result<T>,
    unknown: Outcome,
    done: impl FnOnce(T) -> Outcome,
) -> End {
    match result {
        Ok(value) => End::Of(done(value)),
        Err(error) => match cause(&error) {
            JetStreamError::OutcomeUnknown => End::Unknown(unknown),
            JetStreamError::Disconnected
            | JetStreamError::NoResponders
            | JetStreamError::TimedOut
            | JetStreamError::ReplicaBehind
            | JetStreamError::StreamReplaced
            | JetStreamError::Refused { .. } => End::Failed,
            other => panic!("{other}"),
        },
    }
}

fn read<T>(result: attuned_store::Result<T>, done: impl FnOnce(T) -> Outcome) -> End {
    match result {
        Ok(value) => End::Of(done(value)),
        Err(error) => {
            assert!(!matches!(cause(&error), JetStreamError::OutcomeUnknown));
            End::Failed
        }
    }
}

fn cause(error: &StoreError) -> &JetStreamError {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    source.unwrap_or_else(|| panic!("not an error of the store: {error:?}"))
}

fn snapshot(user_id: &str, value: Value) -> StateSnapshot {
    let snapshot = StateSnapshot::builder().user_id(user_id).updated_at(value);
    snapshot.build().expect("a valid snapshot")
}

fn value_of(snapshot: &StateSnapshot) -> Value {
    snapshot.updated_at_unix_ms()
}

fn values_of(versions: &[Versioned<StateSnapshot>]) -> Vec<Value> {
    versions
        .iter()
        .map(|version| value_of(&version.value))
        .collect()
}

impl Recorded {
    fn take(&mut self, (observed, unknown, failed): Log) {
        self.observed.extend(observed);
        self.unknown.extend(unknown);
        self.failed += failed;
    }

    fn judge(self, tally: &mut Tally) -> Result<(), String> {
        tally.failed += self.failed;
        tally.unknown += self.unknown.len();
        for &user in self.program.users {
            let history = UserHistory::new(HISTORY, user, &self.observed);
            tally.histories += 1;
            tally.operations += history.len();
            tally.overlapping += history.overlapping();
            tally.done += history.conditional(true);
            tally.refused += history.conditional(false);
            let unknown: Vec<_> = self.unknown.iter().filter(|of| of.user == user).collect();
            if unknown.len() > MOST_UNKNOWN {
                tally.not_judged += 1;
                continue;
            }
            // Each of them has happened or has not.
            let explained = (0..1_usize << unknown.len()).any(|chosen| {
                let chosen = unknown
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| chosen >> index & 1 == 1);
                let chosen = chosen.map(|(_, observed)| (*observed).clone());
                let observed: Vec<_> = self.observed.iter().cloned().chain(chosen).collect();
                UserHistory::new(HISTORY, user, &observed).is_linearizable()
            });
            if !explained {
                let unknown: Vec<_> = unknown.iter().map(|of| of.performed.to_string()).collect();
                return Err(format!(
                    "no order of these operations on {} explains what they returned:\n{history}\
                     and perhaps {unknown:?}\nin {}",
                    user.id(),
                    self.program.again(),
                ));
            }
        }
        Ok(())
    }
}
