//! Removing users.
//!
//! A store that lets readers go on with what was removed frees it later, and maybe
//! elsewhere. What it frees after the last removal of a turn is in nobody's time, unless the
//! load goes on for ever, as [`comings_and_goings`] does.

use std::hint::black_box;

use smol_str::SmolStr;

use crate::contenders::{Contender, Retain, Snapshot};
use crate::rounds::{Entrant, Maker};
use crate::workload::{FIVE_AXES, HISTORY, fill, timed_threads};

/// Removes all users, each with a full history, in another order than they came; removals
/// a second. Each round has a new store.
pub fn removals<C: Contender>(users: &[SmolStr]) -> Maker<'_> {
    Box::new(move || {
        Entrant::new(C::NAME, move |round| {
            let store = C::new(Some(HISTORY), users.len());
            fill(&store, users, FIVE_AXES, HISTORY);
            let elapsed = timed_threads(
                1,
                |_| first_removal(&store),
                |()| {
                    for user in scattered(users, round) {
                        black_box(store.remove(user));
                    }
                },
            );
            users.len() as f64 / elapsed.as_secs_f64()
        })
    })
}

/// Writes as many versions of a new user as a history has, and removes the user, again and
/// again, among users who stay; users a second. One store for all rounds, so that what
/// a round leaves to be freed is freed in the next.
pub fn comings_and_goings<'a, C: Contender>(
    staying: &'a [SmolStr],
    passing: &'a [SmolStr],
) -> Maker<'a> {
    Box::new(move || {
        let store = C::new(Some(HISTORY), staying.len() + 1);
        fill(&store, staying, FIVE_AXES, HISTORY);
        Entrant::new(C::NAME, move |_| {
            let elapsed = timed_threads(
                1,
                |_| {
                    first_removal(&store);
                    let versions = |user: &SmolStr| {
                        let built = |at| C::Snapshot::build(user, FIVE_AXES, at as i64);
                        (0..HISTORY).map(built).collect()
                    };
                    passing.iter().map(versions).collect()
                },
                |written: Vec<Vec<C::Snapshot>>| {
                    for (user, versions) in passing.iter().zip(written) {
                        for snapshot in versions {
                            black_box(store.upsert(snapshot));
                        }
                        black_box(store.remove(user));
                    }
                },
            );
            passing.len() as f64 / elapsed.as_secs_f64()
        })
    })
}

/// One `retain` that keeps nobody, of users without history; users a second. Each round
/// has a new store.
pub fn retentions<C: Retain>(users: &[SmolStr]) -> Maker<'_> {
    Box::new(move || {
        Entrant::new(C::NAME, move |_| {
            let store = C::new(None, users.len());
            fill(&store, users, FIVE_AXES, 1);
            let elapsed = timed_threads(
                1,
                |_| first_removal(&store),
                |()| assert_eq!(store.retain(|_, _| false), users.len()),
            );
            users.len() as f64 / elapsed.as_secs_f64()
        })
    })
}

/// A thread's first removal makes that thread's bookkeeping.
fn first_removal<C: Contender>(store: &C) {
    let nobody = "nobody_in_particular";
    store.upsert(C::Snapshot::build(nobody, FIVE_AXES, 0));
    store.remove(nobody);
}

/// Each user once, far from the one before, another one first in each round.
fn scattered(users: &[SmolStr], round: usize) -> impl Iterator<Item = &SmolStr> {
    // Coprime to the numbers of users, which have no other factors than 2 and 5.
    const STRIDE: usize = 719;
    (0..users.len()).map(move |place| &users[(place + round) * STRIDE % users.len()])
}
