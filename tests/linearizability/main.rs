//! Is what real threads see of the shipped store linearizable?
//!
//! Random programs run on real threads; what each operation returned is
//! recorded, with the order of calls and returns, and a checker searches for
//! the sequential order that explains it. Nothing is replaced by a stand-in:
//! it is the shipped code on the real primitives. On the other hand only those
//! interleavings are seen that happen. The models in `loom-tests` see all of
//! few operations, on stand-ins.
//!
//! At the plain depth of the tests it checks 250,000 operations, at the full depth
//! (`ATTUNED_TEST_DEPTH=full`) 2,000,000.
//!
//! The programs are new in each run, so that repeated runs cover more. No run
//! fails by chance all the same: whatever the programs and the schedule, a
//! history that the checker refuses shows a fault of the store. The seed of its
//! program is printed, and
//! `ATTUNED_SEED=<seed> cargo test --test linearizability shipped` runs that
//! program again and again: the schedule is not in the seed.
//!
//! Then the same recorder and checker show that they find faults: in the
//! published predecessor of this crate, and in stores made for it.

#[cfg(feature = "checkpoint")]
mod checkpointed;
#[path = "../common/depth.rs"]
mod depth;
mod examples;
mod history;
mod program;
mod published;
mod random;
mod recorder;
mod shipped;
mod specification;
mod wrong;

use std::fmt;
use std::io::{self, Write as _};
use std::iter;

use depth::Depth;
use history::UserHistory;
use program::{Interface, LONG, Operation, Program, Step, User};
use published::Published;
use random::Random;
use recorder::{Recorder, Subject};
use shipped::Shipped;
use wrong::{Fault, Locked};

/// How many operations are checked before a store that is wrong counts as not caught.
const OPERATIONS: usize = 1_000_000;

/// How many programs are recorded before they are checked: enough for a batch
/// of each number of threads that is worth waking them for.
const PROGRAMS_AT_A_TIME: usize = 500;

#[test]
fn shipped_store_is_linearizable() {
    let again = std::env::var("ATTUNED_SEED").ok().map(|text| {
        parse_seed(&text).unwrap_or_else(|| panic!("ATTUNED_SEED is not a number: {text}"))
    });
    let seeds: Box<dyn Iterator<Item = u64>> = match again {
        Some(seed) => Box::new(iter::repeat(seed)),
        None => Box::new(fresh_seeds()),
    };
    let depth = Depth::of_this_run();
    let operations = depth.choose(250_000, 2_000_000);
    let (tally, failure) = check(seeds, operations, Shipped::new);
    announce(format_args!(
        "the shipped store, at the depth {depth:?}: {tally}"
    ));
    if let Some(failure) = failure {
        panic!("{failure}");
    }
    assert!(tally.operations >= operations);
    // Without overlaps the test would be green and worth little. The pauses
    // inside operations make far more of them than this, even on one core.
    assert!(again.is_some() || tally.overlapping > tally.operations / 100);
    // The same for conditions that always hold or never do.
    assert!(again.is_some() || tally.done.min(tally.refused) > tally.operations / 1_000);
}

/// A user who is read through a checkpoint is read as of one instant of it.
#[cfg(feature = "checkpoint")]
#[test]
fn checkpoints_are_linearizable_a_user() {
    let depth = Depth::of_this_run();
    let operations = depth.choose(20_000, 300_000);
    let (tally, failure) = check(fresh_seeds(), operations, checkpointed::Checkpointed::new);
    announce(format_args!("through checkpoints: {tally}"));
    if let Some(failure) = failure {
        panic!("{failure}");
    }
    assert!(tally.overlapping > tally.operations / 100);
}

/// In 1.0.1, an upsert writes to the map of histories and then to that of the
/// latest snapshots, a delete the other way round, and each read sees one map.
///
/// It was found 40 times of 40 on two loaded cores, after 22 programs on
/// average and 72 at most, and 40 times of 40 on one core, after 102 and 383.
/// The test gives up after some 32,500.
#[test]
fn published_predecessor_is_caught() {
    let (tally, failure) = check(fresh_seeds(), OPERATIONS, Published::new);
    announce(format_args!("attuned-store 1.0.1: {tally}"));
    let failure = failure.expect("1.0.1 has a fault");
    println!("{failure}");

    // Nothing is wrong with either map: they disagree.
    let histories = failure.history.clone();
    let histories = histories.without(|read| read == Operation::GetLatest);
    assert!(histories.is_linearizable(), "{histories}");
    let latest = failure.history;
    let latest = latest.without(|read| read != Operation::GetLatest);
    assert!(latest.is_linearizable(), "{latest}");
}

#[test]
fn wrong_stores_are_caught() {
    for fault in Fault::ALL {
        let wrong = |program: &Program| Locked::new(program, Some(fault));
        let (tally, failure) = check(fresh_seeds(), OPERATIONS, wrong);
        announce(format_args!("a store with {fault:?}: {tally}"));
        let failure = failure.unwrap_or_else(|| panic!("{fault:?} was not found"));
        println!("{failure}");
    }
}

#[test]
fn right_store_is_not_accused() {
    let right = |program: &Program| Locked::new(program, None);
    let (_, failure) = check(fresh_seeds(), OPERATIONS / 20, right);
    if let Some(failure) = failure {
        panic!("{failure}");
    }
}

#[test]
fn everything_is_recorded_once_and_in_order() {
    let recorder = Recorder::new();
    for program in (0..200).map(Program::from_seed) {
        let program = std::slice::from_ref(&program);
        let observed = recorder.record(program, |program| Locked::new(program, None));
        let ([program], [observed]) = (program, &*observed) else {
            panic!("one program has {} records", observed.len());
        };
        for (thread, steps) in program.threads.iter().enumerate() {
            let own: Vec<_> = observed
                .iter()
                .filter(|observed| observed.thread == thread)
                .collect();
            assert!(own.windows(2).all(|pair| pair[0].returned < pair[1].called));
            let recorded = own.iter().map(|own| (own.user, own.performed.operation));
            assert!(recorded.eq(steps.iter().map(|step| (step.user, step.operation))));
        }

        let mut returns: Vec<_> = observed.iter().map(|observed| observed.returned).collect();
        returns.sort_unstable();
        assert!(returns.into_iter().eq(0..observed.len()));
        assert!(
            observed
                .iter()
                .all(|observed| observed.called <= observed.returned)
        );

        // The reads at the end overlap nothing.
        let last = observed
            .iter()
            .filter(|last| last.thread == program.threads.len());
        assert_eq!(last.clone().count(), 2 * program.users.len());
        assert!(last.clone().all(|last| last.called == last.returned));
    }
}

#[test]
fn a_seed_is_a_program_for_ever() {
    let expected = "  retention 18, each user written 36 times before\
                  \n  thread 0: ada: upsert_if 0 (large); ada: get_versions (oldest 2); \
                    ada: delete\
                  \n  thread 1: ada: dyn upsert_if 100; ada: get_history; \
                    ada: dyn get_versions (after what is known); ada: dyn get_latest\n";
    assert_eq!(Program::from_seed(110_109).to_string(), expected);
}

#[test]
fn programs_are_of_all_kinds() {
    let programs: Vec<_> = (0..2_000).map(Program::from_seed).collect();
    for threads in 2..=8 {
        for retention in [1, 2, 3, LONG] {
            for users in 1..=3 {
                assert!(
                    programs
                        .iter()
                        .any(|program| program.threads.len() == threads
                            && program.retention == retention
                            && program.users.len() == users)
                );
            }
        }
    }
    let steps: Vec<_> = programs
        .iter()
        .flat_map(|program| program.threads.iter().flatten())
        .collect();
    for interface in [Interface::Inherent, Interface::Trait] {
        let some = |matches: &dyn Fn(&Step) -> bool| {
            assert!(
                steps
                    .iter()
                    .any(|step| step.interface == interface && matches(step))
            );
        };
        for large in [false, true] {
            let some = |matches: fn(Operation) -> bool| {
                some(&|step| step.large == large && matches(step.operation));
            };
            some(|operation| matches!(operation, Operation::Upsert(_)));
            some(|operation| matches!(operation, Operation::UpsertIf(_)));
            some(|operation| matches!(operation, Operation::Update(_)));
        }
        some(&|step| step.operation == Operation::GetLatest);
        some(&|step| step.operation == Operation::GetHistory { limit: 1 });
        some(&|step| step.operation == Operation::GetHistory { limit: 2 });
        some(&|step| step.operation == Operation::GetHistory { limit: usize::MAX });
        some(&|step| step.operation == Operation::GetOldest { limit: 1 });
        some(&|step| step.operation == Operation::GetOldest { limit: usize::MAX });
        some(&|step| step.operation == Operation::GetSince);
        some(&|step| step.operation == Operation::Delete);
        some(&|step| step.operation == Operation::GetVersioned);
        some(&|step| step.operation == Operation::DeleteIf);
    }
}

/// Programs that have not been run before.
fn fresh_seeds() -> impl Iterator<Item = u64> {
    let mut random = Random::from_entropy();
    iter::repeat_with(move || random.next())
}

fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Records and checks one program after another, until so many operations are
/// checked or a history is not linearizable.
fn check<S: Subject>(
    seeds: impl Iterator<Item = u64>,
    operations: usize,
    store: impl Fn(&Program) -> S,
) -> (Tally, Option<Failure>) {
    let recorder = Recorder::new();
    let mut tally = Tally::default();
    let mut programs = seeds.map(|seed| match Program::from_seed(seed) {
        program if S::CONDITIONAL => program,
        program => program.unconditional(),
    });
    while tally.operations < operations {
        let mut some: Vec<_> = programs.by_ref().take(PROGRAMS_AT_A_TIME).collect();
        some.sort_by_key(|program| program.threads.len());
        for batch in some.chunk_by(|a, b| a.threads.len() == b.threads.len()) {
            let observed = recorder.record(batch, &store);
            for (program, observed) in batch.iter().zip(observed) {
                tally.programs += 1;
                for &user in program.users {
                    let history = UserHistory::new(program.retention, user, &observed);
                    tally.count(&history);
                    if !history.is_linearizable() {
                        let failure = Failure {
                            program: program.clone(),
                            user,
                            history: history.reduced(),
                        };
                        return (tally, Some(failure));
                    }
                }
            }
        }
    }
    (tally, None)
}

/// What was checked, and how much of it was concurrent.
#[derive(Debug, Default)]
struct Tally {
    programs: usize,
    histories: usize,
    operations: usize,
    overlapping: usize,
    concurrent: usize,
    overtaking: usize,
    /// Conditional operations that took effect.
    done: usize,
    /// And those that did not.
    refused: usize,
}

impl Tally {
    fn count(&mut self, history: &UserHistory) {
        let overlapping = history.overlapping();
        self.histories += 1;
        self.operations += history.len();
        self.overlapping += overlapping;
        self.done += history.conditional(true);
        self.refused += history.conditional(false);
        self.concurrent += usize::from(overlapping > 0);
        self.overtaking += usize::from(history.shows_overtaking());
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            programs,
            histories,
            operations,
            overlapping,
            concurrent,
            overtaking,
            done,
            refused,
        } = self;
        write!(
            f,
            "{operations} operations in {histories} histories of {programs} programs; \
             {overlapping} operations overlapped another of their user; {concurrent} histories \
             had such, {overtaking} by their results operations that overtook each other; \
             {done} conditional operations took effect, {refused} did not"
        )
    }
}

/// A history that is not linearizable.
struct Failure {
    program: Program,
    user: User,
    history: UserHistory,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            program,
            user,
            history,
        } = self;
        write!(
            f,
            "no order of these operations on {} explains what they returned; \
             others are left out:\n{history}in {}",
            user.id(),
            program.again(),
        )
    }
}

/// Says something at once, past the test harness, which keeps what passing and
/// unfinished tests print to itself.
fn announce(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
