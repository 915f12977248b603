//! What the server answers on this store: right, and the same as on the
//! published one.

use attuned_store::MemoryStore;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, Client};
use crate::server::Running;

#[test]
fn a_state_is_written_read_translated_and_deleted() {
    let store = MemoryStore::default();
    let server = Running::on(store.clone());
    let client = Client::of(server.address);

    let state = json!({
        "user_id": "ada",
        "source": "inferred",
        "confidence": 0.5,
        "axes": {"cognitive_load": 0.875, "warmth": 0.75},
    });
    let written = client.post("/v1/state", &state);
    assert_eq!((written.status, written.body), (204, json!("")));

    // In the store itself.
    let stored = store.get("ada").expect("the user was written");
    assert_eq!(stored.source(), attuned_store::Source::Inferred);
    assert!(
        stored
            .axes()
            .eq([("cognitive_load", 0.875), ("warmth", 0.75)])
    );

    let mut expected = state.clone();
    expected["updated_at_unix_ms"] = json!(stored.updated_at_unix_ms());
    let read = client.get("/v1/state/ada");
    assert_eq!((read.status, read.body), (200, expected));

    // What is translated is what was stored.
    let context = client.get("/v1/context/ada");
    assert_eq!(context.status, 200);
    let guidelines = context.body["guidelines"].as_array().expect("guidelines");
    assert!(!guidelines.is_empty());
    let translated = client.post("/v1/translate", &state);
    assert_eq!(translated, context);
    let neutral = client.post("/v1/translate", &json!({"axes": {}}));
    assert_ne!(neutral, context);

    let deleted = client.delete("/v1/state/ada");
    assert_eq!((deleted.status, deleted.body), (204, json!("")));
    assert!(store.is_empty());
    for path in ["/v1/state/ada", "/v1/context/ada"] {
        let gone = client.get(path);
        assert_eq!(gone.status, 404, "{path}");
        assert_eq!(gone.body["error"]["code"], "USER_NOT_FOUND", "{path}");
    }
    assert_eq!(client.delete("/v1/state/ada").status, 204);
    server.stop();
}

#[test]
fn what_is_written_elsewhere_is_served() {
    let store = MemoryStore::default();
    let server = Running::on(store.clone());
    let client = Client::of(server.address);
    store
        .insert(
            attuned_store::StateSnapshot::builder()
                .user_id("ada")
                .updated_at(-5)
                .axis("warmth", 0.25)
                .build()
                .expect("a valid snapshot"),
        )
        .unwrap();
    assert_eq!(
        client.get("/v1/state/ada").body,
        json!({
            "user_id": "ada",
            "updated_at_unix_ms": -5,
            "source": "self_report",
            "confidence": 1.0,
            "axes": {"warmth": 0.25},
        })
    );
    store.remove("ada").expect("this thread goes on");
    assert_eq!(client.get("/v1/state/ada").status, 404);
    server.stop();
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let store = MemoryStore::default();
    let server = Running::on(store.clone());
    let client = Client::of(server.address);
    let good = json!({"user_id": "ada", "axes": {"warmth": 0.5}});
    assert_eq!(client.post("/v1/state", &good).status, 204);
    let before = store.get("ada");

    for (body, content_type, status) in bad_writes() {
        let refused = client.send_as(Method::POST, "/v1/state", Some(&body), content_type);
        assert_eq!(refused.status, status, "{body}: {refused:?}");
        assert_eq!(store.len(), 1, "{body}");
        assert_eq!(store.get("ada"), before, "{body}");
    }
    server.stop();
}

const JSON: &str = "application/json";

/// Bodies, their type, and the status with which they are refused.
fn bad_writes() -> Vec<(String, &'static str, u16)> {
    let with = |field: &str, value: Value| {
        let mut body = json!({"user_id": "ada", "axes": {"warmth": 0.7}});
        body[field] = value;
        body.to_string()
    };
    vec![
        (with("user_id", json!("")), JSON, 400),
        (with("user_id", json!("ada lovelace")), JSON, 400),
        (with("user_id", json!("x".repeat(257))), JSON, 400),
        (with("user_id", json!(7)), JSON, 422),
        (with("confidence", json!(1.5)), JSON, 400),
        (with("confidence", json!(-1)), JSON, 400),
        (with("confidence", json!(null)), JSON, 422),
        (with("source", json!("guessed")), JSON, 422),
        (with("axes", json!({"warmth": 1.5})), JSON, 400),
        (with("axes", json!({"warmth": 1e300})), JSON, 400),
        (with("axes", json!({"Warmth": 0.5})), JSON, 400),
        (with("axes", json!({"": 0.5})), JSON, 400),
        (with("axes", json!({"x".repeat(65): 0.5})), JSON, 400),
        (with("axes", json!(["warmth"])), JSON, 422),
        (r#"{"user_id":"ada"}"#.to_owned(), JSON, 422),
        (r#"{"axes":{}}"#.to_owned(), JSON, 422),
        (
            r#"{"user_id":"ada","axes":{"warmth":NaN}}"#.to_owned(),
            JSON,
            400,
        ),
        (r#"{"user_id":"ada","#.to_owned(), JSON, 400),
        (String::new(), JSON, 400),
        (with("confidence", json!(1)), "text/plain", 415),
    ]
}

/// A client of a server on this store, and one of a server on the published.
struct Both {
    ours: Client,
    theirs: Client,
    /// Of all answers so far.
    statuses: Vec<u16>,
}

impl Both {
    #[track_caller]
    fn send(&mut self, method: Method, path: &str, body: Option<&str>) {
        self.send_as(method, path, body, JSON);
    }

    #[track_caller]
    fn send_as(&mut self, method: Method, path: &str, body: Option<&str>, content_type: &str) {
        let answer_of = |client: &Client| {
            without_times(client.send_as(method.clone(), path, body, content_type))
        };
        let ours = answer_of(&self.ours);
        assert_eq!(ours, answer_of(&self.theirs), "{method} {path} {body:?}");
        self.statuses.push(ours.status);
    }

    #[track_caller]
    fn read_all(&mut self) {
        for (_, user) in USERS {
            self.send(Method::GET, &format!("/v1/state/{user}"), None);
            self.send(Method::GET, &format!("/v1/context/{user}"), None);
        }
    }
}

/// Ids, and how they are written in a path.
const USERS: [(&str, &str); 6] = [
    ("ada", "ada"),
    ("Ada", "Ada"),
    ("aaaé", "aaa%C3%A9"),
    ("漢字", "%E6%BC%A2%E5%AD%97"),
    ("a-b_c", "a-b_c"),
    ("0", "0"),
];

#[test]
fn the_published_store_gives_the_same_answers() {
    let ours = Running::on(MemoryStore::default());
    let theirs = Running::on(attuned_store_v1::MemoryStore::default());
    let mut both = Both {
        ours: Client::of(ours.address),
        theirs: Client::of(theirs.address),
        statuses: Vec::new(),
    };

    both.read_all();
    for state in [
        r#""axes":{}"#,
        r#""axes":{"warmth":0.7,"formality":0.2},"source":"mixed","confidence":0.3"#,
        r#""axes":{"warmth":-0.0,"my_axis":1},"source":"inferred","confidence":0"#,
        r#""axes":{"warmth":0.1,"warmth":0.9,"cognitive_load":1e-45},"message":"hello""#,
        r#""axes":{"anxiety_level":0.9,"verbosity_preference":0.1,"urgency_sensitivity":1.0}"#,
    ] {
        for (user_id, _) in USERS {
            let body = format!(r#"{{"user_id":"{user_id}",{state}}}"#);
            both.send(Method::POST, "/v1/state", Some(&body));
        }
        both.read_all();
        let body = format!("{{{state}}}");
        both.send(Method::POST, "/v1/translate", Some(&body));
    }

    for (body, content_type, _) in bad_writes() {
        for path in ["/v1/state", "/v1/translate"] {
            both.send_as(Method::POST, path, Some(&body), content_type);
        }
    }
    // Ids that no user has or can have, and paths that are none.
    let long = "x".repeat(257);
    for user in ["nobody", "a%20b", "%FF", "%00", "a%2Fb", "..", &long] {
        for path in [format!("/v1/state/{user}"), format!("/v1/context/{user}")] {
            both.send(Method::GET, &path, None);
            both.send(Method::DELETE, &path, None);
        }
    }
    for path in ["/health", "/ready", "/metrics", "/", "/v1/state"] {
        both.send(Method::GET, path, None);
        both.send(Method::DELETE, path, None);
    }
    both.read_all();

    for (_, user) in USERS {
        let path = format!("/v1/state/{user}");
        both.send(Method::DELETE, &path, None);
        both.send(Method::DELETE, &path, None);
        both.read_all();
    }
    // The requests were of all kinds.
    for status in [200, 204, 400, 404, 405, 415, 422] {
        assert!(both.statuses.contains(&status), "{status}");
    }
    assert!(!both.statuses.contains(&500));
    ours.stop();
    theirs.stop();
}

/// Times differ from server to server; but they must be there.
fn without_times(mut answer: Answer) -> Answer {
    for field in ["updated_at_unix_ms", "uptime_seconds"] {
        if let Some(time) = answer.body.get_mut(field) {
            assert!(time.is_u64(), "{field} is {time}");
            *time = json!("a time");
        }
    }
    answer
}
