//! Two processes of the service, on one log.

#[path = "../../../../tests/jetstream/server.rs"]
#[allow(dead_code, reason = "the tests of the store need more of it")]
mod server;

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use self::server::Servers;
use crate::client::{Client, warmth};
use crate::event_stream::EventStream;

/// For the module above.
fn announce(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

struct Process {
    program: Child,
    client: Client,
}

impl Process {
    fn start(servers: &Servers, options: &[&str]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_state-service"))
            .args(["--listen", "127.0.0.1:0", "--replicas", "1"])
            .args(["--jetstream", &servers.addresses().join(",")])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let mut line = String::new();
        let stdout = program.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let (_, address) = line.trim().split_once("http://").expect("an address");
        let client = Client::of(address.parse().expect("an address"));
        Self { program, client }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn two_processes_share_their_users() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let (a, b) = (Process::start(&servers, &[]), Process::start(&servers, &[]));
    let mut events = EventStream::open(&b.client, "/users/ada/events", None);
    events.expect("absent");

    let written = a.client.put("/users/ada", &warmth(0.25));
    assert_eq!(written.status, 201);
    let tag = written.headers["etag"].to_str().expect("a text").to_owned();
    let read = b.client.get("/users/ada");
    assert_eq!(
        (read.status, &read.headers["etag"]),
        (200, &written.headers["etag"])
    );
    assert_eq!(read.body["axes"]["warmth"], 0.25);
    assert_eq!(events.expect("put").id.as_ref(), Some(&tag));

    // The tag is good in the other process, and once.
    assert_eq!(
        b.client
            .delete_if("/users/ada", ("if-match", "\"0-1\""))
            .status,
        412
    );
    assert_eq!(
        b.client.delete_if("/users/ada", ("if-match", &tag)).status,
        204
    );
    assert_eq!(
        a.client.delete_if("/users/ada", ("if-match", &tag)).status,
        412
    );
    assert_eq!(a.client.get("/users/ada").status, 404);
    assert_eq!(events.expect("removed").data["cause"], "deleted");

    assert_eq!(a.client.put("/users/grace", &warmth(0.5)).status, 201);
    assert_eq!(b.client.get("/users").body, "grace\n");
    assert_eq!(b.client.get("/healthz").status, 200);
    let metrics = b.client.get("/metrics").body.to_string();
    assert!(metrics.contains("attuned_jetstream_barriers"), "{metrics}");

    // What was written outlives the processes.
    drop((a, b));
    let c = Process::start(&servers, &[]);
    assert_eq!(c.client.get("/users/grace").status, 200);
}

#[test]
fn the_log_forgets_for_all() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let (a, b) = (
        Process::start(&servers, &["--forget-after", "1"]),
        Process::start(&servers, &[]),
    );
    assert_eq!(b.client.put("/users/ada", &warmth(0.5)).status, 201);
    crate::server::eventually("ada is forgotten", || {
        b.client.get("/users/ada").status == 404
    });
    assert_eq!(a.client.get("/users/ada/history").status, 404);
}

#[test]
fn servers_that_are_not_there_are_an_error() {
    let run = Command::new(env!("CARGO_BIN_EXE_state-service"))
        .args(["--listen", "127.0.0.1:0", "--jetstream", "127.0.0.1:1"])
        .output()
        .expect("the program runs");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("no server could be connected to"),
        "{stderr}"
    );
}

#[test]
fn a_checkpoint_beside_a_log_is_refused() {
    let run = Command::new(env!("CARGO_BIN_EXE_state-service"))
        .args([
            "--jetstream",
            "127.0.0.1:1",
            "--checkpoint",
            "no.checkpoint",
        ])
        .output()
        .expect("the program runs");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{stderr}");
    for part in ["--checkpoint", "cannot be used with", "--jetstream"] {
        assert!(stderr.contains(part), "{stderr}");
    }
}
