//! Reads through the contract, with many at once in flight: as a service has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use attuned_store::StateStore;
use hdrhistogram::Histogram;
use smol_str::SmolStr;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Result;
use crate::done::Done;
use crate::format::{quantile, short};
use crate::names::name;
use crate::pair::{Pair, Which};
use crate::screen::Screen;

const IN_FLIGHT: usize = 128;
const LASTS: Duration = Duration::from_secs(1);

/// What one side has done.
struct Reads {
    a_second: f64,
    missed: u64,
    latencies: Histogram<u64>,
}

/// Shows them; returns whether each read has found its user.
pub fn show(
    runtime: &Runtime,
    stores: Pair<Arc<dyn StateStore>>,
    users: &[SmolStr],
    screen: &mut Screen,
) -> Result<bool> {
    let users: Arc<[SmolStr]> = users.into();
    screen.line("")?;
    screen.line(format_args!(
        "through the contract, {IN_FLIGHT} reads at once: linearizable, over all processes"
    ))?;
    let mut all_found = true;
    for which in [Which::Attuned, Which::DashMap] {
        let store = Arc::clone(stores.get(which));
        let reads = runtime.block_on(read(store, Arc::clone(&users)));
        screen.line(format_args!(
            "  {:<14} {:>7} reads/s, p50 {}, p99 {}",
            name(which),
            short(reads.a_second),
            quantile(&reads.latencies, 0.5),
            quantile(&reads.latencies, 0.99),
        ))?;
        all_found &= reads.missed == 0;
    }
    Ok(all_found)
}

async fn read(store: Arc<dyn StateStore>, users: Arc<[SmolStr]>) -> Reads {
    let begun = Instant::now();
    let mut readers = JoinSet::new();
    for reader in 0..IN_FLIGHT {
        let (store, users) = (Arc::clone(&store), Arc::clone(&users));
        readers.spawn(async move {
            let mut latencies = Done::nothing().with;
            let mut missed = 0;
            let mut ids = users.iter().cycle().skip(reader * users.len() / IN_FLIGHT);
            while begun.elapsed() < LASTS
                && let Some(user_id) = ids.next()
            {
                let called = Instant::now();
                let found = store.get_latest(user_id).await;
                latencies.saturating_record(called.elapsed().as_nanos() as u64);
                missed += u64::from(!matches!(found, Ok(Some(_))));
                // Those in memory are ready at once, and would keep the others from reading.
                tokio::task::yield_now().await;
            }
            (latencies, missed)
        });
    }
    let mut all = Reads {
        a_second: 0.0,
        missed: 0,
        latencies: Done::nothing().with,
    };
    while let Some(reader) = readers.join_next().await {
        let (latencies, missed) = reader.expect("no operation panics");
        all.latencies += &latencies;
        all.missed += missed;
    }
    all.a_second = all.latencies.len() as f64 / begun.elapsed().as_secs_f64();
    all
}
