//! A store whose operations run on the threads of a runtime.

use std::sync::Arc;

use attuned_store::{
    AnyEvent, AsOf, BoxStream, Event, Expected, Result, Revision, StateSnapshot, StateStore,
    StoreError, Timestamp, VersionRange, Versioned, Watch, async_trait,
};

/// Moves every call to another task, so that the concurrent futures of the suite
/// run on several threads.
pub struct Spawning<S>(pub Arc<S>);

impl<S: StateStore + 'static> Spawning<S> {
    async fn spawn<T, F>(&self, call: impl FnOnce(Arc<S>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let task = tokio::spawn(call(Arc::clone(&self.0)));
        task.await.map_err(StoreError::internal)
    }
}

#[async_trait]
impl<S: StateStore + 'static> StateStore for Spawning<S> {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        self.spawn(|store| async move { store.upsert_latest(snapshot).await })
            .await?
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        let user_id = user_id.to_owned();
        self.spawn(|store| async move { store.get_latest(&user_id).await })
            .await?
    }

    async fn get_latest_versioned(
        &self,
        user_id: &str,
    ) -> Result<Option<Versioned<StateSnapshot>>> {
        let user_id = user_id.to_owned();
        self.spawn(|store| async move { store.get_latest_versioned(&user_id).await })
            .await?
    }

    async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        self.spawn(move |store| async move { store.upsert_if(snapshot, expected).await })
            .await?
    }

    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        let user_id = user_id.to_owned();
        self.spawn(move |store| async move { store.get_history(&user_id, limit).await })
            .await?
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        let user_id = user_id.to_owned();
        self.spawn(|store| async move { store.delete(&user_id).await })
            .await?
    }

    async fn watch(&self, user_id: &str) -> Result<Watch<Event<StateSnapshot>>> {
        let user_id = user_id.to_owned();
        self.spawn(|store| async move { store.watch(&user_id).await })
            .await?
    }

    async fn watch_all(&self) -> Result<Watch<AnyEvent<StateSnapshot>>> {
        self.spawn(|store| async move { store.watch_all().await })
            .await?
    }

    async fn delete_if(&self, user_id: &str, expected: Expected) -> Result<bool> {
        let user_id = user_id.to_owned();
        self.spawn(move |store| async move { store.delete_if(&user_id, expected).await })
            .await?
    }

    async fn get_versions(
        &self,
        user_id: &str,
        range: VersionRange,
    ) -> Result<Vec<Versioned<StateSnapshot>>> {
        let user_id = user_id.to_owned();
        self.spawn(|store| async move { store.get_versions(&user_id, range).await })
            .await?
    }

    async fn get_as_of(&self, user_id: &str, time: Timestamp) -> Result<AsOf<StateSnapshot>> {
        let user_id = user_id.to_owned();
        self.spawn(move |store| async move { store.get_as_of(&user_id, time).await })
            .await?
    }

    /// In the task of the suite: a stream that borrows the store cannot move to another.
    fn list(&self) -> BoxStream<'_, Result<String>> {
        self.0.list()
    }
}
