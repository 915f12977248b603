//! Writes and removals of the synchronous face.

use std::hash::BuildHasher;
use std::time::Duration;

use super::MemoryStore;
use crate::patch::{Patch, Patched};
use crate::revision::{Expected, Revision};
use crate::snapshot::{State, StateSnapshot, StateSnapshotBuilder, validate_user_id};
use crate::store::{Result, StoreError};
use crate::versioned::Versioned;

impl<S: BuildHasher + Send + Sync> MemoryStore<S> {
    /// Makes `snapshot` the latest one of its user and the newest entry of the user's history,
    /// and returns the revision of this write. As
    /// [`HistoryMap::insert`](crate::HistoryMap::insert).
    ///
    /// # Errors
    ///
    /// [`StoreError::CapacityExceeded`] if
    /// the user is new and the store has all the users that it may have
    /// ([`max_users`](crate::MemoryStoreBuilder::max_users)). [`StoreError::Internal`] where
    /// [threads end](crate::HistoryMap#threads-that-end).
    pub fn insert(&self, snapshot: StateSnapshot) -> Result<Revision> {
        self.insert_if(snapshot, Expected::Any)
    }

    /// Makes `snapshot` the latest one of its user if what is there is what the
    /// caller expects, and returns the revision of this write. As
    /// [`HistoryMap::insert_if`](crate::HistoryMap::insert_if).
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] with the revision
    /// that is there if it is another one; then nothing has changed. Otherwise
    /// those of [`insert`](Self::insert).
    ///
    /// ```
    /// use attuned_store::{Expected, MemoryStore, StateSnapshot, StoreError};
    ///
    /// let store = MemoryStore::default();
    /// let ada = StateSnapshot::builder().user_id("ada").build()?;
    /// let first = store.insert_if(ada.clone(), Expected::Absent)?;
    /// let second = store.insert_if(ada.clone(), Expected::At(first))?;
    /// let late = store.insert_if(ada, Expected::At(first));
    /// assert!(matches!(late, Err(StoreError::Conflict { actual: Some(a), .. }) if a == second));
    /// # Ok::<(), StoreError>(())
    /// ```
    pub fn insert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        let (user_id, state) = snapshot.into_parts();
        self.users()
            .insert_owned(&user_id, || user_id.clone(), state, expected)
            .map_err(|error| StoreError::of_map(error, &user_id))
    }

    /// Replaces the latest state of a user by one made from it, atomically.
    /// Returns what was written.
    ///
    /// `change` gets the latest state, or `None` if there is none. It returns the builder of
    /// the new one, or `None` to leave things as they are, and then `None` is returned. It may
    /// run several times, as by [`HistoryMap::update`](crate::HistoryMap::update). A user id
    /// given to the builder is ignored.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUserId`];
    /// [`StoreError::InvalidSnapshot`] if the
    /// builder does not make a state; and those of [`insert`](Self::insert).
    ///
    /// ```
    /// use attuned_store::{MemoryStore, State, StoreError};
    ///
    /// let store = MemoryStore::default();
    /// for _ in 0..3 {
    ///     store.update("ada", |current| {
    ///         let visits = current.map_or(0.0, |state| state.get_axis("visits"));
    ///         State::builder().axis("visits", visits + 0.25)
    ///     })?;
    /// }
    /// assert_eq!(store.with("ada", |state| state.get_axis("visits")), Some(0.75));
    /// # Ok::<(), StoreError>(())
    /// ```
    pub fn update<R>(
        &self,
        user_id: &str,
        mut change: impl FnMut(Option<&State>) -> R,
    ) -> Result<Option<Versioned<State>>>
    where
        R: Into<Option<StateSnapshotBuilder>>,
    {
        validate_user_id(user_id)?;
        self.update_if(user_id, Expected::Any, |current| {
            change(current.map(|(state, _)| state)).into()
        })
    }

    /// As [`update`](Self::update), of an id that is valid, on a condition.
    fn update_if(
        &self,
        user_id: &str,
        expected: Expected,
        mut change: impl FnMut(Option<(&State, Revision)>) -> Option<StateSnapshotBuilder>,
    ) -> Result<Option<Versioned<State>>> {
        let mut invalid = None;
        let updated = self.users().update_if(user_id, expected, |current| {
            invalid = None;
            change(current)?
                .build_state()
                .map_err(|error| invalid = Some(error))
                .ok()
        });
        match invalid {
            Some(error) => Err(error.into()),
            None => updated.map_err(|error| StoreError::of_map(error, user_id)),
        }
    }

    /// Makes the changes of a [`Patch`] in a user's latest state and leaves the other axes,
    /// atomically like [`update`](Self::update). [`Patch`] documents the rule: explicit
    /// values win. Patching nobody makes a user, of the values that the patch sets.
    ///
    /// The id and the patch are checked before anything is looked up. Takes time linear in
    /// the number of axes of both.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUserId`]; [`StoreError::InvalidSnapshot`] if the patch breaks a
    /// rule, or leads to more than [`MAX_AXES`](crate::MAX_AXES) axes;
    /// [`StoreError::Conflict`] if what is there is not what the patch
    /// [expects](Patch::expecting); and those of [`insert`](Self::insert). Nothing has changed
    /// then.
    ///
    /// ```
    /// use attuned_store::{MemoryStore, Patch, Patched, Source};
    ///
    /// let store = MemoryStore::default();
    /// let patch = Patch::new(Source::Inferred).confidence(0.6).axis("warmth", 0.2);
    /// match store.patch("ada", &patch)? {
    ///     Patched::Written { revision, .. } => println!("written as {revision}"),
    ///     Patched::Unchanged { revision, .. } => println!("still {revision}"),
    ///     Patched::Nobody => println!("nobody, and nothing to make one of"),
    /// }
    /// # Ok::<(), attuned_store::StoreError>(())
    /// ```
    pub fn patch(&self, user_id: &str, patch: &Patch) -> Result<Patched<State>> {
        validate_user_id(user_id)?;
        let patch = patch.checked()?;
        let mut left = Patched::Nobody;
        let written = self.update_if(user_id, patch.expected, |current| {
            let changed = patch.over(current.map(|(state, _)| state));
            if changed.is_none() {
                left = current.map_or(Patched::Nobody, |(state, revision)| Patched::Unchanged {
                    value: state.clone(),
                    revision,
                });
            }
            changed
        })?;
        Ok(written.map_or(left, |written| Patched::Written {
            value: written.value,
            revision: written.revision,
        }))
    }

    /// Removes a user's latest state and history together; true if there was
    /// something to remove. As [`HistoryMap::remove`](crate::HistoryMap::remove).
    ///
    /// # Errors
    ///
    /// [`StoreError::Internal`] where [threads end](crate::HistoryMap#threads-that-end).
    pub fn remove(&self, user_id: &str) -> Result<bool> {
        self.remove_if(user_id, Expected::Any)
    }

    /// Removes a user like [`remove`](Self::remove), if what is there is what the caller
    /// expects.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] with the revision that is there if it is another one; then
    /// nothing has changed. Otherwise those of [`remove`](Self::remove).
    pub fn remove_if(&self, user_id: &str, expected: Expected) -> Result<bool> {
        self.users()
            .remove_quietly(user_id, expected)
            .map_err(|error| StoreError::of_map(error, user_id))
    }

    /// Removes each user whose latest state `keep` does not want to keep, latest and history
    /// together, and returns how many those were. As
    /// [`HistoryMap::retain`](crate::HistoryMap::retain): what is written after `keep` has
    /// decided is never lost, and a `keep` that writes the user and then rejects it is asked
    /// without end.
    ///
    /// ```
    /// # use attuned_store::{MemoryStore, StateSnapshot, StoreError};
    /// # let store = MemoryStore::default();
    /// for (id, confidence) in [("ada", 0.9), ("grace", 0.1)] {
    ///     store.insert(StateSnapshot::builder().user_id(id).confidence(confidence).build()?)?;
    /// }
    /// assert_eq!(store.retain(|_, state| state.confidence() > 0.5), 1);
    /// assert_eq!(store.user_ids(), ["ada"]);
    /// # Ok::<(), StoreError>(())
    /// ```
    pub fn retain(&self, keep: impl FnMut(&str, &State) -> bool) -> usize {
        self.users().retain(keep)
    }

    /// Removes each user whose latest state was written `age` ago or longer, latest and history
    /// together, and returns how many those were. As
    /// [`HistoryMap::expire_older_than`](crate::HistoryMap::expire_older_than): by the time of
    /// the write, not by the time in the state, and nothing is lost that is written meanwhile.
    ///
    /// ```
    /// # use attuned_store::{MemoryStore, StateSnapshot, StoreError};
    /// use std::time::Duration;
    ///
    /// # let store = MemoryStore::default();
    /// store.insert(StateSnapshot::builder().user_id("ada").updated_at(0).build()?)?;
    /// assert_eq!(store.expire_older_than(Duration::from_secs(3600)), 0);
    /// # Ok::<(), StoreError>(())
    /// ```
    pub fn expire_older_than(&self, age: Duration) -> usize {
        self.users().expire_older_than(age)
    }

    /// Takes every user out whose [time to live](crate::MemoryStoreBuilder::time_to_live) is
    /// over, and returns how many those were: 0 if the store has none. As
    /// [`HistoryMap::sweep`](crate::HistoryMap::sweep).
    pub fn sweep(&self) -> usize {
        self.users().sweep()
    }

    /// Removes all users, as by [`retain`](Self::retain) of none of them.
    pub fn clear(&self) {
        self.users().clear();
    }
}
