//! All contenders over the number of threads.

use attuned_store_benches::contenders::Contender;
use attuned_store_benches::for_all_contenders;
use attuned_store_benches::loads::{Filled, Hot};
use attuned_store_benches::results::Measurement;
use attuned_store_benches::rounds::{Entrant, Maker, interleave, interleave_placed};
use attuned_store_benches::suite::{MANY_USERS, Suite, itself};
use attuned_store_benches::workload::{Access, FIVE_AXES, Mix, user_ids};

pub fn points(suite: &mut Suite) {
    let mixes: &[f64] = suite.arguments.pick(&[5.0], &[0.0, 5.0, 50.0]);
    for access in [Access::Hot, Access::Uniform] {
        for &write_percent in mixes {
            let group = format!("{}, {write_percent} % writes", access.name());
            if !suite.selects(&group) {
                continue;
            }
            for threads in [1, 2, 4, 8] {
                point(suite, &group, access, write_percent, threads);
            }
        }
    }
}

fn point(suite: &mut Suite, group: &str, access: Access, write_percent: f64, threads: usize) {
    // As many for each thread whatever their number: with less to do, the
    // threads that share a core would be through one after the other.
    let steps = match access {
        // Fewer where spinning locks take minutes for more.
        Access::Hot if threads > 4 => 200_000,
        Access::Hot => 400_000,
        _ => suite.steps / 4,
    };
    let rounds = 3;
    let series = if access == Access::Hot {
        fn entrant<C: Contender>(hot: &Hot) -> Entrant<'_> {
            hot.mix::<C>()
        }
        let hot = Hot::new(FIVE_AXES, write_percent, threads, steps);
        interleave(for_all_contenders!(entrant(&hot)), rounds)
    } else {
        fn maker<C: Contender>(load: Filled<'_>) -> Maker<'_> {
            load.maker::<C>()
        }
        let users = user_ids(MANY_USERS);
        let load = Filled {
            users: &users,
            mix: Mix {
                access,
                write_percent,
                axes: FIVE_AXES,
            },
            // So that what a second one makes a store allocate is there.
            versions: 2,
            threads,
            steps,
        };
        let makers = for_all_contenders!(maker(load));
        interleave_placed(&makers, rounds, rounds)
    };
    for series in &series {
        let Some(value) = series.spread(itself) else {
            continue;
        };
        suite.results.measurement(Measurement {
            group: group.to_owned(),
            contender: series.name.clone(),
            parameter: "threads".to_owned(),
            at: threads as f64,
            unit: "operations/s".to_owned(),
            value,
        });
    }
}
