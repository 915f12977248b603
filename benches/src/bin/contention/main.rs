//! Throughput, contenders interleaved in rounds: the bars, and curves over the
//! number of threads. Each file has one family of rows.

#![forbid(unsafe_code)]

mod curves;
mod growth;
mod histories;
mod hot_users;
mod removals;
mod through_trait;
mod uniform;
mod upserts;

use std::io;

use attuned_store_benches::arguments::Arguments;
use attuned_store_benches::suite::Suite;
use clap::Parser as _;

fn main() -> io::Result<()> {
    let mut suite = Suite::new("contention", Arguments::parse());
    through_trait::rows(&mut suite);
    hot_users::rows(&mut suite);
    growth::rows(&mut suite);
    histories::rows(&mut suite);
    upserts::rows(&mut suite);
    uniform::rows(&mut suite);
    removals::rows(&mut suite);
    curves::points(&mut suite);
    suite.finish()
}
