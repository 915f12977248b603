//! What a read and an upsert cost by the number of users: one thread, uniformly
//! drawn users, no history.

#![forbid(unsafe_code)]

use std::io;

use attuned_store_benches::arguments::Arguments;
use attuned_store_benches::contenders::Contender;
use attuned_store_benches::for_all_contenders;
use attuned_store_benches::results::{Measurement, Results};
use attuned_store_benches::rounds::{Entrant, Maker, Series, interleave_placed};
use attuned_store_benches::workload::{Access, FIVE_AXES, Mix, fill, throughput, user_ids};
use clap::Parser as _;
use smol_str::SmolStr;

/// Up to this many users all contenders' stores are held at once, some 3 GB, and
/// their rounds interleaved; beyond, they come one after the other.
const MOST_INTERLEAVED: usize = 1_000_000;

/// Nanoseconds an operation.
struct Costs {
    read: f64,
    upsert: f64,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut results = Results::new("scale", arguments.full);
    let sizes: &[usize] = arguments.pick(
        &[1_000, 10_000, 100_000, 1_000_000],
        &[1_000, 10_000, 100_000, 1_000_000, 5_000_000],
    );
    let steps = arguments.pick(200_000, 500_000);
    let rounds = arguments.pick(3, 7);
    for &size in sizes {
        if !arguments.selects(&format!("{size} users")) {
            continue;
        }
        let users = user_ids(size);
        let series: Vec<Series<Costs>> = if size <= MOST_INTERLEAVED {
            let makers = for_all_contenders!(maker(&users, steps));
            interleave_placed(&makers, rounds, rounds)
        } else {
            for_all_contenders!(alone(&users, steps, rounds))
                .into_iter()
                .flatten()
                .collect()
        };
        for series in &series {
            report(&mut results, size, "read", series, |costs| costs.read);
            report(&mut results, size, "upsert", series, |costs| costs.upsert);
        }
    }
    results.write(&arguments.directory())
}

fn maker<C: Contender>(users: &[SmolStr], steps: usize) -> Maker<'_, Costs> {
    Box::new(move || {
        let store = C::new(None, 0);
        fill(&store, users, FIVE_AXES, 1);
        Entrant::new(C::NAME, move |round| {
            let cost = |write_percent| {
                let mix = Mix {
                    access: Access::Uniform,
                    write_percent,
                    axes: FIVE_AXES,
                };
                1e9 / throughput(&store, users, mix, 1, steps, round)
            };
            Costs {
                read: cost(0.0),
                upsert: cost(100.0),
            }
        })
    })
}

fn alone<C: Contender>(users: &[SmolStr], steps: usize, rounds: usize) -> Vec<Series<Costs>> {
    interleave_placed(&[maker::<C>(users, steps)], 1, rounds)
}

fn report(
    results: &mut Results,
    users: usize,
    operation: &str,
    series: &Series<Costs>,
    cost: impl Fn(&Costs) -> f64,
) {
    let Some(value) = series.spread(|costs| Some(cost(costs))) else {
        return;
    };
    results.measurement(Measurement {
        group: format!("{operation} by users"),
        contender: series.name.clone(),
        parameter: "users".to_owned(),
        at: users as f64,
        unit: "ns".to_owned(),
        value,
    });
}
