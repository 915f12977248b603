//! The HTTP server of Attuned, as published, on this store.
//!
//! ```text
//! cargo run --example attuned_server --features attuned
//! cargo run --example attuned_server --features attuned -- --addr 127.0.0.1:0
//! ```

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use attuned_http::{Server, ServerConfig};
use attuned_store::MemoryStore;
use clap::{CommandFactory as _, Parser, error::ErrorKind};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long requests that are under way may take after ctrl-c.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the HTTP server of Attuned on the in-memory store of attuned-store.
#[derive(Parser)]
#[command(name = "attuned_server")]
struct Options {
    /// The loopback address to listen on; port 0 for any that is free
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))]
    addr: SocketAddr,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot listen on {addr}: {source}")]
    Listen { addr: SocketAddr, source: io::Error },

    #[error("cannot wait for ctrl-c: {0}")]
    Signal(#[source] io::Error),

    #[error("cannot serve: {0}")]
    Serve(#[source] io::Error),

    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if !options.addr.ip().is_loopback() {
        // attuned-http 1.0.1 puts none of its `AuthConfig` into effect.
        let message = "the server asks nobody for a key, so it listens on loopback addresses only";
        Options::command()
            .error(ErrorKind::ValueValidation, message)
            .exit();
    }
    match serve(options.addr).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(addr: SocketAddr) -> Result<(), Error> {
    let store = MemoryStore::default();
    let server = Server::new(store.clone(), ServerConfig::default());

    // `Server::run` would listen by itself, but not say on which port, and not
    // end on request.
    let listener = TcpListener::bind(addr)
        .await
        .map_err(|source| Error::Listen { addr, source })?;
    let addr = listener
        .local_addr()
        .map_err(|source| Error::Listen { addr, source })?;

    let (stop, mut stopped) = watch::channel(());
    let serving = axum::serve(listener, server.router())
        .with_graceful_shutdown(async move { drop(stopped.changed().await) });
    let interrupted = async {
        let signal = tokio::signal::ctrl_c().await.map_err(Error::Signal);
        let _ = stop.send(());
        if signal.is_ok() {
            tokio::time::sleep(GRACE).await;
        }
        signal
    };
    say(&introduction(addr))?;
    tokio::select! {
        served = serving => served.map_err(Error::Serve)?,
        interrupted = interrupted => interrupted?,
    }
    say(&format!(
        "stopped, with {} user(s) in the store",
        store.len()
    ))
}

fn introduction(addr: SocketAddr) -> String {
    format!(
        r#"attuned-http on attuned-store, listening on http://{addr}

  curl -i http://{addr}/v1/state -H 'Content-Type: application/json' -d '{{"user_id":"ada","axes":{{"warmth":0.9,"cognitive_load":0.8}}}}'
  curl -i http://{addr}/v1/state/ada
  curl -i http://{addr}/v1/context/ada
  curl -i -X DELETE http://{addr}/v1/state/ada
  curl -i http://{addr}/health

ctrl-c stops it
"#
    )
}

fn say(text: &str) -> Result<(), Error> {
    let mut output = io::stdout();
    let written = writeln!(output, "{text}").and_then(|()| output.flush());
    match written {
        // The reader of the output has seen enough; the server goes on.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::Output),
    }
}
