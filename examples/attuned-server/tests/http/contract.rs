//! The store keeps its contract while the server writes to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use attuned_store::MemoryStore;
use attuned_store::conformance::{Capabilities, check_all};
use serde_json::json;

use crate::client::Client;
use crate::server::{Running, runtime};

#[test]
fn a_store_that_is_served_keeps_the_contract_of_backends() {
    let store = MemoryStore::builder()
        .history(8)
        .build()
        .expect("a valid configuration");
    let server = Running::on(store.clone());
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = Client::of(server.address);
        let ended = &ended;
        let writing = scope.spawn(move || {
            let mut written = 0;
            // At least one, should the suite be done before.
            while written == 0 || !ended.load(Ordering::Relaxed) {
                let state = json!({"user_id": "ada", "axes": {"warmth": 0.5}});
                assert_eq!(client.post("/v1/state", &state).status, 204);
                written += 1;
            }
        });
        let capabilities = Capabilities::new().history(8).conditional_deletes();
        let capabilities = capabilities.versions().list().watching();
        let checked = runtime().block_on(check_all(&store, capabilities.conditional_writes()));
        ended.store(true, Ordering::Relaxed);
        writing.join().expect("every write is accepted");
        checked.expect("the contract is kept");
    });
    // The suite has removed its users, and not the client's.
    assert_eq!(store.len(), 1);
    assert!(store.contains("ada"));
    server.stop();
}
