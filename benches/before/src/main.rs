//! This library beside a former state of itself, and DashMap, in the same rounds of the
//! same process. Each file has one family of rows.
//!
//! `run` makes the checkout of the former state; `benches/README.md` tells how to read it.

mod former;
mod reads;
mod removals;
mod tails;
mod upserts;

use std::io;

use attuned_store_benches::arguments::Arguments;
use attuned_store_benches::contenders::{Attuned, Contender, DashMap};
use attuned_store_benches::environment::packages;
use attuned_store_benches::sleepers::{self, Task};
use attuned_store_benches::suite::Suite;
use clap::Parser;

use former::Former;

/// Written by `run`.
const FORMER: &str = include_str!("../../../target/before/source/.commit");

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    arguments: Arguments,

    /// Take turns for a suite that runs elsewhere: what the suite itself starts.
    #[arg(long, hide = true)]
    serve: Option<String>,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    if let Some(task) = options.serve {
        let task: Task = serde_json::from_str(&task)?;
        return match task.contender.as_str() {
            Attuned::NAME => sleepers::serve::<Attuned>(&task),
            DashMap::NAME => sleepers::serve::<DashMap>(&task),
            Former::NAME => sleepers::serve::<Former>(&task),
            other => Err(io::Error::other(format!("nobody is called {other}"))),
        };
    }
    let mut suite = Suite::new("before", options.arguments);
    let environment = &mut suite.results.environment;
    environment.packages = packages(include_str!("../Cargo.lock"));
    environment.commit += ", beside commit ";
    environment.commit += FORMER.trim();
    upserts::rows(&mut suite);
    sleepers::rows(
        &mut suite,
        &[
            sleepers::maker::<Attuned>,
            sleepers::maker::<DashMap>,
            sleepers::maker::<Former>,
        ],
    );
    reads::rows(&mut suite);
    removals::rows(&mut suite);
    tails::rows(&mut suite);
    suite.finish()
}
