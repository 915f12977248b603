//! The program: from the command line to the signal that ends it.
//!
//! ```text
//! cargo run -p state-service -- --listen 127.0.0.1:8080 --forget-after 86400
//! cargo run -p state-service --features jetstream -- --jetstream 127.0.0.1:4222 --replicas 1
//! ```

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use state_service::{App, Checkpoints, Settings, serve};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match run(Settings::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    let app = Arc::new(App::open(&settings).await?);
    let checkpoints = Checkpoints::start(&app, &settings).await?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", settings.listen))?;
    // Before anybody learns the address, so that no signal comes too early.
    let stop = stop_signal()?;
    // Nobody may be reading it, and that is no reason not to serve.
    let _ = writeln!(
        io::stdout(),
        "listening on http://{}",
        listener.local_addr()?
    );
    let served = serve(listener, app, settings, stop).await;
    // The last one, when nobody writes any more; also if the socket failed.
    checkpoints.end().await?;
    served?;
    Ok(())
}

/// Is ready at SIGTERM or ctrl-c, from now on.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Is ready at ctrl-c, from now on.
#[cfg(windows)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move { drop(interrupt.recv().await) })
}
