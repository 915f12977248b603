//! The contract, clause by clause.

use std::sync::Arc;

use attuned_store::conformance::{Capabilities, check_all};
use attuned_store::{Follow, StateStore};

use crate::alternating::Alternating;
use crate::depth::Depth;
use crate::server::Servers;
use crate::{announce, builder};

/// What a store can do that keeps no history.
pub fn without_history() -> Capabilities {
    let capabilities = Capabilities::new().delete().conditional_writes();
    capabilities
        .conditional_deletes()
        .versions()
        .list()
        .watching()
}

/// Bare, behind a pointer, and two stores that take turns.
async fn check(servers: &Servers, runs: usize) {
    let with_history = without_history().history(8);
    let store = builder(servers, "LATEST").connect().await.unwrap();
    check_all(&store, without_history()).await.unwrap();

    let store = || async {
        builder(servers, "HISTORY")
            .history(8)
            .connect()
            .await
            .unwrap()
    };
    let latest = builder(servers, "HISTORY")
        .history(8)
        .follow(Follow::Latest);
    let latest = latest.connect().await.unwrap();
    check_all(&latest, with_history).await.unwrap();

    let shared: Arc<dyn StateStore> = Arc::new(store().await);
    check_all(&shared, with_history).await.unwrap();

    let two = Alternating::new(vec![store().await, latest]);
    for _ in 0..runs {
        let report = check_all(&two, with_history).await.unwrap();
        announce(format_args!(
            "two stores that take turns, {} servers: {} clauses",
            servers.count(),
            report.outcomes().count(),
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    check(&servers, Depth::of_this_run().choose(2, 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers() {
    let Some(servers) = Servers::start(3) else {
        return;
    };
    check(&servers, Depth::of_this_run().choose(1, 10)).await;
}
