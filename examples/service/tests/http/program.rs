//! The program, run as a user would.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::client::{Client, warmth};

fn state_service(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_state-service"));
    command.args(options).stdin(Stdio::null());
    command
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for (options, code) in [
        (&["--listen", "localhost"][..], 2),
        (&["--forget-after", "soon"], 2),
        (&["--forget-after=-1"], 2),
        (&["--grace", "NaN"], 2),
        (&["--sweep-every", "1e300"], 2),
        (&["--history", "0"], 1),
        (&["--max-users", "0"], 1),
        (&["--forget-after", "0"], 1),
        (&["--forget-after", "1e19"], 1),
    ] {
        let run = state_service(options).output().expect("the program runs");
        assert_eq!(run.status.code(), Some(code), "{options:?}: {run:?}");
        assert!(!run.stderr.is_empty(), "{options:?}");
        assert!(run.stdout.is_empty(), "{options:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("the socket is bound").to_string();
    let run = state_service(&["--listen", &address]).output();
    let run = run.expect("the program runs");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    let message = format!("cannot listen on {address}: ");
    assert!(stderr.contains(&message), "{stderr}");
}

/// The program, and the address where it listens.
#[cfg(unix)]
fn started(options: &[&str]) -> (Child, Client) {
    let mut program = state_service(&[&["--listen", "127.0.0.1:0"], options].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut line = String::new();
    BufReader::new(program.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("a line");
    let (_, address) = line.trim().split_once("http://").expect("an address");
    let client = Client::of(address.parse().expect("an address"));
    (program, client)
}

#[cfg(unix)]
fn end(mut program: Child, signal: &str) -> ExitStatus {
    let kill = format!("kill -{signal} {}", program.id());
    let killed = Command::new("sh").args(["-c", &kill]).status();
    assert!(killed.expect("a shell").success());
    program.wait().expect("the program ends")
}

#[cfg(unix)]
#[test]
fn it_says_where_it_listens_and_ends_at_a_signal() {
    for signal in ["TERM", "INT"] {
        let (program, client) = started(&[]);
        assert_eq!(client.put("/users/ada", &warmth(0.5)).status, 201);
        let ended = end(program, signal);
        assert!(ended.success(), "{signal}: {ended}");
    }
}

#[cfg(unix)]
#[test]
fn a_restart_loses_nothing() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("service.checkpoint");
    let _ = fs::remove_file(&path);
    let file = path.to_str().expect("a path in UTF-8");
    let options = ["--checkpoint", file, "--checkpoint-every", "3600"];
    let (program, client) = started(&options);
    for (value, status) in [(0.25, 201), (0.5, 200)] {
        assert_eq!(client.put("/users/ada", &warmth(value)).status, status);
    }
    assert!(end(program, "TERM").success());

    let (program, client) = started(&options);
    let history = client.get("/users/ada/history?limit=9");
    assert_eq!(history.status, 200);
    assert_eq!(history.body.as_array().map(Vec::len), Some(2));
    // It is the same user, not a new one.
    assert_eq!(client.put("/users/ada", &warmth(0.75)).status, 200);
    assert!(end(program, "TERM").success());
}

#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_be_read_is_named() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no.checkpoint");
    fs::write(&path, "something else").expect("the folder can be written to");
    let file = path.to_str().expect("a path in UTF-8");
    let run = state_service(&["--checkpoint", file]).output();
    let run = run.expect("the program runs");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("not a checkpoint"), "{stderr}");
}

/// When it starts, and not when it ends and the users are lost.
#[test]
fn a_checkpoint_that_cannot_be_written_is_named() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such-folder");
    let path = folder.join("service.checkpoint");
    let file = path.to_str().expect("a path in UTF-8");
    let run = state_service(&["--listen", "127.0.0.1:0", "--checkpoint", file]).output();
    let run = run.expect("the program runs");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("checkpoint"), "{stderr}");
    assert!(run.stdout.is_empty(), "it did not listen");
}
