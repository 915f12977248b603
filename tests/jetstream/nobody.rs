//! Stores that follow nobody: what they remember, and what they learn from the log.

use std::time::{Duration, Instant};

use attuned_store::{
    AnyEvent, AsOf, Event, Expected, Follow, JetStreamStore, StateSnapshot, StateStore, StoreError,
    Timestamp, Watch,
};
use futures_util::TryStreamExt;

use crate::proxy::Proxy;
use crate::server::Servers;
use crate::{builder, snapshot};

const CACHED: usize = 100;

async fn store(servers: &Servers) -> JetStreamStore {
    let store = builder(servers, "USERS").history(3).follow(Follow::Nobody);
    store.cached_users(CACHED).connect().await.unwrap()
}

/// It keeps histories.
async fn follower(servers: &Servers) -> JetStreamStore {
    builder(servers, "USERS")
        .history(3)
        .connect()
        .await
        .unwrap()
}

fn at(snapshot: &StateSnapshot) -> i64 {
    snapshot.updated_at_unix_ms()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_users_are_remembered_than_there_is_room_for() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let store = store(&servers).await;
    let ids: Vec<String> = (0..5 * CACHED).map(|user| format!("u{user}")).collect();
    for (number, id) in ids.iter().enumerate() {
        // Those who are not there are remembered, too.
        if number % 3 > 0 {
            store.upsert_latest(snapshot(id, 1)).await.unwrap();
        }
        let found = store.get_latest(id).await.unwrap();
        assert_eq!(found.is_some(), number % 3 > 0);
        assert!(store.local().len() <= CACHED);
    }
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    let found = store.get_many(&all).await.unwrap();
    assert_eq!(
        found.iter().flatten().count(),
        5 * CACHED - (5 * CACHED).div_ceil(3)
    );
    assert_eq!(store.stats().users, store.local().len() as u64);
    assert!(store.local().len() > CACHED / 2);
    let mut visited = 0;
    store.local().for_each(|_, _| visited += 1);
    assert!(visited <= CACHED);
    // The log has all of them.
    let listed: Vec<String> = store.list().try_collect().await.unwrap();
    assert_eq!(listed.len(), 5 * CACHED - (5 * CACHED).div_ceil(3));
}

/// A read of a user who is remembered takes one round trip, and it finds what others write.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_confirmed_by_the_log() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let (here, there) = (store(&servers).await, follower(&servers).await);
    there.upsert_latest(snapshot("ada", 0)).await.unwrap();
    for number in 1..20 {
        let before = here.stats().cache_hits;
        let first = here.get_latest_versioned("ada").await.unwrap().unwrap();
        assert_eq!(at(&first.value), number - 1);
        assert_eq!(here.get_latest_versioned("ada").await.unwrap(), Some(first));
        assert_eq!(here.stats().cache_hits, before + 1);
        there.upsert_latest(snapshot("ada", number)).await.unwrap();
    }
    assert!(there.delete("ada").await.unwrap());
    assert_eq!(here.get_latest("ada").await.unwrap(), None);
    let before = here.stats().cache_hits;
    assert_eq!(here.get_latest("ada").await.unwrap(), None);
    assert_eq!(here.stats().cache_hits, before + 1);
    let stats = here.stats();
    assert!(stats.validated_reads >= stats.cache_hits && stats.caught_up && stats.applied > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn local_reads_show_what_was_used_here() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let (here, there) = (store(&servers).await, follower(&servers).await);
    assert_eq!(here.local().as_of("ada"), None);
    for number in 0..50 {
        let written = here.upsert_if(snapshot("ada", number), Expected::Any).await;
        let written = written.unwrap();
        let seen = here.local().get_versioned("ada").unwrap();
        assert_eq!(seen.value, *snapshot("ada", number).state());
        assert_eq!(seen.revision, written);
        assert_eq!(here.local().as_of("ada"), Some(written));
        assert_eq!(here.local().history("ada", 9), [seen]);
    }
    // Of others' writes it learns by a read through the contract.
    let theirs = there.upsert_if(snapshot("ada", 50), Expected::Any).await;
    assert_eq!(
        here.local().with("ada", |ada| ada.updated_at_unix_ms()),
        Some(49)
    );
    assert!(here.get_latest("ada").await.unwrap().is_some());
    assert_eq!(
        here.local().with("ada", |ada| ada.updated_at_unix_ms()),
        Some(50)
    );
    assert!(here.local().as_of("ada").unwrap() > theirs.unwrap());

    assert!(here.delete("ada").await.unwrap());
    assert!(!here.local().contains("ada"));
    assert!(
        here.local().as_of("ada").is_some(),
        "it is known to be gone"
    );

    // Whom nobody has used here is not known, and can be asked for.
    let theirs = there.upsert_if(snapshot("grace", 1), Expected::Any).await;
    assert!(!here.local().contains("grace"));
    let grace = here.local().get_or_fetch("grace").await.unwrap().unwrap();
    assert_eq!(grace.value, *snapshot("grace", 1).state());
    assert_eq!(grace.revision, theirs.unwrap());
    assert_eq!(here.local().get_versioned("grace"), Some(grace));
    assert_eq!(here.local().get_or_fetch("alan").await.unwrap(), None);
    assert!(here.local().as_of("alan").is_some());
    let refused = here.local().get_or_fetch("not an id").await;
    assert!(matches!(refused, Err(StoreError::InvalidUserId(_))));
}

/// What was written here has the server's time as soon as somebody asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn versions_have_the_times_of_the_servers() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let (here, there) = (store(&servers).await, follower(&servers).await);
    for number in 0..10 {
        here.upsert_latest(snapshot("ada", number)).await.unwrap();
        // The state alone does not need it.
        assert_eq!(
            here.get_latest("ada").await.unwrap().as_ref().map(at),
            Some(number)
        );
        let version = here.get_latest_versioned("ada").await.unwrap();
        assert_eq!(version, there.get_latest_versioned("ada").await.unwrap());
        assert_eq!(
            here.local().get_versioned("ada").map(|ada| ada.written_at),
            version.map(|version| version.written_at)
        );
    }
    let long_ago = Timestamp::from(1_000);
    assert_eq!(
        here.get_as_of("ada", long_ago).await.unwrap(),
        AsOf::Evicted
    );
    here.upsert_latest(snapshot("grace", 1)).await.unwrap();
    assert_eq!(
        here.get_as_of("grace", long_ago).await.unwrap(),
        AsOf::NotThere
    );
}

/// The next event, which is to come.
async fn next<E>(watch: &mut Watch<E>) -> E {
    let next = tokio::time::timeout(Duration::from_secs(30), watch.next()).await;
    next.expect("an event comes").expect("the store is there")
}

/// Whatever happened meanwhile, each watch ends with what is there.
#[tokio::test(flavor = "multi_thread")]
async fn watches_go_on_after_the_connection_was_cut() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let there = follower(&servers).await;
    let proxy = Proxy::new(&servers.servers[0].address()).await;
    let here = JetStreamStore::builder([&*proxy.address]).stream("USERS");
    let here = here.replicas(1).history(3).follow(Follow::Nobody);
    let here = here.connect().await.unwrap();
    for user_id in ["ada", "grace"] {
        there.upsert_latest(snapshot(user_id, 1)).await.unwrap();
    }
    let mut ada = here.watch("ada").await.unwrap();
    let mut grace = here.watch("grace").await.unwrap();
    let mut alan = here.watch("alan").await.unwrap();
    let mut all = here.watch_all().await.unwrap();
    assert!(matches!(next(&mut ada).await, Event::Put(found) if at(&found.value) == 1));
    assert!(matches!(next(&mut grace).await, Event::Put(_)));
    while next(&mut all).await != AnyEvent::CaughtUp {}

    proxy.cut();
    there.upsert_latest(snapshot("ada", 2)).await.unwrap();
    assert!(there.delete("grace").await.unwrap());
    there.upsert_latest(snapshot("alan", 1)).await.unwrap();
    proxy.mend();
    assert!(matches!(next(&mut ada).await, Event::Put(found) if at(&found.value) == 2));
    assert!(matches!(next(&mut grace).await, Event::Removed { .. }));
    assert!(matches!(next(&mut alan).await, Event::Put(found) if at(&found.value) == 1));
    let mut missing = vec!["ada", "alan", "grace"];
    while !missing.is_empty() {
        let AnyEvent::Of { key, event } = next(&mut all).await else {
            panic!("said twice that all is caught up with");
        };
        assert_eq!(matches!(event, Event::Removed { .. }), key == "grace");
        missing.retain(|user_id| *user_id != key);
    }

    drop(here);
    let end = async { (ada.next().await, all.next().await) };
    let end = tokio::time::timeout(Duration::from_secs(30), end).await;
    assert_eq!(end.expect("they end with the store"), (None, None));
}

/// Who was deleted before is not told of; what comes in while the watch begins is.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_all_begins_with_who_is_there() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let (here, there) = (store(&servers).await, follower(&servers).await);
    for user in 0..300 {
        let user_id = format!("u{user}");
        there.upsert_latest(snapshot(&user_id, 1)).await.unwrap();
        if user % 3 == 0 {
            assert!(there.delete(&user_id).await.unwrap());
        }
    }
    let mut watch = here.watch_all().await.unwrap();
    let busy = tokio::spawn(async move {
        for user in 0..300 {
            let user_id = format!("u{user}");
            match user % 3 {
                1 => there.upsert_latest(snapshot(&user_id, 2)).await.unwrap(),
                2 => assert!(there.delete(&user_id).await.unwrap()),
                _ => {}
            }
        }
    });
    let mut told = std::collections::HashMap::new();
    let mut has_caught_up = false;
    while !has_caught_up
        || told.values().filter(|event| **event == Some(2)).count() < 100
        || told.values().any(|event| *event == Some(1))
    {
        match next(&mut watch).await {
            AnyEvent::CaughtUp => {
                assert!(!has_caught_up);
                has_caught_up = true;
            }
            AnyEvent::Of {
                key,
                event: Event::Put(found),
            } => {
                told.insert(key, Some(at(&found.value)));
            }
            AnyEvent::Of {
                key,
                event: Event::Removed { .. },
            } => {
                assert!(told.insert(key, None).is_some() || has_caught_up);
            }
        }
    }
    busy.await.unwrap();
    assert_eq!(told.len(), 200);
}

/// What is remembered is of a stream that is no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_made_anew_is_noticed() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let here = store(&servers).await;
    for number in 0..50 {
        here.upsert_latest(snapshot("ada", number)).await.unwrap();
    }
    here.upsert_latest(snapshot("grace", 1)).await.unwrap();
    let mut raw = servers.raw();
    raw.request("$JS.API.STREAM.DELETE.USERS", "").unwrap();
    let there = follower(&servers).await;
    there.upsert_latest(snapshot("ada", 100)).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let ada = loop {
        match here.get_latest("ada").await {
            Ok(ada) => break ada,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(ada.as_ref().map(at), Some(100));
    assert_eq!(here.get_latest("grace").await.unwrap(), None);
    assert!(here.stats().starts_over > 0);
    assert_eq!(here.local().get("grace"), None);
    let history = here.get_history("ada", 9).await.unwrap();
    assert_eq!(history.iter().map(at).collect::<Vec<_>>(), [100]);
    here.upsert_latest(snapshot("grace", 2)).await.unwrap();
    assert_eq!(
        there.get_latest("grace").await.unwrap().as_ref().map(at),
        Some(2)
    );
}

/// A marker that has expired leaves nothing to expect.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_comes_back_after_the_marker_has_expired() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let store = builder(&servers, "USERS").follow(Follow::Nobody);
    let store = store.marker_lifetime(Duration::from_secs(2));
    let store = store.connect().await.unwrap();
    let first = store.upsert_if(snapshot("ada", 1), Expected::Absent).await;
    let mut watch = store.watch("ada").await.unwrap();
    assert!(matches!(next(&mut watch).await, Event::Put(_)));
    assert!(store.delete("ada").await.unwrap());
    assert!(matches!(next(&mut watch).await, Event::Removed { .. }));
    let mut raw = servers.raw();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !raw
        .request("$JS.API.DIRECT.GET.USERS.USERS.u.ada", "")
        .unwrap()
        .contains("404")
    {
        assert!(Instant::now() < deadline, "the marker does not expire");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!store.delete("ada").await.unwrap());
    let late = store
        .upsert_if(snapshot("ada", 2), Expected::At(first.unwrap()))
        .await;
    assert!(
        matches!(late, Err(StoreError::Conflict { actual: None, .. })),
        "{late:?}"
    );
    let back = store
        .upsert_if(snapshot("ada", 3), Expected::Absent)
        .await
        .unwrap();
    assert_eq!(store.local().get_versioned("ada").unwrap().revision, back);
    assert!(matches!(next(&mut watch).await, Event::Put(found) if found.revision == back));
}
