//! Many clients at once.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use attuned_store::{MemoryStore, State};
use serde_json::json;

use crate::client::{Answer, Client};
use crate::server::Running;

const CLIENTS: u32 = 64;
const WRITES: u32 = 8;

/// A number from 0 to 1 that no other write has, and that `f32` has exactly.
fn mark(client: u32, write: u32) -> f32 {
    (client * WRITES + write) as f32 / (CLIENTS * WRITES) as f32
}

#[test]
fn sixty_four_clients_see_their_own_user_and_share_one() {
    let writes = (CLIENTS * WRITES) as usize;
    let store = MemoryStore::builder()
        .history(writes)
        .build()
        .expect("a valid configuration");
    let server = Running::on(store.clone());
    let start = Barrier::new(CLIENTS as usize);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let client = Client::of(server.address);
            let start = &start;
            scope.spawn(move || {
                start.wait();
                work(&client, number);
            });
        }
    });

    // All of each write, each once, and nothing else.
    let shared = store.history("shared", usize::MAX);
    let found: BTreeSet<u32> = shared
        .iter()
        .map(|entry| pair(&entry.value).to_bits())
        .collect();
    let written = (0..CLIENTS).flat_map(|client| (0..WRITES).map(move |write| mark(client, write)));
    assert_eq!(found, written.map(f32::to_bits).collect());
    assert_eq!(shared.len(), writes);
    assert_eq!(store.get_versioned("shared").as_ref(), shared.first());
    // Of the clients' own users, each second one was deleted.
    assert_eq!(store.len(), 1 + CLIENTS as usize / 2);
    server.stop();
}

/// The value that both axes of the shared user have.
fn pair(state: &State) -> f32 {
    assert_eq!(
        state.get_axis_opt("warmth"),
        state.get_axis_opt("formality")
    );
    state.get_axis("warmth")
}

fn work(client: &Client, number: u32) {
    let own = format!("user_{number}");
    let own_path = format!("/v1/state/{own}");
    for write in 0..WRITES {
        let mark = mark(number, write);
        let state = |user_id: &str| json!({"user_id": user_id, "axes": {"warmth": mark, "formality": mark}});
        assert_eq!(client.post("/v1/state", &state(&own)).status, 204);
        assert_eq!(client.post("/v1/state", &state("shared")).status, 204);

        // Nobody else writes this user: it is as just written.
        let read = client.get(&own_path);
        assert_eq!((read.status, &read.body["user_id"]), (200, &json!(own)));
        assert_eq!(axes(&read), [("formality", mark), ("warmth", mark)]);

        // Everybody writes this one: it is as somebody wrote it.
        let read = client.get("/v1/state/shared");
        assert_eq!(
            (read.status, &read.body["user_id"]),
            (200, &json!("shared"))
        );
        let axes = axes(&read);
        let [("formality", formality), ("warmth", warmth)] = axes[..] else {
            panic!("{axes:?}");
        };
        assert_eq!(formality, warmth);
        assert_eq!(client.get("/v1/context/shared").status, 200);
    }
    if number.is_multiple_of(2) {
        assert_eq!(client.delete(&own_path).status, 204);
        assert_eq!(client.get(&own_path).status, 404);
    }
}

fn axes(answer: &Answer) -> Vec<(&str, f32)> {
    let axes = answer.body["axes"].as_object().expect("axes");
    axes.iter()
        // The text of an `f32` is read as the `f64` nearest to it.
        .map(|(name, value)| (name.as_str(), value.as_f64().expect("a number") as f32))
        .collect()
}
