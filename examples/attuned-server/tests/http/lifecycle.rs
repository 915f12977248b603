//! How a server starts and ends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use attuned_http::{HttpError, Server, ServerConfig};
use attuned_store::MemoryStore;
use serde_json::json;

use crate::client::Client;
use crate::server::{Running, runtime};

const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    let store = MemoryStore::default();
    let server = Running::on(store.clone());
    let address = server.address;
    let body = r#"{"user_id":"ada","axes":{"warmth":0.5}}"#;

    let mut connection = TcpStream::connect(address).expect("the server listens");
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("a limit");
    write!(
        connection,
        "POST /v1/state HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    )
    .expect("the server reads");
    // It says so when it wants the body: the request is under way.
    let mut interim = [0; 25];
    connection.read_exact(&mut interim).expect("an answer");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");

    let stopping = server.ask_to_stop();
    assert!(!stopping.has_ended());
    assert!(store.is_empty());
    connection
        .write_all(body.as_bytes())
        .expect("the server reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 204 No Content\r\n"),
        "{answer}"
    );
    stopping.wait();
    assert!(store.contains("ada"));
}

/// `Server::run` binds by itself, and does not say when it has.
#[test]
fn the_server_runs_by_itself() {
    let runtime = runtime();
    let store = MemoryStore::default();
    // Another program may take the port between the look and the use.
    let (address, running) = (0..100)
        .find_map(|_| {
            let config = ServerConfig {
                bind_addr: free_address(),
                ..ServerConfig::default()
            };
            let address = config.bind_addr;
            let running = runtime.spawn(Server::new(store.clone(), config).run());
            let deadline = Instant::now() + PATIENCE;
            loop {
                let somebody_listens = TcpStream::connect(address).is_ok();
                if running.is_finished() {
                    let ended = runtime.block_on(running).expect("no panic");
                    assert!(matches!(ended, Err(HttpError::Bind { .. })), "{ended:?}");
                    return None;
                }
                if somebody_listens {
                    return Some((address, running));
                }
                assert!(Instant::now() < deadline, "nobody listens on {address}");
                thread::sleep(Duration::from_millis(10));
            }
        })
        .expect("a free port");

    let client = Client::of(address);
    let state = json!({"user_id": "ada", "axes": {"warmth": 0.5}});
    assert_eq!(client.post("/v1/state", &state).status, 204);
    assert!(store.contains("ada"));
    let health = client.get("/health");
    assert_eq!(
        (health.status, &health.body["status"]),
        (200, &json!("healthy"))
    );
    assert_eq!(
        health.body["checks"],
        json!([{"name": "memory_store", "status": "healthy", "latency_ms": null, "message": null}])
    );
    assert_eq!(client.get("/ready").status, 200);
    running.abort();
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
}
