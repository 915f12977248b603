//! Latency at a fixed rate of arrivals, up to the rarest: reads and upserts side
//! by side, and reads while the number of users grows.

#![forbid(unsafe_code)]

use std::io;

use attuned_store_benches::arguments::Arguments;
use attuned_store_benches::contenders::{
    Attuned, Contender, DashMap, Papaya, ParkingLotRwLock, Scc,
};
use attuned_store_benches::disturbance::measure_round_trip;
use attuned_store_benches::open_loop::{Outcome, PERCENTILES, Writers, growing, mixed};
use attuned_store_benches::results::{Bound, Measurement, Results};
use attuned_store_benches::rounds::{Entrant, Series, Turn, in_rotated_order, interleave};
use attuned_store_benches::workload::{Access, FIVE_AXES, HISTORY, HOT_USERS, Mix, fill, user_ids};
use clap::Parser as _;
use hdrhistogram::Histogram;
use smol_str::SmolStr;

const USERS: usize = 100_000;
/// Where only a few of them are accessed.
const FEW_USERS: usize = 1_000;
/// How often stores of many users are made anew.
const PLACEMENTS: usize = 3;
/// Operations of a thread in a closed loop.
const CALIBRATION: usize = 100_000;
const THREADS: usize = 2;
/// What a thread has ready for a round, at the most.
const MAX_STEPS: f64 = 2_000_000.0;

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut suite = Suite {
        // Many short rounds rather than few long ones: a single preemption
        // makes the p99.9 of the round in which it falls, and the median over
        // the rounds stands as long as most of them are free of it. And a core that
        // is shared with strangers is one's own for short times only.
        rounds: arguments.pick(15, 31),
        growth_rounds: arguments.pick(7, 9),
        few_rounds: arguments.pick(5, 11),
        seconds: 0.025,
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

/// Who does what, how often.
#[derive(Clone)]
struct Group {
    name: String,
    mix: Mix,
    writers: Writers,
    load: Load,
}

/// A contender with its users, of whatever type it is.
trait Loaded {
    fn name(&self) -> &'static str;

    /// Operations a second if each begins when the one before is done, with the
    /// clock read as under the real load.
    fn sustained(&self, group: &Group, round: usize) -> f64;

    /// At a rate of operations a second, all threads together, for so many seconds.
    fn at_rate(&self, group: &Group, rate: f64, seconds: f64, round: usize) -> Outcome;
}

struct Filled<'a, C> {
    store: C,
    users: &'a [SmolStr],
}

impl<C: Contender> Loaded for Filled<'_, C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn sustained(&self, group: &Group, round: usize) -> f64 {
        let work = (group.mix, group.writers);
        let run = || {
            let closed_loop = 0.0;
            let (store, users) = (&self.store, self.users);
            mixed(store, users, work, THREADS, CALIBRATION, closed_loop, round)
        };
        let warms_up = run;
        warms_up();
        Turn::take(run).value().operations_per_second
    }

    fn at_rate(&self, group: &Group, rate: f64, seconds: f64, round: usize) -> Outcome {
        let thread_rate = rate / THREADS as f64;
        let steps = (thread_rate * seconds).clamp(1.0, MAX_STEPS) as usize;
        let work = (group.mix, group.writers);
        let interval = 1e9 / thread_rate;
        mixed(
            &self.store,
            self.users,
            work,
            THREADS,
            steps,
            interval,
            round,
        )
    }
}

/// The contenders, the two that are compared first; made in an order that rotates.
fn loaded<'a>(
    users: &'a [SmolStr],
    access: Access,
    versions: usize,
    rotation: usize,
) -> Vec<Box<dyn Loaded + 'a>> {
    fn with<'a, C: Contender>(
        users: &'a [SmolStr],
        access: Access,
        versions: usize,
    ) -> Box<dyn Fn() -> Box<dyn Loaded + 'a> + 'a> {
        Box::new(move || {
            let store = C::new(Some(HISTORY), users.len());
            match access {
                // The others are only there.
                Access::Hot => {
                    fill(&store, users, FIVE_AXES, 1);
                    fill(&store, &users[..HOT_USERS], FIVE_AXES, versions - 1);
                }
                Access::Uniform | Access::Zipf => fill(&store, users, FIVE_AXES, versions),
            }
            Box::new(Filled { store, users })
        })
    }
    let makers = [
        with::<Attuned>(users, access, versions),
        with::<DashMap>(users, access, versions),
        with::<ParkingLotRwLock>(users, access, versions),
        with::<Scc>(users, access, versions),
        with::<Papaya>(users, access, 1),
    ];
    in_rotated_order(&makers, rotation)
}

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
    fn mixed(&mut self, access: Access, write_percents: &[f64]) {
        let mut groups = Vec::new();
        for &write_percent in write_percents {
            for writers in [Writers::Others, Writers::All] {
                let by = match writers {
                    Writers::Others => "others",
                    Writers::All => "all",
                };
                groups.extend(LOADS.map(|load| Group {
                    name: format!(
                        "{}, {write_percent} % writes by {by}, {}",
                        access.name(),
                        load.name
                    ),
                    mix: Mix {
                        access,
                        write_percent,
                        axes: FIVE_AXES,
                    },
                    writers,
                    load,
                }));
            }
        }
        groups.retain(|group| self.arguments.selects(&group.name));
        if groups.is_empty() {
            return;
        }
        let users = user_ids(match access {
            Access::Hot => FEW_USERS,
            Access::Uniform | Access::Zipf => USERS,
        });
        // Full histories, so that each write evicts; in the short version two
        // snapshots a user, which is where the structures for more exist.
        let versions = self.arguments.pick(2, HISTORY);
        // New ones in each round where it is up to chance which of the few share a lock,
        // and some times where making them takes long.
        let (placements, anew_each_round) = match access {
            Access::Hot => (1, true),
            Access::Uniform | Access::Zipf => (PLACEMENTS, false),
        };
        let mut all_series: Vec<Vec<Series<Outcome>>> = groups.iter().map(|_| Vec::new()).collect();
        for placement in 0..placements {
            let fresh = |rotation| loaded(&users, access, versions, rotation);
            let kept = (!anew_each_round).then(|| fresh(placement));
            for (group, series) in groups.iter().zip(&mut all_series) {
                let rounds = match group.writers {
                    Writers::Others => self.rounds,
                    // Says as much about writes as about reads.
                    Writers::All => self.few_rounds,
                };
                let (first, end) = (
                    placement * rounds / placements,
                    (placement + 1) * rounds / placements,
                );
                // The first only warms up.
                for round in first..=end {
                    let warms_up = round == first;
                    match &kept {
                        Some(stores) => self.round(group, stores, round, warms_up, series),
                        None => self.round(group, &fresh(round), round, warms_up, series),
                    }
                }
            }
        }
        for (group, series) in groups.iter().zip(&all_series) {
            self.percentiles(&group.name, series);
            let bound = group.load.bound;
            self.bars(&group.name, series, &[(99.9, bound), (99.99, bound)]);
        }
    }

    /// Finds the rate anew, since the machine's pace changes; then all have their turn at
    /// it, in an order that rotates.
    fn round(
        &self,
        group: &Group,
        stores: &[Box<dyn Loaded + '_>],
        round: usize,
        warms_up: bool,
        series: &mut Vec<Series<Outcome>>,
    ) {
        measure_round_trip();
        if series.is_empty() {
            series.extend(stores.iter().map(|store| Series::new(store.name())));
        }
        let compared = stores.iter().take(2);
        let slower = compared
            .map(|store| store.sustained(group, round))
            .fold(f64::INFINITY, f64::min);
        let taking_part = if round <= self.few_rounds {
            stores.len()
        } else {
            2
        };
        for place in 0..taking_part {
            let turn = (place + round) % taking_part;
            let rate = group.load.share * slower;
            let outcome = || stores[turn].at_rate(group, rate, self.seconds, round);
            if warms_up {
                outcome();
            } else {
                series[turn].turns.push(Turn::take(outcome));
            }
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
    /// the reads: of whole rounds, and of short windows. Those of the upserts, of
    /// which there are few in a window, are compared without a bar.
    fn bars(&mut self, group: &str, series: &[Series<Outcome>], bounds: &[(f64, Bound)]) {
        let ratio_name = format!("{} / {}, latency", series[0].name, series[1].name);
        for &(percentile, bound) in bounds {
            let reads_name = format!("{group}, reads, p{percentile}");
            let (ours, theirs) = (&series[0], &series[1]);
            if let Some(compared) = ours.ratio(theirs, |outcome| typical(outcome, percentile)) {
                let name = format!("{reads_name}{OF_WINDOWS}");
                self.results.bar(&name, &ratio_name, compared, bound);
            }
            let kinds = [
                (reads_name, reads as Kind, bound),
                (
                    format!("{group}, upserts, p{percentile}"),
                    upserts,
                    Bound::None,
                ),
            ];
            for (name, kind, bound) in kinds {
                let of = |outcome: &Outcome| of_round(outcome, kind, percentile);
                if let Some(compared) = ours.ratio(theirs, of) {
                    self.results.bar(&name, &ratio_name, compared, bound);
                }
            }
        }
    }

    fn percentiles(&mut self, group: &str, series: &[Series<Outcome>]) {
        for series in series {
            for percentile in PERCENTILES {
                let rows = [
                    ("reads", series.spread(|o| of_round(o, reads, percentile))),
                    (
                        "upserts",
                        series.spread(|o| of_round(o, upserts, percentile)),
                    ),
                    (READS_OF_WINDOWS, series.spread(|o| typical(o, percentile))),
                ];
                for (kind, value) in rows {
                    let Some(value) = value else {
                        continue;
                    };
                    self.results.measurement(Measurement {
                        group: format!("{group}, {kind}"),
                        contender: series.name.clone(),
                        parameter: "percentile".to_owned(),
                        at: percentile,
                        unit: "ns".to_owned(),
                        value,
                    });
                }
            }
        }
    }
}

const OF_WINDOWS: &str = " of 0.2 ms";
const READS_OF_WINDOWS: &str = "reads, of 0.2 ms";

type Kind = fn(&Outcome) -> &Histogram<u64>;

fn reads(outcome: &Outcome) -> &Histogram<u64> {
    &outcome.latencies.reads
}

fn upserts(outcome: &Outcome) -> &Histogram<u64> {
    &outcome.latencies.upserts
}

/// A percentile of a whole round.
fn of_round(outcome: &Outcome, of: Kind, percentile: f64) -> Option<f64> {
    Some(of(outcome).value_at_percentile(percentile) as f64)
}

/// A percentile of the reads in a typical window.
fn typical(outcome: &Outcome, percentile: f64) -> Option<f64> {
    let place = PERCENTILES.iter().position(|&of| of == percentile)?;
    outcome.typical_window.get(place).copied()
}
