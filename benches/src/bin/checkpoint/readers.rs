//! Reads while a checkpoint is written, beside the same reads without.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{hint, thread};

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

/// One thread reads at a fixed rate. In one turn another thread writes a checkpoint to the disk
/// all the while, in the next one it does nothing but keep a core busy, in the next one there is none.
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
                let work = || {
                    store.0.checkpoint_to(&path).expect("the disk has room");
                };
                beside(work, || read(round))
            }),
            Entrant::new("beside a busy core", |round| {
                beside(hint::spin_loop, || read(round))
            }),
            Entrant::new("without", read),
        ],
        rounds,
    );
    let [during, busy, without] = series.as_slice() else {
        unreachable!("three take part");
    };
    for percentile in [50.0, 99.0, 99.9] {
        let of_turns = |outcome: &Outcome| {
            let reads = &outcome.latencies.reads;
            Some(reads.value_at_quantile(percentile / 100.0) as f64)
        };
        let at = PERCENTILES.iter().position(|&known| known == percentile);
        let of_windows = |outcome: &Outcome| outcome.typical_window.get(at?).copied();
        for (of, which) in [
            (&of_turns as &dyn Fn(&Outcome) -> Option<f64>, ""),
            (&of_windows, " of 0.2 ms"),
        ] {
            for (above, below) in [(during, without), (busy, without), (during, busy)] {
                let ratio = format!("p{percentile}{which} {} / {}", above.name, below.name);
                let bound = if percentile == 99.9 && above.name == during.name {
                    Bound::AtMost(1.2)
                } else {
                    Bound::None
                };
                if let Some(compared) = above.ratio(below, of) {
                    results.bar(&format!("{name}: reads"), &ratio, compared, bound);
                }
            }
        }
    }
}

/// Does `measured` while another thread does `work` again and again.
fn beside<T>(work: impl Fn() + Sync, measured: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                work();
            }
        });
        let outcome = measured();
        done.store(true, Ordering::Relaxed);
        outcome
    })
}
