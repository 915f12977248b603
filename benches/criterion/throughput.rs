//! Mixes of reads and writes after YCSB, for all contenders: reads are
//! `with`, users are drawn uniformly, by a Zipf distribution or from four.
//!
//! The whole matrix takes hours. Name a part of it:
//! `cargo bench -p attuned-store-benches --bench throughput -- 'B 95-5/hot/history 100/2 threads'`
//!
//! The contenders come one after the other here, so a noisy machine shows; the
//! suite `contention` interleaves them.

use std::time::Duration;

use attuned_store_benches::contenders::Contender;
use attuned_store_benches::for_all_contenders;
use attuned_store_benches::workload::{
    Access, FIVE_AXES, HISTORY, Mix, fill, throughput, user_ids,
};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use smol_str::SmolStr;

const USERS: usize = 100_000;
const MIXES: [(&str, f64); 4] = [
    ("C 100-0", 0.0),
    ("99-1", 1.0),
    ("B 95-5", 5.0),
    ("A 50-50", 50.0),
];
const ACCESSES: [(&str, Access); 3] = [
    ("uniform", Access::Uniform),
    ("zipf", Access::Zipf),
    ("hot", Access::Hot),
];
/// Operations of a thread that are drawn at once; more than criterion asks for
/// at a time would take much memory.
const STEPS: u64 = 200_000;

fn mixes(criterion: &mut Criterion) {
    let users = user_ids(USERS);
    for (mix, write_percent) in MIXES {
        for (access_name, access) in ACCESSES {
            for history in [None, Some(HISTORY)] {
                for threads in [1, 2, 4, 8] {
                    let history_name = history.map_or("off".to_owned(), |n| n.to_string());
                    let mut group = criterion.benchmark_group(format!(
                        "{mix}/{access_name}/history {history_name}/{threads} threads",
                    ));
                    group.throughput(Throughput::Elements(threads as u64));
                    let mix = Mix {
                        access,
                        write_percent,
                        axes: FIVE_AXES,
                    };
                    for_all_contenders!(bench(&mut group, &users, mix, history, threads));
                    group.finish();
                }
            }
        }
    }
}

/// The time of one operation on each of the threads.
fn bench<C: Contender>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    users: &[SmolStr],
    mix: Mix,
    history: Option<usize>,
    threads: usize,
) {
    if history.is_some() && !C::KEEPS_HISTORY {
        return;
    }
    // Made at the first use, which is never if the filter excludes it.
    let mut filled: Option<C> = None;
    let mut round = 0;
    group.bench_function(C::NAME, |bencher| {
        let store = filled.get_or_insert_with(|| {
            let store = C::new(history, users.len());
            fill(&store, users, mix.axes, 2);
            store
        });
        bencher.iter_custom(|iterations| {
            let mut elapsed = Duration::ZERO;
            let mut left = iterations;
            while left > 0 {
                let steps = left.min(STEPS);
                left -= steps;
                round += 1;
                let rate = throughput(store, users, mix, threads, steps as usize, round);
                elapsed += Duration::from_secs_f64(threads as f64 * steps as f64 / rate);
            }
            elapsed
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500));
    targets = mixes
}
criterion_main!(benches);
