//! A user whose time to live ends: before the threads start, so that each of them finds
//! somebody who has expired, or while they are at work.
//!
//! The clock is set by an operation of a thread, so it goes on at any place among the steps of
//! the others. What a thread writes then outlives what it was written on. No state is mirrored
//! in a store with a time to live.

use crate::depth::Preemptions;
use crate::program::{Program, Sizes, Start};
use crate::specification::{Operation, User};

const OF_PAIRS: Preemptions = Preemptions {
    plain: Some(2),
    full: Some(4),
};

const OF_TRIPLES: Preemptions = Preemptions {
    plain: Some(2),
    full: Some(3),
};

const UPSERT: Operation = Operation::Upsert(User::Ada);
const LATEST: Operation = Operation::GetLatest(User::Ada);
const VERSIONED: Operation = Operation::GetVersioned(User::Ada);
const HISTORY: Operation = Operation::GetHistory(User::Ada, usize::MAX);
const DELETE: Operation = Operation::Delete(User::Ada);
const ABSENT: Operation = Operation::UpsertIfAbsent(User::Ada);
const SEEN: Operation = Operation::UpsertIfSeen(User::Ada);
const UPDATE: Operation = Operation::Update(User::Ada);
const DELETE_SEEN: Operation = Operation::DeleteIfSeen(User::Ada);
const RETAIN: Operation = Operation::ExpireOld;
const TICK: Operation = Operation::TimePasses;
const SWEEP: Operation = Operation::Sweep;
const OTHER: Operation = Operation::Upsert(User::Grace);

/// What is paired with itself and with each other where the user has expired.
const OPERATIONS: [Operation; 11] = [
    UPSERT,
    LATEST,
    VERSIONED,
    HISTORY,
    DELETE,
    ABSENT,
    SEEN,
    UPDATE,
    DELETE_SEEN,
    RETAIN,
    SWEEP,
];

/// What meets the end of the time to live.
const TICKS: &[&[&[Operation]]] = &[
    // Who was told that it has expired is right for good, and so is who was not.
    &[&[TICK, LATEST], &[SEEN]],
    &[&[TICK, VERSIONED, HISTORY], &[UPSERT]],
    &[&[TICK, HISTORY, LATEST], &[UPDATE]],
    &[&[TICK, LATEST], &[DELETE]],
    &[&[TICK, LATEST], &[DELETE_SEEN]],
    &[&[TICK, LATEST], &[RETAIN]],
    &[&[TICK, LATEST], &[VERSIONED, LATEST]],
    &[&[TICK], &[HISTORY, HISTORY]],
    &[&[TICK], &[LATEST, SEEN]],
    // Others come after it.
    &[&[TICK, ABSENT], &[SEEN]],
    &[&[TICK, UPSERT, HISTORY], &[UPSERT]],
    &[&[TICK, UPSERT], &[HISTORY, VERSIONED]],
    &[&[TICK, UPSERT], &[DELETE_SEEN]],
    &[&[TICK, SWEEP, LATEST], &[SEEN]],
    &[&[TICK, SWEEP], &[UPSERT]],
    &[&[TICK, SWEEP], &[ABSENT, VERSIONED]],
    &[&[TICK, DELETE], &[UPDATE]],
    &[&[SWEEP], &[TICK, UPSERT]],
    &[&[UPSERT, TICK], &[UPSERT, HISTORY]],
    &[&[TICK], &[UPSERT, LATEST, UPSERT]],
];

const TRIPLES: &[&[&[Operation]]] = &[
    &[&[TICK], &[LATEST], &[SEEN]],
    &[&[TICK], &[HISTORY], &[UPSERT]],
    &[&[TICK], &[ABSENT], &[SEEN]],
    &[&[TICK], &[SWEEP], &[UPSERT]],
    &[&[TICK, LATEST], &[UPSERT], &[UPSERT]],
    &[&[UPSERT], &[UPSERT], &[SWEEP]],
    &[&[ABSENT], &[ABSENT], &[LATEST]],
    &[&[UPSERT], &[DELETE], &[HISTORY]],
];

/// In a store with room for one user.
const ONE_PLACE: &[&[&[Operation]]] = &[
    &[&[OTHER], &[UPSERT]],
    &[&[OTHER], &[SWEEP]],
    &[&[OTHER], &[DELETE]],
    &[&[OTHER], &[OTHER]],
    &[&[TICK, OTHER], &[SEEN]],
];

pub fn programs() -> Vec<Program> {
    let program = |retention, start, threads: Vec<Vec<Operation>>| Program {
        retention,
        max_users: None,
        start,
        with_grace: false,
        sizes: Sizes::Small,
        preemptions: if threads.len() > 2 {
            OF_TRIPLES
        } else {
            OF_PAIRS
        },
        threads,
    };
    let threads = |threads: &[&[Operation]]| threads.iter().map(|one| one.to_vec()).collect();
    let mut programs = Vec::new();
    for retention in 1..=2 {
        for (index, &first) in OPERATIONS.iter().enumerate() {
            for &second in &OPERATIONS[index..] {
                let pair = vec![vec![first], vec![second]];
                programs.push(program(retention, Start::Expired(2), pair));
            }
        }
        for start in [Start::Absent, Start::Versions(1), Start::Versions(2)] {
            for ticks in TICKS {
                programs.push(program(retention, start, threads(ticks)));
            }
        }
        for start in [Start::Versions(2), Start::Expired(2)] {
            for triple in TRIPLES {
                programs.push(program(retention, start, threads(triple)));
            }
        }
        for start in [Start::Versions(1), Start::Expired(1)] {
            for one_place in ONE_PLACE {
                programs.push(Program {
                    max_users: Some(1),
                    ..program(retention, start, threads(one_place))
                });
            }
        }
    }
    programs
}
