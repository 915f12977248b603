//! What is lost on the way, and what must not be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use attuned_store::{Expected, Follow, JetStreamStore, StateStore};

use crate::depth::Depth;
use crate::proxy::Proxy;
use crate::server::{Extra, Servers};
use crate::{WAYS, builder, snapshot};

/// A store behind a proxy that loses so many of 100 acknowledgements.
async fn lossy(servers: &Servers, follow: Follow, percent: u32) -> (JetStreamStore, Proxy) {
    let proxy = Proxy::new(&servers.servers[0].address()).await;
    let store = JetStreamStore::builder([&*proxy.address])
        .stream("USERS")
        .history(100);
    let store = store
        .follow(follow)
        .replicas(servers.count())
        .request_timeout(Duration::from_millis(150));
    let store = store.connect().await.unwrap();
    proxy
        .faults
        .lose_acknowledgements
        .store(percent, Ordering::SeqCst);
    (store, proxy)
}

/// Each write is made once, and the store finds out that it was.
async fn acknowledgements_are_lost(count: usize) {
    let Some(servers) = Servers::start(count) else {
        return;
    };
    let other = builder(&servers, "USERS")
        .history(100)
        .connect()
        .await
        .unwrap();
    for (follow, user_id) in WAYS.into_iter().zip(["ada", "grace"]) {
        acknowledgements_are_lost_to(&servers, &other, follow, user_id).await;
    }
}

async fn acknowledgements_are_lost_to(
    servers: &Servers,
    other: &JetStreamStore,
    follow: Follow,
    user_id: &str,
) {
    let (store, proxy) = lossy(servers, follow, 40).await;
    let mut expected = Expected::Absent;
    for at in 0..Depth::of_this_run().choose(30, 200) {
        match at % 3 {
            0 => store.upsert_latest(snapshot(user_id, at)).await.unwrap(),
            _ => {
                let latest = store.get_latest_versioned(user_id).await.unwrap();
                expected = Expected::from(latest.as_ref());
                store
                    .upsert_if(snapshot(user_id, at), expected)
                    .await
                    .unwrap();
            }
        };
        let history = other.get_history(user_id, 100).await.unwrap();
        let made: Vec<_> = history
            .iter()
            .map(|entry| entry.updated_at_unix_ms())
            .collect();
        let all: Vec<_> = (0..=at).rev().take(made.len()).collect();
        assert_eq!(made, all);
        if at % 20 == 19 {
            assert!(store.delete(user_id).await.unwrap());
            assert_eq!(other.get_latest(user_id).await.unwrap(), None);
            store
                .upsert_if(snapshot(user_id, at), Expected::Absent)
                .await
                .unwrap();
        }
    }
    assert_ne!(expected, Expected::Absent);
    assert!(proxy.faults.lost.load(Ordering::SeqCst) > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_are_lost_by_one_server() {
    acknowledgements_are_lost(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_are_lost_by_three_servers() {
    acknowledgements_are_lost(3).await;
}

/// While a leader changes, a message can come to two servers that take themselves for the
/// leader: one writes it, and the other one refuses it and answers first.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_and_written_all_the_same_is_no_conflict() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    for (follow, user_id) in WAYS.into_iter().zip(["ada", "grace"]) {
        is_no_conflict(&servers, follow, user_id).await;
    }
}

async fn is_no_conflict(servers: &Servers, follow: Follow, user_id: &str) {
    let (store, proxy) = lossy(servers, follow, 0).await;
    let refuse = || proxy.faults.refuse_writes.store(1, Ordering::SeqCst);
    let left = || proxy.faults.refuse_writes.load(Ordering::SeqCst);
    let mut expected = Expected::Absent;
    for at in 0..20 {
        refuse();
        let revision = store.upsert_if(snapshot(user_id, at), expected).await;
        expected = Expected::At(revision.unwrap());
        let latest = store.get_latest_versioned(user_id).await.unwrap();
        assert_eq!(Expected::from(latest.as_ref()), expected);
    }
    refuse();
    assert!(store.delete(user_id).await.unwrap());
    assert_eq!(left(), 0);
    assert_eq!(store.get_latest(user_id).await.unwrap(), None);
}

/// The replica does not see the write, nor that somebody deletes the user. So whether it was
/// written, only the log can tell, or the leader.
async fn a_write_that_was_refused_and_removed_is_no_conflict(count: usize) {
    let Some(servers) = Servers::start(count) else {
        return;
    };
    let other = builder(&servers, "USERS").history(100);
    let other = other.connect().await.unwrap();
    for (follow, user_id) in WAYS.into_iter().zip(["ada", "grace"]) {
        let (store, proxy) = lossy(&servers, follow, 0).await;
        let first = store.upsert_if(snapshot(user_id, 1), Expected::Absent);
        let first = first.await.unwrap();
        proxy.faults.hold_log.store(true, Ordering::SeqCst);
        // Each time that it is sent.
        let refused = &proxy.faults.refuse_writes;
        refused.store(4, Ordering::SeqCst);
        let write = tokio::spawn(async move {
            let second = snapshot(user_id, 2);
            store.upsert_if(second, Expected::At(first)).await
        });
        while other.get_latest(user_id).await.unwrap() != Some(snapshot(user_id, 2)) {}
        if count > 1 {
            assert!(other.delete(user_id).await.unwrap());
        } else {
            // Of what is gone, a single server knows no more.
            other.upsert_latest(snapshot(user_id, 3)).await.unwrap();
        }
        let written = write.await.unwrap();
        assert!(written.unwrap() > first, "{follow:?}");
        assert_eq!(refused.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_refused_and_superseded_is_no_conflict_on_one_server() {
    a_write_that_was_refused_and_removed_is_no_conflict(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_refused_and_removed_is_no_conflict_on_three_servers() {
    a_write_that_was_refused_and_removed_is_no_conflict(3).await;
}

/// The server forgets the ids of messages that a deletion removed, when it restarts.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_does_not_come_back() {
    let Some(mut servers) = Servers::start(1) else {
        return;
    };
    let other = builder(&servers, "USERS")
        .history(100)
        .connect()
        .await
        .unwrap();
    for round in 0..Depth::of_this_run().choose(2, 10) {
        let (store, _proxy) = lossy(&servers, WAYS[round as usize % 2], 100).await;
        let write = tokio::spawn(async move { store.upsert_latest(snapshot("ada", round)).await });
        while !other.delete("ada").await.unwrap() {}
        servers.servers[0].restart();
        let _ = write.await.unwrap();
        while other.health_check().await.is_err() {}
        assert_eq!(other.get_latest("ada").await.unwrap(), None);
    }
}

/// All that was acknowledged is there after all servers were killed, if they write it to
/// their disks before they acknowledge it.
async fn what_was_acknowledged_survives(count: usize) {
    let extra = Extra {
        jetstream: "sync_interval: always",
        ..Extra::default()
    };
    let Some(mut servers) = Servers::start_with(count, extra) else {
        return;
    };
    let store = builder(&servers, "USERS").connect().await.unwrap();
    for round in 0..Depth::of_this_run().choose(1, 4) {
        let acknowledged: Arc<[AtomicI64]> = (0..8).map(|_| AtomicI64::new(-1)).collect();
        let writers: Vec<_> = (0..8)
            .map(|user| {
                let (store, acknowledged) = (store.clone(), acknowledged.clone());
                tokio::spawn(async move {
                    let user_id = format!("r{round}-u{user}");
                    for at in 0.. {
                        if store.upsert_latest(snapshot(&user_id, at)).await.is_err() {
                            return;
                        }
                        acknowledged[user].store(at, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        while acknowledged.iter().any(|at| at.load(Ordering::SeqCst) < 20) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        servers.servers.iter_mut().for_each(|server| server.kill());
        for writer in writers {
            writer.await.unwrap();
        }
        servers
            .servers
            .iter_mut()
            .for_each(|server| server.restart());
        let reader = builder(&servers, "USERS").connect().await.unwrap();
        for (user, at) in acknowledged.iter().enumerate() {
            let found = reader
                .get_latest(&format!("r{round}-u{user}"))
                .await
                .unwrap();
            let found = found.expect("it was acknowledged").updated_at_unix_ms();
            assert!(found >= at.load(Ordering::SeqCst), "{found} of {at:?}");
        }
        while store.health_check().await.is_err() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_on_one_server() {
    what_was_acknowledged_survives(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_on_three_servers() {
    what_was_acknowledged_survives(3).await;
}
