//! Latency at a fixed rate of arrivals, up to the rarest: reads and upserts side
//! by side, and reads while the number of users grows.

#![forbid(unsafe_code)]

use std::io;

use attuned_store_benches::arguments::Arguments;
use attuned_store_benches::contenders::{
    Attuned, Contender, DashMap, Papaya, ParkingLotRwLock, Scc,
};
use attuned_store_benches::open_loop::{Outcome, growing, mixed};
use attuned_store_benches::results::{Bound, Measurement, Results, Spread};
use attuned_store_benches::rounds::{Entrant, Series, interleave};
use attuned_store_benches::workload::{Access, FIVE_AXES, HISTORY, Mix, fill, user_ids};
use clap::Parser as _;
use hdrhistogram::Histogram;
use smol_str::SmolStr;

const USERS: usize = 100_000;
const THREADS: usize = 2;
const PERCENTILES: [f64; 5] = [50.0, 99.0, 99.9, 99.99, 100.0];
/// What a thread has ready for a round, at the most.
const MAX_STEPS: f64 = 2_000_000.0;

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut suite = Suite {
        // Many short rounds rather than few long ones: a single preemption
        // makes the p99.9 of the round in which it falls, and the median over
        // the rounds stands as long as most of them are free of it.
        rounds: arguments.pick(21, 101),
        growth_rounds: arguments.pick(7, 9),
        few_rounds: arguments.pick(5, 21),
        seconds: 0.05,
        results: Results::new("tail", arguments.full),
        arguments,
    };
    let write_percents: &[f64] = suite.arguments.pick(&[5.0], &[1.0, 5.0]);
    for access in [Access::Uniform, Access::Hot] {
        for &write_percent in write_percents {
            suite.mixed(access, write_percent);
        }
    }
    suite.growing();
    suite.results.write(&suite.arguments.directory())
}

/// How much of what the slower of two sustains is asked of all.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    share: f64,
    bound: Bound,
}

const LOADS: [Load; 2] = [
    Load {
        name: "two thirds load",
        share: 2.0 / 3.0,
        bound: Bound::AtMost(0.7),
    },
    Load {
        name: "light load",
        share: 0.05,
        bound: Bound::AtMost(1.1),
    },
];

struct Suite {
    arguments: Arguments,
    rounds: usize,
    /// While the users grow, where a round takes seconds.
    growth_rounds: usize,
    /// For those that no bar is about.
    few_rounds: usize,
    /// A round, for one contender.
    seconds: f64,
    results: Results,
}

impl Suite {
    fn mixed(&mut self, access: Access, write_percent: f64) {
        let group = format!("{}, {write_percent} % writes", access.name());
        let selected: Vec<Load> = LOADS
            .into_iter()
            .filter(|load| self.arguments.selects(&format!("{group}, {}", load.name)))
            .collect();
        if selected.is_empty() {
            return;
        }
        let users = user_ids(USERS);
        let mix = Mix {
            access,
            write_percent,
            axes: FIVE_AXES,
        };
        // Full histories, so that each write evicts; in the short version two
        // snapshots a user, which is where the structures for more exist.
        let versions = self.arguments.pick(2, HISTORY);
        let capacity = {
            let ours = filled::<Attuned>(&users, versions);
            let dashmap = filled::<DashMap>(&users, versions);
            let capacity = closed_loop(&ours, &users, mix).min(closed_loop(&dashmap, &users, mix));
            println!("{group}: the slower of both sustains {capacity:.0} operations/s");
            for load in &selected {
                let rate = capacity * load.share;
                let series = interleave(
                    vec![
                        self.entrant(&ours, &users, mix, rate),
                        self.entrant(&dashmap, &users, mix, rate),
                    ],
                    self.rounds,
                );
                let group = format!("{group}, {}", load.name);
                self.percentiles(&group, &series);
                self.bars(&group, &series, &[(99.9, load.bound), (99.99, load.bound)]);
            }
            capacity
        };
        let locked = filled::<ParkingLotRwLock>(&users, versions);
        let scc = filled::<Scc>(&users, versions);
        let papaya = filled::<Papaya>(&users, 1);
        for load in &selected {
            let rate = capacity * load.share;
            let series = interleave(
                vec![
                    self.entrant(&locked, &users, mix, rate),
                    self.entrant(&scc, &users, mix, rate),
                    self.entrant(&papaya, &users, mix, rate),
                ],
                self.few_rounds,
            );
            self.percentiles(&format!("{group}, {}", load.name), &series);
        }
    }

    /// A contender at a rate of operations a second, all threads together.
    fn entrant<'a, C: Contender>(
        &self,
        store: &'a C,
        users: &'a [SmolStr],
        mix: Mix,
        rate: f64,
    ) -> Entrant<'a, Outcome> {
        let thread_rate = rate / THREADS as f64;
        let steps = (thread_rate * self.seconds).min(MAX_STEPS) as usize;
        let interval = 1e9 / thread_rate;
        Entrant::new(C::NAME, move |round| {
            mixed(store, users, mix, THREADS, steps, interval, round)
        })
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
        self.percentiles(group, &series);
        self.bars(group, &series, &[(99.99, Bound::AtMost(0.5))]);
        let series = interleave(
            vec![
                entrant::<ParkingLotRwLock>(&users, inserts, reads),
                entrant::<Scc>(&users, inserts, reads),
                entrant::<Papaya>(&users, inserts, reads),
            ],
            self.growth_rounds.min(3),
        );
        self.percentiles(group, &series);
    }

    /// What the first of the series has against the second, by percentiles of
    /// the reads. Those of the upserts are compared without a bar.
    fn bars(&mut self, group: &str, series: &[Series<Outcome>], bounds: &[(f64, Bound)]) {
        for &(percentile, bound) in bounds {
            let measured = ratio(series, reads, percentile);
            let ratio_name = format!("{} / {}, latency", series[0].name, series[1].name);
            let name = format!("{group}, reads, p{percentile}");
            self.results.bar(&name, &ratio_name, measured, bound);
            let measured = ratio(series, upserts, percentile);
            let name = format!("{group}, upserts, p{percentile}");
            self.results.bar(&name, &ratio_name, measured, Bound::None);
        }
    }

    fn percentiles(&mut self, group: &str, series: &[Series<Outcome>]) {
        let kinds: [(&str, Kind); 2] = [("reads", reads), ("upserts", upserts)];
        for series in series {
            for (kind, of) in kinds {
                for percentile in PERCENTILES {
                    self.results.measurement(Measurement {
                        group: format!("{group}, {kind}"),
                        contender: series.name.clone(),
                        parameter: "percentile".to_owned(),
                        at: percentile,
                        unit: "ns".to_owned(),
                        value: Spread::of(&values(series, of, percentile)),
                    });
                }
            }
        }
    }
}

type Kind = fn(&Outcome) -> &Histogram<u64>;

fn reads(outcome: &Outcome) -> &Histogram<u64> {
    &outcome.latencies.reads
}

fn upserts(outcome: &Outcome) -> &Histogram<u64> {
    &outcome.latencies.upserts
}

fn values(series: &Series<Outcome>, of: Kind, percentile: f64) -> Vec<f64> {
    let outcomes = series.values.iter();
    outcomes
        .map(|outcome| of(outcome).value_at_percentile(percentile) as f64)
        .collect()
}

fn ratio(series: &[Series<Outcome>], of: Kind, percentile: f64) -> Spread {
    Spread::of_ratios(
        &values(&series[0], of, percentile),
        &values(&series[1], of, percentile),
    )
}

fn filled<C: Contender>(users: &[SmolStr], versions: usize) -> C {
    let store = C::new(Some(HISTORY), users.len());
    fill(&store, users, FIVE_AXES, versions);
    store
}

/// Operations a second if each begins when the one before is done, with the
/// clock read as under the real load: the median of three.
fn closed_loop<C: Contender>(store: &C, users: &[SmolStr], mix: Mix) -> f64 {
    let rates: Vec<f64> = (0..3)
        .map(|round| {
            let outcome = mixed(store, users, mix, THREADS, 300_000, 0.0, round);
            outcome.reads_per_second + outcome.upserts_per_second
        })
        .collect();
    Spread::of(&rates).median
}
