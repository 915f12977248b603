//! How the service ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::client::warmth;
use crate::server::{PATIENCE, Running, eventually};

/// A request of which the service has read the head and waits for the body.
fn open_request(server: &Running, body: &str) -> TcpStream {
    let mut connection = TcpStream::connect(server.address).expect("the service listens");
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("a limit");
    write!(
        connection,
        "PUT /users/ada HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        server.address,
        body.len()
    )
    .expect("the service reads");
    // It says so when it wants the body.
    let mut interim = [0; 25];
    connection.read_exact(&mut interim).expect("an answer");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection
}

#[test]
fn an_open_request_is_answered_before_the_end() {
    let server = Running::with(&["--grace", "120"]);
    let (address, memory) = (server.address, server.memory.clone());
    let idle = server.client();
    assert_eq!(idle.get("/healthz").status, 200);
    let body = warmth(0.5).to_string();
    let mut connection = open_request(&server, &body);

    let stopping = server.ask_to_stop();
    eventually("nobody listens any more", || {
        TcpStream::connect(address).is_err()
    });
    assert!(!stopping.has_ended());
    assert!(memory.is_empty());
    connection
        .write_all(body.as_bytes())
        .expect("the service reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    stopping.wait();
    assert!(memory.contains("ada"));
}

#[test]
fn a_request_that_never_ends_does_not_keep_the_service() {
    let server = Running::with(&["--grace", "0.05"]);
    let memory = server.memory.clone();
    let connection = open_request(&server, "never sent");
    server.stop();
    assert!(memory.is_empty());
    drop(connection);
}
