//! Several stores that take turns, as if they were one.

use std::sync::atomic::{AtomicUsize, Ordering};

use attuned_store::{
    AnyEvent, AsOf, BoxStream, Event, Expected, Result, Revision, StateSnapshot, StateStore,
    Timestamp, VersionRange, Versioned, Watch, async_trait,
};

/// Each call goes to another store than the one before. If the stores keep the contract
/// together, so does this.
pub struct Alternating<S> {
    stores: Vec<S>,
    calls: AtomicUsize,
}

impl<S> Alternating<S> {
    pub fn new(stores: Vec<S>) -> Self {
        Self {
            stores,
            calls: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> &S {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        &self.stores[call % self.stores.len()]
    }
}

#[async_trait]
impl<S: StateStore> StateStore for Alternating<S> {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        self.next().upsert_latest(snapshot).await
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        self.next().get_latest(user_id).await
    }

    async fn get_latest_versioned(
        &self,
        user_id: &str,
    ) -> Result<Option<Versioned<StateSnapshot>>> {
        self.next().get_latest_versioned(user_id).await
    }

    async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        self.next().upsert_if(snapshot, expected).await
    }

    async fn get_many(&self, user_ids: &[&str]) -> Result<Vec<Option<StateSnapshot>>> {
        self.next().get_many(user_ids).await
    }

    async fn upsert_many(&self, snapshots: Vec<StateSnapshot>) -> Vec<Result<()>> {
        self.next().upsert_many(snapshots).await
    }

    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        self.next().get_history(user_id, limit).await
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        self.next().delete(user_id).await
    }

    async fn delete_if(&self, user_id: &str, expected: Expected) -> Result<bool> {
        self.next().delete_if(user_id, expected).await
    }

    async fn get_versions(
        &self,
        user_id: &str,
        range: VersionRange,
    ) -> Result<Vec<Versioned<StateSnapshot>>> {
        self.next().get_versions(user_id, range).await
    }

    async fn get_as_of(&self, user_id: &str, time: Timestamp) -> Result<AsOf<StateSnapshot>> {
        self.next().get_as_of(user_id, time).await
    }

    async fn watch(&self, user_id: &str) -> Result<Watch<Event<StateSnapshot>>> {
        self.next().watch(user_id).await
    }

    async fn watch_all(&self) -> Result<Watch<AnyEvent<StateSnapshot>>> {
        self.next().watch_all().await
    }

    fn list(&self) -> BoxStream<'_, Result<String>> {
        self.next().list()
    }

    async fn health_check(&self) -> Result<()> {
        self.next().health_check().await
    }
}
