//! `JetStreamStore` on real servers, which the tests start themselves.
//!
//! Without a server's program on the machine they say how to get one, and pass; in CI they
//! fail. `ATTUNED_TEST_DEPTH=full` makes them go deeper.

#[path = "../common/depth.rs"]
mod depth;
#[path = "../linearizability/history.rs"]
#[allow(dead_code, reason = "the tests of the store in memory need more of it")]
mod history;
#[path = "../linearizability/program.rs"]
#[allow(dead_code, reason = "the tests of the store in memory need more of it")]
mod program;
#[path = "../linearizability/random.rs"]
#[allow(dead_code, reason = "the tests of the store in memory need more of it")]
mod random;
#[path = "../linearizability/specification.rs"]
mod specification;

mod alternating;
mod barriers;
mod basics;
mod conformance;
mod expiry;
mod faults;
mod gaps;
mod listing;
mod loss;
mod markers;
mod nobody;
mod proxy;
mod races;
mod recorded;
mod refusals;
mod secured;
mod server;
mod watching;

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use attuned_store::{Follow, JetStreamStore, JetStreamStoreBuilder, StateSnapshot};

use server::Servers;

/// A store's settings on these servers: as many replicas as there are servers.
fn builder(servers: &Servers, stream: &str) -> JetStreamStoreBuilder {
    JetStreamStore::builder(servers.addresses())
        .stream(stream)
        .replicas(servers.count())
        .connect_timeout(Duration::from_secs(30))
}

/// With a replica, and without one.
const WAYS: [Follow; 2] = [Follow::Histories, Follow::Nobody];

/// A snapshot that its time tells from the others of its user.
fn snapshot(user_id: &str, at: i64) -> StateSnapshot {
    let snapshot = StateSnapshot::builder().user_id(user_id).updated_at(at);
    snapshot.axis("warmth", 0.25).build().unwrap()
}

/// Says something at once, past the test harness, which keeps what passing and unfinished
/// tests print to itself.
fn announce(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
