//! What every store can do through its contract.

use super::{Result, StateStore, StoreError};
use crate::patch::{Patch, Patched};
use crate::range::VersionRange;
use crate::revision::{Expected, Revision};
use crate::snapshot::{State, StateSnapshot, StateSnapshotBuilder, validate_user_id};
use crate::versioned::Versioned;

/// What can be done with any [`StateStore`] through its contract.
///
/// ```
/// use attuned_store::{MemoryStore, StateStore, StateStoreExt, StoreError};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store: Box<dyn StateStore> = Box::new(MemoryStore::default());
/// let error = store.require_latest("ada").await.unwrap_err();
/// assert!(matches!(error, StoreError::UserNotFound { user_id } if user_id == "ada"));
/// # });
/// ```
pub trait StateStoreExt: StateStore {
    /// The latest snapshot of a user who must have one.
    ///
    /// # Errors
    ///
    /// [`StoreError::UserNotFound`] if the user has none, and all the errors of
    /// [`get_latest`](StateStore::get_latest).
    fn require_latest(&self, user_id: &str) -> impl Future<Output = Result<StateSnapshot>> + Send {
        async move {
            self.get_latest(user_id)
                .await?
                .ok_or_else(|| StoreError::UserNotFound {
                    user_id: user_id.to_owned(),
                })
        }
    }

    /// The snapshot that the write of this revision stored, or `None` if the user has none
    /// of it: it has left the history, the user was deleted since, or it never was.
    ///
    /// # Errors
    ///
    /// Those of [`get_versions`](StateStore::get_versions), of which it is made.
    ///
    /// ```
    /// # use attuned_store::{Expected, MemoryStore, StateSnapshot, StateStore, StateStoreExt};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store: Box<dyn StateStore> = Box::new(MemoryStore::builder().history(2).build()?);
    /// let ada = StateSnapshot::builder().user_id("ada").build()?;
    /// let first = store.upsert_if(ada.clone(), Expected::Any).await?;
    /// store.upsert_latest(ada.clone()).await?;
    /// assert_eq!(store.get_at("ada", first).await?.map(|found| found.revision), Some(first));
    ///
    /// store.upsert_latest(ada).await?;
    /// assert!(store.get_at("ada", first).await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    fn get_at(
        &self,
        user_id: &str,
        revision: Revision,
    ) -> impl Future<Output = Result<Option<Versioned<StateSnapshot>>>> + Send {
        async move {
            let found = self.get_versions(user_id, VersionRange::at(revision));
            Ok(found.await?.into_iter().next())
        }
    }

    /// Replaces the latest snapshot of a user by one made from it, atomically:
    /// if another write comes between the reading and the writing, `change` is
    /// called again with what that write has left. Returns the snapshot that was written,
    /// and the revision of that write.
    ///
    /// `change` gets the latest state, or `None` if there is none. It returns
    /// the builder of the new snapshot, whose user id is set here; or `None` to
    /// leave things as they are, and then `None` is returned.
    ///
    /// It is made of [`get_latest_versioned`](StateStore::get_latest_versioned) and
    /// [`upsert_if`](StateStore::upsert_if), at most [`UPDATE_ATTEMPTS`] times,
    /// without a pause: every attempt that fails means that another write or
    /// removal of this user has succeeded.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUserId`]; [`StoreError::InvalidSnapshot`] if the builder does not
    /// make a snapshot; [`StoreError::Conflict`] if even the last attempt met another write;
    /// [`StoreError::Unsupported`] if the backend has no conditional writes; and
    /// the errors of the two methods. Nothing has changed then, as far as the
    /// contract says so of errors.
    ///
    /// ```
    /// # use attuned_store::{MemoryStore, StateSnapshot, StateStore, StateStoreExt, StoreError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StoreError> {
    /// let store: Box<dyn StateStore> = Box::new(MemoryStore::default());
    /// for _ in 0..3 {
    ///     store
    ///         .update_latest("ada", |current| {
    ///             let visits = current.map_or(0.0, |state| state.get_axis("visits"));
    ///             StateSnapshot::builder().axis("visits", visits + 0.25)
    ///         })
    ///         .await?;
    /// }
    /// assert_eq!(store.require_latest("ada").await?.get_axis("visits"), 0.75);
    /// # Ok(())
    /// # }
    /// ```
    fn update_latest<C, R>(
        &self,
        user_id: &str,
        mut change: C,
    ) -> impl Future<Output = Result<Option<(StateSnapshot, Revision)>>> + Send
    where
        C: FnMut(Option<&State>) -> R + Send,
        R: Into<Option<StateSnapshotBuilder>>,
    {
        async move {
            let change = |current: Option<&State>| change(current).into();
            let updated = update_if(self, user_id, Expected::Any, change).await?;
            Ok(match updated {
                Patched::Written { value, revision } => Some((value, revision)),
                Patched::Unchanged { .. } | Patched::Nobody => None,
            })
        }
    }

    /// Makes the changes of a [`Patch`] in a user's latest snapshot and leaves the other
    /// axes, atomically like [`update_latest`](Self::update_latest). [`Patch`] documents the
    /// rule: explicit values win. Patching nobody makes a user, of the values that the patch
    /// sets.
    ///
    /// The id and the patch are checked before the backend is asked for anything.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUserId`]; [`StoreError::InvalidSnapshot`] if the patch breaks a
    /// rule, or leads to more than [`MAX_AXES`](crate::MAX_AXES) axes;
    /// [`StoreError::Conflict`] if what is there is not what the patch
    /// [expects](Patch::expecting); and otherwise those of
    /// [`update_latest`](Self::update_latest).
    ///
    /// ```
    /// # use attuned_store::{
    /// #     MemoryStore, Patch, Patched, Source, StateStore, StateStoreExt, StoreError,
    /// # };
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StoreError> {
    /// let store: Box<dyn StateStore> = Box::new(MemoryStore::default());
    /// store.patch_latest("ada", &Patch::new(Source::SelfReport).axis("warmth", 0.9)).await?;
    ///
    /// let inferred = Patch::new(Source::Inferred)
    ///     .confidence(0.6)
    ///     .axes([("warmth", 0.2), ("formality", 0.3)]);
    /// match store.patch_latest("ada", &inferred).await? {
    ///     Patched::Written { value, .. } => {
    ///         assert!(value.axes().eq([("formality", 0.3), ("warmth", 0.9)]));
    ///         assert_eq!(value.source(), Source::Mixed);
    ///         assert_eq!(value.confidence(), 0.6);
    ///     }
    ///     outcome => panic!("{outcome:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn patch_latest(
        &self,
        user_id: &str,
        patch: &Patch,
    ) -> impl Future<Output = Result<Patched<StateSnapshot>>> + Send {
        async move {
            validate_user_id(user_id)?;
            let patch = patch.checked()?;
            update_if(self, user_id, patch.expected, |current| patch.over(current)).await
        }
    }
}

/// [`StateStoreExt::update_latest`] on a condition.
async fn update_if<T: StateStore + ?Sized>(
    store: &T,
    user_id: &str,
    expected: Expected,
    mut change: impl FnMut(Option<&State>) -> Option<StateSnapshotBuilder> + Send,
) -> Result<Patched<StateSnapshot>> {
    let mut attempt = 1;
    loop {
        let current = store.get_latest_versioned(user_id).await?;
        let actual = current.as_ref().map(|current| current.revision);
        if !expected.is_met_by(actual) {
            return Err(StoreError::Conflict {
                user_id: user_id.to_owned(),
                expected,
                actual,
            });
        }
        let Some(changed) = change(current.as_ref().map(|current| current.value.state())) else {
            return Ok(
                current.map_or(Patched::Nobody, |current| Patched::Unchanged {
                    value: current.value,
                    revision: current.revision,
                }),
            );
        };
        let snapshot = changed.user_id(user_id).build()?;
        match store.upsert_if(snapshot.clone(), actual.into()).await {
            // With a condition the next look tells whether it still holds.
            Err(StoreError::Conflict { .. }) if attempt < UPDATE_ATTEMPTS => attempt += 1,
            written => {
                return written.map(|revision| Patched::Written {
                    value: snapshot,
                    revision,
                });
            }
        }
    }
}

/// How often [`StateStoreExt::update_latest`] and [`StateStoreExt::patch_latest`] try before
/// they give up with [`StoreError::Conflict`].
pub const UPDATE_ATTEMPTS: u32 = 64;

impl<T: StateStore + ?Sized> StateStoreExt for T {}
