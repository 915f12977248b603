//! The contract, clause by clause.

use std::sync::Arc;

use attuned_store::conformance::{Capabilities, check_all};
use attuned_store::{Follow, JetStreamStore, StateStore};

use crate::alternating::Alternating;
use crate::depth::Depth;
use crate::server::Servers;
use crate::{WAYS, announce, builder};

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

/// Bare, and behind a pointer: at the plain depth bare on one server, and behind a pointer on
/// three.
async fn alone(servers: &Servers) {
    let with_history = without_history().history(HISTORY);
    let full = Depth::of_this_run() == Depth::Full;
    for follow in WAYS {
        let latest = store(servers, "LATEST", follow).await;
        check_all(&latest, without_history()).await.unwrap();
    }
    for follow in [Follow::Histories, Follow::Latest, Follow::Nobody] {
        let store = store(servers, &format!("{follow:?}"), follow).await;
        if full || servers.count() == 1 {
            check_all(&store, with_history).await.unwrap();
        }
        if full || servers.count() > 1 {
            let shared: Arc<dyn StateStore> = Arc::new(store);
            check_all(&shared, with_history).await.unwrap();
        }
    }
}

/// Several stores that take turns.
async fn together(servers: &Servers) {
    let (histories, latest, nobody) = (Follow::Histories, Follow::Latest, Follow::Nobody);
    let all = [[histories, latest], [nobody, nobody], [histories, nobody]];
    let (runs, pairs) = match (Depth::of_this_run(), servers.count()) {
        (Depth::Full, _) => (10, &all[..]),
        (Depth::Plain, 1) => (1, &all[..]),
        (Depth::Plain, _) => (1, &all[2..]),
    };
    for run in 0..runs {
        for [one, other] in pairs {
            let stream = format!("{one:?}-{other:?}-{run}");
            let stores = vec![
                store(servers, &stream, *one).await,
                store(servers, &stream, *other).await,
            ];
            let stores = Alternating::new(stores);
            let report = check_all(&stores, without_history().history(HISTORY)).await;
            announce(format_args!(
                "{one:?} and {other:?} take turns, {} servers: {} clauses",
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
    together(&servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers() {
    let Some(servers) = Servers::start(3) else {
        return;
    };
    alone(&servers).await;
    together(&servers).await;
}
