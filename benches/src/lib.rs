//! What the benchmark suites share: the contenders, the load, how rounds are
//! interleaved and compared, and the form of the results.
//!
//! `benches/README.md` tells what is measured and how to read it.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod contenders;
pub mod disturbance;
pub mod environment;
pub mod instructions;
pub mod loads;
pub mod open_loop;
pub mod results;
pub mod rounds;
pub mod sleepers;
pub mod suite;
pub mod tails;
pub mod workload;
