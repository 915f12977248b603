//! What the check of a clause has at hand: the store, users of its own, and
//! operations that must succeed.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use super::Capabilities;
use crate::{
    Expected, MAX_USER_ID_BYTES, Result as StoreResult, Revision, StateSnapshot,
    StateSnapshotBuilder, StateStore,
};

/// Why a check ended early.
pub(super) enum Stop {
    Broken(String),
    NotApplicable(&'static str),
}

pub(super) type Checked<T = ()> = Result<T, Stop>;

/// The clause is broken: this was seen.
pub(super) fn broken<T>(seen: impl Into<String>) -> Checked<T> {
    Err(Stop::Broken(seen.into()))
}

/// The clause is broken unless what was seen is what was expected.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: &str, seen: &T, expected: &T) -> Checked {
    if seen == expected {
        return Ok(());
    }
    broken(format!("{what}: expected {expected:?}, saw {seen:?}"))
}

/// An operation that had no reason to fail.
pub(super) fn succeeds<T>(operation: &str, result: StoreResult<T>) -> Checked<T> {
    result.or_else(|error| broken(format!("{operation} failed: {error}")))
}

pub(super) fn build(builder: StateSnapshotBuilder) -> Checked<StateSnapshot> {
    builder
        .build()
        .or_else(|error| broken(format!("a snapshot could not be built: {error}")))
}

/// A snapshot that its number tells from the others of its user.
pub(super) fn snapshot(user_id: &str, number: i64) -> Checked<StateSnapshot> {
    let builder = StateSnapshot::builder().user_id(user_id);
    build(builder.updated_at(number).axis("warmth", 0.25))
}

/// Snapshots of these numbers.
pub(super) fn numbered(user_id: &str, numbers: RangeInclusive<i64>) -> Checked<Vec<StateSnapshot>> {
    numbers.map(|number| snapshot(user_id, number)).collect()
}

/// One check of one clause.
pub(super) struct Trial<'a> {
    pub(super) store: &'a dyn StateStore,
    pub(super) capabilities: Capabilities,
    /// How many users the store may have, where that is what is checked.
    pub(super) max_users: usize,
    /// What the ids of all its users begin with.
    stem: String,
    users: Mutex<Vec<String>>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        store: &'a dyn StateStore,
        capabilities: Capabilities,
        max_users: usize,
        stem: String,
    ) -> Self {
        Self {
            store,
            capabilities,
            max_users,
            stem,
            users: Mutex::default(),
        }
    }

    /// The id of a user whom nobody else has.
    pub(super) fn user(&self) -> String {
        let number = self.users().len();
        self.user_called(&number.to_string())
    }

    /// The id of a user, with this ending.
    pub(super) fn user_called(&self, ending: &str) -> String {
        let user_id = format!("{}{ending}", self.stem);
        self.users().push(user_id.clone());
        user_id
    }

    /// An id as long as it may be, with this character as often as it fits.
    pub(super) fn longest_user(&self, filling: char) -> String {
        let room = MAX_USER_ID_BYTES.saturating_sub(self.stem.len());
        let mut ending = filling.to_string().repeat(room / filling.len_utf8());
        ending.push_str(&"x".repeat(room - ending.len()));
        self.user_called(&ending)
    }

    /// Whether this check has made the user.
    pub(super) fn has_made(&self, user_id: &str) -> bool {
        user_id.starts_with(&self.stem)
    }

    fn users(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the users that the check has made, if the backend can. An error
    /// is no finding of this clause; those about `delete` have theirs.
    pub(super) async fn clean_up(self) {
        if self.capabilities.delete {
            for user_id in self
                .users
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)
            {
                let _ = self.store.delete(&user_id).await;
            }
        }
    }

    /// The bound of the history.
    pub(super) fn needs_history(&self) -> Checked<usize> {
        let none = Stop::NotApplicable("the backend keeps no history");
        self.capabilities.history.ok_or(none)
    }

    pub(super) fn needs_delete(&self) -> Checked {
        needs(self.capabilities.delete, "the backend does not delete")
    }

    pub(super) fn needs_revisions(&self) -> Checked {
        needs(self.capabilities.revisions, "the backend has no revisions")
    }

    pub(super) fn needs_conditional_writes(&self) -> Checked {
        let declared = self.capabilities.conditional_writes;
        needs(declared, "the backend has no conditional writes")
    }

    pub(super) fn needs_conditional_deletes(&self) -> Checked {
        let declared = self.capabilities.conditional_deletes;
        needs(declared, "the backend has no conditional removals")
    }

    pub(super) fn needs_versions(&self) -> Checked {
        let declared = self.capabilities.versions;
        needs(declared, "the backend cannot read the past")
    }

    pub(super) fn needs_list(&self) -> Checked {
        needs(
            self.capabilities.list,
            "the backend does not list its users",
        )
    }

    /// What is to be left of these snapshots in the history, if all were written
    /// in this order.
    pub(super) fn retained(&self, oldest_first: &[StateSnapshot]) -> Vec<StateSnapshot> {
        let bound = self.capabilities.history.unwrap_or(0);
        oldest_first.iter().rev().take(bound).cloned().collect()
    }

    pub(super) async fn write(&self, snapshot: &StateSnapshot) -> Checked {
        let result = self.store.upsert_latest(snapshot.clone()).await;
        succeeds("upsert_latest", result)
    }

    pub(super) async fn write_all(&self, snapshots: &[StateSnapshot]) -> Checked {
        for snapshot in snapshots {
            self.write(snapshot).await?;
        }
        Ok(())
    }

    /// A conditional write that finds what it expects.
    pub(super) async fn write_if(
        &self,
        snapshot: &StateSnapshot,
        expected: Expected,
    ) -> Checked<Revision> {
        let result = self.store.upsert_if(snapshot.clone(), expected).await;
        succeeds(&format!("upsert_if expecting {expected}"), result)
    }

    pub(super) async fn latest(&self, user_id: &str) -> Checked<Option<StateSnapshot>> {
        succeeds("get_latest", self.store.get_latest(user_id).await)
    }

    /// The latest snapshot, and the revision of its write.
    pub(super) async fn versioned(
        &self,
        user_id: &str,
    ) -> Checked<Option<(StateSnapshot, Revision)>> {
        let found = self.store.get_latest_versioned(user_id).await;
        let found = succeeds("get_latest_versioned", found)?;
        Ok(found.map(|found| (found.value, found.revision)))
    }

    /// The revision of a user who is there.
    pub(super) async fn revision(&self, user_id: &str) -> Checked<Revision> {
        match self.versioned(user_id).await? {
            Some((_, revision)) => Ok(revision),
            None => broken("get_latest_versioned returned None after a write"),
        }
    }

    pub(super) async fn history(&self, user_id: &str) -> Checked<Vec<StateSnapshot>> {
        self.history_up_to(user_id, usize::MAX).await
    }

    pub(super) async fn history_up_to(
        &self,
        user_id: &str,
        limit: usize,
    ) -> Checked<Vec<StateSnapshot>> {
        let result = self.store.get_history(user_id, limit).await;
        succeeds(&format!("get_history with limit {limit}"), result)
    }

    pub(super) async fn delete(&self, user_id: &str) -> Checked<bool> {
        succeeds("delete", self.store.delete(user_id).await)
    }

    /// The latest snapshot and the history at one instant, or `None` if there
    /// was a write in between. For users of whom no two snapshots are equal.
    pub(super) async fn look(&self, user_id: &str) -> Checked<Option<Look>> {
        let latest = self.latest(user_id).await?;
        let history = self.history(user_id).await?;
        let undisturbed = latest == self.latest(user_id).await?;
        Ok(undisturbed.then_some(Look { latest, history }))
    }

    /// What was written of a user, and is there, is this: in the latest snapshot
    /// and, if one is declared, in the history.
    pub(super) async fn has_only(&self, user_id: &str, oldest_first: &[StateSnapshot]) -> Checked {
        let latest = self.latest(user_id).await?;
        same("get_latest", &latest.as_ref(), &oldest_first.last())?;
        self.is_history_of(oldest_first, &self.history(user_id).await?)
    }

    /// This history, if one is declared, is what is left of these writes. If
    /// none is, a clause of its own says that it must be empty.
    pub(super) fn is_history_of(
        &self,
        oldest_first: &[StateSnapshot],
        seen: &Vec<StateSnapshot>,
    ) -> Checked {
        match self.capabilities.history {
            Some(_) => same("get_history", seen, &self.retained(oldest_first)),
            None => Ok(()),
        }
    }
}

fn needs(declared: bool, otherwise: &'static str) -> Checked {
    if declared {
        Ok(())
    } else {
        Err(Stop::NotApplicable(otherwise))
    }
}

/// The latest snapshot and the history of a user at one instant.
pub(super) struct Look {
    pub(super) latest: Option<StateSnapshot>,
    pub(super) history: Vec<StateSnapshot>,
}

impl Look {
    /// The latest snapshot is the newest entry of the history, if one is kept.
    pub(super) fn agrees(&self, trial: &Trial<'_>) -> Checked {
        let Some(bound) = trial.capabilities.history else {
            return Ok(());
        };
        let expected = self.latest.iter().take(bound).collect();
        let newest: Vec<_> = self.history.iter().take(1).collect();
        same(
            "the newest of get_history, beside get_latest",
            &newest,
            &expected,
        )
    }
}
