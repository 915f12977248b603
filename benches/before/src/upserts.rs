//! What upserts into full histories take, on the whole and at the worst.

use attuned_store_benches::contenders::{Attuned, DashMap};
use attuned_store_benches::loads::{Filled, Percentiles, fresh, upsert_latencies};
use attuned_store_benches::results::Bound;
use attuned_store_benches::rounds::{interleave, interleave_placed};
use attuned_store_benches::suite::{FEW_USERS, MANY_USERS, Suite};
use attuned_store_benches::workload::{Access, FIVE_AXES, HISTORY, HOT_USERS, Mix, user_ids};

use crate::former::Former;

pub fn rows(suite: &mut Suite) {
    for (users, divisor) in [(HOT_USERS, 4), (FEW_USERS, 8), (MANY_USERS, 8)] {
        one_thread(suite, users, divisor);
        percentiles(suite, users, divisor);
    }
    for access in [Access::Own, Access::One] {
        two_threads(suite, access);
    }
}

fn one_thread(suite: &mut Suite, users: usize, divisor: usize) {
    let name = format!("upsert, full history of {HISTORY}, {users} users");
    let users = user_ids(users);
    let load = Filled {
        users: &users,
        mix: writes(Access::Uniform),
        versions: HISTORY,
        threads: 1,
        steps: suite.steps / divisor,
    };
    let makers = [
        load.maker::<Attuned>(),
        load.maker::<Former>(),
        load.maker::<DashMap>(),
    ];
    suite.times(&name, suite.rounds, &makers, &[Bound::None; 2]);
}

fn percentiles(suite: &mut Suite, users: usize, divisor: usize) {
    let name = format!("single upserts, full history of {HISTORY}, {users} users");
    if !suite.selects(&name) {
        return;
    }
    let users = user_ids(users);
    let steps = suite.steps / divisor;
    let makers = [
        upsert_latencies::<Attuned>(&users, steps),
        upsert_latencies::<Former>(&users, steps),
        upsert_latencies::<DashMap>(&users, steps),
    ];
    let series = interleave_placed(&makers, suite.placements, suite.rounds);
    type Of = fn(&Percentiles) -> f64;
    let kinds: [(&str, Of, Bound); 3] = [
        ("p50", |of| of.p50, Bound::None),
        ("p99", |of| of.p99, Bound::AtMost(1.2)),
        ("p99.9", |of| of.p99_9, Bound::AtMost(1.2)),
    ];
    for (kind, of, bound) in kinds {
        let name = format!("{name}, {kind}");
        for series in &series {
            suite.figure(&name, series, "ns", |percentiles| Some(of(percentiles)));
        }
        for (other, bound) in series[1..].iter().zip([bound, Bound::None]) {
            let ratio = format!("{} / {}, latency", series[0].name, other.name);
            if let Some(compared) = series[0].ratio(other, |percentiles| Some(of(percentiles))) {
                suite.results.bar(&name, &ratio, compared, bound);
            }
        }
    }
}

fn two_threads(suite: &mut Suite, access: Access) {
    let name = format!(
        "upsert by 2 threads, full history of {HISTORY}, {}",
        access.name()
    );
    if !suite.selects(&name) {
        return;
    }
    let users = user_ids(FEW_USERS);
    let load = Filled {
        users: &users,
        mix: writes(access),
        versions: HISTORY,
        threads: 2,
        steps: suite.steps / 4,
    };
    let entrants = vec![
        fresh::<Attuned>(load),
        fresh::<Former>(load),
        fresh::<DashMap>(load),
    ];
    let series = interleave(entrants, suite.rounds);
    for other in &series[1..] {
        suite.slower(&name, &series[0], other, Bound::None);
    }
}

fn writes(access: Access) -> Mix {
    Mix {
        access,
        write_percent: 100.0,
        axes: FIVE_AXES,
    }
}
