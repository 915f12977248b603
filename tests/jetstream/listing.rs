//! Listings over the log, by stores that follow nobody.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use attuned_store::{Follow, JetStreamStore, StateStore, StoreError};
use futures_util::{StreamExt, TryStreamExt};

use crate::builder;
use crate::depth::Depth;
use crate::server::Servers;

/// How many users a part has, and how many there are: more than a part.
fn sizes() -> (usize, usize) {
    // At full depth, parts as they are by default.
    let part = Depth::of_this_run().choose(500, 1 << 18);
    (part, part + part / 2)
}

/// Publishes a message of each of many users, without waiting for each: only for the last of
/// some, since a server drops what it cannot take in time.
fn fill(servers: &Servers, users: usize) {
    let address = servers.servers[0].address();
    let address = address.trim_start_matches("nats://");
    let mut connection = TcpStream::connect(address).unwrap();
    let mut answers = BufReader::new(connection.try_clone().unwrap());
    connection
        .write_all(b"CONNECT {\"verbose\":false}\r\nSUB in 1\r\n")
        .unwrap();
    for first in (0..users).step_by(1_000) {
        let mut messages = String::new();
        let last = users.min(first + 1_000) - 1;
        for user in first..last {
            messages.push_str(&format!("PUB USERS.u.u{user} 1\r\nx\r\n"));
        }
        messages.push_str(&format!("PUB USERS.u.u{last} in 1\r\nx\r\n"));
        connection.write_all(messages.as_bytes()).unwrap();
        let mut line = String::new();
        while !line.starts_with("MSG in ") {
            line.clear();
            answers.read_line(&mut line).unwrap();
        }
    }
}

async fn store(servers: &Servers) -> JetStreamStore {
    let store = builder(servers, "USERS").follow(Follow::Nobody);
    let (part, _) = sizes();
    store.users_of_a_part(part).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_parts_of_a_listing_have_each_user_once() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let (_, users) = sizes();
    let store = store(&servers).await;
    fill(&servers, users);
    let listed: Vec<String> = store.list().try_collect().await.unwrap();
    assert_eq!(listed.len(), users);
    let listed: HashSet<String> = listed.into_iter().collect();
    assert!((0..users).all(|user| listed.contains(&format!("u{user}"))));
}

/// Between two parts.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_notices_that_the_stream_was_made_anew() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let (_, users) = sizes();
    let here = store(&servers).await;
    fill(&servers, users);
    let mut listing = here.list();
    assert!(listing.next().await.unwrap().is_ok());
    let deleted = servers.raw().request("$JS.API.STREAM.DELETE.USERS", "");
    assert!(deleted.unwrap().contains("true"));
    let _other = store(&servers).await;
    let mut listed = 1;
    let end = loop {
        match listing.next().await {
            Some(Ok(_)) => listed += 1,
            end => break end,
        }
    };
    assert!(
        matches!(end, Some(Err(StoreError::Unavailable { .. }))),
        "{end:?}"
    );
    assert!(listed < users);
}
