//! Removing users: one by one with full histories, and all at once.

use attuned_store_benches::contenders::{Attuned, DashMap};
use attuned_store_benches::loads::{comings_and_goings, removals, retentions};
use attuned_store_benches::results::Bound;
use attuned_store_benches::suite::{FEW_USERS, Suite};
use attuned_store_benches::workload::{HISTORY, user_ids};

use crate::former::Former;

pub fn rows(suite: &mut Suite) {
    let bounds = [Bound::None; 2];
    let few = user_ids(FEW_USERS);
    let name = format!("remove, full history of {HISTORY}");
    let makers = [
        removals::<Attuned>(&few),
        removals::<Former>(&few),
        removals::<DashMap>(&few),
    ];
    suite.times(&name, suite.rounds, &makers, &bounds);

    let name = format!("{HISTORY} upserts of a new user and its removal, again and again");
    let passing = &user_ids(FEW_USERS + 200)[FEW_USERS..];
    let makers = [
        comings_and_goings::<Attuned>(&few, passing),
        comings_and_goings::<Former>(&few, passing),
        comings_and_goings::<DashMap>(&few, passing),
    ];
    suite.times(&name, suite.rounds, &makers, &bounds);

    let name = "retain that removes all of 1000000 users";
    if suite.selects(name) {
        let many = user_ids(1_000_000);
        let makers = [
            retentions::<Attuned>(&many),
            retentions::<Former>(&many),
            retentions::<DashMap>(&many),
        ];
        // A round takes seconds.
        suite.times(name, suite.rounds.min(11), &makers, &bounds);
    }
}
