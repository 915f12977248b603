//! The command line.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use clap::{Parser, value_parser};

const MAX_THREADS: i64 = 256;

/// Reads and writes an in-memory store of many users' states, and beside it a DashMap
/// that keeps the same: latest state and history of a user under one lock. Shows the
/// throughput and the latencies of both, and checks what they hold in the end.
///
/// The same threads work on one of the two, then on the other, in turns of some 250 ms,
/// so that neither disturbs the other and both get the same time.
///
/// Without a switch there are seven phases: readers only; writers; reads of histories;
/// new users; sleeping threads; few users that are read all the time; and the same with
/// writers. With one or more of --writes, --histories, --grow, --sleepers and --hot
/// there is one phase, with what is switched on.
///
/// A read calls with, that of a history calls history(10). Users are drawn from a Zipf
/// distribution (exponent 0.99), so a few of them get most of the operations.
///
/// With input, from --input or on standard input, its events are stored first, each
/// exactly once, and latest state and history of every user are checked against a plain
/// replay. After the check its users are read and written like made-up ones.
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

With --checkpoint and --restore a run goes on where an earlier one was, also one that
was killed:
  cargo run --release --example live --features checkpoint -- --checkpoint FILE
  cargo run --release --example live --features checkpoint -- --restore FILE

Exit status: 0 if all is well, 1 if a check failed, 2 if the arguments are wrong,
the input cannot be read or a file cannot be written."
)]
pub struct Args {
    /// How long to read and write, in seconds, all phases together; 0 skips that part
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = value_parser!(u64).range(..=86_400))]
    pub seconds: u64,

    /// How many users to make up, if there is no input
    ///
    /// In both maps together, each takes 1 to 4 KB of memory, or more with a longer --history,
    /// and 16 bytes more for each thread.
    #[arg(long, value_name = "USERS", default_value_t = 100_000, value_parser = value_parser!(u32).range(1..=10_000_000), verbatim_doc_comment)]
    pub users: u32,

    /// How many threads work: by default as many as there are cores, at least 2
    #[arg(long, value_name = "THREADS", default_value_t = default_threads(), value_parser = value_parser!(u16).range(1..=MAX_THREADS))]
    pub threads: u16,

    /// How many states to keep of each user, the latest included
    #[arg(long, value_name = "ENTRIES", default_value_t = 20, value_parser = value_parser!(u32).range(1..=1_000))]
    pub history: u32,

    /// Switches writers on: this share of every thread's operations are writes
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(..=99))]
    pub writes: Option<u8>,

    /// Reads histories, too: so much of all reads are history(10)
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(..=100))]
    pub histories: Option<u8>,

    /// Switches growth on: so many new users come, evenly over the time
    ///
    /// Without a number, twice as many as there are. If the machine is too slow, fewer come;
    /// the figures tell how many there were.
    #[arg(long, value_name = "USERS", num_args = 0..=1, value_parser = value_parser!(u32).range(1..=10_000_000), verbatim_doc_comment)]
    pub grow: Option<Option<u32>>,

    /// Starts so many threads that read both once and then sleep
    #[arg(long, value_name = "THREADS", value_parser = value_parser!(u16).range(1..=10_000))]
    pub sleepers: Option<u16>,

    /// Reads and writes only so many users, all equally often
    #[arg(long, value_name = "USERS", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub hot: Option<u32>,

    /// A file of events, one a line (JSON Lines); - for standard input
    ///
    /// Without this option, standard input is read if it is a file or a pipe
    /// with something to read within a second.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub input: Option<PathBuf>,

    /// Writes checkpoints of the store into this file, one each second and one in the end
    ///
    /// The figures have the disturbance in them. Needs a build with the feature checkpoint.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    #[cfg_attr(feature = "jetstream", arg(conflicts_with = "jetstream"))]
    pub checkpoint: Option<PathBuf>,

    /// Begins with what a checkpoint has, and checks it, instead of made-up users or input
    ///
    /// Needs a build with the feature checkpoint.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "input",
        verbatim_doc_comment
    )]
    #[cfg_attr(feature = "jetstream", arg(conflicts_with = "jetstream"))]
    pub restore: Option<PathBuf>,
    /// A store on these NATS servers, separated by commas, instead of the one in memory; and
    /// that one instead of the DashMap
    ///
    /// The first reads its replica, and each of its writes waits for the log. It has a
    /// stream of its own, whose users are removed when it begins and when it ends. 10,000
    /// users are enough for a look: --users 10000.
    #[cfg(feature = "jetstream")]
    #[arg(
        long,
        value_name = "ADDRESSES",
        value_delimiter = ',',
        verbatim_doc_comment
    )]
    pub jetstream: Option<Vec<String>>,

    /// On how many of these servers the stream is: by default 3, or 1 of fewer than three
    #[cfg(feature = "jetstream")]
    #[arg(long, value_name = "SERVERS", requires = "jetstream")]
    pub replicas: Option<usize>,

    /// Redraws the screen, as on a terminal, wherever the output goes
    #[arg(long)]
    pub redraw: bool,

    /// Draws the figures into this file in the end
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// How many threads this machine can run at once.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn default_threads() -> u16 {
    cores().clamp(2, MAX_THREADS as usize) as u16
}
