//! The in-memory store as the published crates want one.

use std::hash::BuildHasher;

use async_trait::async_trait;
use attuned_core::{ComponentHealth, HealthCheck};
use attuned_store_v1::StoreError as PublishedError;

use crate::{MemoryStore, StateSnapshot, StateStore, StoreError};

type PublishedResult<T> = Result<T, PublishedError>;

/// Through this crate's [`StateStore`], whose spans it therefore has.
///
/// An invalid user id is an absent user, as the published trait has it: `None`,
/// an empty history, and nothing to delete.
// The published default of `delete` does nothing and says `Ok`.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: BuildHasher + Send + Sync + 'static> attuned_store_v1::StateStore for MemoryStore<S> {
    async fn upsert_latest(&self, published: attuned_core::StateSnapshot) -> PublishedResult<()> {
        let snapshot = StateSnapshot::try_from(published).map_err(StoreError::from)?;
        Ok(StateStore::upsert_latest(self, snapshot).await?)
    }

    async fn get_latest(
        &self,
        user_id: &str,
    ) -> PublishedResult<Option<attuned_core::StateSnapshot>> {
        let latest = absent_if_invalid(StateStore::get_latest(self, user_id).await)?;
        Ok(latest.map(Into::into))
    }

    async fn delete(&self, user_id: &str) -> PublishedResult<()> {
        absent_if_invalid(StateStore::delete(self, user_id).await)?;
        Ok(())
    }

    async fn get_history(
        &self,
        user_id: &str,
        limit: usize,
    ) -> PublishedResult<Vec<attuned_core::StateSnapshot>> {
        let history = absent_if_invalid(StateStore::get_history(self, user_id, limit).await)?;
        Ok(history.into_iter().map(Into::into).collect())
    }

    async fn health_check(&self) -> PublishedResult<bool> {
        StateStore::health_check(self).await?;
        Ok(true)
    }
}

/// Nothing found, instead of an error for an id that nothing can be found under.
fn absent_if_invalid<T: Default>(result: crate::Result<T>) -> crate::Result<T> {
    match result {
        Err(StoreError::InvalidUserId(_)) => Ok(T::default()),
        result => result,
    }
}

/// Healthy, under the name `memory_store`, as the published one is.
#[async_trait]
impl<S: BuildHasher + Send + Sync + 'static> HealthCheck for MemoryStore<S> {
    async fn check(&self) -> ComponentHealth {
        const NAME: &str = "memory_store";
        match StateStore::health_check(self).await {
            Ok(()) => ComponentHealth::healthy(NAME),
            Err(error) => ComponentHealth::unhealthy(NAME, error.to_string()),
        }
    }
}
