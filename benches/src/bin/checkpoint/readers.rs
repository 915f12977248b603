//! Reads while a checkpoint is written, beside the same reads without.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use attuned_store_benches::contenders::Attuned;
use attuned_store_benches::open_loop::{Outcome, PERCENTILES, Writers, mixed};
use attuned_store_benches::results::{Bound, Results};
use attuned_store_benches::rounds::{Entrant, interleave};
use attuned_store_benches::workload::{Access, FIVE_AXES, Mix};
use smol_str::SmolStr;

/// Nanoseconds from one read to the next.
const INTERVAL: f64 = 2_000.0;
/// In a turn: a fifth of a second.
const READS: usize = 100_000;

const MIX: Mix = Mix {
    access: Access::Uniform,
    write_percent: 0.0,
    axes: FIVE_AXES,
};

/// One thread reads at a fixed rate. In every other turn another thread writes a
/// checkpoint to the disk all the while.
pub fn rows(
    results: &mut Results,
    name: &str,
    store: &Attuned,
    ids: &[SmolStr],
    folder: &Path,
    rounds: usize,
) {
    let path = folder.join("while-reading");
    let read = |round| mixed(store, ids, (MIX, Writers::All), 1, READS, INTERVAL, round);
    let series = interleave(
        vec![
            Entrant::new("during a checkpoint", |round| {
                let done = AtomicBool::new(false);
                thread::scope(|scope| {
                    scope.spawn(|| {
                        while !done.load(Ordering::Relaxed) {
                            store.0.checkpoint_to(&path).expect("the disk has room");
                        }
                    });
                    let outcome = read(round);
                    done.store(true, Ordering::Relaxed);
                    outcome
                })
            }),
            Entrant::new("without", read),
        ],
        rounds,
    );
    let [during, without] = series.as_slice() else {
        unreachable!("two take part");
    };
    for (percentile, bound) in [
        (50.0, Bound::None),
        (99.0, Bound::None),
        (99.9, Bound::AtMost(1.2)),
    ] {
        let of_turns = |outcome: &Outcome| {
            Some(
                outcome
                    .latencies
                    .reads
                    .value_at_quantile(percentile / 100.0) as f64,
            )
        };
        let at = PERCENTILES.iter().position(|&known| known == percentile);
        let of_windows = |outcome: &Outcome| outcome.typical_window.get(at?).copied();
        for (of, which) in [
            (&of_turns as &dyn Fn(&Outcome) -> Option<f64>, ""),
            (&of_windows, " of 0.2 ms"),
        ] {
            let ratio = format!("p{percentile}{which} during a checkpoint / without");
            if let Some(compared) = during.ratio(without, of) {
                let row = format!("{name}: reads");
                results.bar(&row, &ratio, compared, bound);
            }
        }
    }
}
