//! The bound on the number of users.

use std::sync::PoisonError;

use crate::sync::Mutex;
use crate::{Result, StoreError};

/// Counts the users of a store that has a maximum.
///
/// A user comes and goes under the lock, together with the count, so the count
/// is exact at every moment: no race of newcomers exceeds the maximum, and none
/// is refused for a place that is free. Only newcomers and removals take the
/// lock, and only in a store that has a maximum; reads and writes of users who
/// are there do not.
#[derive(Debug)]
pub(super) struct UserBound {
    max_users: usize,
    users: Mutex<usize>,
}

impl UserBound {
    pub(super) fn new(max_users: usize) -> Self {
        Self {
            max_users,
            users: Mutex::new(0),
        }
    }

    pub(super) fn max_users(&self) -> usize {
        self.max_users
    }

    /// Counts a user if there is room and `insert` brings one; `present` is
    /// whether the user came in the meantime, and so does not need room.
    pub(super) fn admit<T>(
        &self,
        insert: impl FnOnce() -> Option<T>,
        present: impl FnOnce() -> bool,
    ) -> Result<Option<T>> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if *users < self.max_users {
            let inserted = insert();
            *users += usize::from(inserted.is_some());
            return Ok(inserted);
        }
        if present() {
            return Ok(None);
        }
        Err(StoreError::CapacityExceeded {
            max_users: self.max_users,
        })
    }

    /// Counts a user off if `remove` removes one.
    pub(super) fn dismiss<T, E>(&self, remove: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = remove()?;
        *users -= 1;
        Ok(removed)
    }
}
