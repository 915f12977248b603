//! What goes wrong is answered with problem details, and changes nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use state_service::MAX_BODY_BYTES;
use ureq::http::Method;

use crate::client::warmth;
use crate::server::{PATIENCE, Running};

const JSON: &str = "application/json";

/// Bodies, their type, the status with which they are refused, and a word of the detail.
fn bad_bodies() -> Vec<(String, &'static str, u16, &'static str)> {
    let with = |field: &str, value: Value| {
        let mut body = warmth(0.75);
        body[field] = value;
        body.to_string()
    };
    let without = |field: &str| {
        let mut body = warmth(0.75);
        body.as_object_mut().expect("an object").remove(field);
        body.to_string()
    };
    vec![
        (String::new(), JSON, 400, "JSON"),
        ("{".to_owned(), JSON, 400, "JSON"),
        (
            with("axes", json!({})).replace("{}", "{\"a\":NaN}"),
            JSON,
            400,
            "JSON",
        ),
        ("[]".to_owned(), JSON, 422, "invalid"),
        (without("source"), JSON, 422, "source"),
        (without("confidence"), JSON, 422, "confidence"),
        (without("axes"), JSON, 422, "axes"),
        (with("source", json!("guessed")), JSON, 422, "source"),
        (
            with("confidence", json!(1.5)),
            JSON,
            422,
            "confidence is 1.5",
        ),
        (with("confidence", json!(null)), JSON, 422, "confidence"),
        (
            with("axes", json!({"warmth": 1.5})),
            JSON,
            422,
            "\"warmth\" is 1.5",
        ),
        (
            with("axes", json!({"warmth": 1e300})),
            JSON,
            422,
            "\"warmth\" is inf",
        ),
        (
            with("axes", json!({"Warmth": 0.5})),
            JSON,
            422,
            "axis name \"Warmth\"",
        ),
        (with("axes", json!({"": 0.5})), JSON, 422, "axis name \"\""),
        (with("axes", json!(["warmth"])), JSON, 422, "axes"),
        (
            with("updated_at", json!(1)),
            JSON,
            422,
            "unknown field `updated_at`",
        ),
        (with("user_id", json!("grace")), JSON, 422, "user_id"),
        (warmth(0.75).to_string(), "text/plain", 415, "Content-Type"),
    ]
}

#[test]
fn bad_bodies_are_refused_and_change_nothing() {
    let server = Running::start();
    let client = server.client();
    let before = client.put("/users/ada", &warmth(0.5));
    for (body, content_type, status, word) in bad_bodies() {
        for method in [Method::PUT, Method::PATCH] {
            for user in ["/users/ada", "/users/nobody"] {
                let headers = [("content-type", content_type)];
                let answer = client.send(method.clone(), user, &headers, Some(&body));
                let detail = answer.problem(status);
                assert!(detail.contains(word), "{method} {body}: {detail}");
            }
        }
    }
    let after = client.get("/users/ada");
    assert_eq!((after.etag(), after.body), (before.etag(), before.body));
    assert_eq!(server.memory.len(), 1);
    server.stop();
}

#[test]
fn bodies_have_a_greatest_length() {
    let server = Running::start();
    let client = server.client();
    // Spaces at the end mean nothing in JSON.
    let body = warmth(0.5).to_string();
    let headers = [("content-type", JSON)];
    let put = |length| {
        let body = body.clone() + &" ".repeat(length - body.len());
        client.send(Method::PUT, "/users/ada", &headers, Some(&body))
    };
    assert_eq!(put(MAX_BODY_BYTES).status, 201);
    put(MAX_BODY_BYTES + 1).problem(413);
    assert_eq!(server.memory.stats().writes, 1);
    server.stop();
}

#[test]
fn bad_ids_are_refused() {
    let server = Running::start();
    let client = server.client();
    let long = "x".repeat(257);
    for id in ["a%20b", "a%2Fb", "%FF", "%00", "a.b", "e%CC%81", &long] {
        let path = format!("/users/{id}");
        client.get(&path).problem(400);
        client.delete(&path).problem(400);
        client.put(&path, &warmth(0.5)).problem(400);
        client.patch(&path, &warmth(0.5)).problem(400);
        client.get(&format!("{path}/history")).problem(400);
        client.get(&format!("{path}/events")).problem(400);
    }
    assert!(server.memory.is_empty());
    server.stop();
}

/// The client uses the connection again, which breaks if the body was left unread.
#[test]
fn a_refusal_leaves_the_connection_open() {
    let server = Running::start();
    let mut connection = TcpStream::connect(server.address).expect("the service listens");
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("a limit");
    for _ in 0..3 {
        let head = "PUT /users/a.b HTTP/1.1\r\nhost: service\r\ncontent-length: 9\r\n\r\n";
        connection.write_all(head.as_bytes()).expect("it reads");
        // Long enough for an early answer.
        thread::sleep(Duration::from_millis(20));
        connection.write_all(b"{\"late\":1").expect("it reads");
        let mut answer = String::new();
        while !answer.ends_with('}') {
            let mut byte = [0];
            connection.read_exact(&mut byte).expect("an answer");
            answer.push(char::from(byte[0]));
        }
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    server.stop();
}

#[test]
fn addresses_and_methods_that_are_none_are_refused() {
    let server = Running::start();
    let client = server.client();
    for path in ["/", "/user", "/users/", "/users/ada/", "/users/ada/none"] {
        client.get(path).problem(404);
        client.put(path, &warmth(0.5)).problem(404);
    }
    for (method, path, allowed) in [
        (Method::POST, "/users/ada", "GET,HEAD,PUT,PATCH,DELETE"),
        (Method::OPTIONS, "/users/ada", "GET,HEAD,PUT,PATCH,DELETE"),
        (Method::DELETE, "/users/ada/history", "GET,HEAD"),
        (Method::POST, "/users", "GET,HEAD"),
        (Method::PUT, "/users/ada/events", "GET,HEAD"),
        (Method::PUT, "/healthz", "GET,HEAD"),
        (Method::POST, "/metrics", "GET,HEAD"),
    ] {
        let body = (method != Method::OPTIONS && method != Method::DELETE).then_some("{}");
        let answer = client.send(method, path, &[], body);
        answer.problem(405);
        let sorted = |list: &str| {
            let mut names: Vec<_> = list.split(',').map(|name| name.trim().to_owned()).collect();
            names.sort();
            names
        };
        let allow = answer.header("allow").expect("what is allowed");
        assert_eq!(sorted(allow), sorted(allowed));
    }
    server.stop();
}

#[test]
fn a_full_store_refuses_new_users_only() {
    let server = Running::with(&["--max-users", "1"]);
    let client = server.client();
    assert_eq!(client.put("/users/ada", &warmth(0.25)).status, 201);
    client.put("/users/grace", &warmth(0.25)).problem(507);
    client
        .put_if("/users/grace", &warmth(0.25), ("if-none-match", "*"))
        .problem(507);
    client.patch("/users/grace", &warmth(0.25)).problem(507);
    assert_eq!(client.put("/users/ada", &warmth(0.5)).status, 200);
    client.delete("/users/ada");
    assert_eq!(client.put("/users/grace", &warmth(0.25)).status, 201);
    server.stop();
}
