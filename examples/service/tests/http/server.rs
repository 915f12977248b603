//! A service for one test.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use attuned_store::MemoryStore;
use clap::Parser as _;
use state_service::{App, Settings, serve};
use tokio::sync::oneshot;

use crate::client::Client;

/// How long to wait for what must come.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Serves until it is stopped.
pub struct Running {
    pub address: SocketAddr,
    pub memory: MemoryStore,
    stop: oneshot::Sender<()>,
    ended: mpsc::Receiver<io::Result<()>>,
    thread: JoinHandle<()>,
}

impl Running {
    /// With these options of the command line.
    pub fn with(options: &[&str]) -> Self {
        let settings = Settings::parse_from(["state-service"].iter().chain(options));
        let app = Arc::new(App::in_memory(&settings).expect("valid settings"));
        let memory = app.memory().expect("users in memory").clone();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket for tokio");
        let address = listener.local_addr().expect("the socket is bound");
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let served = runtime().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                serve(listener, app, settings, async { drop(stopped.await) }).await
            });
            let _ = end.send(served);
        });
        Self {
            address,
            memory,
            stop,
            ended,
            thread,
        }
    }

    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn client(&self) -> Client {
        Client::of(self.address)
    }

    /// Asks the service to end, without waiting for it.
    pub fn ask_to_stop(self) -> Stopping {
        self.stop.send(()).expect("the service still runs");
        Stopping {
            ended: self.ended,
            thread: self.thread,
        }
    }

    pub fn stop(self) {
        self.ask_to_stop().wait();
    }
}

pub struct Stopping {
    ended: mpsc::Receiver<io::Result<()>>,
    thread: JoinHandle<()>,
}

impl Stopping {
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    pub fn wait(self) {
        self.ended
            .recv_timeout(PATIENCE)
            .expect("the service ends")
            .expect("without an error");
        self.thread.join().expect("without a panic");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Waits until it is so.
#[track_caller]
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
