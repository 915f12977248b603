//! The trait as its users and its implementors meet it: behind pointers, with
//! its defaults, its errors and its futures.

mod common;

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex};

use attuned_store::{
    AnyEvent, AsOf, BoxStream, Event, Expected, MemoryStore, ParseRevisionError, Patch, Result,
    Revision, SnapshotError, Source, State, StateSnapshot, StateStore, StateStoreExt, StoreError,
    Timestamp, UserIdError, VersionRange, Versioned, Watch, async_trait, validate_user_id,
};
use common::snapshot;
use futures_util::{StreamExt, TryStreamExt, stream};

/// The times of ada's history, by the synchronous interface.
fn times(store: &MemoryStore) -> Vec<i64> {
    let history = store.history("ada", usize::MAX);
    let time = |entry: &Versioned<State>| entry.value.updated_at_unix_ms();
    history.iter().map(time).collect()
}

/// One call of a method of the trait.
#[derive(Clone, Debug, PartialEq)]
enum Call {
    UpsertLatest(StateSnapshot),
    GetLatest(String),
    GetVersioned(String),
    UpsertIf(StateSnapshot, Expected),
    GetMany(Vec<String>),
    UpsertMany(Vec<StateSnapshot>),
    GetHistory(String, usize),
    Delete(String),
    DeleteIf(String, Expected),
    GetVersions(String, VersionRange),
    GetAsOf(String, Timestamp),
    List,
    Watch(String),
    WatchAll,
    HealthCheck,
}

/// A backend that overrides every method, writes down every call, and answers
/// what no default answers.
#[derive(Clone, Default)]
struct Recorder {
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Recorder {
    fn record(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

#[async_trait]
impl StateStore for Recorder {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        self.record(Call::UpsertLatest(snapshot));
        Err(StoreError::internal("upsert_latest"))
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        self.record(Call::GetLatest(user_id.to_owned()));
        Ok(Some(snapshot(user_id, 1)))
    }

    async fn get_latest_versioned(
        &self,
        user_id: &str,
    ) -> Result<Option<Versioned<StateSnapshot>>> {
        self.record(Call::GetVersioned(user_id.to_owned()));
        let versioned = Versioned::new(snapshot(user_id, 1), Revision::from(5), 9);
        Ok(Some(versioned))
    }

    async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        self.record(Call::UpsertIf(snapshot, expected));
        Ok(Revision::from(6))
    }

    async fn get_many(&self, user_ids: &[&str]) -> Result<Vec<Option<StateSnapshot>>> {
        let user_ids = user_ids.iter().map(|id| (*id).to_owned()).collect();
        self.record(Call::GetMany(user_ids));
        Ok(vec![None, Some(snapshot("anita", 3))])
    }

    async fn upsert_many(&self, snapshots: Vec<StateSnapshot>) -> Vec<Result<()>> {
        self.record(Call::UpsertMany(snapshots));
        vec![Err(StoreError::internal("upsert_many"))]
    }

    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        self.record(Call::GetHistory(user_id.to_owned(), limit));
        Ok(vec![snapshot(user_id, 2), snapshot(user_id, 1)])
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        self.record(Call::Delete(user_id.to_owned()));
        Ok(true)
    }

    async fn delete_if(&self, user_id: &str, expected: Expected) -> Result<bool> {
        self.record(Call::DeleteIf(user_id.to_owned(), expected));
        Ok(true)
    }

    async fn get_versions(
        &self,
        user_id: &str,
        range: VersionRange,
    ) -> Result<Vec<Versioned<StateSnapshot>>> {
        self.record(Call::GetVersions(user_id.to_owned(), range));
        Ok(Vec::new())
    }

    async fn get_as_of(&self, user_id: &str, time: Timestamp) -> Result<AsOf<StateSnapshot>> {
        self.record(Call::GetAsOf(user_id.to_owned(), time));
        Ok(AsOf::Evicted)
    }

    fn list(&self) -> BoxStream<'_, Result<String>> {
        self.record(Call::List);
        Box::pin(stream::iter([Ok("frances".to_owned())]))
    }

    async fn watch(&self, user_id: &str) -> Result<Watch<Event<StateSnapshot>>> {
        self.record(Call::Watch(user_id.to_owned()));
        Ok(Watch::new(stream::empty()))
    }

    async fn watch_all(&self) -> Result<Watch<AnyEvent<StateSnapshot>>> {
        self.record(Call::WatchAll);
        Ok(Watch::new(stream::empty()))
    }

    async fn health_check(&self) -> Result<()> {
        self.record(Call::HealthCheck);
        Err(StoreError::internal("health_check"))
    }
}

/// Calls each method once on `S` itself: `S::method` does not look for the
/// method behind the pointer.
async fn call_each_method<S: StateStore>(store: S) {
    let error = S::upsert_latest(&store, snapshot("ada", 7))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "storage error: upsert_latest");
    assert_eq!(
        S::get_latest(&store, "grace").await.unwrap(),
        Some(snapshot("grace", 1))
    );
    assert_eq!(
        S::get_latest_versioned(&store, "barbara").await.unwrap(),
        Some(Versioned::new(snapshot("barbara", 1), Revision::from(5), 9))
    );
    let expected = Expected::At(Revision::from(5));
    assert_eq!(
        S::upsert_if(&store, snapshot("donald", 8), expected)
            .await
            .unwrap(),
        Revision::from(6)
    );
    assert_eq!(
        S::get_many(&store, &["tony", "anita"]).await.unwrap(),
        [None, Some(snapshot("anita", 3))]
    );
    let results = S::upsert_many(&store, vec![snapshot("ken", 4), snapshot("dennis", 5)]).await;
    let [Err(error)] = &results[..] else {
        panic!("{results:?}");
    };
    assert_eq!(error.to_string(), "storage error: upsert_many");
    assert_eq!(
        S::get_history(&store, "alan", 9).await.unwrap(),
        [snapshot("alan", 2), snapshot("alan", 1)]
    );
    assert!(S::delete(&store, "edsger").await.unwrap());
    assert!(S::delete_if(&store, "jean", expected).await.unwrap());
    let range = VersionRange::all().limit(3);
    assert_eq!(S::get_versions(&store, "john", range).await.unwrap(), []);
    assert_eq!(
        S::get_as_of(&store, "lynn", 4.into()).await.unwrap(),
        AsOf::Evicted
    );
    let listed: Vec<_> = S::list(&store).try_collect().await.unwrap();
    assert_eq!(listed, ["frances"]);
    let watched = S::watch(&store, "mary").await.unwrap();
    assert_eq!(watched.count().await, 0);
    let watched = S::watch_all(&store).await.unwrap();
    assert_eq!(watched.count().await, 0);
    let error = S::health_check(&store).await.unwrap_err();
    assert_eq!(error.to_string(), "storage error: health_check");
}

#[tokio::test]
async fn every_pointer_hands_every_call_on_exactly_once() {
    async fn check<S: StateStore>(point_to: impl FnOnce(Recorder) -> S) {
        let recorder = Recorder::default();
        call_each_method(point_to(recorder.clone())).await;
        assert_eq!(
            recorder.calls(),
            [
                Call::UpsertLatest(snapshot("ada", 7)),
                Call::GetLatest("grace".to_owned()),
                Call::GetVersioned("barbara".to_owned()),
                Call::UpsertIf(snapshot("donald", 8), Expected::At(Revision::from(5))),
                Call::GetMany(vec!["tony".to_owned(), "anita".to_owned()]),
                Call::UpsertMany(vec![snapshot("ken", 4), snapshot("dennis", 5)]),
                Call::GetHistory("alan".to_owned(), 9),
                Call::Delete("edsger".to_owned()),
                Call::DeleteIf("jean".to_owned(), Expected::At(Revision::from(5))),
                Call::GetVersions("john".to_owned(), VersionRange::all().limit(3)),
                Call::GetAsOf("lynn".to_owned(), 4.into()),
                Call::List,
                Call::Watch("mary".to_owned()),
                Call::WatchAll,
                Call::HealthCheck,
            ],
            "through {}",
            std::any::type_name::<S>()
        );
    }

    fn leak<T>(value: T) -> &'static T {
        Box::leak(Box::new(value))
    }

    check(|recorder| recorder).await;
    check(|recorder| leak(recorder) as &Recorder).await;
    check(Box::new).await;
    check(Arc::new).await;
    check(|recorder| leak(recorder) as &dyn StateStore).await;
    check(|recorder| Box::new(recorder) as Box<dyn StateStore>).await;
    check(|recorder| Arc::new(recorder) as Arc<dyn StateStore>).await;
    check(|recorder| leak(Arc::new(recorder) as Arc<dyn StateStore>)).await;
    check(|recorder| Arc::new(Box::new(recorder) as Box<dyn StateStore>)).await;
    check(|recorder| {
        let inner = Box::new(Arc::new(recorder)) as Box<dyn StateStore>;
        Arc::new(Box::new(inner)) as Arc<dyn StateStore>
    })
    .await;
}

#[tokio::test]
async fn a_future_that_is_dropped_before_it_is_polled_has_called_nothing_behind_any_pointer() {
    fn drop_each_future(store: impl StateStore) {
        drop(store.upsert_latest(snapshot("ada", 1)));
        drop(store.get_latest("ada"));
        drop(store.get_latest_versioned("ada"));
        drop(store.upsert_if(snapshot("ada", 1), Expected::Absent));
        drop(store.get_many(&["ada"]));
        drop(store.upsert_many(vec![snapshot("ada", 1)]));
        drop(store.get_history("ada", 1));
        drop(store.delete("ada"));
        drop(store.delete_if("ada", Expected::Any));
        drop(store.get_versions("ada", VersionRange::all()));
        drop(store.get_as_of("ada", 0.into()));
        drop(store.get_at("ada", Revision::from(1)));
        drop(store.health_check());
        drop(store.require_latest("ada"));
        drop(store.update_latest("ada", |_| StateSnapshot::builder()));
        drop(store.patch_latest("ada", &warm()));
    }
    let recorder = Recorder::default();
    drop_each_future(recorder.clone());
    drop_each_future(&recorder);
    drop_each_future(Box::new(recorder.clone()));
    drop_each_future(Arc::new(Box::new(recorder.clone()) as Box<dyn StateStore>));
    assert_eq!(recorder.calls(), []);
}

#[tokio::test]
async fn a_future_of_the_memory_store_that_is_dropped_before_it_is_polled_has_done_nothing() {
    let store = MemoryStore::builder().history(2).build().unwrap();
    let dynamic: &dyn StateStore = &store;

    drop(dynamic.upsert_latest(snapshot("ada", 1)));
    assert!(store.is_empty());

    store.insert(snapshot("ada", 1)).unwrap();
    store.insert(snapshot("ada", 2)).unwrap();
    drop(dynamic.upsert_latest(snapshot("ada", 3)));
    let expected = Expected::from(store.get_versioned("ada").as_ref());
    drop(dynamic.upsert_if(snapshot("ada", 3), expected));
    drop(dynamic.upsert_many(vec![snapshot("ada", 3)]));
    drop(dynamic.update_latest("ada", |_| StateSnapshot::builder()));
    drop(dynamic.patch_latest("ada", &warm()));
    drop(dynamic.delete("ada"));
    drop(dynamic.delete_if("ada", expected));
    drop(dynamic.list());
    drop(dynamic.get_latest("ada"));
    drop(dynamic.get_many(&["ada"]));
    drop(dynamic.get_latest_versioned("ada"));
    drop(dynamic.get_history("ada", 1));
    drop(dynamic.health_check());
    drop(dynamic.require_latest("ada"));
    assert_eq!(times(&store), [2, 1]);
}

fn warm() -> Patch {
    Patch::new(Source::SelfReport).axis("warmth", 0.5)
}

/// A backend of the two methods without which there is none. It fails on
/// demand.
#[derive(Default)]
struct Minimal {
    latest: Mutex<Option<StateSnapshot>>,
    lost: bool,
}

impl Minimal {
    fn reach(&self) -> Result<()> {
        if self.lost {
            let reset = io::Error::from(io::ErrorKind::ConnectionReset);
            return Err(StoreError::internal(reset));
        }
        Ok(())
    }
}

#[async_trait]
impl StateStore for Minimal {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        self.reach()?;
        *self.latest.lock().unwrap() = Some(snapshot);
        Ok(())
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        validate_user_id(user_id)?;
        self.reach()?;
        let latest = self.latest.lock().unwrap().clone();
        Ok(latest.filter(|snapshot| snapshot.user_id() == user_id))
    }
}

#[tokio::test]
async fn a_backend_of_two_methods_has_no_history_and_no_revisions_cannot_delete_and_is_healthy() {
    let store: Box<dyn StateStore> = Box::new(Minimal::default());
    store.upsert_latest(snapshot("ada", 1)).await.unwrap();

    assert_eq!(store.get_history("ada", 10).await.unwrap(), []);
    store.health_check().await.unwrap();

    let error = store.delete("ada").await.unwrap_err();
    assert_eq!(error.to_string(), "unsupported operation: delete");
    assert!(matches!(error, StoreError::Unsupported { operation } if operation == "delete"));
    let error = store.get_latest_versioned("ada").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "unsupported operation: get_latest_versioned"
    );
    assert!(
        matches!(error, StoreError::Unsupported { operation } if operation == "get_latest_versioned")
    );
    for expected in [Expected::Absent, Expected::At(Revision::from(1))] {
        let error = store
            .upsert_if(snapshot("ada", 2), expected)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "unsupported operation: upsert_if");
    }
    let unsupported = |error: StoreError| match error {
        StoreError::Unsupported { operation } => operation,
        other => panic!("{other:?}"),
    };
    let error = store.delete_if("ada", Expected::Any).await.unwrap_err();
    assert_eq!(unsupported(error), "delete_if");
    let all = VersionRange::all();
    let error = store.get_versions("ada", all).await.unwrap_err();
    assert_eq!(unsupported(error), "get_versions");
    let error = store.get_as_of("ada", 0.into()).await.unwrap_err();
    assert_eq!(unsupported(error), "get_as_of");
    let mut listing = store.list();
    let error = listing.next().await.unwrap().unwrap_err();
    assert_eq!(unsupported(error), "list");
    assert!(listing.next().await.is_none());
    drop(listing);
    // The calls that failed have changed nothing.
    assert_eq!(
        store.get_latest("ada").await.unwrap(),
        Some(snapshot("ada", 1))
    );
}

/// Writes down the users of the calls, and refuses one of them.
#[derive(Default)]
struct OneByOne {
    latest: Mutex<Vec<StateSnapshot>>,
    asked: Mutex<Vec<String>>,
}

const REFUSED: &str = "mallory";

#[async_trait]
impl StateStore for OneByOne {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        if snapshot.user_id() == REFUSED {
            return Err(StoreError::internal("refused"));
        }
        let mut latest = self.latest.lock().unwrap();
        latest.retain(|other| other.user_id() != snapshot.user_id());
        latest.push(snapshot);
        Ok(())
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        self.asked.lock().unwrap().push(user_id.to_owned());
        validate_user_id(user_id)?;
        let latest = self.latest.lock().unwrap();
        let found = latest.iter().find(|snapshot| snapshot.user_id() == user_id);
        Ok(found.cloned())
    }
}

/// The default methods, and those of the store in memory, which has its own.
#[tokio::test]
async fn many_are_read_in_the_order_of_their_ids() {
    async fn check(store: &dyn StateStore) {
        assert_eq!(store.get_many(&[]).await.unwrap(), []);
        for (user_id, at) in [("ada", 1), ("grace", 2)] {
            store.upsert_latest(snapshot(user_id, at)).await.unwrap();
        }
        assert_eq!(
            store
                .get_many(&["grace", "alan", "ada", "grace"])
                .await
                .unwrap(),
            [
                Some(snapshot("grace", 2)),
                None,
                Some(snapshot("ada", 1)),
                Some(snapshot("grace", 2)),
            ]
        );
        let error = store.get_many(&["ada", "no id", ""]).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::InvalidUserId(error) if *error != UserIdError::Empty),
            "not that of the first invalid id: {error}"
        );
    }
    check(&MemoryStore::default()).await;
    let store = OneByOne::default();
    check(&store).await;
    // The first error ends it.
    assert_eq!(store.asked.lock().unwrap()[4..], ["ada", "no id"]);
}

#[tokio::test]
async fn many_are_stored_in_their_order_and_told_one_by_one() {
    async fn check(store: &dyn StateStore, refused: bool) {
        assert!(store.upsert_many(Vec::new()).await.is_empty());
        let snapshots = vec![
            snapshot("ada", 1),
            snapshot(REFUSED, 2),
            snapshot("grace", 3),
            snapshot("ada", 4),
        ];
        let results = store.upsert_many(snapshots).await;
        let failed: Vec<_> = results.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, refused, false, false]);
        assert_eq!(
            store.get_many(&["ada", REFUSED, "grace"]).await.unwrap(),
            [
                Some(snapshot("ada", 4)),
                (!refused).then(|| snapshot(REFUSED, 2)),
                Some(snapshot("grace", 3)),
            ]
        );
    }
    check(&OneByOne::default(), true).await;
    let memory = MemoryStore::builder().history(3).build().unwrap();
    check(&memory, false).await;
    assert_eq!(times(&memory), [4, 1]);
}

#[tokio::test]
async fn require_latest_gives_the_snapshot_or_says_who_is_missing() {
    async fn check(store: &(impl StateStore + ?Sized)) {
        store.upsert_latest(snapshot("grace", 1)).await.unwrap();
        assert_eq!(
            store.require_latest("grace").await.unwrap(),
            snapshot("grace", 1)
        );

        let error = store.require_latest("ada").await.unwrap_err();
        assert_eq!(error.to_string(), "user not found");
        assert!(matches!(error, StoreError::UserNotFound { user_id } if user_id == "ada"));
    }
    check(&Minimal::default()).await;
    check(&MemoryStore::default()).await;
    check(&MemoryStore::default() as &dyn StateStore).await;
    check(&(Arc::new(MemoryStore::default()) as Arc<dyn StateStore>)).await;
}

#[tokio::test]
async fn require_latest_passes_the_errors_of_the_backend_on() {
    let lost = Minimal {
        lost: true,
        ..Minimal::default()
    };
    let error = lost.require_latest("ada").await.unwrap_err();
    assert!(matches!(error, StoreError::Internal(_)), "{error:?}");
    assert_eq!(error.to_string(), "storage error: connection reset");

    let error = lost.require_latest("").await.unwrap_err();
    assert!(
        matches!(error, StoreError::InvalidUserId(UserIdError::Empty)),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_memory_store_keeps_the_contract_behind_a_trait_object() {
    let memory = MemoryStore::builder().history(2).build().unwrap();
    let store: Arc<dyn StateStore> = Arc::new(memory.clone());
    let (one, two, three) = (snapshot("ada", 1), snapshot("ada", 2), snapshot("ada", 3));

    assert_eq!(store.get_latest("ada").await.unwrap(), None);
    assert_eq!(store.get_latest_versioned("ada").await.unwrap(), None);
    assert_eq!(store.get_history("ada", 10).await.unwrap(), []);
    assert!(!store.delete("ada").await.unwrap());

    for snapshot in [&one, &two, &three] {
        store.upsert_latest(snapshot.clone()).await.unwrap();
    }
    assert_eq!(
        store.get_latest("ada").await.unwrap().as_ref(),
        Some(&three)
    );
    let versioned = store.get_latest_versioned("ada").await.unwrap().unwrap();
    assert_eq!(versioned.value, three);
    assert_eq!(
        store.get_history("ada", 10).await.unwrap(),
        [three.clone(), two]
    );
    assert_eq!(store.get_history("ada", 1).await.unwrap(), [three]);
    assert_eq!(store.get_history("ada", 0).await.unwrap(), []);
    store.health_check().await.unwrap();
    // The trait and the inherent methods are two ways to one store.
    assert_eq!(memory.len(), 1);

    assert!(store.delete("ada").await.unwrap());
    assert!(!store.delete("ada").await.unwrap());
    assert_eq!(store.get_latest("ada").await.unwrap(), None);
    assert_eq!(store.get_history("ada", 10).await.unwrap(), []);

    store.upsert_latest(one.clone()).await.unwrap();
    assert_eq!(store.get_history("ada", 10).await.unwrap(), [one]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn futures_can_run_on_the_threads_of_a_runtime() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let user_id = format!("user-{n}");
                store.upsert_latest(snapshot(&user_id, n)).await?;
                store.require_latest(&user_id).await
            })
        })
        .collect();
    for (n, task) in (0..).zip(tasks) {
        assert_eq!(
            task.await.unwrap().unwrap(),
            snapshot(&format!("user-{n}"), n)
        );
    }
}

#[test]
fn stores_futures_and_errors_can_be_sent_and_shared() {
    fn shareable<T: Send + Sync + 'static + ?Sized>() {}
    shareable::<StoreError>();
    shareable::<MemoryStore>();
    shareable::<StateSnapshot>();
    shareable::<dyn StateStore>();
    shareable::<Arc<dyn StateStore>>();

    fn sendable(_: impl Send) {}
    fn each_future_of(store: &(impl StateStore + ?Sized)) {
        sendable(store.upsert_latest(snapshot("ada", 1)));
        sendable(store.get_latest("ada"));
        sendable(store.get_latest_versioned("ada"));
        sendable(store.upsert_if(snapshot("ada", 1), Expected::Absent));
        sendable(store.get_many(&["ada"]));
        sendable(store.upsert_many(vec![snapshot("ada", 1)]));
        sendable(store.update_latest("ada", |_| StateSnapshot::builder()));
        sendable(store.patch_latest("ada", &warm()));
        sendable(store.get_history("ada", 1));
        sendable(store.delete("ada"));
        sendable(store.health_check());
        sendable(store.require_latest("ada"));
    }
    each_future_of(&MemoryStore::default());
    each_future_of(&MemoryStore::default() as &dyn StateStore);
    each_future_of(&Minimal::default());
}

#[test]
fn an_error_keeps_its_source_with_its_type() {
    let error = StoreError::internal(io::Error::from(io::ErrorKind::TimedOut));
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "storage error: timed out");

    let error = StoreError::internal("disk full");
    assert_eq!(error.source().unwrap().to_string(), "disk full");
    assert_eq!(error.to_string(), "storage error: disk full");

    let error = StoreError::from(UserIdError::Empty);
    assert!(matches!(
        error.source().unwrap().downcast_ref(),
        Some(UserIdError::Empty)
    ));
    assert_eq!(error.to_string(), "invalid user id: user_id is empty");

    let error = StoreError::unavailable(io::Error::from(io::ErrorKind::TimedOut));
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "the store cannot be reached: timed out");

    let invalid = StateSnapshot::builder().build().unwrap_err();
    let error = StoreError::from(invalid);
    assert!(matches!(
        error.source().unwrap().downcast_ref(),
        Some(SnapshotError::MissingUserId)
    ));
    assert_eq!(error.to_string(), "invalid snapshot: user_id is missing");
}

/// Whichever call finds it.
#[test]
fn a_bad_id_has_one_error() {
    let built = StateSnapshot::builder().user_id("a b").build().unwrap_err();
    let asked = attuned_store::validate_user_id("a b").unwrap_err();
    for error in [StoreError::from(built), StoreError::from(asked)] {
        let StoreError::InvalidUserId(reason) = error else {
            panic!("{error:?}");
        };
        let expected = UserIdError::InvalidCharacter {
            character: ' ',
            position: 1,
        };
        assert_eq!(reason, expected);
    }
}

fn each_error(user_id: &str) -> [StoreError; 8] {
    let user_id = user_id.to_owned();
    [
        StoreError::UserNotFound {
            user_id: user_id.clone(),
        },
        UserIdError::Empty.into(),
        SnapshotError::MissingUserId.into(),
        StoreError::Conflict {
            user_id,
            expected: Expected::Absent,
            actual: Some(Revision::from(7)),
        },
        StoreError::CapacityExceeded { max_users: 1 },
        StoreError::Unsupported {
            operation: "delete",
        },
        StoreError::unavailable("down"),
        StoreError::internal("disk full"),
    ]
}

#[test]
fn what_is_unavailable_can_be_tried_again_and_nothing_else() {
    let retryable = each_error("ada").map(|error| error.is_retryable());
    let unavailable = [false, false, false, false, false, false, true, false];
    assert_eq!(retryable, unavailable);
}

#[test]
fn no_error_shows_a_whole_user_id() {
    for user_id in ["ada", "grace-hopper", "größe-語"] {
        for error in each_error(user_id) {
            for shown in [
                format!("{error}"),
                format!("{error:?}"),
                format!("{error:#?}"),
            ] {
                assert!(!shown.contains(user_id), "{shown}");
            }
        }
        let event = put(user_id);
        for shown in [format!("{event:?}"), format!("{event:#?}")] {
            assert!(!shown.contains(user_id), "{shown}");
        }
    }
    let shown = each_error("grace-hopper").map(|error| format!("{error:?}"));
    assert_eq!(
        shown,
        [
            r#"UserNotFound { user_id: "grac..." }"#,
            "InvalidUserId(Empty)",
            "InvalidSnapshot(MissingUserId)",
            r#"Conflict { user_id: "grac...", expected: Absent, actual: Some(Revision(7)) }"#,
            "CapacityExceeded { max_users: 1 }",
            r#"Unsupported { operation: "delete" }"#,
            r#"Unavailable("down")"#,
            r#"Internal("disk full")"#,
        ]
    );
    let shown = format!("{:?}", put("grace-hopper"));
    assert!(
        shown.starts_with(r#"Of { key: "grac...", event: Put("#),
        "{shown}"
    );
    assert_eq!(format!("{:?}", AnyEvent::<u8>::CaughtUp), "CaughtUp");
}

/// What a watch of all users gives of this one.
fn put(user_id: &str) -> AnyEvent<StateSnapshot> {
    let snapshot = StateSnapshot::builder().user_id(user_id).build().unwrap();
    let version = Versioned::new(snapshot, Revision::from(1), 0);
    AnyEvent::Of {
        key: user_id.to_owned(),
        event: Event::Put(version),
    }
}

#[test]
fn a_revision_is_the_same_after_a_way_through_text() {
    for number in [0, 1, 42, i64::MAX as u64 + 1, u64::MAX] {
        let revision = Revision::from(number);
        assert_eq!(revision.to_string().parse(), Ok(revision));
        assert_eq!(format!("000{revision}").parse(), Ok(revision));
    }
    let invalid = |character, position| ParseRevisionError::InvalidCharacter {
        character,
        position,
    };
    for (text, error) in [
        ("", ParseRevisionError::Empty),
        ("+1", invalid('+', 0)),
        ("-1", invalid('-', 0)),
        ("1 ", invalid(' ', 1)),
        ("12٣", invalid('٣', 2)),
        ("0x10", invalid('x', 1)),
        ("18446744073709551616", ParseRevisionError::TooGreat),
        ("99999999999999999999999", ParseRevisionError::TooGreat),
    ] {
        assert_eq!(text.parse::<Revision>(), Err(error), "{text:?}");
    }
    let error = "1.5".parse::<Revision>().unwrap_err();
    let message = "revision has '.' at byte 1, but only digits are allowed";
    assert_eq!(error.to_string(), message);
}

#[test]
fn an_error_without_a_cause_has_no_source() {
    let missing = StoreError::UserNotFound {
        user_id: "ada".to_owned(),
    };
    let unsupported = StoreError::Unsupported {
        operation: "delete",
    };
    assert!(missing.source().is_none());
    let conflict = StoreError::Conflict {
        user_id: "ada".to_owned(),
        expected: Expected::Absent,
        actual: None,
    };
    let full = StoreError::CapacityExceeded { max_users: 1 };
    assert!(unsupported.source().is_none());
    assert!(conflict.source().is_none());
    assert!(full.source().is_none());
}
