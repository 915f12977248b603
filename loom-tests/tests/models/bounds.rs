//! Newcomers, removals and the bound on users: here the users of a store are
//! not independent, and the specification judges them together.

use crate::depth::Preemptions;
use crate::program::{Program, Sizes, Start};
use crate::specification::{Operation, User};

const PREEMPTIONS: Preemptions = Preemptions {
    plain: Some(3),
    full: Some(3),
};

const ADA: Operation = Operation::Upsert(User::Ada);
const GRACE: Operation = Operation::Upsert(User::Grace);
const ALAN: Operation = Operation::Upsert(User::Alan);
const DELETE_GRACE: Operation = Operation::Delete(User::Grace);
const DELETE_SEEN: Operation = Operation::DeleteIfSeen(User::Ada);
const SEEN: Operation = Operation::UpsertIfSeen(User::Ada);
const ABSENT: Operation = Operation::UpsertIfAbsent(User::Ada);
const DELETE: Operation = Operation::Delete(User::Ada);
const EXPIRE: Operation = Operation::ExpireOld;
const LATEST: Operation = Operation::GetLatest(User::Ada);

/// What each thread does to a store with one place.
const ONE_PLACE: &[&[&[Operation]]] = &[
    // Two for one place; the same one twice, who needs only one.
    &[&[ADA], &[GRACE]],
    &[&[ADA], &[ADA]],
    &[&[ADA], &[ABSENT]],
    // A place that becomes free.
    &[&[DELETE], &[GRACE]],
    &[&[DELETE], &[ADA]],
    &[&[DELETE_SEEN], &[GRACE]],
    &[&[DELETE_SEEN], &[SEEN], &[GRACE]],
    &[&[EXPIRE], &[GRACE]],
    &[&[DELETE], &[DELETE]],
    // A thread that has seen that it is free may count on it.
    &[&[DELETE], &[LATEST, GRACE]],
    &[&[DELETE, GRACE], &[ADA]],
    &[&[ADA], &[ADA], &[GRACE]],
    &[&[DELETE], &[ADA], &[GRACE]],
    // Newcomers against a removal.
    &[&[DELETE], &[GRACE], &[ALAN]],
    &[&[DELETE], &[GRACE, DELETE_GRACE], &[ALAN]],
];

/// The same with two places.
const TWO_PLACES: &[&[&[Operation]]] = &[
    // One that is reserved in vain, because the user has come meanwhile.
    &[&[ADA], &[ADA, GRACE]],
    &[&[ADA], &[ABSENT], &[GRACE]],
];

/// The same with two places, one of which the other user has.
const ONE_OF_TWO_PLACES: &[&[&[Operation]]] = &[
    &[&[ADA], &[ALAN]],
    &[&[DELETE], &[DELETE_GRACE], &[ALAN]],
    &[&[DELETE, ADA], &[DELETE_GRACE, ALAN]],
];

pub fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for start in [Start::Absent, Start::Versions(1)] {
        for (max_users, with_grace, table) in [
            (1, false, ONE_PLACE),
            (2, false, TWO_PLACES),
            (2, true, ONE_OF_TWO_PLACES),
        ] {
            for threads in table {
                programs.push(Program {
                    retention: 2,
                    max_users: Some(max_users),
                    start,
                    with_grace,
                    sizes: Sizes::Small,
                    threads: threads.iter().map(|thread| thread.to_vec()).collect(),
                    preemptions: PREEMPTIONS,
                });
            }
        }
    }
    programs
}
