//! Reads of few users by two threads, and histories.

use attuned_store_benches::contenders::{Attuned, DashMap};
use attuned_store_benches::loads::{Hot, histories};
use attuned_store_benches::results::Bound;
use attuned_store_benches::rounds::interleave;
use attuned_store_benches::suite::Suite;
use attuned_store_benches::workload::{ALL_AXES, FIVE_AXES, HISTORY, user_ids};

use crate::former::Former;

pub fn rows(suite: &mut Suite) {
    for axes in [FIVE_AXES, ALL_AXES] {
        for read in ["with", "get"] {
            hot_users(suite, axes, read);
        }
    }
    // In a cache, near it, and further away.
    for (users, bound) in [(10, 0.4), (1_000, 1.0), (20_000, 0.9)] {
        whole_histories(suite, FIVE_AXES, users, Bound::AtMost(bound));
    }
    whole_histories(suite, ALL_AXES, 1_000, Bound::None);
}

fn hot_users(suite: &mut Suite, axes: &'static [&'static str], read: &str) {
    let name = format!("4 hot users, 2 threads, {read} only, {} axes", axes.len());
    if !suite.selects(&name) {
        return;
    }
    let hot = Hot::new(axes, 0.0, 2, suite.steps);
    let entrants = if read == "with" {
        vec![
            hot.mix::<Attuned>(),
            hot.mix::<Former>(),
            hot.mix::<DashMap>(),
        ]
    } else {
        vec![
            hot.copies::<Attuned>(),
            hot.copies::<Former>(),
            hot.copies::<DashMap>(),
        ]
    };
    let series = interleave(entrants, suite.rounds);
    suite.faster(&name, &series[0], &series[1], Bound::AtLeast(1.0));
    suite.faster(&name, &series[0], &series[2], Bound::None);
}

fn whole_histories(suite: &mut Suite, axes: &'static [&'static str], users: usize, bound: Bound) {
    let name = format!(
        "history({HISTORY}), every entry read, {} axes, {users} users",
        axes.len()
    );
    let users = user_ids(users);
    let steps = suite.steps / 400;
    let makers = [
        histories::<Attuned>(&users, axes, steps),
        histories::<Former>(&users, axes, steps),
        histories::<DashMap>(&users, axes, steps),
    ];
    suite.times(&name, suite.rounds, &makers, &[bound, Bound::None]);
}
