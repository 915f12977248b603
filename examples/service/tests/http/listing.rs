//! The list of all users.

use std::collections::BTreeSet;

use attuned_store::StateSnapshot;
use serde_json::json;

use crate::client::{Answer, warmth};
use crate::server::Running;

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("text/plain; charset=utf-8"));
    let text = answer.body.as_str().expect("a text");
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn all_users_are_listed_once() {
    let server = Running::start();
    let client = server.client();
    let none = client.get("/users");
    assert_eq!((none.status, none.body), (200, json!("")));

    client.put("/users/%E6%BC%A2%E5%AD%97", &warmth(0.5));
    assert_eq!(ids(&client.get("/users")), ["漢字"]);

    // Some portions.
    for number in 0..5_000 {
        let id = format!("user_{number}");
        let user = StateSnapshot::builder().user_id(id).build();
        let inserted = server.memory.insert(user.expect("a valid snapshot"));
        inserted.expect("room");
    }
    let listed = ids(&client.get("/users"));
    assert_eq!(listed.len(), 5_001);
    let distinct: BTreeSet<_> = listed.into_iter().collect();
    assert_eq!(distinct, server.memory.user_ids().into_iter().collect());
    server.stop();
}
