//! Every pair of operations on one user, from every interesting state of that
//! user: in every interleaving with snapshots that are too large for the mirror.
//! With such as are mirrored there are too many, and loom takes the processor away
//! from a thread that could go on at most `PREEMPTIONS` times an execution.

use crate::program::{Program, Start};
use crate::specification::{Operation, User};

const PREEMPTIONS: usize = 4;

const PREEMPTIONS_OF_REMOVALS: usize = 6;

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
                let is_removal =
                    |operation| matches!(operation, Operation::Delete(_) | Operation::ExpireOld);
                let most =
                    (is_removal(first) && is_removal(second)).then_some(PREEMPTIONS_OF_REMOVALS);
                for (mirrored, preemption_bound) in [(false, most), (true, Some(PREEMPTIONS))] {
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
