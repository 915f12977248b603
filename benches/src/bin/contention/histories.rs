//! Histories with every entry read, by the synchronous interface.

use attuned_store_benches::contenders::{Attuned, DashMap};
use attuned_store_benches::loads::histories;
use attuned_store_benches::results::Bound;
use attuned_store_benches::suite::Suite;
use attuned_store_benches::workload::{ALL_AXES, FIVE_AXES, HISTORY, user_ids};

pub fn rows(suite: &mut Suite) {
    for (axes, users) in [
        // In a cache, near it, and further away.
        (FIVE_AXES, 10),
        (FIVE_AXES, 1_000),
        (FIVE_AXES, 20_000),
        (ALL_AXES, 1_000),
    ] {
        let name = format!(
            "history({HISTORY}), every entry read, {} axes, {users} users",
            axes.len()
        );
        let users = user_ids(users);
        let steps = suite.steps / 400;
        let makers = [
            histories::<Attuned>(&users, axes, steps),
            histories::<DashMap>(&users, axes, steps),
        ];
        suite.times(&name, suite.rounds, &makers, &[Bound::None]);
    }
}
