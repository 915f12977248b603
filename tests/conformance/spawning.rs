//! A store whose operations run on the threads of a runtime.

use std::sync::Arc;

use attuned_store::{
    Expected, Result, Revision, StateSnapshot, StateStore, StoreError, Versioned, async_trait,
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
}
