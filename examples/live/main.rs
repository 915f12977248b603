//! A store of many users beside a DashMap that keeps the same, live.
//!
//! ```text
//! cargo run --release --example live
//! cargo run --release --example live -- --help
//! cargo run --release --example live -- --writes 20 --hot 4 --threads 8
//! cargo run --release --example live -- --input events.jsonl
//! cargo run --release --features jetstream --example live -- --jetstream 127.0.0.1:4222
//! ```
//!
//! | what | where |
//! |---|---|
//! | the two sides, the store and its rival | `side`, `rival`, `pair`, `names`, `log`, `contract` |
//! | what is done with them | `phases`, `load`, `worker`, `users`, `sleepers`, `core_times` |
//! | the states that are written | `made_up`, `fill`, `input`, `ingest` |
//! | what is shown | `show`, `screen`, `frame`, `summary`, `chart`, `format`, `done` |
//! | the picture | `drawing`, `svg` |
//! | whether all is right in the end | `journal`, `check`, `verdict`, `replay` |
//! | what a restart does not lose | `outlive`, or `mortal` without checkpoints |

mod args;
mod chart;
mod check;
#[cfg(feature = "jetstream")]
mod contract;
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
#[cfg(feature = "jetstream")]
mod log;
mod made_up;
mod names;
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
#[cfg(feature = "jetstream")]
use smol_str::SmolStr;

use crate::args::{Args, cores};
use crate::drawing::Drawing;
use crate::format::{counted, grouped};
use crate::input::Input;
use crate::load::{Course, Load};
use crate::names::names;
use crate::pair::Pair;
use crate::replay::Replay;
use crate::screen::Screen;
use crate::show::Show;
use crate::side::{Side, Sides};
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

    #[cfg(feature = "jetstream")]
    #[error("cannot use the log: {0}")]
    Log(Box<dyn std::error::Error>),
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
    let history = args.history as usize;
    #[cfg(feature = "jetstream")]
    if let Some(servers) = &args.jetstream {
        names::with_log();
        let log = log::Log::connect(servers, args.replicas, history, expected_users);
        let sides = Sides {
            attuned: log.map_err(Error::Log)?,
            dashmap: side::in_memory(history, expected_users)?,
        };
        return run_on_log(args, input, svg, &sides);
    }
    let mut sides = Sides::new(history, expected_users)?;
    let mut screen = Screen::new(args.redraw);
    show_heading(args, &mut screen)?;
    let begun = match &args.restore {
        Some(path) => outlive::restore(path, args.history, &mut sides, &mut screen)?,
        None => begin(args, input, &sides, &mut screen)?,
    };
    let checkpoints = match &args.checkpoint {
        Some(path) => Some(outlive::Checkpoints::start(path, &sides)?),
        None => None,
    };
    let (kept, _) = go_on(args, begun, svg, &sides, &mut screen)?;
    if let Some(checkpoints) = checkpoints {
        checkpoints.end(&mut screen)?;
    }
    Ok(kept)
}

/// The same, and then reads through the contract.
#[cfg(feature = "jetstream")]
fn run_on_log(
    args: &Args,
    input: Option<Input>,
    svg: Option<Drawing>,
    sides: &Sides<log::Log, attuned_store::MemoryStore>,
) -> Result<bool> {
    let mut screen = Screen::new(args.redraw);
    show_heading(args, &mut screen)?;
    let begun = begin(args, input, sides, &mut screen)?;
    let (mut kept, users) = go_on(args, begun, svg, sides, &mut screen)?;
    if args.seconds > 0 && users.len() > 0 {
        let stores = Pair::<std::sync::Arc<dyn attuned_store::StateStore>> {
            attuned: sides.attuned.store(),
            dashmap: std::sync::Arc::new(sides.dashmap.clone()),
        };
        // Of the new users some may not have come.
        let is_there = |id: &&SmolStr| sides.attuned.with(id, |_| ()).is_some();
        let there: Vec<SmolStr> = users.ids.iter().filter(is_there).cloned().collect();
        kept &= contract::show(sides.attuned.runtime(), stores, &there, &mut screen)?;
    }
    sides
        .attuned
        .clear()
        .map_err(|error| Error::Log(error.into()))?;
    Ok(kept)
}

fn show_heading(args: &Args, screen: &mut Screen) -> io::Result<()> {
    screen.heading(format_args!(
        "{}: {}, {}, {} kept a user",
        names().heading,
        counted(args.threads.into(), "thread"),
        counted(cores() as u64, "core"),
        counted(args.history.into(), "state"),
    ))
}

/// Stores the first users; returns them, and whether that was found to be right.
fn begin(
    args: &Args,
    input: Option<Input>,
    sides: &Sides<impl Side, impl Side>,
    screen: &mut Screen,
) -> Result<(Users, bool)> {
    match input {
        Some(input) => ingest(input, args, sides, screen),
        None => Ok((fill(args, sides, screen)?, true)),
    }
}

/// Works on the users that are there. Returns whether all checks are passed, and the users.
fn go_on(
    args: &Args,
    (users, stored): (Users, bool),
    svg: Option<Drawing>,
    sides: &Sides<impl Side, impl Side>,
    screen: &mut Screen,
) -> Result<(bool, Users)> {
    if args.seconds == 0 {
        return Ok((stored, users));
    }
    if users.len() == 0 {
        screen.line("no users, so there is nothing to read or write")?;
        return Ok((stored, users));
    }
    let mut load = Load::new(sides, users, args.threads.into());
    let courses = drive(args, &mut load, screen)?;
    let summary = Summary {
        courses: &courses,
        threads: args.threads.into(),
        cores: cores(),
    };
    screen.line("")?;
    for line in summary.lines(screen.style()) {
        screen.line(line)?;
    }
    let kept = verdict::show(args.history as usize, sides, &load, &courses, screen)?;
    if let Some(svg) = svg {
        svg.draw(&courses, screen)?;
    }
    Ok((stored && kept, load.users))
}

/// Stores made-up users; returns them.
fn fill(args: &Args, sides: &Sides<impl Side, impl Side>, screen: &mut Screen) -> Result<Users> {
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
fn ingest(
    input: Input,
    args: &Args,
    sides: &Sides<impl Side, impl Side>,
    screen: &mut Screen,
) -> Result<(Users, bool)> {
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
            "check: FAILED: of {counted_users}, {} differ from a plain replay in {}, {} in {}",
            grouped(differences.attuned as u64),
            names().spoken.attuned,
            grouped(differences.dashmap as u64),
            names().spoken.dashmap,
        ))?;
    }
    Ok((users, equal))
}

/// Goes through the phases.
fn drive(
    args: &Args,
    load: &mut Load<'_, impl Side, impl Side>,
    screen: &mut Screen,
) -> Result<Vec<Course>> {
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
