//! Latency at a fixed rate of arrivals, up to the rarest: reads and upserts side
//! by side, and reads while the number of users grows.

#![forbid(unsafe_code)]

use std::io;

use attuned_store_benches::arguments::Arguments;
use attuned_store_benches::contenders::{
    Attuned, Contender, DashMap, Papaya, ParkingLotRwLock, Scc,
};
use attuned_store_benches::open_loop::{Outcome, Writers, growing};
use attuned_store_benches::results::{Bound, Results};
use attuned_store_benches::rounds::{Entrant, interleave};
use attuned_store_benches::tails::{Group, LIGHT, TWO_THIRDS, Tails, compare, loaded, percentiles};
use attuned_store_benches::workload::{Access, FIVE_AXES, HISTORY, user_ids};
use clap::Parser as _;
use smol_str::SmolStr;

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut suite = Suite {
        tails: Tails {
            contenders: vec![
                loaded::<Attuned>,
                loaded::<DashMap>,
                loaded::<ParkingLotRwLock>,
                loaded::<Scc>,
                loaded::<Papaya>,
            ],
            compared: 2,
            rounds: arguments.pick(15, 31),
            few_rounds: arguments.pick(5, 11),
            versions: arguments.pick(2, HISTORY),
        },
        growth_rounds: arguments.pick(7, 9),
        results: Results::new("tail", arguments.full),
        arguments,
    };
    let write_percents: &[f64] = suite.arguments.pick(&[5.0], &[1.0, 5.0]);
    for access in [Access::Uniform, Access::Hot] {
        suite.mixed(access, write_percents);
    }
    suite.growing();
    suite.results.write(&suite.arguments.directory())
}

struct Suite {
    arguments: Arguments,
    tails: Tails,
    /// While the users grow, where a round takes seconds.
    growth_rounds: usize,
    results: Results,
}

impl Suite {
    fn mixed(&mut self, access: Access, write_percents: &[f64]) {
        let mut bounded = Vec::new();
        for &write_percent in write_percents {
            for writers in [Writers::Others, Writers::All] {
                for (load, bound) in [(TWO_THIRDS, 0.7), (LIGHT, 1.1)] {
                    let group = Group::new(access, write_percent, writers, load);
                    bounded.push((group, Bound::AtMost(bound)));
                }
            }
        }
        bounded.retain(|(group, _)| self.arguments.selects(&group.name));
        let (groups, bounds): (Vec<Group>, Vec<Bound>) = bounded.into_iter().unzip();
        let all_series = self.tails.run(access, &groups);
        for ((group, series), bound) in groups.iter().zip(&all_series).zip(bounds) {
            percentiles(&mut self.results, &group.name, series);
            let bounds = [(99.9, bound), (99.99, bound)];
            let (ours, dashmap) = (&series[0], &series[1]);
            compare(&mut self.results, &group.name, ours, dashmap, &bounds);
        }
    }

    fn growing(&mut self) {
        let group = "growth to a million users";
        if !self.arguments.selects(group) {
            return;
        }
        let users = user_ids(1_000_000);
        let ours = growing::<Attuned>(&users, FIVE_AXES, 0.0, 0.0, 0);
        let dashmap = growing::<DashMap>(&users, FIVE_AXES, 0.0, 0.0, 0);
        let share = 2.0 / 3.0;
        let inserts = share * ours.upserts_per_second.min(dashmap.upserts_per_second);
        let reads = share * ours.reads_per_second.min(dashmap.reads_per_second);
        println!("{group}: {inserts:.0} new users/s, {reads:.0} reads/s");

        fn entrant<C: Contender>(
            users: &[SmolStr],
            inserts: f64,
            reads: f64,
        ) -> Entrant<'_, Outcome> {
            Entrant::new(C::NAME, move |round| {
                growing::<C>(users, FIVE_AXES, 1e9 / inserts, 1e9 / reads, round)
            })
        }
        let series = interleave(
            vec![
                entrant::<Attuned>(&users, inserts, reads),
                entrant::<DashMap>(&users, inserts, reads),
            ],
            self.growth_rounds,
        );
        percentiles(&mut self.results, group, &series);
        let bounds = [(99.99, Bound::AtMost(0.5))];
        compare(&mut self.results, group, &series[0], &series[1], &bounds);
        let series = interleave(
            vec![
                entrant::<ParkingLotRwLock>(&users, inserts, reads),
                entrant::<Scc>(&users, inserts, reads),
                entrant::<Papaya>(&users, inserts, reads),
            ],
            self.growth_rounds.min(3),
        );
        percentiles(&mut self.results, group, &series);
    }
}
