//! Users whom nobody has written for long are forgotten.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::client::warmth;
use crate::event_stream::EventStream;
use crate::server::{Running, eventually};

#[test]
fn the_service_forgets_by_itself() {
    let server = Running::with(&["--forget-after", "0.02", "--sweep-every", "0.005"]);
    let client = server.client();
    // What the client says of the time does not matter.
    let mut body = warmth(0.5);
    body["updated_at_unix_ms"] = json!(i64::MAX);
    assert_eq!(client.put("/users/ada", &body).status, 201);
    eventually("ada is forgotten", || {
        client.get("/users/ada").status == 404
    });
    assert_eq!(client.get("/users/ada/history").status, 404);
    server.stop();
}

#[test]
fn event_streams_tell_who_is_forgotten() {
    let server = Running::with(&["--forget-after", "0.1", "--sweep-every", "0.005"]);
    let client = server.client();
    let mut one = EventStream::open(&client, "/users/ada/events", None);
    let mut all = EventStream::open(&client, "/events", None);
    one.expect("absent");
    all.expect("caught-up");
    client.put("/users/ada", &warmth(0.5));
    for stream in [&mut one, &mut all] {
        stream.expect("put");
        let removed = json!({"user_id": "ada", "cause": "expired"});
        assert_eq!(stream.expect("removed").data, removed);
    }
    server.stop();
}

#[test]
fn a_forgotten_user_is_new_again() {
    // Nobody frees the memory meanwhile, and that makes no difference.
    let server = Running::with(&["--forget-after", "0.02", "--sweep-every", "86400"]);
    let client = server.client();
    let first = client.put("/users/ada", &warmth(0.5));
    eventually("ada is forgotten", || {
        client.get("/users/ada").status == 404
    });
    let stale = client.put_if("/users/ada", &warmth(0.5), ("if-match", &first.etag()));
    stale.problem(412);
    assert_eq!(client.put("/users/ada", &warmth(0.5)).status, 201);
    server.stop();
}

#[test]
fn the_service_keeps_who_is_not_old_enough() {
    for options in [
        &["--sweep-every", "0.001"][..],
        &["--sweep-every", "0", "--forget-after", "86400"],
        &["--sweep-every", "0.001", "--forget-after", "1e8"],
    ] {
        let server = Running::with(options);
        let client = server.client();
        assert_eq!(client.put("/users/ada", &warmth(0.5)).status, 201);
        thread::sleep(Duration::from_millis(50));
        assert_eq!(client.get("/users/ada").status, 200);
        server.stop();
    }
}
