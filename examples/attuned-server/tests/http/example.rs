//! Runs `examples/attuned_server` as a user would.

use std::env::{self, consts::EXE_SUFFIX};
use std::process::{Command, Stdio};

/// The example's program.
///
/// Cargo builds the examples for a `cargo test` of the package, not for one that
/// names this test.
fn attuned_server(addr: &str) -> Command {
    let test = env::current_exe().expect("this test's path");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/test");
    let program = profile.join(format!("examples/attuned_server{EXE_SUFFIX}"));
    assert!(
        program.exists(),
        "{} is missing; build it with `cargo build --example attuned_server`, for the same profile",
        program.display(),
    );
    let mut command = Command::new(program);
    command.args(["--addr", addr]).stdin(Stdio::null());
    command
}

#[test]
fn refuses_addresses_that_others_can_reach_or_that_are_none() {
    for addr in [
        "0.0.0.0:0",
        "[::]:0",
        "192.0.2.1:8080",
        "localhost",
        "127.0.0.1:65536",
    ] {
        let run = attuned_server(addr).output().expect("the example runs");
        let stderr = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(2), "{addr}: {stderr}");
        assert!(stderr.starts_with("error: "), "{addr}: {stderr}");
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn says_that_an_address_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("the socket is bound").to_string();
    let run = attuned_server(&addr).output().expect("the example runs");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with(&format!("error: cannot listen on {addr}: ")),
        "{stderr}"
    );
}

/// What it prints can be done, and an interrupt ends it.
#[cfg(unix)]
#[test]
fn does_what_it_prints_until_it_is_interrupted() {
    use std::io::{BufRead as _, BufReader, Read as _};

    use serde_json::Value;
    use ureq::http::Method;

    use crate::client::Client;

    let mut program = attuned_server("127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example runs");
    let mut output = BufReader::new(program.stdout.take().expect("a pipe"));
    let lines: Vec<String> = output
        .by_ref()
        .lines()
        .map(|line| line.expect("a line"))
        .take_while(|line| line != "ctrl-c stops it")
        .collect();
    let (_, addr) = lines[0].split_once("http://").expect("an address");
    let client = Client::of(addr.parse().expect("an address"));

    let commands: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("  curl -i "))
        .collect();
    let answers: Vec<(u16, Value)> = commands
        .iter()
        .map(|command| {
            let (method, rest) = match command.strip_prefix("-X DELETE ") {
                Some(rest) => (Method::DELETE, rest),
                None if command.contains(" -d ") => (Method::POST, *command),
                None => (Method::GET, *command),
            };
            let mut words = rest.splitn(2, ' ');
            let url = words.next().expect("an address");
            let path = url.strip_prefix(&format!("http://{addr}")).expect(command);
            let body = words.next().map(|options| {
                options
                    .strip_prefix("-H 'Content-Type: application/json' -d '")
                    .and_then(|body| body.strip_suffix('\''))
                    .expect(command)
            });
            let answer = client.send(method, path, body);
            (answer.status, answer.body)
        })
        .collect();
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [204, 200, 200, 204, 200]);
    assert_eq!(answers[1].1["user_id"], "ada");

    let interrupt = format!("kill -INT {}", program.id());
    let interrupted = Command::new("sh").args(["-c", &interrupt]).status();
    assert!(interrupted.expect("a shell").success());
    let mut rest = String::new();
    output
        .read_to_string(&mut rest)
        .expect("the end of the output");
    assert_eq!(rest.trim(), "stopped, with 0 user(s) in the store");
    assert!(program.wait().expect("the example ends").success());
}
