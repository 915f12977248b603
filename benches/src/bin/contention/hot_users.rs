//! Few users, who are accessed by all threads.

use attuned_store_benches::contenders::{Attuned, DashMap, Papaya, StdRwLock};
use attuned_store_benches::loads::Hot;
use attuned_store_benches::results::Bound;
use attuned_store_benches::rounds::interleave;
use attuned_store_benches::suite::{Suite, itself};
use attuned_store_benches::workload::{ALL_AXES, FIVE_AXES};

pub fn rows(suite: &mut Suite) {
    reads_only(suite);
    some_writes(suite);
    two_threads_beside_one(suite);
}

fn reads_only(suite: &mut Suite) {
    for (axes, by_copy) in [(FIVE_AXES, Bound::None), (ALL_AXES, Bound::AtLeast(3.0))] {
        for (read, bound) in [("with", Bound::AtLeast(3.0)), ("get", by_copy)] {
            let name = format!("4 hot users, 2 threads, {read} only, {} axes", axes.len());
            if !suite.selects(&name) {
                continue;
            }
            let hot = Hot::new(axes, 0.0, 2, suite.steps);
            let entrants = if read == "with" {
                vec![
                    hot.mix::<Attuned>(),
                    hot.mix::<DashMap>(),
                    hot.mix::<Papaya>(),
                ]
            } else {
                vec![
                    hot.copies::<Attuned>(),
                    hot.copies::<DashMap>(),
                    hot.copies::<Papaya>(),
                ]
            };
            let series = interleave(entrants, suite.rounds);
            suite.faster(&name, &series[0], &series[1], bound);
            // What can be reached with this map, this hasher and this machine.
            suite.faster(&name, &series[2], &series[1], Bound::None);
        }
    }
}

fn some_writes(suite: &mut Suite) {
    let name = "4 hot users, 2 threads, 1 % writes";
    if !suite.selects(name) {
        return;
    }
    let hot = Hot::new(FIVE_AXES, 1.0, 2, suite.steps);
    let series = interleave(
        vec![
            hot.mix::<Attuned>(),
            hot.mix::<DashMap>(),
            hot.mix::<StdRwLock>(),
        ],
        suite.rounds,
    );
    suite.faster(name, &series[0], &series[1], Bound::AtLeast(1.7));
    suite.faster(name, &series[0], &series[2], Bound::AtLeast(2.5));
}

fn two_threads_beside_one(suite: &mut Suite) {
    let name = "4 hot users, with, 2 threads against 1";
    if !suite.selects(name) {
        return;
    }
    let alone = Hot::new(FIVE_AXES, 0.0, 1, suite.steps);
    let both = Hot::new(FIVE_AXES, 0.0, 2, suite.steps);
    let series = interleave(
        vec![
            both.mix::<Attuned>(),
            alone.mix::<Attuned>(),
            both.mix::<DashMap>(),
            alone.mix::<DashMap>(),
            // What the machine gives a read that shares nothing.
            both.mix::<Papaya>(),
            alone.mix::<Papaya>(),
        ],
        suite.rounds,
    );
    for (pair, bound) in [(0, Bound::AtLeast(1.8)), (2, Bound::None), (4, Bound::None)] {
        let (two, one) = (&series[pair], &series[pair + 1]);
        if let Some(compared) = two.ratio(one, itself) {
            let name = format!("{name}, {}", two.name);
            let ratio = "2 threads / 1 thread, operations/s";
            suite.results.bar(&name, ratio, compared, bound);
        }
    }
}
