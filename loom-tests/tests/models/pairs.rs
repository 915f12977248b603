//! Every pair of operations on one user, from every interesting state of that user.
//!
//! At full depth, with snapshots that are too large for the mirror: reads with each other
//! and with upserts in every interleaving. There are too many if both of them write, or if
//! one removes or is about revisions (each access of the numbers behind revisions is two
//! steps). Then loom takes the processor away from a thread that could go on at most
//! `OF_LARGE` times an execution, or `OF_REMOVALS` if both of them remove. With snapshots
//! that are mirrored, some or all, at most `OF_MIRRORED` times.

use crate::depth::Preemptions;
use crate::program::{Program, Sizes, Start};
use crate::specification::{Operation, User};

const OF_MIRRORED: Option<usize> = Some(4);

const OF_LARGE: Option<usize> = Some(6);

const OF_REMOVALS: Option<usize> = Some(5);

const PLAIN: Option<usize> = Some(3);

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
const CONDITIONAL: [Operation; 5] = [
    Operation::UpsertIfAbsent(User::Ada),
    Operation::UpsertIfSeen(User::Ada),
    Operation::Update(User::Ada),
    Operation::DeleteIfSeen(User::Ada),
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
                for sizes in [Sizes::Large, Sizes::Small, Sizes::Mixed] {
                    let program = Program {
                        retention,
                        max_users: None,
                        start,
                        with_grace: false,
                        sizes,
                        threads: vec![vec![first], vec![second]],
                        preemptions: Preemptions {
                            plain: PLAIN,
                            full: match sizes {
                                Sizes::Large => preemptions_of_large(first, second),
                                Sizes::Small | Sizes::Mixed => OF_MIRRORED,
                            },
                        },
                    };
                    if sizes != Sizes::Mixed || program.can_be_mixed() {
                        programs.push(program);
                    }
                }
            }
        }
    }
    programs
}

fn preemptions_of_large(first: Operation, second: Operation) -> Option<usize> {
    match (kind(first), kind(second)) {
        (Kind::Read, Kind::Read | Kind::Write) | (Kind::Write, Kind::Read) => None,
        (Kind::Removal, Kind::Removal) => OF_REMOVALS,
        _ => OF_LARGE,
    }
}

/// It decides how many steps an operation has, roughly.
enum Kind {
    Read,
    Write,
    OnRevision,
    Removal,
}

fn kind(operation: Operation) -> Kind {
    match operation {
        Operation::GetLatest(_) | Operation::GetHistory(..) => Kind::Read,
        Operation::Upsert(_) => Kind::Write,
        Operation::GetVersioned(_)
        | Operation::GetOldest(..)
        | Operation::GetSince(_)
        | Operation::UpsertIfAbsent(_)
        | Operation::UpsertIfSeen(_)
        | Operation::Update(_) => Kind::OnRevision,
        Operation::Delete(_)
        | Operation::DeleteIfSeen(_)
        | Operation::ExpireOld
        | Operation::TimePasses
        | Operation::Sweep => Kind::Removal,
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
