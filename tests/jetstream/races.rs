//! Several processes at once, on the same user.

use std::time::Duration;

use attuned_store::{
    Expected, Follow, JetStreamStore, State, StateStore, StateStoreExt, StoreError,
};
use tokio::task::JoinSet;

use crate::depth::Depth;
use crate::random::Random;
use crate::server::Servers;
use crate::{WAYS, builder, snapshot};

/// On a stream of their own.
async fn two(servers: &Servers, follow: Follow) -> (JetStreamStore, JetStreamStore) {
    let store = || async {
        let store = builder(servers, &format!("{follow:?}")).history(3);
        store.follow(follow).connect().await.unwrap()
    };
    (store().await, store().await)
}

async fn one_of_two_deletions_has_deleted(servers: Servers, rounds: i64) {
    for follow in WAYS {
        let (a, b) = two(&servers, follow).await;
        for round in 0..rounds {
            a.upsert_latest(snapshot("ada", round)).await.unwrap();
            let (by_a, by_b) = tokio::join!(a.delete("ada"), b.delete("ada"));
            assert!(by_a.unwrap() != by_b.unwrap(), "round {round}");
            assert_eq!(b.get_latest("ada").await.unwrap(), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_deletions_has_deleted_on_one_server() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    one_of_two_deletions_has_deleted(servers, Depth::of_this_run().choose(100, 2_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_deletions_has_deleted_on_three_servers() {
    let Some(servers) = Servers::start(3) else {
        return;
    };
    one_of_two_deletions_has_deleted(servers, Depth::of_this_run().choose(50, 1_000)).await;
}

/// A replicated stream refuses some conditional writes although the condition holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_sole_writer_meets_no_conflict() {
    let Some(servers) = Servers::start(3) else {
        return;
    };
    for follow in WAYS {
        let (a, b) = two(&servers, follow).await;
        let writes = Depth::of_this_run().choose(500, 20_000);
        // Others keep the log busy, and read.
        let others = tokio::spawn(async move {
            loop {
                b.upsert_latest(snapshot("grace", 1)).await.unwrap();
                b.get_latest("ada").await.unwrap();
            }
        });
        let mut expected = Expected::Absent;
        for at in 0..writes {
            let revision = a.upsert_if(snapshot("ada", at), expected).await.unwrap();
            expected = Expected::At(revision);
        }
        others.abort();
    }
}

/// Of many that count at once, no count is lost.
#[tokio::test(flavor = "multi_thread")]
async fn no_update_of_64_clients_is_lost() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    for follow in WAYS {
        let (a, b) = two(&servers, follow).await;
        let each = Depth::of_this_run().choose(2, 10);
        let mut clients = JoinSet::new();
        for client in 0..64 {
            let store = if client % 2 == 0 {
                a.clone()
            } else {
                b.clone()
            };
            clients.spawn(async move {
                for _ in 0..each {
                    let count = |state: Option<&State>| {
                        State::builder()
                            .updated_at(state.map_or(1, |state| state.updated_at_unix_ms() + 1))
                    };
                    while let Err(error) = store.update_latest("ada", count).await {
                        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
                    }
                }
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        let count = b
            .get_latest("ada")
            .await
            .unwrap()
            .unwrap()
            .updated_at_unix_ms();
        assert_eq!(count, 64 * each);
    }
}

/// Wherever an operation is dropped, it is done or undone, and the store goes on.
#[tokio::test(flavor = "multi_thread")]
async fn operations_can_be_dropped_anywhere() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    for follow in WAYS {
        let (a, b) = two(&servers, follow).await;
        let mut random = Random::from_entropy();
        let mut last = None;
        for at in 0..Depth::of_this_run().choose(150, 2_000) {
            let patience = Duration::from_micros(random.below(1_000) as u64);
            let dropped = match random.below(4) {
                0 => tokio::time::timeout(patience, a.delete("ada"))
                    .await
                    .is_err(),
                1 => tokio::time::timeout(patience, a.get_history("ada", 3))
                    .await
                    .is_err(),
                _ => tokio::time::timeout(patience, a.upsert_latest(snapshot("ada", at)))
                    .await
                    .is_err(),
            };
            let found = b
                .get_latest("ada")
                .await
                .unwrap()
                .map(|found| found.updated_at_unix_ms());
            if dropped {
                // What was dropped may still be on its way, and come before the next write.
                assert!(
                    found.is_none() || found == last || found == Some(at),
                    "{found:?} at {at}"
                );
            }
            // In the order of this connection, so all that was sent before is done.
            a.upsert_latest(snapshot("ada", -at)).await.unwrap();
            last = Some(-at);
            assert_eq!(
                b.get_latest("ada").await.unwrap(),
                Some(snapshot("ada", -at))
            );
        }
        a.health_check().await.unwrap();
    }
}
