//! The contract, clause by clause.

use std::sync::Arc;

use attuned_store::conformance::{Capabilities, check_all};
use attuned_store::{Follow, JetStreamStore, StateStore};

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

const HISTORY: usize = 8;

/// On streams of their own: a listing goes over all that earlier checks have left.
async fn store(servers: &Servers, stream: &str, follow: Follow) -> JetStreamStore {
    // So few that most users are forgotten between two operations.
    let store = builder(servers, stream).follow(follow).cached_users(3);
    let store = match stream {
        "LATEST" => store,
        _ => store.history(HISTORY),
    };
    store.connect().await.unwrap()
}

/// Bare, and behind a pointer.
async fn alone(servers: &Servers) {
    let with_history = without_history().history(HISTORY);
    for follow in [Follow::Histories, Follow::Nobody] {
        let latest = store(servers, "LATEST", follow).await;
        check_all(&latest, without_history()).await.unwrap();
    }
    for follow in [Follow::Histories, Follow::Latest, Follow::Nobody] {
        let store = store(servers, &format!("{follow:?}"), follow).await;
        check_all(&store, with_history).await.unwrap();
        let shared: Arc<dyn StateStore> = Arc::new(store);
        check_all(&shared, with_history).await.unwrap();
    }
}

/// Several stores that take turns.
async fn together(servers: &Servers, runs: usize) {
    let (histories, latest, nobody) = (Follow::Histories, Follow::Latest, Follow::Nobody);
    for run in 0..runs {
        for follow in [
            &[histories, latest][..],
            &[histories, nobody],
            &[nobody, nobody],
        ] {
            let mut stores = Vec::new();
            for &each in follow {
                let stream = format!("{:?}-{:?}-{run}", follow[0], follow[1]);
                stores.push(store(servers, &stream, each).await);
            }
            let stores = Alternating::new(stores);
            let report = check_all(&stores, without_history().history(HISTORY)).await;
            announce(format_args!(
                "{follow:?} take turns, {} servers: {} clauses",
                servers.count(),
                report.unwrap().outcomes().count(),
            ));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    alone(&servers).await;
    together(&servers, Depth::of_this_run().choose(1, 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers() {
    let Some(servers) = Servers::start(3) else {
        return;
    };
    alone(&servers).await;
    together(&servers, Depth::of_this_run().choose(1, 10)).await;
}
