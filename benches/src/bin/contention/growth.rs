//! Whether reads are slower in a store that has grown.

use attuned_store_benches::contenders::{Attuned, Contender};
use attuned_store_benches::results::Bound;
use attuned_store_benches::rounds::{Entrant, interleave};
use attuned_store_benches::suite::{MANY_USERS, Suite};
use attuned_store_benches::workload::{Access, FIVE_AXES, Mix, fill, throughput, user_ids};

pub fn rows(suite: &mut Suite) {
    let name = "with after growth by upserts, uniform";
    if !suite.selects(name) {
        return;
    }
    let users = user_ids(MANY_USERS);
    let mix = Mix {
        access: Access::Uniform,
        write_percent: 0.0,
        axes: FIVE_AXES,
    };
    // A new store in each round: where a map puts its keys is up to chance.
    let entrant = |name: &str, capacity| {
        let (users, steps) = (&users, suite.steps / 4);
        Entrant::new(name, move |round| {
            let store = Attuned::new(None, capacity);
            fill(&store, users, FIVE_AXES, 1);
            throughput(&store, users, mix, 1, steps, round)
        })
    };
    let entrants = vec![entrant("grown", 0), entrant("presized", MANY_USERS)];
    let series = interleave(entrants, suite.rounds);
    suite.slower(name, &series[0], &series[1], Bound::AtMost(1.1));
}
