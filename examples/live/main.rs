//! A store of many users beside a DashMap that keeps the same, live.
//!
//! ```text
//! cargo run --release --example live
//! cargo run --release --example live -- --help
//! cargo run --release --example live -- --writes 20 --hot 4 --threads 8
//! cargo run --release --example live -- --input events.jsonl
//! ```

mod args;
mod chart;
mod check;
mod core_times;
mod done;
mod drawing;
mod fill;
mod format;
mod frame;
mod ingest;
mod input;
mod journal;
mod load;
mod made_up;
#[cfg(feature = "checkpoint")]
#[path = "outlive.rs"]
mod outlive;
#[cfg(not(feature = "checkpoint"))]
#[path = "mortal.rs"]
mod outlive;
mod pair;
mod phases;
mod replay;
mod rival;
mod screen;
mod show;
mod side;
mod sleepers;
mod summary;
mod svg;
mod users;
mod verdict;
mod worker;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use attuned_store::ConfigError;
use clap::Parser as _;

use crate::args::{Args, cores};
use crate::drawing::Drawing;
use crate::format::{counted, grouped};
use crate::input::Input;
use crate::load::{Course, Load};
use crate::pair::Pair;
use crate::replay::Replay;
use crate::screen::Screen;
use crate::show::Show;
use crate::side::Sides;
use crate::summary::Summary;
use crate::users::Users;

/// What ends the run early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read {name}: {source}")]
    Input { name: String, source: io::Error },

    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),

    #[error("cannot write {}: {source}", name.display())]
    Svg { name: PathBuf, source: io::Error },

    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),

    #[error("cannot set up the store: {0}")]
    Store(#[from] ConfigError),

    #[error("{0}")]
    Checkpoint(String),
}

type Result<T> = std::result::Result<T, Error>;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // The reader of the output has seen enough.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            warn(format_args!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

/// False if a check failed.
fn run(args: &Args) -> Result<bool> {
    let input = match &args.restore {
        Some(_) => None,
        None => Input::open(args.input.as_deref())?,
    };
    // Before the work: it would be a pity to find out afterwards.
    let svg = args.svg.as_deref().map(Drawing::create).transpose()?;
    // The users of an input are not known beforehand; the maps grow with them.
    let expected_users = if input.is_some() {
        0
    } else {
        args.users as usize
    };
    let mut sides = Sides::new(args.history as usize, expected_users)?;
    let mut screen = Screen::new(args.redraw);
    screen.heading(format_args!(
        "attuned-store beside a DashMap: {}, {}, {} kept a user",
        counted(args.threads.into(), "thread"),
        counted(cores() as u64, "core"),
        counted(args.history.into(), "state"),
    ))?;

    let (users, stored) = match (input, &args.restore) {
        (Some(input), _) => ingest(input, args, &sides, &mut screen)?,
        (None, Some(path)) => outlive::restore(path, args.history, &mut sides, &mut screen)?,
        (None, None) => (fill(args, &sides, &mut screen)?, true),
    };
    let checkpoints = match &args.checkpoint {
        Some(path) => Some(outlive::Checkpoints::start(path, &sides)?),
        None => None,
    };
    if args.seconds == 0 {
        return Ok(stored);
    }
    if users.len() == 0 {
        screen.line("no users, so there is nothing to read or write")?;
        return Ok(stored);
    }
    let mut load = Load::new(&sides, users, args.threads.into());
    let courses = drive(args, &mut load, &mut screen)?;
    let summary = Summary {
        courses: &courses,
        threads: args.threads.into(),
        cores: cores(),
    };
    screen.line("")?;
    for line in summary.lines(screen.style()) {
        screen.line(line)?;
    }
    let kept = verdict::show(args.history as usize, &sides, &load, &courses, &mut screen)?;
    if let Some(checkpoints) = checkpoints {
        checkpoints.end(&mut screen)?;
    }
    if let Some(svg) = svg {
        svg.draw(&courses, &mut screen)?;
    }
    Ok(stored && kept)
}

/// Stores made-up users; returns them.
fn fill(args: &Args, sides: &Sides, screen: &mut Screen) -> Result<Users> {
    let (users, took) = fill::fill(sides, args.users, args.threads.into())?;
    screen.line(format_args!(
        "filled: {} with {} each, parsed from JSON, in {:.2} s",
        counted(users.len() as u64, "user"),
        counted(fill::EVENTS_PER_USER.into(), "event"),
        took.as_secs_f64(),
    ))?;
    Ok(users)
}

/// Stores the input's events; returns their users, and whether both maps then held what a
/// replay holds.
fn ingest(input: Input, args: &Args, sides: &Sides, screen: &mut Screen) -> Result<(Users, bool)> {
    screen.line(format_args!("reading {}", input.name))?;
    let mut replay = Replay::new(args.history as usize);
    let ingested = ingest::ingest(input, sides, args.threads.into(), &mut replay)?;
    screen.line(format_args!(
        "stored: {} of {} in {:.2} s: {} malformed, {} blank",
        counted(ingested.events, "event"),
        counted(ingested.lines, "line"),
        ingested.took.as_secs_f64(),
        grouped(ingested.malformed),
        grouped(ingested.blank),
    ))?;

    // Before the load, which changes the users.
    let differences = Pair {
        attuned: replay.differences(&sides.attuned),
        dashmap: replay.differences(&sides.dashmap),
    };
    let users = replay.into_users();
    let counted_users = counted(users.len() as u64, "user");
    let equal = differences.attuned == 0 && differences.dashmap == 0;
    if equal {
        screen.line(format_args!(
            "check: {counted_users}, {}: latest and history equal a plain replay",
            counted(ingested.events, "event"),
        ))?;
    } else {
        screen.line(format_args!(
            "check: FAILED: of {counted_users}, {} differ from a plain replay in the store, \
             {} in the DashMap",
            grouped(differences.attuned as u64),
            grouped(differences.dashmap as u64),
        ))?;
    }
    Ok((users, equal))
}

/// Goes through the phases.
fn drive(args: &Args, load: &mut Load<'_>, screen: &mut Screen) -> Result<Vec<Course>> {
    let phases = phases::phases(args, load.users.len());
    let lasts = Duration::from_secs(args.seconds);
    let mut show = Show::new(screen, &phases, lasts)?;
    let mut courses = Vec::with_capacity(phases.len());
    for &phase in &phases {
        let course = load.run(phase, lasts / phases.len() as u32, |now, which, done| {
            show.after_turn(&courses, now, which, done)
        })?;
        show.after_phase(&course)?;
        courses.push(course);
    }
    show.end()?;
    Ok(courses)
}

/// Writes a line to standard error, if that is still there.
fn warn(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}
