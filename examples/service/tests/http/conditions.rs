//! Conditional requests, one by one and in races.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, Client, warmth};
use crate::server::Running;

const CLIENTS: usize = 8;

#[test]
fn a_write_can_be_conditional() {
    let server = Running::start();
    let client = server.client();
    let absent = ("if-none-match", "*");
    let put_at = |etag: &str| client.put_if("/users/ada", &warmth(0.5), ("if-match", etag));

    let first = client.put_if("/users/ada", &warmth(0.5), absent);
    assert_eq!(first.status, 201);
    let refused = client.put_if("/users/ada", &warmth(0.25), absent);
    refused.problem(412);
    assert_eq!(refused.etag(), first.etag());

    let second = put_at(&first.etag());
    assert_eq!(second.status, 200);
    let late = put_at(&first.etag());
    late.problem(412);
    assert_eq!(late.etag(), second.etag());
    // The tag in the refusal is good for the next try.
    let third = put_at(&late.etag());
    assert_eq!(third.status, 200);
    assert_eq!(client.get("/users/ada").etag(), third.etag());

    client.delete("/users/ada");
    let gone = put_at(&third.etag());
    gone.problem(412);
    assert_eq!(gone.header("etag"), None);
    assert!(server.memory.is_empty());
    server.stop();
}

#[test]
fn a_patch_can_be_conditional() {
    let server = Running::start();
    let client = server.client();
    let patch_if = |user: &str, condition: (&str, &str)| {
        let headers = [("content-type", "application/json"), condition];
        let body = warmth(0.5).to_string();
        client.send(Method::PATCH, user, &headers, Some(&body))
    };
    let first = client.put("/users/ada", &warmth(0.25)).etag();
    let second = patch_if("/users/ada", ("if-match", &first));
    assert_eq!(second.status, 200);
    for condition in [("if-match", first.as_str()), ("if-none-match", "*")] {
        let refused = patch_if("/users/ada", condition);
        refused.problem(412);
        assert_eq!(refused.etag(), second.etag());
    }
    assert_eq!(client.get("/users/ada").etag(), second.etag());

    patch_if("/users/grace", ("if-match", &first)).problem(412);
    assert!(!server.memory.contains("grace"));
    let made = patch_if("/users/grace", ("if-none-match", "*"));
    assert_eq!(made.status, 200);
    server.stop();
}

#[test]
fn a_removal_can_be_conditional() {
    let server = Running::start();
    let client = server.client();
    let first = client.put("/users/ada", &warmth(0.25)).etag();
    let second = client.put("/users/ada", &warmth(0.5)).etag();

    let refused = client.delete_if("/users/ada", ("if-match", &first));
    refused.problem(412);
    assert_eq!(refused.etag(), second);
    assert!(server.memory.contains("ada"));
    let removed = client.delete_if("/users/ada", ("if-match", &second));
    assert_eq!(removed.status, 204);
    assert!(server.memory.is_empty());
    client
        .delete_if("/users/ada", ("if-match", &second))
        .problem(412);
    server.stop();
}

#[test]
fn a_read_is_answered_briefly_if_nothing_is_new() {
    let server = Running::start();
    let client = server.client();
    let etag = client.put("/users/ada", &warmth(0.25)).etag();
    for known in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let answer = client.get_if("/users/ada", ("if-none-match", &known));
        assert_eq!(
            (answer.status, answer.etag()),
            (304, etag.clone()),
            "{known}"
        );
        assert_eq!(answer.body, "");
    }
    client.put("/users/ada", &warmth(0.5));
    let answer = client.get_if("/users/ada", ("if-none-match", &etag));
    assert_eq!(
        (answer.status, &answer.body["axes"]["warmth"]),
        (200, &json!(0.5))
    );
    client
        .get_if("/users/nobody", ("if-none-match", "*"))
        .problem(404);
    server.stop();
}

/// A service that has begun anew counts anew. What clients remember of the former one must
/// not pass for what is there now.
#[test]
fn tags_of_another_run_match_nothing() {
    let former = Running::start();
    let old = former.client().put("/users/ada", &warmth(0.25)).etag();
    former.stop();

    let server = Running::start();
    let client = server.client();
    let new = client.put("/users/ada", &warmth(0.5)).etag();
    assert_ne!(old, new);
    let read = client.get_if("/users/ada", ("if-none-match", &old));
    assert_eq!(read.status, 200);
    client
        .put_if("/users/ada", &warmth(0.75), ("if-match", &old))
        .problem(412);
    client
        .delete_if("/users/ada", ("if-match", &old))
        .problem(412);
    assert_eq!(client.get("/users/ada").etag(), new);
    server.stop();
}

#[test]
fn conditions_that_the_store_does_not_know_are_not_ignored() {
    let server = Running::start();
    let client = server.client();
    let etag = client.put("/users/ada", &warmth(0.25)).etag();
    let two = format!("{etag}, \"x\"");
    for condition in [
        ("if-match", "*"),
        ("if-match", two.as_str()),
        ("if-none-match", etag.as_str()),
    ] {
        client
            .put_if("/users/ada", &warmth(0.5), condition)
            .problem(400);
        client.delete_if("/users/ada", condition).problem(400);
    }
    assert_eq!(client.get("/users/ada").etag(), etag);
    server.stop();
}

/// What each of several clients gets that all start at once.
fn race(address: SocketAddr, run: impl Fn(&Client, usize) -> Answer + Sync) -> Vec<Answer> {
    let start = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let racing: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (start, run) = (&start, &run);
                scope.spawn(move || {
                    let client = Client::of(address);
                    // Connected before the start.
                    assert_eq!(client.get("/healthz").status, 200);
                    start.wait();
                    run(&client, number)
                })
            })
            .collect();
        let ended = racing.into_iter().map(|client| client.join());
        ended.map(|answer| answer.expect("an answer")).collect()
    })
}

fn distinct(number: usize) -> Value {
    warmth(number as f64 / CLIENTS as f64)
}

#[test]
fn of_writers_with_the_same_condition_one_wins() {
    let server = Running::start();
    let client = server.client();
    for round in 0..30 {
        let user = format!("/users/user_{round}");
        let firsts = race(server.address, |client, number| {
            client.put_if(&user, &distinct(number), ("if-none-match", "*"))
        });
        let first = the_winner(&firsts, 201);
        let seconds = race(server.address, |client, number| {
            client.put_if(&user, &distinct(number), ("if-match", &first.etag()))
        });
        let second = the_winner(&seconds, 200);
        let read = client.get(&user);
        assert_eq!((read.etag(), &read.body), (second.etag(), &second.body));
    }
    server.stop();
}

/// The only answer of this status. All others are refusals that tell its tag.
#[track_caller]
fn the_winner(answers: &[Answer], status: u16) -> &Answer {
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == status);
    let [winner] = won[..] else {
        panic!("{answers:?}");
    };
    for loser in lost {
        loser.problem(412);
        assert_eq!(loser.etag(), winner.etag());
    }
    winner
}

#[test]
fn of_writers_without_a_condition_one_is_told_that_the_user_is_new() {
    let server = Running::start();
    for round in 0..30 {
        let user = format!("/users/user_{round}");
        let answers = race(server.address, |client, number| {
            client.put(&user, &distinct(number))
        });
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        let replaced = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((created, replaced), (1, CLIENTS - 1), "{answers:?}");
    }
    server.stop();
}

#[test]
fn no_change_is_lost_that_was_made_on_top_of_what_was_read() {
    const CHANGES: usize = 16;

    let server = Running::start();
    let client = server.client();
    client.put("/users/ada", &warmth(0.0));
    race(server.address, |client, _| {
        let mut made = 0;
        loop {
            let read = client.get("/users/ada");
            if made == CHANGES {
                return read;
            }
            let mut body = read.body.clone();
            let count = body["axes"]["warmth"].as_f64().expect("a number");
            body["axes"]["warmth"] = json!(count + 1.0 / 128.0);
            let written = client.put_if("/users/ada", &body, ("if-match", &read.etag()));
            match written.status {
                200 => made += 1,
                _ => drop(written.problem(412)),
            }
        }
    });
    // Eight clients with sixteen changes each.
    assert_eq!(client.get("/users/ada").body["axes"]["warmth"], 1.0);
    server.stop();
}
