//! Latencies at a fixed rate of arrivals: who takes part, how the rate is found, and what
//! is compared.

use hdrhistogram::Histogram;
use smol_str::SmolStr;

use crate::contenders::Contender;
use crate::disturbance::measure_round_trip;
use crate::open_loop::{Outcome, PERCENTILES, Writers, mixed};
use crate::results::{Bound, Measurement, Results};
use crate::rounds::{Series, Turn, in_rotated_order};
use crate::workload::{Access, FIVE_AXES, HISTORY, HOT_USERS, Mix, fill, user_ids};

/// Where users are accessed at random.
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
/// A round, for one contender.
const SECONDS: f64 = 0.025;

/// How much of what the slowest of those compared sustains is asked of all.
#[derive(Clone, Copy)]
pub struct Load {
    pub name: &'static str,
    share: f64,
}

pub const TWO_THIRDS: Load = Load {
    name: "two thirds load",
    share: 2.0 / 3.0,
};

pub const LIGHT: Load = Load {
    name: "light load",
    share: 0.05,
};

/// Who does what, how often.
#[derive(Clone)]
pub struct Group {
    pub name: String,
    mix: Mix,
    pub writers: Writers,
    pub load: Load,
}

impl Group {
    pub fn new(access: Access, write_percent: f64, writers: Writers, load: Load) -> Self {
        let by = match writers {
            Writers::Others => "others",
            Writers::All => "all",
        };
        Self {
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
        }
    }
}

/// A contender with its users, of whatever type it is.
pub trait Loaded {
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

/// Makes a filled store.
pub type Loader = for<'a> fn(&'a [SmolStr], Access, usize) -> Box<dyn Loaded + 'a>;

/// A store with so many versions of each user that is accessed.
pub fn loaded<C: Contender>(
    users: &[SmolStr],
    access: Access,
    versions: usize,
) -> Box<dyn Loaded + '_> {
    let versions = if C::KEEPS_HISTORY { versions } else { 1 };
    let store = C::new(Some(HISTORY), users.len());
    match access {
        // The others are only there.
        Access::Hot => {
            fill(&store, users, FIVE_AXES, 1);
            fill(&store, &users[..HOT_USERS], FIVE_AXES, versions - 1);
        }
        _ => fill(&store, users, FIVE_AXES, versions),
    }
    Box::new(Filled { store, users })
}

pub struct Tails {
    /// The first ones are compared: they set the rate.
    pub contenders: Vec<Loader>,
    pub compared: usize,
    /// Many short rounds rather than few long ones: a single preemption
    /// makes the p99.9 of the round in which it falls, and the median over
    /// the rounds stands as long as most of them are free of it. And a core that
    /// is shared with strangers is one's own for short times only.
    pub rounds: usize,
    /// For those that are not compared, and where all threads write.
    pub few_rounds: usize,
    /// Of each user: full histories, so that each write evicts, or two, which is where
    /// the structures for more exist.
    pub versions: usize,
}

impl Tails {
    /// Runs the groups, which all have this access, side by side; the series of each.
    pub fn run(&self, access: Access, groups: &[Group]) -> Vec<Vec<Series<Outcome>>> {
        let mut all_series: Vec<Vec<Series<Outcome>>> = groups.iter().map(|_| Vec::new()).collect();
        if groups.is_empty() {
            return all_series;
        }
        // New stores in each round where it is up to chance which of the few share a lock,
        // and some times where making them takes long.
        let (users, placements, anew_each_round) = match access {
            Access::Hot => (FEW_USERS, 1, true),
            _ => (USERS, PLACEMENTS, false),
        };
        let users = user_ids(users);
        let fresh = |rotation| {
            let load = |load: &Loader| {
                let (load, users) = (*load, &users);
                move || load(users, access, self.versions)
            };
            let makers: Vec<_> = self.contenders.iter().map(load).collect();
            in_rotated_order(&makers, rotation)
        };
        for placement in 0..placements {
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
        all_series
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
        let slowest = stores[..self.compared]
            .iter()
            .map(|store| store.sustained(group, round))
            .fold(f64::INFINITY, f64::min);
        let taking_part = if round <= self.few_rounds {
            stores.len()
        } else {
            self.compared
        };
        for place in 0..taking_part {
            let turn = (place + round) % taking_part;
            let rate = group.load.share * slowest;
            let outcome = || stores[turn].at_rate(group, rate, SECONDS, round);
            if warms_up {
                outcome();
            } else {
                series[turn].turns.push(Turn::take(outcome));
            }
        }
    }
}

/// What one series has against another, by percentiles of
/// the reads: of whole rounds, and of short windows. Those of the upserts, of
/// which there are few in a window, are compared without a bar.
pub fn compare(
    results: &mut Results,
    group: &str,
    ours: &Series<Outcome>,
    theirs: &Series<Outcome>,
    bounds: &[(f64, Bound)],
) {
    let ratio_name = format!("{} / {}, latency", ours.name, theirs.name);
    for &(percentile, bound) in bounds {
        let reads_name = format!("{group}, reads, p{percentile}");
        if let Some(compared) = ours.ratio(theirs, |outcome| typical(outcome, percentile)) {
            let name = format!("{reads_name}{OF_WINDOWS}");
            results.bar(&name, &ratio_name, compared, bound);
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
                results.bar(&name, &ratio_name, compared, bound);
            }
        }
    }
}

/// Each contender's own figures.
pub fn percentiles(results: &mut Results, group: &str, series: &[Series<Outcome>]) {
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
                results.measurement(Measurement {
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
