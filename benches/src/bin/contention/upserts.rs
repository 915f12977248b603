//! Upserts into full histories: each evicts.

use attuned_store_benches::contenders::{Attuned, DashMap, Parts};
use attuned_store_benches::loads::{Filled, fresh};
use attuned_store_benches::results::Bound;
use attuned_store_benches::rounds::{interleave, interleave_placed};
use attuned_store_benches::suite::{FEW_USERS, MANY_USERS, Suite};
use attuned_store_benches::workload::{Access, FIVE_AXES, HISTORY, HOT_USERS, Mix, user_ids};

pub fn rows(suite: &mut Suite) {
    // In a cache; near it; as a service has them. A store of the last takes some 1.5 GB,
    // and there are three.
    for (users, divisor, bound) in [
        (HOT_USERS, 4, 1.7),
        (FEW_USERS, 8, 0.85),
        (MANY_USERS, 8, 1.0),
    ] {
        one_thread(suite, users, divisor, Bound::AtMost(bound));
    }
    for access in [Access::Own, Access::One] {
        two_threads(suite, access);
    }
}

fn one_thread(suite: &mut Suite, users: usize, divisor: usize, bound: Bound) {
    let name = format!("upsert, full history of {HISTORY}, {users} users");
    if !suite.selects(&name) {
        return;
    }
    let users = user_ids(users);
    let load = Filled {
        users: &users,
        mix: writes(Access::Uniform),
        versions: HISTORY,
        threads: 1,
        steps: suite.steps / divisor,
    };
    let makers = [
        load.maker::<Attuned>(),
        load.maker::<DashMap>(),
        load.maker::<Parts>(),
    ];
    let series = interleave_placed(&makers, suite.placements, suite.rounds);
    suite.slower(&name, &series[0], &series[1], bound);
    // What of it is the parts', which leave out what makes it a store.
    suite.slower(&name, &series[2], &series[1], Bound::None);
}

fn two_threads(suite: &mut Suite, access: Access) {
    let name = format!(
        "upsert by 2 threads, full history of {HISTORY}, {}",
        access.name()
    );
    if !suite.selects(&name) {
        return;
    }
    let users = user_ids(FEW_USERS);
    let load = Filled {
        users: &users,
        mix: writes(access),
        versions: HISTORY,
        threads: 2,
        steps: suite.steps / 4,
    };
    let entrants = vec![fresh::<Attuned>(load), fresh::<DashMap>(load)];
    let series = interleave(entrants, suite.rounds);
    suite.slower(&name, &series[0], &series[1], Bound::None);
}

fn writes(access: Access) -> Mix {
    Mix {
        access,
        write_percent: 100.0,
        axes: FIVE_AXES,
    }
}
