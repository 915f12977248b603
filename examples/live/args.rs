//! The command line.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use clap::{Parser, value_parser};

const MAX_THREADS: i64 = 256;

/// Drives an in-memory store of many users' states from several threads, shows
/// its throughput and its latencies, and checks what it holds in the end.
///
/// Without input, users and events are made up. With input, from --input or on
/// standard input, its events are stored first, each exactly once, and latest
/// snapshot and history of every user are checked against a plain replay. After
/// the check its users are read and written like made-up ones.
///
/// The load is read-heavy: 95 % of the reads are with_latest, 5 % history(10).
/// The writers watch the readers and keep the writes at 5 % of all operations,
/// or less if that is all they can. Every write first parses its event from JSON.
/// Users are drawn from a Zipf distribution (exponent 0.99), so a few of them
/// get most of the operations.
#[derive(Debug, Parser)]
#[command(
    name = "live",
    verbatim_doc_comment,
    after_help = "\
An event is one line of JSON:
  {\"user_id\":\"ada\",\"updated_at_unix_ms\":1700000000000,\"source\":\"inferred\",
   \"confidence\":0.8,\"axes\":{\"formality\":0.3,\"warmth\":0.7}}
(here broken in two). A line that is not an event is reported with its number,
counted and skipped; blank lines are skipped.

Exit status: 0 if all is well, 1 if a check failed, 2 if the arguments are wrong
or the input cannot be read."
)]
pub struct Args {
    /// How long to read and write, in seconds; 0 skips that part
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(..=86_400))]
    pub seconds: u64,

    /// How many users to make up, if there is no input
    ///
    /// Each takes 1 to 4 KB of memory, or more with a longer --history.
    #[arg(long, value_name = "USERS", default_value_t = 100_000, value_parser = value_parser!(u32).range(1..=10_000_000), verbatim_doc_comment)]
    pub users: u32,

    /// How many threads read: by default the cores that the writers leave, at least 2
    #[arg(long, value_name = "THREADS", default_value_t = default_readers(), value_parser = value_parser!(u16).range(1..=MAX_THREADS))]
    pub readers: u16,

    /// How many threads write: by default one for every four cores
    #[arg(long, value_name = "THREADS", default_value_t = default_writers(), value_parser = value_parser!(u16).range(1..=MAX_THREADS))]
    pub writers: u16,

    /// How many snapshots to keep of each user, the latest included
    ///
    /// Each reserves 16 bytes a user, and takes some 140 once it is there.
    #[arg(long, value_name = "ENTRIES", default_value_t = 20, verbatim_doc_comment, value_parser = value_parser!(u32).range(1..=1_000))]
    pub history: u32,

    /// A file of events, one a line (JSON Lines); - for standard input
    ///
    /// Without this option, standard input is read if it is a file or a pipe
    /// with something to read within a second.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub input: Option<PathBuf>,
}

/// How many threads this machine can run at once.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn default_writers() -> u16 {
    clamp_threads(cores() / 4)
}

fn default_readers() -> u16 {
    clamp_threads(cores().saturating_sub(default_writers().into()).max(2))
}

fn clamp_threads(threads: usize) -> u16 {
    threads.clamp(1, MAX_THREADS as usize) as u16
}
