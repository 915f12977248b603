//! Many users with full histories, read and written at random by two threads.

use attuned_store_benches::contenders::{Attuned, DashMap, Papaya};
use attuned_store_benches::loads::Filled;
use attuned_store_benches::results::Bound;
use attuned_store_benches::rounds::interleave_placed;
use attuned_store_benches::suite::{MANY_USERS, Suite};
use attuned_store_benches::workload::{Access, FIVE_AXES, HISTORY, Mix, user_ids};

pub fn rows(suite: &mut Suite) {
    for write_percent in [0.0, 1.0, 5.0] {
        let name = format!(
            "{MANY_USERS} users uniform, 2 threads, {write_percent} % writes, full histories"
        );
        if !suite.selects(&name) {
            continue;
        }
        let users = user_ids(MANY_USERS);
        let load = Filled {
            users: &users,
            mix: Mix {
                access: Access::Uniform,
                write_percent,
                axes: FIVE_AXES,
            },
            versions: HISTORY,
            threads: 2,
            steps: suite.steps / 8,
        };
        let makers = [
            load.maker::<Attuned>(),
            load.maker::<DashMap>(),
            // Keeps none.
            Filled {
                versions: 1,
                ..load
            }
            .maker::<Papaya>(),
        ];
        let series = interleave_placed(&makers, suite.placements, suite.rounds);
        suite.faster(&name, &series[0], &series[1], Bound::AtLeast(1.0));
        // What can be reached with this map.
        suite.faster(&name, &series[2], &series[1], Bound::None);
    }
}
