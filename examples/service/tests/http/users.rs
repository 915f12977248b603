//! Every route, and what it does to the store.

use attuned_store::Source;
use serde_json::json;
use ureq::http::Method;

use crate::client::{state, warmth};
use crate::server::Running;

#[test]
fn a_user_is_written_read_and_removed() {
    let server = Running::start();
    let client = server.client();

    let first = client.put(
        "/users/ada",
        &state("inferred", 0.5, json!({"warmth": 0.75})),
    );
    assert_eq!(first.status, 201);
    // In the store itself.
    let stored = server.memory.get("ada").expect("ada was written");
    assert_eq!(
        (stored.source(), stored.confidence()),
        (Source::Inferred, 0.5)
    );
    assert!(stored.axes().eq([("warmth", 0.75)]));
    let body = json!({
        "user_id": "ada",
        "updated_at_unix_ms": stored.updated_at_unix_ms(),
        "source": "inferred",
        "confidence": 0.5,
        "axes": {"warmth": 0.75},
    });
    assert_eq!(first.body, body);

    let read = client.get("/users/ada");
    assert_eq!((read.status, &read.body), (200, &body));
    assert_eq!(read.etag(), first.etag());
    let head = client.send(Method::HEAD, "/users/ada", &[], None);
    assert_eq!((head.status, head.etag()), (200, first.etag()));
    assert_eq!(head.body, "");

    // What was read can be sent back.
    let mut changed = read.body;
    changed["axes"]["formality"] = json!(0.25);
    let second = client.put("/users/ada", &changed);
    assert_eq!((second.status, &second.body), (200, &changed));
    assert_ne!(second.etag(), first.etag());

    let removed = client.delete("/users/ada");
    assert_eq!((removed.status, removed.body), (204, json!("")));
    assert!(server.memory.is_empty());
    client.get("/users/ada").problem(404);
    client.delete("/users/ada").problem(404);
    client.get("/users/ada/history").problem(404);

    // A tag is never used again.
    let again = client.put("/users/ada", &changed);
    assert_eq!(again.status, 201);
    assert!(![first.etag(), second.etag()].contains(&again.etag()));
    server.stop();
}

#[test]
fn ids_can_be_of_any_script() {
    let server = Running::start();
    let client = server.client();
    for (id, path) in [
        ("Ada_Lovelace-1", "/users/Ada_Lovelace-1"),
        ("漢字", "/users/%E6%BC%A2%E5%AD%97"),
        ("aé", "/users/a%C3%A9"),
    ] {
        assert_eq!(client.put(path, &warmth(0.5)).status, 201);
        assert_eq!(client.get(path).body["user_id"], id);
        assert!(server.memory.contains(id));
    }
    server.stop();
}

#[test]
fn a_patch_changes_some_axes_and_explicit_values_win() {
    let server = Running::start();
    let client = server.client();

    // A patch of nobody makes a user.
    let made = client.patch("/users/ada", &warmth(0.75));
    assert_eq!(made.status, 200);

    let inferred = json!({"warmth": 0.25, "formality": 0.5});
    let patched = client.patch("/users/ada", &state("inferred", 0.5, inferred.clone()));
    assert_eq!(patched.status, 200);
    assert_eq!(
        patched.body["axes"],
        json!({"warmth": 0.75, "formality": 0.5})
    );
    assert_eq!(patched.body["source"], "mixed");
    assert_eq!(patched.body["confidence"], 0.5);
    let read = client.get("/users/ada");
    assert_eq!((&read.body, read.etag()), (&patched.body, patched.etag()));

    // The rule leaves nothing of it, or it has nothing: the user stays as before.
    for axes in [inferred, json!({})] {
        let idle = client.patch("/users/ada", &state("inferred", 0.1, axes.clone()));
        assert_eq!((idle.status, idle.etag()), (200, patched.etag()), "{axes}");
        assert_eq!(idle.body, patched.body, "{axes}");
    }
    assert_eq!(server.memory.stats().writes, 2);

    // Nothing for nobody makes no user.
    for axes in [json!({}), json!({"warmth": null})] {
        let nobody = client.patch("/users/grace", &state("inferred", 0.1, axes));
        nobody.problem(404);
    }
    assert!(!server.memory.contains("grace"));
    server.stop();
}

#[test]
fn a_patch_removes_what_is_null() {
    let server = Running::start();
    let client = server.client();
    let axes = json!({"warmth": 0.75, "formality": 0.5});
    client.put("/users/ada", &state("self_report", 0.5, axes.clone()));
    let without = json!({"warmth": null});
    let inferred = client.patch("/users/ada", &state("inferred", 1.0, without.clone()));
    assert_eq!((inferred.status, &inferred.body["axes"]), (200, &axes));
    let reported = client.patch("/users/ada", &state("self_report", 1.0, without));
    assert_eq!(reported.body["axes"], json!({"formality": 0.5}));
    assert_eq!(reported.body["confidence"], 0.5);
    server.stop();
}

#[test]
fn health_and_figures_can_be_asked_for() {
    let server = Running::with(&["--history", "2"]);
    let client = server.client();
    let health = client.get("/healthz");
    assert_eq!((health.status, health.body), (200, json!("ok\n")));

    for value in [0.1, 0.2, 0.3] {
        client.put("/users/ada", &warmth(value));
    }
    client.put("/users/grace", &warmth(0.5));
    client.delete("/users/grace");
    client.put_if("/users/ada", &warmth(0.5), ("if-none-match", "*"));
    let metrics = client.get("/metrics");
    assert_eq!(metrics.status, 200);
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4")
    );
    let text = metrics.body.as_str().expect("a text");
    for (name, kind, figure) in [
        ("keys", "gauge", 1),
        ("versions", "gauge", 2),
        ("writes", "counter", 4),
        ("evictions", "counter", 1),
        ("removals", "counter", 1),
        ("conflicts", "counter", 1),
    ] {
        for line in [
            format!("# TYPE attuned_store_{name} {kind}"),
            format!("attuned_store_{name}{{store=\"users\"}} {figure}"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
    server.stop();
}
