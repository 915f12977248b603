//! One server, one or two stores, one thing at a time.

use std::error::Error as _;
use std::time::Duration;

use attuned_store::{
    AsOf, ConnectError, Expected, Follow, JetStreamError, JetStreamStore, StateStore, StoreError,
    Timestamp,
};
use futures_util::TryStreamExt;

use crate::server::{Extra, Servers};
use crate::{builder, snapshot};

fn cause(error: &StoreError) -> &JetStreamError {
    let source = error.source().and_then(|source| source.downcast_ref());
    source.unwrap_or_else(|| panic!("not an error of the store: {error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_store_writes_others_read() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let a = builder(&servers, "USERS")
        .history(3)
        .connect()
        .await
        .unwrap();
    let b = builder(&servers, "USERS")
        .history(3)
        .connect()
        .await
        .unwrap();

    let first = a
        .upsert_if(snapshot("ada", 1), Expected::Absent)
        .await
        .unwrap();
    let read = b.get_latest_versioned("ada").await.unwrap().unwrap();
    assert_eq!((read.value, read.revision), (snapshot("ada", 1), first));
    let second = b
        .upsert_if(snapshot("ada", 2), Expected::At(first))
        .await
        .unwrap();
    let late = a.upsert_if(snapshot("ada", 3), Expected::At(first)).await;
    assert!(
        matches!(late, Err(StoreError::Conflict { actual: Some(actual), .. }) if actual == second)
    );
    assert_eq!(
        a.get_history("ada", 9).await.unwrap(),
        [2, 1].map(|at| snapshot("ada", at))
    );

    // A store that comes later catches up before it serves.
    let c = builder(&servers, "USERS")
        .history(3)
        .connect()
        .await
        .unwrap();
    assert_eq!(c.local().len(), 1);
    let history = c.local().history("ada", 9);
    let revisions: Vec<_> = history.iter().map(|entry| entry.revision).collect();
    assert_eq!(revisions, [second, first]);
    assert!(history[0].written_at >= history[1].written_at);

    assert!(c.delete("ada").await.unwrap());
    assert!(!a.delete("ada").await.unwrap());
    assert_eq!(b.get_latest("ada").await.unwrap(), None);
    assert!(b.get_history("ada", 9).await.unwrap().is_empty());
    let third = b
        .upsert_if(snapshot("ada", 4), Expected::Absent)
        .await
        .unwrap();
    assert!(third > second);
    assert_eq!(a.get_history("ada", 9).await.unwrap(), [snapshot("ada", 4)]);
    a.health_check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_users_are_listed() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let a = builder(&servers, "USERS").connect().await.unwrap();
    let b = builder(&servers, "USERS").connect().await.unwrap();
    let ids: Vec<String> = (0..500).map(|number| format!("u{number:03}")).collect();
    let written = a.upsert_many(ids.iter().map(|id| snapshot(id, 1)).collect());
    assert!(written.await.iter().all(Result::is_ok));
    assert!(a.delete("u007").await.unwrap());
    let mut listed: Vec<String> = b.list().try_collect().await.unwrap();
    listed.sort_unstable();
    assert!(listed.iter().eq(ids.iter().filter(|id| *id != "u007")));
}

/// Also by a store that has come after the older ones were evicted.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_left_a_history_is_told_from_what_never_was() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let store = || async {
        builder(&servers, "USERS")
            .history(3)
            .connect()
            .await
            .unwrap()
    };
    let early = store().await;
    for at in 0..4 {
        early.upsert_latest(snapshot("ada", at)).await.unwrap();
    }
    for at in 0..3 {
        early.upsert_latest(snapshot("grace", at)).await.unwrap();
    }
    let long_ago = Timestamp::from(1_000);
    let latest = builder(&servers, "USERS").history(3).follow(Follow::Latest);
    for store in [early, store().await, latest.connect().await.unwrap()] {
        assert_eq!(
            store.get_as_of("ada", long_ago).await.unwrap(),
            AsOf::Evicted
        );
        assert_eq!(
            store.get_as_of("grace", long_ago).await.unwrap(),
            AsOf::NotThere
        );
        let now = store
            .get_as_of("grace", Timestamp::from(i64::MAX))
            .await
            .unwrap();
        assert_eq!(now.version().unwrap().value, snapshot("grace", 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn local_reads_show_what_was_written_here() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let store = builder(&servers, "USERS").connect().await.unwrap();
    for at in 0..100 {
        store.upsert_latest(snapshot("ada", at)).await.unwrap();
        let seen = store
            .local()
            .with("ada", |state| state.updated_at_unix_ms());
        assert_eq!(seen, Some(at));
    }
    assert_eq!(
        store.local().get("ada").unwrap(),
        *snapshot("ada", 99).state()
    );
    assert!(store.local().contains("ada") && !store.local().contains("grace"));
    assert!(store.delete("ada").await.unwrap());
    assert_eq!(store.local().get("ada"), None);
    assert!(store.local().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_at_once_share_barriers() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let store = builder(&servers, "USERS").connect().await.unwrap();
    store.upsert_latest(snapshot("ada", 1)).await.unwrap();
    let before = store.stats().barriers;
    let readers: Vec<_> = (0..2_000)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.get_latest("ada").await })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap(), Some(snapshot("ada", 1)));
    }
    let barriers = store.stats().barriers - before;
    assert!((1..1_000).contains(&barriers), "{barriers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_configured_otherwise_is_refused_with_all_that_differs() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    builder(&servers, "USERS")
        .history(10)
        .slack(6)
        .connect()
        .await
        .unwrap();
    let other = builder(&servers, "USERS")
        .history(20)
        .slack(6)
        .connect()
        .await;
    let Err(ConnectError::StreamDiffers {
        stream,
        differences,
    }) = other
    else {
        panic!("{other:?}");
    };
    let shown: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(stream, "USERS");
    assert_eq!(shown, ["max_msgs_per_subject is 16, needed is 26"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_the_servers_do_not_have_are_refused() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let refused = builder(&servers, "USERS").replicas(3).connect().await;
    let Err(ConnectError::Stream(source)) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        source
            .downcast_ref()
            .is_some_and(|error| matches!(error, JetStreamError::Refused { .. }))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_others_are_read_or_named() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let store = builder(&servers, "USERS")
        .history(5)
        .connect()
        .await
        .unwrap();
    let mut raw = servers.raw();
    // Any program can write the published form.
    let json = r#"{"user_id":"ada","updated_at_unix_ms":7,"source":"inferred","confidence":0.5,"axes":{"warmth":0.25}}"#;
    raw.request("USERS.u.ada", json).unwrap();
    let ada = store.get_latest("ada").await.unwrap().unwrap();
    assert_eq!(
        (ada.updated_at_unix_ms(), ada.get_axis("warmth")),
        (7, 0.25)
    );

    raw.request("USERS.u.ada", "{}").unwrap();
    raw.request_with("USERS.u.grace", "Attuned-Schema: 2", json)
        .unwrap();
    for user_id in ["ada", "grace"] {
        let error = store.get_latest(user_id).await.unwrap_err();
        let JetStreamError::Unreadable { subject, sequence } = cause(&error) else {
            panic!("{error:?}");
        };
        assert_eq!(*subject, format!("USERS.u.{user_id}"));
        assert!(error.to_string().contains(&sequence.to_string()));
        assert!(!error.to_string().contains(user_id));
        assert_eq!(store.local().get(user_id), None);
    }
    assert!(store.get_history("ada", 2).await.is_err());
    assert_eq!(store.stats().unreadable, 2);
    // Others are not concerned, and a write or a deletion mends it.
    store.upsert_latest(snapshot("alan", 1)).await.unwrap();
    store.upsert_latest(snapshot("ada", 8)).await.unwrap();
    assert_eq!(
        store.get_latest("ada").await.unwrap(),
        Some(snapshot("ada", 8))
    );
    assert!(store.delete("grace").await.unwrap());
    assert_eq!(store.get_latest("grace").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_servers_errors_are_typed_and_in_time() {
    let nobody = JetStreamStore::builder(["127.0.0.1:1"]).connect().await;
    assert!(
        matches!(nobody, Err(ConnectError::Unreachable(_))),
        "{nobody:?}"
    );

    let Some(mut servers) = Servers::start(1) else {
        return;
    };
    let store = builder(&servers, "USERS").operation_timeout(Duration::from_secs(1));
    let store = store
        .request_timeout(Duration::from_millis(500))
        .connect()
        .await
        .unwrap();
    store.upsert_latest(snapshot("ada", 1)).await.unwrap();
    servers.servers[0].kill();
    let begun = std::time::Instant::now();
    let calls = async {
        let written = store.upsert_latest(snapshot("ada", 2)).await.unwrap_err();
        let read = store.get_latest("ada").await.unwrap_err();
        let deleted = store.delete("ada").await.unwrap_err();
        let healthy = store.health_check().await.unwrap_err();
        [written, read, deleted, healthy].map(|error| cause(&error).clone())
    };
    let errors = tokio::time::timeout(Duration::from_secs(20), calls)
        .await
        .expect("no hang");
    for error in &errors[1..] {
        assert!(
            matches!(
                error,
                JetStreamError::Disconnected | JetStreamError::TimedOut
            ),
            "{error}"
        );
    }
    // Local reads go on.
    assert!(store.local().contains("ada"));
    assert!(store.stats().silence <= begun.elapsed() + Duration::from_secs(5));

    servers.servers[0].restart();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while store.upsert_latest(snapshot("ada", 3)).await.is_err() {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        store.get_latest("ada").await.unwrap(),
        Some(snapshot("ada", 3))
    );
    assert!(store.stats().reconnects > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_too_large_is_refused_before_it_is_sent() {
    let extra = Extra {
        server: "max_payload: 8KB",
        ..Extra::default()
    };
    let Some(servers) = Servers::start_with(1, extra) else {
        return;
    };
    let store = builder(&servers, "USERS").connect().await.unwrap();
    let axes = (0..1_000).map(|index| (format!("axis_{index}"), 0.5));
    let large = snapshot("ada", 1).to_builder().axes(axes).build().unwrap();
    let error = store.upsert_latest(large).await.unwrap_err();
    let JetStreamError::MessageTooLarge { bytes, max } = cause(&error) else {
        panic!("{error:?}");
    };
    assert!(*max == 8 * 1024 && bytes > max);
    assert_eq!(store.get_latest("ada").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_made_anew_is_noticed() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let store = builder(&servers, "USERS")
        .history(3)
        .connect()
        .await
        .unwrap();
    for at in 0..50 {
        store.upsert_latest(snapshot("ada", at)).await.unwrap();
    }
    store.upsert_latest(snapshot("grace", 1)).await.unwrap();

    let mut raw = servers.raw();
    raw.request("$JS.API.STREAM.DELETE.USERS", "").unwrap();
    let other = builder(&servers, "USERS")
        .history(3)
        .connect()
        .await
        .unwrap();
    other.upsert_latest(snapshot("ada", 100)).await.unwrap();
    // At no time does it show what was in the former stream.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let ada = loop {
        match store.get_latest("ada").await {
            Ok(ada) => break ada,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(ada, Some(snapshot("ada", 100)));
    assert_eq!(store.get_latest("grace").await.unwrap(), None);
    assert_eq!(
        store.get_history("ada", 9).await.unwrap(),
        [snapshot("ada", 100)]
    );
    // It says so, and local reads follow.
    while store.stats().starts_over == 0 || !store.stats().caught_up {
        assert!(std::time::Instant::now() < deadline, "{:?}", store.stats());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(store.local().len(), 1);
    store.upsert_latest(snapshot("grace", 2)).await.unwrap();
    assert_eq!(
        store.local().get("grace").unwrap(),
        *snapshot("grace", 2).state()
    );
}
