//! What single upserts take, one after the other.

use std::hint::black_box;

use quanta::Clock;
use smol_str::SmolStr;

use crate::contenders::Contender;
use crate::rounds::{Entrant, Maker};
use crate::workload::{Access, FIVE_AXES, HISTORY, Mix, Step, fill, read, run_threads};

/// Nanoseconds, the clock's own read included.
#[derive(Clone, Copy)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p99_9: f64,
}

impl Percentiles {
    fn of(mut latencies: Vec<u64>) -> Self {
        latencies.sort_unstable();
        let at = |percentile: f64| {
            let rank = (percentile / 100.0 * latencies.len() as f64).ceil() as usize;
            latencies[rank.max(1) - 1] as f64
        };
        Self {
            p50: at(50.0),
            p99: at(99.0),
            p99_9: at(99.9),
        }
    }
}

/// Upserts of uniformly drawn users with full histories by one thread, each timed alone.
/// The next begins when the one before is done, so a turn's percentiles are of the calls,
/// not of what somebody would wait who comes at any time.
pub fn upsert_latencies<C: Contender>(users: &[SmolStr], steps: usize) -> Maker<'_, Percentiles> {
    let mix = Mix {
        access: Access::Uniform,
        write_percent: 100.0,
        axes: FIVE_AXES,
    };
    Box::new(move || {
        let store = C::new(Some(HISTORY), users.len());
        fill(&store, users, FIVE_AXES, HISTORY);
        Entrant::new(C::NAME, move |round| {
            let (_, mut latencies) = run_threads(
                1,
                |thread| {
                    read(&store, &users[0]);
                    // In memory that is really there.
                    let mut log = vec![1_u64; steps];
                    log.clear();
                    (mix.steps::<C::Snapshot>(users, steps, (round, thread)), log)
                },
                |(steps, mut log)| {
                    let clock = Clock::new();
                    for step in steps {
                        if let Step::Write(snapshot) = step {
                            let start = clock.raw();
                            black_box(store.upsert(snapshot));
                            log.push(clock.delta_as_nanos(start, clock.raw()));
                        }
                    }
                    log
                },
            );
            Percentiles::of(latencies.swap_remove(0))
        })
    })
}
