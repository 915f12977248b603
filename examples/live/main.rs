//! A store of many users under a read-heavy load, live.
//!
//! ```text
//! cargo run --release --example live
//! cargo run --release --example live -- --help
//! cargo run --release --example live -- --input events.jsonl
//! ```

mod args;
mod check;
mod fill;
mod ingest;
mod input;
mod load;
mod report;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use attuned_store::{ConfigError, MemoryStore};
use clap::Parser as _;

use crate::args::{Args, cores};
use crate::check::{Audit, Replay};
use crate::input::Input;
use crate::load::Load;
use crate::report::{Screen, counted, grouped};

/// What ends the run early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read {name}: {source}")]
    Input { name: String, source: io::Error },

    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),

    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),

    #[error("cannot set up the store: {0}")]
    Store(#[from] ConfigError),
}

type Result<T> = std::result::Result<T, Error>;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads the output has seen enough.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            warn(format_args!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

/// False if a check failed.
fn run(args: &Args) -> Result<bool> {
    let input = Input::open(args.input.as_deref())?;
    // The users of an input are not known beforehand; the store grows with them.
    let expected_users = if input.is_some() {
        0
    } else {
        args.users as usize
    };
    let store = MemoryStore::builder()
        .history(args.history as usize)
        .capacity(expected_users)
        .build()?;
    let mut screen = Screen::new();
    screen.heading(format_args!(
        "attuned-store live: {}, {}, {}, {} kept a user",
        counted(args.readers.into(), "reader"),
        counted(args.writers.into(), "writer"),
        counted(cores() as u64, "core"),
        counted(args.history.into(), "snapshot"),
    ))?;

    let (users, stored) = match input {
        Some(input) => ingest(input, args, &store, &mut screen)?,
        None => (fill(args, &store, &mut screen)?, true),
    };
    if args.seconds == 0 {
        return Ok(stored);
    }
    if users.is_empty() {
        screen.line("no users, so there is nothing to read or write")?;
        return Ok(stored);
    }
    let kept = drive(args, &store, &users, &mut screen)?;
    Ok(stored && kept)
}

/// Stores made-up users; returns them.
fn fill(args: &Args, store: &MemoryStore, screen: &mut Screen) -> Result<Vec<String>> {
    let users = fill::user_ids(args.users);
    let threads = usize::from(args.readers) + usize::from(args.writers);
    let took = fill::fill(store, &users, threads)?;
    screen.line(format_args!(
        "filled: {} with {} each, parsed from JSON, in {:.2} s",
        counted(store.len() as u64, "user"),
        counted(fill::SNAPSHOTS_PER_USER, "snapshot"),
        took.as_secs_f64(),
    ))?;
    Ok(users)
}

/// Stores the input's events; returns their users, and whether the store then
/// held what a replay holds.
fn ingest(
    input: Input,
    args: &Args,
    store: &MemoryStore,
    screen: &mut Screen,
) -> Result<(Vec<String>, bool)> {
    screen.line(format_args!("reading {}", input.name))?;
    let mut replay = Replay::new(args.history as usize);
    let ingested = ingest::ingest(input, store, args.writers.into(), &mut replay)?;
    screen.line(format_args!(
        "stored: {} of {} in {:.2} s: {} malformed, {} blank",
        counted(ingested.events, "event"),
        counted(ingested.lines, "line"),
        ingested.took.as_secs_f64(),
        grouped(ingested.malformed),
        grouped(ingested.blank),
    ))?;

    // Before the load, which changes the users.
    let differences = replay.differences(store);
    let users = replay.into_user_ids();
    if differences == 0 {
        screen.line(format_args!(
            "check: {}, {}: latest and history equal a plain replay",
            counted(users.len() as u64, "user"),
            counted(ingested.events, "event"),
        ))?;
    } else {
        screen.line(format_args!(
            "check: FAILED: {} of {} differ from a plain replay",
            grouped(differences as u64),
            counted(users.len() as u64, "user"),
        ))?;
    }
    Ok((users, differences == 0))
}

/// Reads and writes the users; returns whether all was well.
fn drive(args: &Args, store: &MemoryStore, users: &[String], screen: &mut Screen) -> Result<bool> {
    screen.line("")?;
    screen.heading(report::table_head())?;
    screen.progress(0, args.seconds)?;
    let load = Load::new(store, users, args.readers.into(), args.writers.into());
    let done = load.run(args.seconds, |second, done| {
        screen.clear_progress()?;
        screen.line(report::table_row(second, store.len(), done))?;
        if second < args.seconds {
            screen.progress(second, args.seconds)?;
        }
        Ok(())
    })?;

    screen.line("")?;
    screen.heading(format_args!(
        "Summary of {:.1} seconds",
        done.took.as_secs_f64(),
    ))?;
    screen.line(report::summary(&done))?;
    screen.line("")?;
    report_audit(
        &Audit::of(store, users, args.history as usize),
        load.missed(),
        users,
        screen,
    )
}

/// Shows what the store holds in the end; returns whether that is as it must be.
fn report_audit(audit: &Audit, missed: u64, users: &[String], screen: &mut Screen) -> Result<bool> {
    let users = counted(users.len() as u64, "user");
    screen.line(format_args!(
        "  store    {users}, {} kept",
        counted(audit.snapshots, "snapshot")
    ))?;
    if audit.wrong == 0 && missed == 0 {
        screen.line("  check    every read found its user; each latest is its history's newest")?;
        return Ok(true);
    }
    screen.line(format_args!(
        "  check    FAILED: {} found no user; of {}, latest is not the history's newest",
        counted(missed, "read"),
        counted(audit.wrong, "user"),
    ))?;
    Ok(false)
}

/// Writes a line to standard error, if that is still there.
fn warn(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}
