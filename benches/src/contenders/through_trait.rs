//! Any contender behind the library's own async contract.

use attuned_store::{
    Result, State, StateSnapshot, StateStore, Versioned, async_trait, validate_user_id,
};

use super::{Contender, Value};

/// A contender as a [`StateStore`]. An id is checked only if nothing was found
/// under it, as `MemoryStore` does it. There are no spans.
pub struct ThroughTrait<C>(pub C);

/// What a contender gives, and how that becomes a snapshot.
pub trait WithId: Value {
    fn with_id(self, user_id: &str) -> StateSnapshot;
}

/// What a contender can keep of a snapshot.
pub trait Whole: WithId {
    fn of(snapshot: StateSnapshot) -> Self;
}

impl WithId for State {
    fn with_id(self, user_id: &str) -> StateSnapshot {
        self.into_snapshot(user_id)
            .expect("nothing is stored under what is not an id")
    }
}

impl Whole for State {
    fn of(snapshot: StateSnapshot) -> Self {
        snapshot.into_state()
    }
}

impl WithId for StateSnapshot {
    fn with_id(self, _user_id: &str) -> StateSnapshot {
        self
    }
}

impl Whole for StateSnapshot {
    fn of(snapshot: StateSnapshot) -> Self {
        snapshot
    }
}

impl WithId for Versioned<State> {
    fn with_id(self, user_id: &str) -> StateSnapshot {
        self.value.with_id(user_id)
    }
}

#[async_trait]
impl<C> StateStore for ThroughTrait<C>
where
    C: Contender<Snapshot = StateSnapshot>,
    C::Value: WithId,
    C::History: IntoIterator<Item: WithId>,
{
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        self.0.upsert(snapshot);
        Ok(())
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        let latest = self.0.get(user_id);
        if latest.is_none() {
            validate_user_id(user_id)?;
        }
        Ok(latest.map(|latest| latest.with_id(user_id)))
    }

    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        let history = self.0.history(user_id, limit).into_iter();
        let history: Vec<_> = history.map(|entry| entry.with_id(user_id)).collect();
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
