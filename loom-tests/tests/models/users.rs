//! Two users whose revisions have the floor in common, which every removal raises.

use crate::depth::Preemptions;
use crate::program::{Program, Sizes, Start};
use crate::specification::{Operation, User};

const PREEMPTIONS: Preemptions = Preemptions {
    plain: Some(3),
    full: Some(3),
};

const DELETE: Operation = Operation::Delete(User::Ada);
const UPSERT: Operation = Operation::Upsert(User::Ada);
const ABSENT: Operation = Operation::UpsertIfAbsent(User::Ada);
const VERSIONED: Operation = Operation::GetVersioned(User::Ada);
const DELETE_OTHER: Operation = Operation::Delete(User::Grace);
const ABSENT_OTHER: Operation = Operation::UpsertIfAbsent(User::Grace);

/// What each thread does.
const THREADS: &[&[&[Operation]]] = &[
    &[&[DELETE, UPSERT, VERSIONED], &[DELETE_OTHER]],
    &[&[DELETE, ABSENT], &[DELETE_OTHER, ABSENT_OTHER]],
    &[&[DELETE], &[DELETE_OTHER], &[VERSIONED]],
];

pub fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    // One whose revisions are those of the other, and one who is ahead.
    for versions in [1, 3] {
        for threads in THREADS {
            programs.push(Program {
                retention: 2,
                max_users: None,
                start: Start::Versions(versions),
                with_grace: true,
                sizes: Sizes::Small,
                threads: threads.iter().map(|thread| thread.to_vec()).collect(),
                preemptions: PREEMPTIONS,
            });
        }
    }
    programs
}
