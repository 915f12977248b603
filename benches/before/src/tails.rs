//! Reads at a fixed rate of arrivals while others write.

use attuned_store_benches::contenders::{Attuned, DashMap};
use attuned_store_benches::open_loop::Writers;
use attuned_store_benches::results::Bound;
use attuned_store_benches::suite::Suite;
use attuned_store_benches::tails::{Group, LIGHT, TWO_THIRDS, Tails, compare, loaded, percentiles};
use attuned_store_benches::workload::{Access, HISTORY};

use crate::former::Former;

pub fn rows(suite: &mut Suite) {
    let rounds = suite.arguments.pick(15, 31);
    let tails = Tails {
        contenders: vec![loaded::<Attuned>, loaded::<Former>, loaded::<DashMap>],
        compared: 3,
        rounds,
        few_rounds: rounds,
        versions: suite.arguments.pick(2, HISTORY),
    };
    let write_percents: &[f64] = suite.arguments.pick(&[5.0], &[1.0, 5.0]);
    for access in [Access::Uniform, Access::Hot] {
        let mut groups = Vec::new();
        for &write_percent in write_percents {
            for load in [TWO_THIRDS, LIGHT] {
                groups.push(Group::new(access, write_percent, Writers::Others, load));
            }
        }
        groups.retain(|group| suite.selects(&group.name));
        let all_series = tails.run(access, &groups);
        for (group, series) in groups.iter().zip(&all_series) {
            percentiles(&mut suite.results, &group.name, series);
            for (other, bound) in [(1, Bound::AtMost(1.0)), (2, Bound::None)] {
                let bounds = [(99.9, bound), (99.99, bound)];
                let (ours, other) = (&series[0], &series[other]);
                compare(&mut suite.results, &group.name, ours, other, &bounds);
            }
        }
    }
}
