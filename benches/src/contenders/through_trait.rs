//! Any contender behind the library's own async contract.

use attuned_store::{Result, StateSnapshot, StateStore, async_trait, validate_user_id};

use super::Contender;

/// A contender as a [`StateStore`]. An id is checked only if nothing was found
/// under it, as `MemoryStore` does it. There are no spans.
pub struct ThroughTrait<C>(pub C);

#[async_trait]
impl<C: Contender<Snapshot = StateSnapshot>> StateStore for ThroughTrait<C> {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        self.0.upsert(snapshot);
        Ok(())
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        let latest = self.0.latest(user_id);
        if latest.is_none() {
            validate_user_id(user_id)?;
        }
        Ok(latest)
    }

    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        let history = self.0.history(user_id, limit);
        if history.is_empty() {
            validate_user_id(user_id)?;
        }
        Ok(history)
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        let removed = self.0.remove(user_id);
        if !removed {
            validate_user_id(user_id)?;
        }
        Ok(removed)
    }
}
