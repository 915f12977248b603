//! Deleted users whose markers have expired.

use std::time::{Duration, Instant};

use attuned_store::{Event, Expected, JetStreamStore, StateStore};

use crate::proxy::Proxy;
use crate::server::Servers;
use crate::{builder, snapshot};

/// The replica remembers a marker for twice as long.
const LIFETIME: Duration = Duration::from_secs(4);

/// Waits until the server has nothing of the user.
async fn until_forgotten(servers: &Servers, user_id: &str) {
    let mut raw = servers.raw();
    let get = format!("$JS.API.DIRECT.GET.USERS.USERS.u.{user_id}");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !raw.request(&get, "").unwrap().contains("404") {
        assert!(Instant::now() < deadline, "the marker does not expire");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The replica does not learn that the marker has expired, and expects it.
async fn a_user_comes_back_after_the_marker_has_expired(count: usize) {
    let Some(servers) = Servers::start(count) else {
        return;
    };
    let store = || async {
        let store = builder(&servers, "USERS")
            .history(3)
            .marker_lifetime(LIFETIME);
        store.connect().await.unwrap()
    };
    let (a, b) = (store().await, store().await);
    for user_id in ["ada", "grace", "alan"] {
        a.upsert_latest(snapshot(user_id, 1)).await.unwrap();
        assert!(a.delete(user_id).await.unwrap());
    }
    until_forgotten(&servers, "alan").await;
    a.upsert_if(snapshot("ada", 2), Expected::Absent)
        .await
        .unwrap();
    assert!(
        b.upsert_if(snapshot("ada", 3), Expected::Absent)
            .await
            .is_err()
    );
    b.upsert_if(snapshot("grace", 2), Expected::Absent)
        .await
        .unwrap();
    assert!(!b.delete("alan").await.unwrap());
    assert_eq!(b.get_history("ada", 9).await.unwrap(), [snapshot("ada", 2)]);
    assert_eq!(
        a.get_history("grace", 9).await.unwrap(),
        [snapshot("grace", 2)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_comes_back_after_the_marker_has_expired_on_one_server() {
    a_user_comes_back_after_the_marker_has_expired(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_comes_back_after_the_marker_has_expired_on_three_servers() {
    a_user_comes_back_after_the_marker_has_expired(3).await;
}

/// A replica that was away while a user was deleted and the marker expired has no way to
/// see that in the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_away_for_too_long_starts_over() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let proxy = Proxy::new(&servers.servers[0].address()).await;
    let store = JetStreamStore::builder([&*proxy.address])
        .stream("USERS")
        .replicas(1);
    let away = store
        .history(3)
        .marker_lifetime(LIFETIME)
        .connect()
        .await
        .unwrap();
    let there = builder(&servers, "USERS")
        .history(3)
        .marker_lifetime(LIFETIME);
    let there = there.connect().await.unwrap();
    for user_id in ["ada", "grace"] {
        there.upsert_latest(snapshot(user_id, 1)).await.unwrap();
        assert!(away.get_latest(user_id).await.unwrap().is_some());
    }

    let mut ada = away.watch("ada").await.unwrap();
    let Some(Event::Put(before)) = ada.next().await else {
        panic!("ada is there");
    };

    proxy.cut();
    assert!(there.delete("ada").await.unwrap());
    until_forgotten(&servers, "ada").await;
    there.upsert_latest(snapshot("grace", 2)).await.unwrap();
    assert!(away.local().contains("ada"));
    proxy.mend();

    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match away.get_latest("ada").await {
            Ok(ada) => break assert_eq!(ada, None),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
    assert_eq!(
        away.get_latest("grace").await.unwrap(),
        Some(snapshot("grace", 2))
    );
    while away.local().contains("ada") {
        assert!(Instant::now() < deadline, "{:?}", away.stats());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(away.stats().starts_over > 0);
    let Some(Event::Removed { revision, .. }) = ada.next().await else {
        panic!("ada was deleted meanwhile");
    };
    assert!(revision > before.revision);
    let back = there.upsert_if(snapshot("ada", 3), Expected::Absent).await;
    assert!(back.unwrap() > revision);
}
