//! What was done in some time, and how long it took.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::core_times::CoreTimes;

/// Of one side.
pub struct Done {
    pub took: Duration,
    pub reads: u64,
    pub writes: u64,
    /// Reads that did not find their user, which must not be.
    pub missed: u64,
    /// In nanoseconds: of `with`, and of inserts.
    pub with: Histogram<u64>,
    pub insert: Histogram<u64>,
    pub cores: CoreTimes,
}

impl Done {
    pub fn nothing() -> Self {
        // Two significant digits, so a percent, up to a minute.
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("valid bounds");
        Self {
            took: Duration::ZERO,
            reads: 0,
            writes: 0,
            missed: 0,
            with: histogram.clone(),
            insert: histogram,
            cores: CoreTimes::default(),
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.took += other.took;
        self.reads += other.reads;
        self.writes += other.writes;
        self.missed += other.missed;
        self.with += &other.with;
        self.insert += &other.insert;
        self.cores += other.cores;
    }

    pub fn reads_per_second(&self) -> f64 {
        per_second(self.reads, self.took)
    }

    pub fn writes_per_second(&self) -> f64 {
        per_second(self.writes, self.took)
    }
}

/// 0 if it took no time.
fn per_second(count: u64, took: Duration) -> f64 {
    let seconds = took.as_secs_f64();
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

/// Which share of these took longer than so many nanoseconds.
pub fn share_above(latencies: &Histogram<u64>, nanos: u64) -> f64 {
    if latencies.is_empty() {
        return 0.0;
    }
    let above = latencies.count_between(nanos + 1, latencies.high());
    above as f64 / latencies.len() as f64
}

/// Calls `operation` and tells how many nanoseconds it took.
pub fn nanos_of(operation: impl FnOnce()) -> u64 {
    let start = Instant::now();
    operation();
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What the clock adds to each latency: the median of timing nothing.
pub fn clock_cost_nanos() -> u64 {
    let mut costs: Vec<u64> = (0..1001).map(|_| nanos_of(|| {})).collect();
    costs.sort_unstable();
    costs[costs.len() / 2]
}
