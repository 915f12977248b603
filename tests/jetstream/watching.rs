//! Watching what other processes do.

use std::sync::atomic::Ordering;
use std::time::Duration;

use attuned_store::{
    AnyEvent, Event, Expected, JetStreamStore, RemovalCause, Revision, StateSnapshot, StateStore,
    Watch,
};

use crate::proxy::Proxy;
use crate::server::Servers;
use crate::{builder, snapshot};

/// The next event, which is to come.
async fn next<E>(watch: &mut Watch<E>) -> E {
    let next = tokio::time::timeout(Duration::from_secs(30), watch.next()).await;
    next.expect("an event comes").expect("the store is there")
}

async fn store(servers: &Servers) -> JetStreamStore {
    let store = builder(servers, "USERS").history(3);
    store.connect().await.unwrap()
}

fn put(event: Event<StateSnapshot>) -> (StateSnapshot, Revision) {
    match event {
        Event::Put(found) => (found.value, found.revision),
        removed @ Event::Removed { .. } => panic!("{removed:?}"),
    }
}

/// Events of another process's store come with the revisions that its writes have returned.
#[tokio::test(flavor = "multi_thread")]
async fn the_writes_of_others_are_told_in_their_order() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let (here, there) = (store(&servers).await, store(&servers).await);
    let mut watch = here.watch("ada").await.unwrap();
    let mut last = 0;
    for at in 0..50 {
        let written = there.upsert_if(snapshot("ada", at), Expected::Any).await;
        let written = written.unwrap();
        assert_eq!(put(next(&mut watch).await), (snapshot("ada", at), written));
        if at % 5 == 4 {
            assert!(there.delete("ada").await.unwrap());
            let Event::Removed { revision, cause } = next(&mut watch).await else {
                panic!("it was deleted");
            };
            assert_eq!(cause, RemovalCause::Deleted);
            assert!(revision > written);
            last = u64::from(revision);
        }
    }
    let back = there.upsert_if(snapshot("ada", 50), Expected::Any).await;
    assert!(u64::from(back.unwrap()) > last);
}

/// Whatever was written before the call, by any process, also if the own replica lags.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_begins_with_what_was_written_before() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let there = store(&servers).await;
    let proxy = Proxy::new(&servers.servers[0].address()).await;
    let here = JetStreamStore::builder([&*proxy.address]).stream("USERS");
    let here = here.replicas(1).history(3).prefetch(16);
    let here = here.connect().await.unwrap();
    proxy.faults.slow_log.store(true, Ordering::SeqCst);
    for at in 0..100 {
        let user_id = format!("u{}", at % 7);
        there.upsert_latest(snapshot(&user_id, at)).await.unwrap();
        let mut watch = here.watch(&user_id).await.unwrap();
        let (found, _) = put(next(&mut watch).await);
        assert_eq!(found, snapshot(&user_id, at));
    }
    assert!(there.delete("u0").await.unwrap());
    let mut watch = here.watch_all().await.unwrap();
    let mut found = Vec::new();
    while let AnyEvent::Of { key, event } = next(&mut watch).await {
        assert_eq!(put(event).0.user_id(), key);
        found.push(key);
    }
    found.sort_unstable();
    assert_eq!(found, ["u1", "u2", "u3", "u4", "u5", "u6"]);
}

/// Of many writes a watch may give the last alone. It never goes back, and all that it gives
/// of one user is in the order of the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_all_follows_many_writers() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let (here, there) = (store(&servers).await, store(&servers).await);
    let mut watch = here.watch_all().await.unwrap();
    assert_eq!(next(&mut watch).await, AnyEvent::CaughtUp);
    let writers = (0..8).map(|user| {
        let there = there.clone();
        tokio::spawn(async move {
            let user_id = format!("u{user}");
            for at in 1..=60 {
                there.upsert_latest(snapshot(&user_id, at)).await.unwrap();
                if at % 10 == 0 && at < 60 {
                    assert!(there.delete(&user_id).await.unwrap());
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut newest = std::collections::HashMap::new();
    let mut left = 8;
    while left > 0 {
        let AnyEvent::Of { key, event } = next(&mut watch).await else {
            panic!("said twice that all is caught up with");
        };
        let before = newest.insert(key, event.revision());
        assert!(before.is_none_or(|before| event.revision() > before));
        if matches!(event, Event::Put(found) if found.value.updated_at_unix_ms() == 60) {
            left -= 1;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

/// What is no snapshot cannot be given.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_snapshot_is_left_out() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let store = store(&servers).await;
    let mut watch = store.watch("ada").await.unwrap();
    store.upsert_latest(snapshot("ada", 1)).await.unwrap();
    assert_eq!(put(next(&mut watch).await).0, snapshot("ada", 1));
    servers.raw().request("USERS.u.ada", "{}").unwrap();
    assert!(store.get_latest("ada").await.is_err());
    store.upsert_latest(snapshot("ada", 2)).await.unwrap();
    assert_eq!(put(next(&mut watch).await).0, snapshot("ada", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_its_store() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let store = store(&servers).await;
    let mut of_one = store.watch("ada").await.unwrap();
    let mut of_all = store.watch_all().await.unwrap();
    assert_eq!(next(&mut of_all).await, AnyEvent::CaughtUp);
    drop(store);
    let end = async { (of_one.next().await, of_all.next().await) };
    let end = tokio::time::timeout(Duration::from_secs(30), end).await;
    assert_eq!(end.expect("they end"), (None, None));
}
