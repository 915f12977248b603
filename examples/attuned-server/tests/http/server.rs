//! A server of `attuned_http` for one test.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use attuned_core::HealthCheck;
use attuned_http::{Server, ServerConfig};
use attuned_store_v1::StateStore;
use tokio::sync::oneshot;

/// Serves until it is stopped.
///
/// It is the router of [`Server`], behind a socket that says its port.
pub struct Running {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: mpsc::Receiver<io::Result<()>>,
    thread: JoinHandle<()>,
}

impl Running {
    pub fn on(store: impl StateStore + HealthCheck + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket for tokio");
        let address = listener.local_addr().expect("the socket is bound");
        let router = Server::new(store, ServerConfig::default()).router();
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let served = runtime().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, router)
                    .with_graceful_shutdown(async { drop(stopped.await) })
                    .await
            });
            let _ = end.send(served);
        });
        Self {
            address,
            stop,
            ended,
            thread,
        }
    }

    /// Asks the server to end, without waiting for it.
    pub fn ask_to_stop(self) -> Stopping {
        self.stop.send(()).expect("the server still runs");
        Stopping {
            ended: self.ended,
            thread: self.thread,
        }
    }

    pub fn stop(self) {
        self.ask_to_stop().wait();
    }
}

/// Ends when the requests under way are answered.
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
            .recv_timeout(Duration::from_secs(120))
            .expect("the server ends")
            .expect("without an error");
        self.thread.join().expect("without a panic");
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
