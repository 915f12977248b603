//! Backends that keep the contract.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use attuned_store::conformance::{
    self, Capabilities, Failure, Outcome, Report, check_all, check_capacity, check_concurrent,
    clauses,
};
use attuned_store::{
    AsOf, MemoryStore, Result, StateSnapshot, StateStore, Timestamp, VersionRange, Versioned,
    async_trait, validate_user_id,
};

use crate::mutex_store::MutexStore;
use crate::spawning::Spawning;

fn all_of_them(history: usize) -> Capabilities {
    without_history().history(history)
}

fn without_history() -> Capabilities {
    Capabilities::new()
        .conditional_writes()
        .conditional_deletes()
        .versions()
        .list()
}

/// What the memory store can do beside.
fn of_memory(history: usize) -> Capabilities {
    all_of_them(history).watching()
}

/// As a service may hold it: itself, and behind every pointer.
async fn check_behind_pointers<S: StateStore + 'static>(
    store: impl Fn() -> S,
    capabilities: Capabilities,
) {
    check_all(&store(), capabilities).await.unwrap();
    check_all(&&store(), capabilities).await.unwrap();
    let boxed: Box<dyn StateStore> = Box::new(store());
    check_all(&boxed, capabilities).await.unwrap();
    let shared: Arc<dyn StateStore> = Arc::new(store());
    check_all(&shared, capabilities).await.unwrap();
}

#[tokio::test]
async fn the_example_of_the_documentation_passes() {
    for history in [1, 2, 3, 100] {
        check_behind_pointers(
            || MutexStore::new(history, usize::MAX),
            all_of_them(history),
        )
        .await;
    }
    let unknown = all_of_them(0).history_of_unknown_bound();
    check_all(&MutexStore::new(100, usize::MAX), unknown)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_memory_store_passes_with_a_bound_on_users() {
    let store = MemoryStore::builder()
        .history(3)
        .max_users(4)
        .build()
        .unwrap();
    check_capacity(&store, of_memory(3), 4).await.unwrap();
}

#[tokio::test]
async fn the_memory_store_passes() {
    check_behind_pointers(MemoryStore::default, without_history().watching()).await;
    for history in [1, 3, 100] {
        let store = || MemoryStore::builder().history(history).build().unwrap();
        check_behind_pointers(store, of_memory(history)).await;
    }
}

/// On threads, where a store has races to lose.
async fn check_on_threads<S: StateStore + 'static>(store: S, capabilities: Capabilities) {
    let store = Spawning(Arc::new(store));
    for _ in 0..20 {
        check_concurrent(&store, capabilities).await.unwrap();
    }
    check_all(&store, capabilities).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_example_of_the_documentation_passes_on_threads() {
    check_on_threads(MutexStore::new(8, usize::MAX), all_of_them(8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_store_passes_on_threads() {
    for history in [1, 8] {
        let store = MemoryStore::builder().history(history).build().unwrap();
        check_on_threads(store, of_memory(history)).await;
    }
}

/// A backend of the two methods without which there is none.
#[derive(Default)]
struct Minimal(Mutex<HashMap<String, StateSnapshot>>);

#[async_trait]
impl StateStore for Minimal {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        let mut users = self.0.lock().unwrap();
        users.insert(snapshot.user_id().to_owned(), snapshot);
        Ok(())
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        validate_user_id(user_id)?;
        Ok(self.0.lock().unwrap().get(user_id).cloned())
    }
}

#[tokio::test]
async fn a_backend_of_two_methods_passes_without_capabilities() {
    check_behind_pointers(Minimal::default, Capabilities::new()).await;
}

/// A backend whose clock shows one time for ever.
struct StoppedClock {
    store: MutexStore,
    now: i64,
}

impl StoppedClock {
    fn restamped(&self, version: Versioned<StateSnapshot>) -> Versioned<StateSnapshot> {
        Versioned::new(version.value, version.revision, self.now)
    }
}

#[async_trait]
impl StateStore for StoppedClock {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        self.store.upsert_latest(snapshot).await
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        self.store.get_latest(user_id).await
    }

    async fn get_latest_versioned(
        &self,
        user_id: &str,
    ) -> Result<Option<Versioned<StateSnapshot>>> {
        let latest = self.store.get_latest_versioned(user_id).await?;
        Ok(latest.map(|latest| self.restamped(latest)))
    }

    async fn get_versions(
        &self,
        user_id: &str,
        range: VersionRange,
    ) -> Result<Vec<Versioned<StateSnapshot>>> {
        let all = self
            .store
            .get_versions(user_id, VersionRange::all())
            .await?;
        let all: Vec<_> = all.into_iter().map(|one| self.restamped(one)).collect();
        Ok(range.select(&all))
    }

    async fn get_as_of(&self, user_id: &str, time: Timestamp) -> Result<AsOf<StateSnapshot>> {
        let is_before_all = time.as_unix_ms() < self.now;
        let time = if is_before_all { i64::MIN } else { i64::MAX };
        let then = self.store.get_as_of(user_id, time.into()).await?;
        Ok(match then {
            AsOf::Was(version) => AsOf::Was(self.restamped(version)),
            nothing => nothing,
        })
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        self.store.delete(user_id).await
    }
}

#[tokio::test]
async fn reads_of_the_past_are_checked_whatever_the_clock_shows() {
    for now in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX] {
        let store = MutexStore::new(3, usize::MAX);
        let capabilities = Capabilities::new().history(3).delete().versions();
        conformance::check_versions(&StoppedClock { store, now }, capabilities)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_bounded_store_keeps_its_capacity() {
    for max_users in [0, 1, 4] {
        let store = MutexStore::new(3, max_users);
        check_capacity(&store, all_of_them(3), max_users)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_store_is_left_as_it_was() {
    let store = MemoryStore::builder().history(3).build().unwrap();
    let ada = StateSnapshot::builder().user_id("ada").build().unwrap();
    store.upsert_latest(ada.clone()).await.unwrap();
    let _ = check_all(&store, of_memory(3)).await;
    assert_eq!(store.len(), 1);
    assert_eq!(store.get_history("ada", 9).await.unwrap(), [ada]);
}

#[tokio::test]
async fn the_report_tells_of_every_clause_once() {
    let store = MemoryStore::builder().history(3).build().unwrap();
    let report = check_all(&store, of_memory(3)).await.unwrap();
    let bounded = MutexStore::new(3, 2);
    let capacity = check_capacity(&bounded, all_of_them(3), 2).await.unwrap();
    let ids = |report: &Report| -> Vec<_> {
        let outcomes = report.outcomes();
        outcomes.map(|(clause, _)| clause.id()).collect()
    };
    let told = [ids(&report), ids(&capacity)].concat();
    assert!(clauses().map(|clause| clause.id()).eq(told.iter().copied()));
    let distinct: HashSet<_> = told.iter().collect();
    assert_eq!(distinct.len(), told.len());
    let chapter = include_str!("../../src/docs/backends.md");
    let shown = format!("breaks 1 of {} clauses", ids(&report).len());
    assert!(chapter.contains(&shown), "{shown}");

    // What concerns only those that cannot do something does not concern it.
    let not_applicable: Vec<_> = report
        .outcomes()
        .filter(|(_, outcome)| **outcome != Outcome::Kept)
        .map(|(clause, _)| clause.id())
        .collect();
    assert_eq!(
        not_applicable,
        [
            "history.empty_if_none_is_kept",
            "delete.unsupported",
            "revisions.unsupported",
            "conditional_writes.unsupported",
            "conditional_deletes.unsupported",
            "versions.unsupported",
            "list.unsupported",
            "watch.unsupported",
            "extensions.unsupported",
        ]
    );
    let printed = report.to_string();
    assert_eq!(printed.lines().count(), report.outcomes().count());
    assert!(printed.contains("\nkept            history.newest_first\n"));
    assert!(printed.contains("\nnot applicable  delete.unsupported: the backend deletes\n"));
}

#[tokio::test]
async fn the_groups_are_the_whole() {
    let store = MutexStore::new(3, usize::MAX);
    let capabilities = all_of_them(3);
    let groups = [
        conformance::check_latest(&store, capabilities).await,
        conformance::check_snapshots(&store, capabilities).await,
        conformance::check_user_ids(&store, capabilities).await,
        conformance::check_history(&store, capabilities).await,
        conformance::check_delete(&store, capabilities).await,
        conformance::check_revisions(&store, capabilities).await,
        conformance::check_conditional_writes(&store, capabilities).await,
        conformance::check_conditional_deletes(&store, capabilities).await,
        conformance::check_versions(&store, capabilities).await,
        conformance::check_many(&store, capabilities).await,
        conformance::check_list(&store, capabilities).await,
        conformance::check_watching(&store, capabilities).await,
        check_concurrent(&store, capabilities).await,
        conformance::check_cancellation(&store, capabilities).await,
        conformance::check_extensions(&store, capabilities).await,
    ]
    .map(Result::unwrap);
    let whole = check_all(&store, capabilities).await.unwrap();
    let parts = groups.iter().flat_map(Report::outcomes);
    assert!(
        whole
            .outcomes()
            .map(|(c, _)| c.id())
            .eq(parts.map(|(c, _)| c.id()))
    );
}

#[test]
fn the_suite_can_be_spawned_and_its_error_sent() {
    fn sendable(_: impl Send) {}
    fn each(store: &dyn StateStore) {
        sendable(check_all(store, Capabilities::new()));
        sendable(check_capacity(store, Capabilities::new(), 1));
    }
    each(&Minimal::default());
    fn an_error<E: std::error::Error + Send + Sync + 'static>() {}
    an_error::<Failure>();
}
