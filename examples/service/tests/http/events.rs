//! Streams of events, from their beginning to their end.

use std::collections::BTreeSet;

use serde_json::json;

use crate::client::{Client, warmth};
use crate::event_stream::EventStream;
use crate::server::{Running, eventually};

#[test]
fn a_stream_tells_what_is_there_and_then_what_changes() {
    let server = Running::start();
    let client = server.client();
    let first = client.put("/users/ada", &warmth(0.25));
    let mut stream = EventStream::open(&client, "/users/ada/events", None);
    let event = stream.expect("put");
    assert_eq!((event.id, &event.data), (Some(first.etag()), &first.body));

    let second = client.patch("/users/ada", &warmth(0.5));
    client.put("/users/grace", &warmth(0.5));
    let event = stream.expect("put");
    assert_eq!((event.id, &event.data), (Some(second.etag()), &second.body));
    client.delete("/users/ada");
    let event = stream.expect("removed");
    let removed = json!({"user_id": "ada", "cause": "deleted"});
    assert_eq!(event.data, removed);
    assert!(![Some(first.etag()), Some(second.etag())].contains(&event.id));

    // The tag of a removal matches nothing that comes later.
    let tag = event.id.expect("a tag");
    let third = client.put("/users/ada", &warmth(0.75));
    client
        .delete_if("/users/ada", ("if-match", &tag))
        .problem(412);
    assert_eq!(stream.expect("put").id, Some(third.etag()));
    server.stop();
}

#[test]
fn a_stream_says_that_nobody_is_there() {
    let server = Running::start();
    let client = server.client();
    let mut stream = EventStream::open(&client, "/users/ada/events", None);
    let event = stream.expect("absent");
    assert_eq!((event.id, event.data), (None, json!({"user_id": "ada"})));
    let made = client.put("/users/ada", &warmth(0.25));
    assert_eq!(stream.expect("put").id, Some(made.etag()));
    server.stop();
}

#[test]
fn a_client_that_was_cut_off_gets_what_it_has_missed() {
    let server = Running::start();
    let client = server.client();
    let open = |last: &str| EventStream::open(&client, "/users/ada/events", Some(last));
    let first = client.put("/users/ada", &warmth(0.25)).etag();

    // Nothing, then what comes.
    let mut stream = open(&first);
    let second = client.put("/users/ada", &warmth(0.5)).etag();
    assert_eq!(stream.expect("put").id, Some(second.clone()));
    drop(stream);
    // The newest.
    assert_eq!(open(&first).expect("put").id, Some(second.clone()));
    assert_eq!(open("\"1234-5\"").expect("put").id, Some(second.clone()));
    // That the user is gone.
    client.delete("/users/ada");
    open(&second).expect("absent");
    server.stop();
}

#[test]
fn a_stream_of_all_says_when_it_has_told_what_was_there() {
    let server = Running::start();
    let client = server.client();
    let users = ["ada", "grace", "漢字"];
    let path = |user: &str| format!("/users/{}", user.replace("漢字", "%E6%BC%A2%E5%AD%97"));
    let tags: BTreeSet<_> = users
        .map(|user| {
            let written = client.put(&path(user), &warmth(0.5));
            (user.to_owned(), written.etag())
        })
        .into();
    let mut stream = EventStream::open(&client, "/events", None);
    let told: BTreeSet<_> = users
        .map(|_| {
            let event = stream.expect("put");
            let user = event.data["user_id"].as_str().expect("an id");
            (user.to_owned(), event.id.expect("a tag"))
        })
        .into();
    assert_eq!(told, tags);
    let event = stream.expect("caught-up");
    assert_eq!((event.id, event.data), (None, json!({})));

    client.delete("/users/grace");
    let removed = json!({"user_id": "grace", "cause": "deleted"});
    assert_eq!(stream.expect("removed").data, removed);
    let made = client.put("/users/alan", &warmth(0.5));
    let event = stream.expect("put");
    assert_eq!((event.id, event.data), (Some(made.etag()), made.body));
    server.stop();
}

#[test]
fn a_silent_stream_is_kept_alive() {
    let server = Running::with(&["--keep-alive", "0.005"]);
    let client = server.client();
    let mut stream = EventStream::open(&client, "/users/ada/events", None);
    stream.expect("absent");
    stream.expect_comment();
    stream.expect_comment();
    server.stop();
}

#[test]
fn streams_do_not_hold_up_the_end() {
    // The test would not wait for so long.
    let server = Running::with(&["--grace", "86400"]);
    let client = server.client();
    let mut one = EventStream::open(&client, "/users/ada/events", None);
    let mut all = EventStream::open(&client, "/events", None);
    one.expect("absent");
    all.expect("caught-up");
    server.stop();
    assert_eq!((one.next(), all.next()), (None, None));
}

fn open_streams(client: &Client) -> Option<u64> {
    let metrics = client.get("/metrics").body;
    let figure = |line: &str| {
        line.strip_prefix("state_service_event_streams ")?
            .parse()
            .ok()
    };
    metrics.as_str()?.lines().find_map(figure)
}

/// Nothing is written, so the service has to notice by itself.
#[test]
fn a_stream_ends_when_the_client_goes_away() {
    let server = Running::start();
    let client = server.client();
    assert_eq!(open_streams(&client), Some(0));
    let mut one = EventStream::open(&client, "/users/ada/events", None);
    let mut all = EventStream::open(&client, "/events", None);
    one.expect("absent");
    all.expect("caught-up");
    assert_eq!(open_streams(&client), Some(2));
    drop(one);
    eventually("one stream is left", || open_streams(&client) == Some(1));
    drop(all);
    eventually("no stream is left", || open_streams(&client) == Some(0));
    server.stop();
}
