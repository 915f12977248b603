//! Calls through `dyn`, which is the only interface of the published store.

use attuned_store::{StateSnapshot, StateStore};
use attuned_store_benches::contenders::{Attuned, Contender, Papaya, Published, ThroughTrait};
use attuned_store_benches::results::Bound;
use attuned_store_benches::rounds::{Entrant, interleave};
use attuned_store_benches::suite::{FEW_USERS, MANY_USERS, Suite};
use attuned_store_benches::workload::{
    ALL_AXES, FIVE_AXES, HISTORY, HOT_USERS, calls, fill, poll, user_ids,
};
use smol_str::SmolStr;

pub fn rows(suite: &mut Suite) {
    for (axes, beside_bare_map) in [(FIVE_AXES, 1.0), (ALL_AXES, 0.95)] {
        // Few enough to be in the caches, and as many as a service has.
        for (users, bound) in [
            (FEW_USERS, Bound::AtLeast(beside_bare_map)),
            (MANY_USERS, Bound::None),
        ] {
            latest(suite, axes, users, bound);
        }
    }
    for (axes, beside_published) in [(FIVE_AXES, 15.0), (ALL_AXES, 60.0)] {
        // Of histories that are read again and again, and of those that must
        // be fetched from further away each time.
        for (users, bound) in [
            (HOT_USERS, Bound::AtLeast(beside_published)),
            (FEW_USERS, Bound::None),
        ] {
            history(suite, axes, users, bound);
        }
    }
}

fn latest(suite: &mut Suite, axes: &[&str], users: usize, bound: Bound) {
    let name = format!("get_latest through dyn, {} axes, {users} users", axes.len());
    if !suite.selects(&name) {
        return;
    }
    let steps = suite.steps / if users == MANY_USERS { 16 } else { 8 };
    let users = user_ids(users);
    let (ours, published) = behind_dyn(None, &users, axes, 1);
    // It has whole snapshots, so that none must be put together.
    let papaya = Papaya::<StateSnapshot>::new(None, users.len());
    fill(&papaya, &users, axes, 1);
    let papaya: Box<dyn StateStore> = Box::new(ThroughTrait(papaya));
    let series = interleave(
        vec![
            Entrant::new(Attuned::NAME, |round| {
                calls(&users, 1, steps, round, |id| poll(ours.get_latest(id)))
            }),
            Entrant::new(Published::NAME, |round| {
                calls(&users, 1, steps, round, |id| poll(published.get_latest(id)))
            }),
            Entrant::new(Papaya::<StateSnapshot>::NAME, |round| {
                calls(&users, 1, steps, round, |id| poll(papaya.get_latest(id)))
            }),
        ],
        suite.rounds,
    );
    suite.faster(&name, &series[0], &series[2], bound);
    // How much of that is malloc's and the host's: it varies much from host to host.
    suite.faster(&name, &series[0], &series[1], Bound::None);
    suite.faster(&name, &series[2], &series[1], Bound::None);
}

fn history(suite: &mut Suite, axes: &[&str], users: usize, bound: Bound) {
    let name = format!(
        "get_history({HISTORY}) through dyn, {} axes, {users} users",
        axes.len()
    );
    if !suite.selects(&name) {
        return;
    }
    let users = user_ids(users);
    let (ours, published) = behind_dyn(Some(HISTORY), &users, axes, HISTORY);
    let steps = suite.steps / 800;
    let series = interleave(
        vec![
            Entrant::new(Attuned::NAME, |round| {
                let call = |id: &str| poll(ours.get_history(id, HISTORY));
                calls(&users, 1, steps, round, call)
            }),
            Entrant::new(Published::NAME, |round| {
                let call = |id: &str| poll(published.get_history(id, HISTORY));
                calls(&users, 1, steps, round, call)
            }),
        ],
        suite.rounds,
    );
    suite.faster(&name, &series[0], &series[1], bound);
}

/// Both stores that have a trait, filled.
fn behind_dyn(
    history: Option<usize>,
    users: &[SmolStr],
    axes: &[&str],
    versions: usize,
) -> (Box<dyn StateStore>, Box<dyn attuned_store_v1::StateStore>) {
    let ours = Attuned::new(history, users.len());
    let published = Published::new(history, users.len());
    fill(&ours, users, axes, versions);
    fill(&published, users, axes, versions);
    (Box::new(ours.0), Box::new(published.0))
}
