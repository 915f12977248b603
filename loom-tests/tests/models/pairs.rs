//! Every pair of operations on one user, from every interesting state of that
//! user, in every interleaving.

use crate::program::{Program, Start};
use crate::specification::{Operation, User};

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

pub fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for retention in 1..=3 {
        let mut starts = vec![Start::Absent, Start::Deleted];
        starts.extend((1..=retention + 1).map(Start::Versions));
        for start in starts {
            for (index, &first) in OPERATIONS.iter().enumerate() {
                for &second in &OPERATIONS[index..] {
                    programs.push(Program {
                        retention,
                        start,
                        threads: vec![vec![first], vec![second]],
                        preemption_bound: None,
                    });
                }
            }
        }
    }
    programs
}
