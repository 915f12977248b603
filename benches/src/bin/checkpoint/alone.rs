//! Reading, measured in a process of its own: a store is restored once, when a process starts.
//! A process that has dropped such a store before gives the allocator more to do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use attuned_store::{MemoryStore, MemoryStoreBuilder};
use attuned_store_benches::workload::{HISTORY, user_ids};
use clap::Parser;

use crate::{Case, bare, json, seconds};

/// The first argument of such a process.
const ALONE: &str = "--alone";

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Read {
    Checkpoint,
    Json,
    /// Nothing is read: a bare map is [filled](crate::bare).
    Nothing,
}

#[derive(Parser)]
struct Task {
    #[arg(long, value_name = "WHAT")]
    alone: Read,
    path: PathBuf,
    users: usize,
    snapshots: usize,
}

/// Does what such a process is to do, if this is one.
pub fn is_one() -> bool {
    if env::args().nth(1).as_deref() != Some(ALONE) {
        return false;
    }
    let Task {
        alone,
        path,
        users,
        snapshots,
    } = Task::parse();
    let builder: MemoryStoreBuilder = MemoryStore::builder().history(HISTORY);
    let took = match alone {
        Read::Checkpoint => seconds(|| builder.restore_from(&path)),
        Read::Json => seconds(|| json::read(builder, users, &path)),
        Read::Nothing => {
            let ids = user_ids(users);
            seconds(|| bare::filled(&ids, snapshots))
        }
    };
    println!("{took}");
    true
}

/// How many seconds it takes to read the file into a store.
pub fn reading(what: Read, path: &Path, case: &Case) -> io::Result<f64> {
    let mut process = Command::new(env::current_exe()?);
    let what = match what {
        Read::Checkpoint => "checkpoint",
        Read::Json => "json",
        Read::Nothing => "nothing",
    };
    process
        .arg(ALONE)
        .arg(what)
        .arg(path)
        .arg(case.users.to_string())
        .arg(case.snapshots.to_string());
    let output = process.stderr(Stdio::inherit()).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    told.trim().parse().map_err(io::Error::other)
}
