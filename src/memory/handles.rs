//! What else can lead to a store than the handles that its users have.

use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use super::{MemoryStore, Shared, Users};
use crate::map::{self, Mirrored};
use crate::snapshot::State;

/// Puts users back.
pub(crate) type Restorer<'m, S> = map::Restorer<'m, State, Mirrored, S>;

/// Users that are put back together.
pub(crate) type Portion<'r, S> = map::Portion<'r, State, Mirrored, S>;

/// A handle that does not keep the store in memory.
pub(crate) struct WeakStore<S: BuildHasher + Send + Sync>(Weak<Shared<S>>);

impl<S: BuildHasher + Send + Sync> WeakStore<S> {
    /// A handle, unless the last one is gone, and the store with it.
    pub(crate) fn upgrade(&self) -> Option<MemoryStore<S>> {
        self.0.upgrade().map(MemoryStore)
    }
}

impl<S: BuildHasher + Send + Sync> MemoryStore<S> {
    pub(crate) fn downgrade(&self) -> WeakStore<S> {
        WeakStore(Arc::downgrade(&self.0))
    }

    /// The map, if this is the only handle.
    pub(crate) fn users_mut(&mut self) -> Option<&mut Users<S>> {
        Arc::get_mut(&mut self.0).map(|shared| &mut shared.users)
    }
}
