//! Users whom nobody has written for long.

use std::time::{Duration, Instant};

use attuned_store::{
    AnyEvent, Event, Expected, Follow, JetStreamStore, RemovalCause, StateStore, StoreError,
};
use futures_util::TryStreamExt;

use crate::server::Servers;
use crate::{builder, snapshot};

const USERS: usize = 40;

async fn store(servers: &Servers, time_to_live: Option<Duration>) -> JetStreamStore {
    store_that_follows(servers, Follow::Histories, time_to_live).await
}

async fn store_that_follows(
    servers: &Servers,
    follow: Follow,
    time_to_live: Option<Duration>,
) -> JetStreamStore {
    let mut store = builder(servers, "USERS").history(3).follow(follow);
    if let Some(time) = time_to_live {
        store = store.time_to_live(time);
    }
    store.connect().await.unwrap()
}

/// Each is forgotten once, although two processes look for them, and told so.
async fn whom_nobody_writes_is_forgotten(servers: &Servers) {
    let time = Some(Duration::from_secs(1));
    let (a, b) = (store(servers, time).await, store(servers, time).await);
    // It only follows.
    let watching = store(servers, None).await;
    let mut watch = watching.watch_all().await.unwrap();
    assert_eq!(watch.next().await, Some(AnyEvent::CaughtUp));
    for user in 0..USERS {
        let store = if user % 2 == 0 { &a } else { &b };
        let user_id = format!("u{user}");
        store.upsert_latest(snapshot(&user_id, 1)).await.unwrap();
    }
    let mut gone = 0;
    while gone < USERS {
        let event = tokio::time::timeout(Duration::from_secs(30), watch.next()).await;
        match event.expect("all are forgotten") {
            Some(AnyEvent::Of {
                event: Event::Removed { cause, .. },
                ..
            }) => {
                assert_eq!(cause, RemovalCause::Expired);
                gone += 1;
            }
            Some(_) => {}
            None => panic!("the store is there"),
        }
    }
    for store in [&a, &b, &watching] {
        store.health_check().await.unwrap();
        assert_eq!(store.stats().expirations, USERS as u64);
        assert!(store.local().is_empty());
        assert_eq!(store.list().try_collect::<Vec<_>>().await.unwrap(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_nobody_writes_is_forgotten_on_one_server() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    whom_nobody_writes_is_forgotten(&servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_nobody_writes_is_forgotten_on_three_servers() {
    let Some(servers) = Servers::start(3) else {
        return;
    };
    whom_nobody_writes_is_forgotten(&servers).await;
}

/// Nobody is followed: the users come from the log.
#[tokio::test(flavor = "multi_thread")]
async fn whom_nobody_writes_is_forgotten_without_a_replica() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let time = Some(Duration::from_secs(1));
    let store = store_that_follows(&servers, Follow::Nobody, time).await;
    for user in 0..USERS {
        let user_id = format!("u{user}");
        store.upsert_latest(snapshot(&user_id, 1)).await.unwrap();
    }
    let listed = async || store.list().try_collect::<Vec<_>>().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    // Those are found that nobody reads.
    while store.stats().expirations < USERS as u64 {
        assert!(Instant::now() < deadline, "{:?}", store.stats());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(listed().await, [""; 0]);
    assert_eq!(store.get_latest("u0").await.unwrap(), None);
    let back = store.upsert_if(snapshot("u0", 2), Expected::Absent).await;
    assert!(back.is_ok());
    assert_eq!(listed().await, ["u0"]);
}

/// Whether a sweep, a read or a write meets them first.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_begins_anew() {
    who_comes_back(Follow::Histories).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_begins_anew_without_a_replica() {
    who_comes_back(Follow::Nobody).await;
}

async fn who_comes_back(follow: Follow) {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let time = Some(Duration::from_millis(50));
    let (a, b) = (
        store(&servers, time).await,
        store_that_follows(&servers, follow, time).await,
    );
    for at in 0..30 {
        let old = a.upsert_if(snapshot("ada", at), Expected::Any).await;
        let old = old.unwrap();
        // At the moment at which the time is over, a little before it, or after a sweep.
        let written = Instant::now();
        while b.local().contains("ada") || written.elapsed() < Duration::from_millis(50) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        match at % 6 {
            0 => assert_eq!(b.get_latest("ada").await.unwrap(), None),
            1 => assert_eq!(b.get_history("ada", 9).await.unwrap(), []),
            2 => assert_eq!(b.get_many(&["ada", "ada"]).await.unwrap(), [None, None]),
            3 => assert!(!b.delete("ada").await.unwrap()),
            4 => {
                let late = b.upsert_if(snapshot("ada", -1), Expected::At(old)).await;
                let Err(StoreError::Conflict { actual: None, .. }) = late else {
                    panic!("{late:?}");
                };
            }
            _ => {
                let back = b.upsert_if(snapshot("ada", -at), Expected::Absent).await;
                assert!(back.unwrap() > old);
            }
        }
    }
    // Nothing of before is there.
    let forever = store(&servers, None).await;
    a.upsert_latest(snapshot("grace", 1)).await.unwrap();
    let written = Instant::now();
    while a.local().contains("grace") || written.elapsed() < Duration::from_millis(50) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    a.upsert_latest(snapshot("grace", 2)).await.unwrap();
    let history = forever.get_history("grace", 9).await.unwrap();
    assert!(history.len() <= 1, "{history:?}");
}

/// Only those whose time is over.
#[tokio::test(flavor = "multi_thread")]
async fn others_stay() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let long = store(&servers, Some(Duration::from_secs(3_600))).await;
    for user in 0..USERS {
        let user_id = format!("u{user}");
        long.upsert_latest(snapshot(&user_id, 1)).await.unwrap();
    }
    assert_eq!(
        long.get_latest("u0").await.unwrap(),
        Some(snapshot("u0", 1))
    );
    assert_eq!(long.local().len(), USERS);
    let mut visited = 0;
    long.local().for_each(|_, _| visited += 1);
    assert_eq!(visited, USERS);
    assert_eq!(
        long.list().try_collect::<Vec<_>>().await.unwrap().len(),
        USERS
    );
    assert_eq!(long.stats().expirations, 0);
}
