//! What can be set on the command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Keeps the state of each user, over HTTP
#[derive(Clone, Debug, Parser)]
pub struct Settings {
    /// The address to listen on; port 0 for any that is free
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))]
    pub listen: SocketAddr,

    /// How many states of a user to keep, the latest included
    #[arg(long, value_name = "STATES", default_value_t = 100)]
    pub history: usize,

    /// How many users there may be in memory
    #[arg(long, value_name = "USERS", default_value_t = 1_000_000)]
    pub max_users: usize,

    /// Forget users whom nobody has written for so long; without it, nobody is forgotten
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub forget_after: Option<Duration>,

    /// How often to free the memory of users who are forgotten, and to tell event streams, if
    /// the users are in memory
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    pub sweep_every: Duration,

    /// How often a silent event stream gets a comment, so that nobody in between ends it
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "15")]
    pub keep_alive: Duration,

    /// Restore the users from this file, if it exists, and save them to it regularly and at the
    /// end; without it, the users are lost at the end
    #[arg(long, value_name = "FILE")]
    #[cfg_attr(feature = "jetstream", arg(conflicts_with = "jetstream"))]
    pub checkpoint: Option<PathBuf>,

    /// How long after a checkpoint to write the next one
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    pub checkpoint_every: Duration,

    /// How long open requests may take after the service was asked to stop
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub grace: Duration,

    #[cfg(feature = "jetstream")]
    #[command(flatten)]
    pub log: Log,
}

/// A log that several processes share.
#[cfg(feature = "jetstream")]
#[derive(Clone, Debug, clap::Args)]
pub struct Log {
    /// Keep the users on these NATS servers, separated by commas, instead of in memory
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    pub jetstream: Option<Vec<String>>,

    /// The name of the stream
    #[arg(long, value_name = "NAME", default_value = "ATTUNED")]
    pub stream: String,

    /// On how many of the servers the stream is
    #[arg(long, value_name = "SERVERS", default_value_t = 3)]
    pub replicas: usize,

    /// A file with what the service logs in with
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,

    /// The certificates to trust, and no others; requires TLS
    #[arg(long, value_name = "FILE")]
    pub tls_roots: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
