//! What an upsert costs after many other threads have used the store and sleep.

#![forbid(unsafe_code)]

use std::io;

use attuned_store_benches::arguments::Arguments;
use attuned_store_benches::contenders::{Attuned, Contender, DashMap};
use attuned_store_benches::sleepers::{self, Task, rows};
use attuned_store_benches::suite::Suite;
use clap::Parser;

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
            other => Err(io::Error::other(format!("nobody is called {other}"))),
        };
    }
    let mut suite = Suite::new("threads", options.arguments);
    let contenders = [sleepers::maker::<Attuned>, sleepers::maker::<DashMap>];
    rows(&mut suite, &contenders);
    suite.finish()
}
