//! What every store can do through its contract.

use super::{Result, StateStore, StoreError};
use crate::patch::Patch;
use crate::revision::{Expected, Revision};
use crate::snapshot::{Source, State, StateSnapshot, StateSnapshotBuilder};

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

    /// Replaces the latest snapshot of a user by one made from it, atomically:
    /// if another write comes between the reading and the writing, `change` is
    /// called again with what that write has left. Returns the snapshot that was written,
    /// and the revision of that write.
    ///
    /// `change` gets the latest state, or `None` if there is none. It returns
    /// the builder of the new snapshot, whose user id is set here; or `None` to
    /// leave things as they are, and then `None` is returned.
    /// [`to_builder`](State::to_builder) keeps the timestamp: set
    /// [`updated_at`](StateSnapshotBuilder::updated_at) for a new observation.
    ///
    /// It is made of [`get_latest_versioned`](StateStore::get_latest_versioned) and
    /// [`upsert_if`](StateStore::upsert_if), at most [`UPDATE_ATTEMPTS`] times,
    /// without a pause: every attempt that fails means that another write or
    /// removal of this user has succeeded.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidSnapshot`] if the builder does not make a snapshot;
    /// [`StoreError::Conflict`] if even the last attempt met another write;
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
            let mut attempt = 1;
            loop {
                let current = self.get_latest_versioned(user_id).await?;
                let changed = change(current.as_ref().map(|current| current.value.state())).into();
                let Some(changed) = changed else {
                    return Ok(None);
                };
                let snapshot = changed.user_id(user_id).build()?;
                let expected = Expected::from(current.as_ref());
                match self.upsert_if(snapshot.clone(), expected).await {
                    Err(StoreError::Conflict { .. }) if attempt < UPDATE_ATTEMPTS => attempt += 1,
                    written => {
                        return written.map(|revision| Some((snapshot, revision)));
                    }
                }
            }
        }
    }

    /// Changes the named axes of a user's latest snapshot and leaves the others,
    /// atomically like [`update_latest`](Self::update_latest). Returns what was written, or
    /// `None` if there was nothing to change.
    ///
    /// **Explicit values win.** Values of source [`SelfReport`](Source::SelfReport)
    /// override all others. Others override only what was
    /// [`Inferred`](Source::Inferred); to a snapshot that is, or may be, the
    /// user's own word, they only add the axes that it does not have. (A mixed
    /// snapshot does not say which of its axes the user reported, so none of
    /// them is overridden.) The rule is that of attuned-core 1.0.1, whose
    /// `translator` module promises not to "correct" what a user has set.
    ///
    /// Of the result,
    /// - the timestamp is the time of the call;
    /// - the source is that of both parts, or [`Mixed`](Source::Mixed) if they
    ///   differ;
    /// - the confidence is the lower one of both parts.
    ///
    /// If nothing of the former snapshot is left, or there was none, source and
    /// confidence are those of the patch.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidSnapshot`] if an axis or the confidence is invalid,
    /// and otherwise those of [`update_latest`](Self::update_latest).
    ///
    /// ```
    /// # use attuned_store::{MemoryStore, Source, StateStore, StateStoreExt, StoreError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StoreError> {
    /// let store: Box<dyn StateStore> = Box::new(MemoryStore::default());
    /// store.patch_latest("ada", &[("warmth", 0.9)], Source::SelfReport, 1.0).await?;
    /// let inferred = [("warmth", 0.2), ("formality", 0.3)];
    /// store.patch_latest("ada", &inferred, Source::Inferred, 0.6).await?;
    ///
    /// let latest = store.require_latest("ada").await?;
    /// assert!(latest.axes().eq([("formality", 0.3), ("warmth", 0.9)]));
    /// assert_eq!(latest.source(), Source::Mixed);
    /// assert_eq!(latest.confidence(), 0.6);
    /// # Ok(())
    /// # }
    /// ```
    fn patch_latest(
        &self,
        user_id: &str,
        axes: &[(&str, f32)],
        source: Source,
        confidence: f32,
    ) -> impl Future<Output = Result<Option<(StateSnapshot, Revision)>>> + Send {
        async move {
            let patch = Patch::new(user_id, axes, source, confidence)?;
            self.update_latest(user_id, |current| patch.over(current))
                .await
        }
    }
}

/// How often [`StateStoreExt::update_latest`] tries before it gives up with
/// [`StoreError::Conflict`].
pub const UPDATE_ATTEMPTS: u32 = 64;

impl<T: StateStore + ?Sized> StateStoreExt for T {}
