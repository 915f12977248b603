//! Newcomers, removals and the bound on users: here the users of a store are
//! not independent, and the specification judges them together.

use crate::program::{Program, Start};
use crate::specification::{Operation, User};

const ADA: Operation = Operation::Upsert(User::Ada);
const GRACE: Operation = Operation::Upsert(User::Grace);
const ABSENT: Operation = Operation::UpsertIfAbsent(User::Ada);
const DELETE: Operation = Operation::Delete(User::Ada);
const EXPIRE: Operation = Operation::ExpireOld;
const LATEST: Operation = Operation::GetLatest(User::Ada);

/// What each thread does.
const THREADS: &[&[&[Operation]]] = &[
    // Two for one place; the same one twice, who needs only one.
    &[&[ADA], &[GRACE]],
    &[&[ADA], &[ADA]],
    &[&[ADA], &[ABSENT]],
    // A place that becomes free.
    &[&[DELETE], &[GRACE]],
    &[&[DELETE], &[ADA]],
    &[&[EXPIRE], &[GRACE]],
    &[&[DELETE], &[DELETE]],
    // Whoever has seen that it is free may count on it.
    &[&[DELETE], &[LATEST, GRACE]],
    &[&[DELETE, GRACE], &[ADA]],
    &[&[ADA], &[ADA], &[GRACE]],
    &[&[DELETE], &[ADA], &[GRACE]],
];

pub fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for start in [Start::Absent, Start::Versions(1)] {
        for threads in THREADS {
            programs.push(Program {
                retention: 2,
                max_users: Some(1),
                start,
                mirrored: true,
                threads: threads.iter().map(|thread| thread.to_vec()).collect(),
                preemption_bound: Some(3),
            });
        }
    }
    programs
}
