//! Three threads, and threads of two operations.
//!
//! There are too many interleavings of these to run them all, so loom takes the
//! processor away from a thread that could go on at most `PREEMPTIONS` times an
//! execution (a thread that ends or waits does not count). Most races that are
//! known need one or two.

use crate::depth::Preemptions;
use crate::program::{Program, Sizes, Start};
use crate::specification::{Operation, User};

const PREEMPTIONS: Preemptions = Preemptions {
    plain: Some(2),
    full: Some(3),
};

const UPSERT: Operation = Operation::Upsert(User::Ada);
const LATEST: Operation = Operation::GetLatest(User::Ada);
const VERSIONED: Operation = Operation::GetVersioned(User::Ada);
const HISTORY: Operation = Operation::GetHistory(User::Ada, usize::MAX);
const SEEN: Operation = Operation::UpsertIfSeen(User::Ada);
const ABSENT: Operation = Operation::UpsertIfAbsent(User::Ada);
const EXPIRE: Operation = Operation::ExpireOld;
const DELETE: Operation = Operation::Delete(User::Ada);
const DELETE_SEEN: Operation = Operation::DeleteIfSeen(User::Ada);
const UPDATE: Operation = Operation::Update(User::Ada);

const OLDEST: Operation = Operation::GetOldest(User::Ada, usize::MAX);
const SINCE: Operation = Operation::GetSince(User::Ada);

/// What each thread does.
const THREADS: &[&[&[Operation]]] = &[
    // Two writers and a reader of what they leave behind.
    &[&[UPSERT], &[UPSERT], &[HISTORY]],
    &[&[UPSERT], &[UPSERT], &[LATEST]],
    // A walk that is overtaken twice.
    &[&[UPSERT, UPSERT], &[HISTORY]],
    &[&[UPSERT, UPSERT], &[HISTORY, LATEST]],
    &[&[UPSERT, UPSERT], &[UPSERT, HISTORY]],
    // The same of a walk that has an end, and of one that is turned round.
    &[&[UPSERT, UPSERT], &[SINCE]],
    &[&[UPSERT, UPSERT], &[VERSIONED, SINCE]],
    &[&[DELETE, UPSERT], &[SINCE]],
    &[&[UPSERT, UPSERT], &[OLDEST]],
    // Two who hand over, and take out what the other one has handed over.
    &[&[UPSERT, UPSERT], &[UPSERT, UPSERT]],
    // First inserts that race, all three of them, and are all kept.
    &[&[UPSERT], &[UPSERT], &[UPSERT]],
    // Removal against writers, and against the user's return.
    &[&[UPSERT], &[UPSERT], &[DELETE]],
    &[&[UPSERT], &[DELETE], &[DELETE]],
    &[&[UPSERT], &[DELETE], &[HISTORY]],
    &[&[DELETE, UPSERT], &[UPSERT]],
    &[&[DELETE, UPSERT], &[HISTORY, LATEST]],
    &[&[DELETE, UPSERT], &[UPSERT, HISTORY]],
    &[&[UPSERT, DELETE], &[UPSERT, DELETE]],
    &[&[UPSERT, DELETE], &[UPSERT, HISTORY]],
    // A user who goes and comes back while their revision is looked at.
    &[&[DELETE, UPSERT], &[VERSIONED, VERSIONED]],
    &[&[DELETE, UPSERT, VERSIONED], &[VERSIONED, UPSERT]],
    &[&[VERSIONED, DELETE], &[UPSERT, VERSIONED]],
    &[&[VERSIONED, DELETE], &[UPSERT], &[VERSIONED]],
    // One of two conditional writes wins, whatever comes in between.
    &[&[SEEN], &[SEEN], &[UPSERT]],
    &[&[SEEN, SEEN], &[SEEN, VERSIONED]],
    &[&[SEEN], &[DELETE, UPSERT]],
    &[&[ABSENT], &[ABSENT], &[DELETE]],
    &[&[UPDATE], &[UPDATE], &[UPSERT]],
    &[&[UPDATE], &[DELETE, UPSERT]],
    &[&[DELETE_SEEN], &[SEEN], &[UPSERT]],
    &[&[DELETE_SEEN], &[UPSERT], &[HISTORY]],
    &[&[DELETE_SEEN, ABSENT], &[UPSERT, VERSIONED]],
    // What is written after the decision to remove the former survives it.
    &[&[EXPIRE], &[UPSERT], &[HISTORY]],
    &[&[EXPIRE], &[DELETE, UPSERT]],
    // A whole former life of the user within the first insert of another thread.
    &[&[UPSERT, VERSIONED, DELETE], &[UPSERT, VERSIONED]],
];

pub fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for retention in 1..=3 {
        let mut starts = vec![
            Start::Absent,
            Start::Versions(1),
            Start::Versions(retention),
            Start::Versions(retention + 1),
        ];
        starts.dedup();
        for start in starts {
            for threads in THREADS {
                for sizes in [Sizes::Small, Sizes::Mixed] {
                    let program = Program {
                        retention,
                        max_users: None,
                        start,
                        with_grace: false,
                        sizes,
                        threads: threads.iter().map(|thread| thread.to_vec()).collect(),
                        preemptions: PREEMPTIONS,
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
