//! Backends that keep the contract.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use attuned_store::conformance::{
    self, Capabilities, Failure, Outcome, Report, check_all, check_capacity, check_concurrent,
    clauses,
};
use attuned_store::{
    MemoryStore, Result, StateSnapshot, StateStore, async_trait, validate_user_id,
};

use crate::mutex_store::MutexStore;
use crate::spawning::Spawning;

fn all_of_them(history: usize) -> Capabilities {
    Capabilities::new()
        .history(history)
        .delete()
        .conditional_writes()
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
    check_capacity(&store, all_of_them(3), 4).await.unwrap();
}

#[tokio::test]
async fn the_memory_store_passes() {
    let without = Capabilities::new().delete().conditional_writes();
    check_behind_pointers(MemoryStore::default, without).await;
    for history in [1, 3, 100] {
        let store = || MemoryStore::builder().history(history).build().unwrap();
        check_behind_pointers(store, all_of_them(history)).await;
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
        check_on_threads(store, all_of_them(history)).await;
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
    let _ = check_all(&store, all_of_them(3)).await;
    assert_eq!(store.len(), 1);
    assert_eq!(store.get_history("ada", 9).await.unwrap(), [ada]);
}

#[tokio::test]
async fn the_report_tells_of_every_clause_once() {
    let store = MutexStore::new(3, usize::MAX);
    let report = check_all(&store, all_of_them(3)).await.unwrap();
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
        conformance::check_many(&store, capabilities).await,
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
