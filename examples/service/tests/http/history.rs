//! What was: parts of a history, and what was the latest at some time.

use attuned_store::Timestamp;
use serde_json::{Value, json};

use crate::client::{Answer, Client, warmth};
use crate::server::{Running, eventually};

/// Writes a user five times, each at a time of its own, and returns the history, oldest
/// first.
fn written(client: &Client) -> Vec<Value> {
    for count in 1..=5 {
        client.put("/users/ada", &warmth(0.125 * f64::from(count)));
        let newest = client.get("/users/ada/history?limit=1");
        let time = newest.body[0]["written_at_unix_ms"].as_i64();
        let time = Timestamp::from(time.expect("a time"));
        eventually("the clock goes on", || Timestamp::now() > time);
    }
    let history = client.get("/users/ada/history");
    let mut entries = history.body.as_array().expect("a list").clone();
    entries.reverse();
    entries
}

#[track_caller]
fn entries(answer: &Answer) -> &[Value] {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.as_array().expect("a list")
}

#[test]
fn an_entry_tells_the_write_and_its_time() {
    let server = Running::start();
    let client = server.client();
    let first = client.put("/users/ada", &warmth(0.25));
    let second = client.put("/users/ada", &warmth(0.5));
    let stored = server.memory.history("ada", 2);
    let entry = |written: &Answer, at: usize| {
        json!({
            "etag": written.etag(),
            "written_at_unix_ms": stored[at].written_at,
            "snapshot": written.body,
        })
    };
    let history = client.get("/users/ada/history");
    assert_eq!(entries(&history), [entry(&second, 0), entry(&first, 1)]);
    server.stop();
}

#[test]
fn a_history_is_newest_first_and_bounded() {
    let server = Running::with(&["--history", "12"]);
    let client = server.client();
    for time in 1..=15 {
        let mut body = warmth(0.5);
        body["updated_at_unix_ms"] = json!(time);
        client.put("/users/ada", &body);
    }
    let times = |path: &str| -> Vec<i64> {
        let answer = client.get(path);
        let time = |entry: &Value| entry["snapshot"]["updated_at_unix_ms"].as_i64();
        let times = entries(&answer).iter().map(time);
        times.map(|time| time.expect("a time")).collect()
    };
    let newest_first = |entries| (1..=15).rev().take(entries).collect::<Vec<i64>>();
    assert_eq!(times("/users/ada/history"), newest_first(10));
    assert_eq!(times("/users/ada/history?limit=2"), newest_first(2));
    assert_eq!(times("/users/ada/history?limit=99"), newest_first(12));
    assert_eq!(times("/users/ada/history?limit=2&order=oldest"), [4, 5]);
    server.stop();
}

#[test]
fn a_part_has_bounds() {
    let server = Running::start();
    let client = server.client();
    let all = written(&client);
    let time = |at: usize| all[at]["written_at_unix_ms"].as_i64().expect("a time");
    // As it is, escaped, and as people write it, without the quotes.
    let tag = |at: usize| all[at]["etag"].as_str().expect("a tag");
    let escaped = |at: usize| tag(at).replace('"', "%22");
    let bare = |at: usize| tag(at).replace('"', "");
    let part = |query: String| {
        let answer = client.get(&format!("/users/ada/history?{query}"));
        entries(&answer).to_vec()
    };
    let newest_first =
        |from: usize, to: usize| -> Vec<Value> { all[from..to].iter().rev().cloned().collect() };

    assert_eq!(part("order=newest".to_owned()), newest_first(0, 5));
    assert_eq!(part("order=oldest".to_owned()), all);
    assert_eq!(part(format!("since={}", time(2))), newest_first(2, 5));
    assert_eq!(part(format!("since={}", time(2) + 1)), newest_first(3, 5));
    assert_eq!(part(format!("until={}", time(2))), newest_first(0, 3));
    assert_eq!(part(format!("until={}", time(2) - 1)), newest_first(0, 2));
    assert_eq!(part(format!("after={}", escaped(1))), newest_first(2, 5));
    assert_eq!(part(format!("before={}", bare(3))), newest_first(0, 3));
    let between = format!("after={}&before={}&order=oldest", bare(0), bare(4));
    assert_eq!(part(between), all[1..4]);
    let one = format!("since={}&until={}&limit=3", time(1), time(1));
    assert_eq!(part(one), all[1..2]);
    // A page after the other, to the end.
    let page = format!("order=oldest&limit=3&after={}", bare(2));
    assert_eq!(part(page), all[3..]);
    assert_eq!(part(format!("after={}", bare(4))), [json!(null); 0]);
    assert_eq!(part(format!("until={}", i64::MIN)), [json!(null); 0]);
    server.stop();
}

#[test]
fn bad_parameters_are_named() {
    let server = Running::start();
    let client = server.client();
    let tag = client
        .put("/users/ada", &warmth(0.5))
        .etag()
        .replace('"', "");
    for user in ["ada", "nobody"] {
        for (name, values) in [
            ("limit", &["0", "-1", "many", "", "1e3"][..]),
            ("since", &["yesterday", "", "1.5", "9223372036854775808"]),
            ("until", &["yesterday", "", "1.5", "-9223372036854775809"]),
            ("after", &["", "5", "%22%22", "1234-5", &format!("{tag}1x")]),
            (
                "before",
                &["", "5", "%22%22", "1234-5", &format!("W/{tag}")],
            ),
            ("order", &["", "newest_first", "desc"]),
            ("limits", &["5"]),
        ] {
            for value in values {
                let answer = client.get(&format!("/users/{user}/history?{name}={value}"));
                let detail = answer.problem(400);
                assert!(detail.contains(name), "{value}: {detail}");
            }
        }
        for (query, name) in [("as_of=now", "as_of"), ("as_of=", "as_of"), ("at=5", "at")] {
            let answer = client.get(&format!("/users/{user}?{query}"));
            let detail = answer.problem(400);
            assert!(detail.contains(name), "{query}: {detail}");
        }
        let twice = client.get(&format!("/users/{user}/history?limit=1&limit=2"));
        assert!(twice.problem(400).contains("limit"));
    }
    server.stop();
}

/// A service that has begun anew counts anew, and could find another write under the number.
#[test]
fn tags_of_another_run_bound_nothing() {
    let former = Running::start();
    let old = former.client().put("/users/ada", &warmth(0.5)).etag();
    former.stop();
    let server = Running::start();
    let client = server.client();
    client.put("/users/ada", &warmth(0.5));
    let old = old.replace('"', "");
    client
        .get(&format!("/users/ada/history?after={old}"))
        .problem(400);
    server.stop();
}

#[test]
fn nobody_has_no_history() {
    let server = Running::start();
    let client = server.client();
    client.get("/users/ada/history").problem(404);
    client.get("/users/ada/history?since=0").problem(404);
    client.put("/users/ada", &warmth(0.5));
    client.delete("/users/ada");
    client.get("/users/ada/history").problem(404);
    server.stop();
}

#[test]
fn a_user_can_be_read_as_of_a_time() {
    let server = Running::with(&["--history", "5"]);
    let client = server.client();
    let all = written(&client);
    let as_of = |time: i64| client.get(&format!("/users/ada?as_of={time}"));
    for (at, entry) in all.iter().enumerate() {
        let time = entry["written_at_unix_ms"].as_i64().expect("a time");
        let then = as_of(time);
        assert_eq!((then.status, &then.body), (200, &entry["snapshot"]));
        assert_eq!(then.etag(), entry["etag"]);
        if at > 0 {
            let before = as_of(time - 1);
            assert_eq!(before.body, all[at - 1]["snapshot"]);
        }
        let tag = entry["etag"].as_str().expect("a tag");
        let known = client.get_if(&format!("/users/ada?as_of={time}"), ("if-none-match", tag));
        assert_eq!(known.status, 304);
    }
    assert_eq!(as_of(i64::MAX).body, all[4]["snapshot"]);
    server.stop();
}

#[test]
fn what_is_not_kept_any_more_is_told_from_what_never_was() {
    let server = Running::with(&["--history", "2"]);
    let client = server.client();
    client.get("/users/ada?as_of=0").problem(404);
    for _ in 0..2 {
        client.put("/users/ada", &warmth(0.5));
        client.get("/users/ada?as_of=0").problem(404);
    }
    client.put("/users/ada", &warmth(0.5));
    client.get("/users/ada?as_of=0").problem(410);
    server.stop();
}
