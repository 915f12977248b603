//! Every pair of operations on one user, from every interesting state of that user.
//!
//! With snapshots that are too large for the mirror: upserts and reads in every
//! interleaving. If one of the two removes, or is about revisions, there are too many
//! (each access of the numbers behind revisions is two steps), and loom takes the
//! processor away from a thread that could go on at most `PREEMPTIONS_OF_LARGE` times an
//! execution, or `PREEMPTIONS_OF_REMOVALS` if both of them remove. With snapshots that
//! are mirrored, at most `PREEMPTIONS` times.

use crate::program::{Program, Start};
use crate::specification::{Operation, User};

const PREEMPTIONS: usize = 4;

const PREEMPTIONS_OF_LARGE: usize = 6;

const PREEMPTIONS_OF_REMOVALS: usize = 5;

/// The operations that are paired with each other and with themselves.
const OPERATIONS: [Operation; 6] = [
    Operation::Upsert(User::Ada),
    Operation::GetLatest(User::Ada),
    Operation::GetVersioned(User::Ada),
    Operation::GetHistory(User::Ada, usize::MAX),
    Operation::Delete(User::Ada),
    // A user who is new whatever the state of the first: they meet in the map.
    Operation::Upsert(User::Grace),
];

/// Conditional operations, which are paired with each other and with these.
const CONDITIONAL: [Operation; 3] = [
    Operation::UpsertIfAbsent(User::Ada),
    Operation::UpsertIfSeen(User::Ada),
    Operation::ExpireOld,
];
const AGAINST_CONDITIONAL: [Operation; 3] = [
    Operation::Upsert(User::Ada),
    Operation::GetHistory(User::Ada, usize::MAX),
    Operation::Delete(User::Ada),
];

pub fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for retention in 1..=3 {
        let mut starts = vec![Start::Absent, Start::Deleted];
        starts.extend((1..=retention + 1).map(Start::Versions));
        for start in starts {
            for (first, second) in pairs() {
                let of_large = match (steps(first), steps(second)) {
                    (Steps::Few, Steps::Few) => None,
                    (Steps::OfRemoval, Steps::OfRemoval) => Some(PREEMPTIONS_OF_REMOVALS),
                    _ => Some(PREEMPTIONS_OF_LARGE),
                };
                for (mirrored, preemption_bound) in [(false, of_large), (true, Some(PREEMPTIONS))] {
                    programs.push(Program {
                        retention,
                        max_users: None,
                        start,
                        mirrored,
                        threads: vec![vec![first], vec![second]],
                        preemption_bound,
                    });
                }
            }
        }
    }
    programs
}

/// How many steps an operation has, roughly.
enum Steps {
    Few,
    OfRevision,
    OfRemoval,
}

fn steps(operation: Operation) -> Steps {
    match operation {
        Operation::Upsert(_) | Operation::GetLatest(_) | Operation::GetHistory(..) => Steps::Few,
        Operation::GetVersioned(_) | Operation::UpsertIfAbsent(_) | Operation::UpsertIfSeen(_) => {
            Steps::OfRevision
        }
        Operation::Delete(_) | Operation::ExpireOld => Steps::OfRemoval,
    }
}

fn pairs() -> Vec<(Operation, Operation)> {
    let mut pairs = Vec::new();
    for (index, &first) in OPERATIONS.iter().enumerate() {
        pairs.extend(OPERATIONS[index..].iter().map(|&second| (first, second)));
    }
    for (index, &first) in CONDITIONAL.iter().enumerate() {
        pairs.extend(CONDITIONAL[index..].iter().map(|&second| (first, second)));
        pairs.extend(AGAINST_CONDITIONAL.iter().map(|&second| (first, second)));
    }
    pairs
}
