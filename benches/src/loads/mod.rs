//! What a contender does in its turn, for the rows of several suites: each function makes
//! what [`rounds`](crate::rounds) interleaves.

mod histories;
mod hot;
mod latencies;
mod mixed;
mod removals;

pub use self::histories::histories;
pub use self::hot::Hot;
pub use self::latencies::{Percentiles, upsert_latencies};
pub use self::mixed::{Filled, fresh};
pub use self::removals::{comings_and_goings, removals, retentions};
