//! The contract of a store, and what every store gets from it.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::patch::Patch;
use crate::{
    Expected, Result, Revision, Source, StateSnapshot, StateSnapshotBuilder, StoreError, Versioned,
    validate_user_id,
};

/// A store of each user's latest snapshot and, if it keeps one, their history.
///
/// The trait is object-safe: services hold an `Arc<dyn StateStore>` and choose
/// the backend where they start. Conveniences are in [`StateStoreExt`], which
/// every store has.
///
/// # Contract
///
/// *One user.* The operations on one user are **linearizable**: each takes
/// effect at one instant between its call and its return, and every caller on
/// every thread sees the effects in that one order. In particular
/// - what [`upsert_latest`](Self::upsert_latest) has stored is what the next
///   [`get_latest`](Self::get_latest) returns, until the next write;
/// - the latest snapshot and the newest entry of the history never disagree;
/// - after [`delete`](Self::delete) neither is there, and a later upsert starts
///   a history that has nothing of the former one.
///
/// *Several users.* Operations on different users are independent. There is no
/// order between them and no snapshot of the whole store.
///
/// *History* is newest first and ordered as the writes took effect, whatever
/// the timestamps in the snapshots say. It includes the latest snapshot, has no
/// gaps, and is at most as long as the backend's bound; beyond that the oldest
/// entry is evicted. A backend that keeps none returns an empty history.
///
/// *Revisions* belong to the writes of one user, in the order in which they took
/// effect: each is greater than all before it, and none is ever used again, not
/// even when the user was deleted in between. A backend that has them has
/// [`get_versioned`](Self::get_versioned) and [`upsert_if`](Self::upsert_if); one
/// that has not says [`Unsupported`](StoreError::Unsupported).
///
/// *Conditional writes* compare and write in one step. Of several that expect the
/// same revision, one succeeds; the others fail with
/// [`Conflict`](StoreError::Conflict) and tell which revision was there.
///
/// *Batches* are no transactions: each user in them is read or written on its own.
///
/// *Snapshots* are immutable. A snapshot that a store returned is the caller's:
/// it stays as it is whatever happens in the store. Cloning it shares it.
///
/// *User ids* follow the rules of [`StateSnapshot`]. Asking with an id that
/// breaks them is an error, [`StoreError::InvalidUserId`], not an absent user.
///
/// *Bounds.* A backend may bound its number of users; then a new one beyond it is
/// refused with [`CapacityExceeded`](StoreError::CapacityExceeded), and those who
/// are there go on.
///
/// *Errors.* A call that fails has changed nothing, except that an
/// [`Internal`](StoreError::Internal) error of a remote backend can mean that
/// the outcome is not known.
///
/// *Cancellation.* Nothing happens before the future is polled. Dropping an
/// unfinished future leaves the operation either undone or done, never in part.
///
/// # Implementing a backend
///
/// Two methods are enough:
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
/// use attuned_store::{async_trait, Result, StateSnapshot, StateStore};
///
/// #[derive(Default)]
/// struct MutexStore(Mutex<HashMap<String, StateSnapshot>>);
///
/// #[async_trait]
/// impl StateStore for MutexStore {
///     async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
///         let mut users = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
///         users.insert(snapshot.user_id().to_owned(), snapshot);
///         Ok(())
///     }
///
///     async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
///         attuned_store::validate_user_id(user_id)?;
///         let users = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
///         Ok(users.get(user_id).cloned())
///     }
/// }
/// # let _: Box<dyn StateStore> = Box::new(MutexStore::default());
/// ```
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Makes `snapshot` the latest one of its user and the newest entry of the
    /// user's history.
    ///
    /// # Errors
    ///
    /// [`StoreError::CapacityExceeded`] if the user is new and the backend has
    /// all the users that it may have, and [`StoreError::Internal`] if it fails.
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()>;

    /// The latest snapshot of a user, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUserId`] if `user_id` is not a user id, and
    /// [`StoreError::Internal`] if the backend fails.
    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>>;

    /// The latest snapshot of a user and the [revision](crate::Revision) of the
    /// write that stored it, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] if the backend has no revisions, which is the
    /// default; otherwise those of [`get_latest`](Self::get_latest).
    async fn get_versioned(&self, user_id: &str) -> Result<Option<Versioned>> {
        let _ = user_id;
        Err(StoreError::Unsupported {
            operation: "get_versioned",
        })
    }

    /// Makes `snapshot` the latest one of its user, if what is there is what the
    /// caller expects, and returns the revision of this write.
    ///
    /// The comparison and the write are one step: no other write of the user can
    /// come between them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if something else is there; then nothing has
    /// changed. [`StoreError::Unsupported`] if the backend has no conditional
    /// writes, which is the default; otherwise those of
    /// [`upsert_latest`](Self::upsert_latest).
    async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        let _ = (snapshot, expected);
        Err(StoreError::Unsupported {
            operation: "upsert_if",
        })
    }

    /// The latest snapshots of several users, in the order of `user_ids`.
    ///
    /// Each is read as by [`get_latest`](Self::get_latest), which is what the
    /// default does, one after the other: there is no common instant at which
    /// all of them were the latest. Remote backends make one round trip of it.
    ///
    /// # Errors
    ///
    /// Those of [`get_latest`](Self::get_latest), for the first id that has one.
    async fn get_many(&self, user_ids: &[&str]) -> Result<Vec<Option<StateSnapshot>>> {
        let mut snapshots = Vec::with_capacity(user_ids.len());
        for user_id in user_ids {
            snapshots.push(self.get_latest(user_id).await?);
        }
        Ok(snapshots)
    }

    /// Stores several snapshots, and tells of each, in their order, whether it
    /// was stored.
    ///
    /// Each is written as by [`upsert_latest`](Self::upsert_latest), which is
    /// what the default does, one after the other: several of one user take
    /// effect in their order, one that fails does not keep the others from being
    /// stored, and a call that is cancelled may have stored some of them.
    ///
    /// # Errors
    ///
    /// In the place of each snapshot that was not stored, those of
    /// [`upsert_latest`](Self::upsert_latest).
    async fn upsert_many(&self, snapshots: Vec<StateSnapshot>) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(snapshots.len());
        for snapshot in snapshots {
            results.push(self.upsert_latest(snapshot).await);
        }
        results
    }

    /// The newest snapshots of a user, newest first, the latest included; at
    /// most `limit` entries.
    ///
    /// Empty if there are none or the backend keeps no history, which is the
    /// default.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUserId`] if `user_id` is not a user id, and
    /// [`StoreError::Internal`] if the backend fails.
    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        let _ = limit;
        validate_user_id(user_id)?;
        Ok(vec![])
    }

    /// Removes a user's latest snapshot and history together; true if there was
    /// something to remove.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] unless the backend can delete: a deletion
    /// must not silently do nothing. [`StoreError::InvalidUserId`] if `user_id`
    /// is not a user id, and [`StoreError::Internal`] if the backend fails.
    async fn delete(&self, user_id: &str) -> Result<bool> {
        let _ = user_id;
        Err(StoreError::Unsupported {
            operation: "delete",
        })
    }

    /// Whether the store can serve requests: `Ok` if it can.
    ///
    /// # Errors
    ///
    /// What keeps the store from serving.
    async fn health_check(&self) -> Result<()> {
        Ok(())
    }
}

/// What `#[async_trait]` makes of an `async fn`.
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

// The pointers hand on the future of what they point to. As `async fn`s they
// would box a second future around it, at every call through an `Arc<dyn …>`:
// the method that is found there is the one of `Arc`.
macro_rules! forward_to_target {
    ($($pointer:ty),*) => {$(
        // A method that is added to the trait and forgotten here would fall
        // back to its default behind every pointer.
        #[deny(clippy::missing_trait_methods)]
        impl<T: StateStore + ?Sized> StateStore for $pointer {
            fn upsert_latest<'s, 'async_trait>(
                &'s self,
                snapshot: StateSnapshot,
            ) -> BoxFuture<'async_trait, Result<()>>
            where
                's: 'async_trait,
                Self: 'async_trait,
            {
                (**self).upsert_latest(snapshot)
            }

            fn get_latest<'s, 'u, 'async_trait>(
                &'s self,
                user_id: &'u str,
            ) -> BoxFuture<'async_trait, Result<Option<StateSnapshot>>>
            where
                's: 'async_trait,
                'u: 'async_trait,
                Self: 'async_trait,
            {
                (**self).get_latest(user_id)
            }

            fn get_versioned<'s, 'u, 'async_trait>(
                &'s self,
                user_id: &'u str,
            ) -> BoxFuture<'async_trait, Result<Option<Versioned>>>
            where
                's: 'async_trait,
                'u: 'async_trait,
                Self: 'async_trait,
            {
                (**self).get_versioned(user_id)
            }

            fn upsert_if<'s, 'async_trait>(
                &'s self,
                snapshot: StateSnapshot,
                expected: Expected,
            ) -> BoxFuture<'async_trait, Result<Revision>>
            where
                's: 'async_trait,
                Self: 'async_trait,
            {
                (**self).upsert_if(snapshot, expected)
            }

            fn get_many<'s, 'i, 'u, 'async_trait>(
                &'s self,
                user_ids: &'i [&'u str],
            ) -> BoxFuture<'async_trait, Result<Vec<Option<StateSnapshot>>>>
            where
                's: 'async_trait,
                'i: 'async_trait,
                'u: 'async_trait,
                Self: 'async_trait,
            {
                (**self).get_many(user_ids)
            }

            fn upsert_many<'s, 'async_trait>(
                &'s self,
                snapshots: Vec<StateSnapshot>,
            ) -> BoxFuture<'async_trait, Vec<Result<()>>>
            where
                's: 'async_trait,
                Self: 'async_trait,
            {
                (**self).upsert_many(snapshots)
            }

            fn get_history<'s, 'u, 'async_trait>(
                &'s self,
                user_id: &'u str,
                limit: usize,
            ) -> BoxFuture<'async_trait, Result<Vec<StateSnapshot>>>
            where
                's: 'async_trait,
                'u: 'async_trait,
                Self: 'async_trait,
            {
                (**self).get_history(user_id, limit)
            }

            fn delete<'s, 'u, 'async_trait>(
                &'s self,
                user_id: &'u str,
            ) -> BoxFuture<'async_trait, Result<bool>>
            where
                's: 'async_trait,
                'u: 'async_trait,
                Self: 'async_trait,
            {
                (**self).delete(user_id)
            }

            fn health_check<'s, 'async_trait>(&'s self) -> BoxFuture<'async_trait, Result<()>>
            where
                's: 'async_trait,
                Self: 'async_trait,
            {
                (**self).health_check()
            }
        }
    )*};
}

forward_to_target!(&T, Box<T>, Arc<T>);

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
    /// called again with what that write has left. Returns what was written.
    ///
    /// `change` gets the latest snapshot, or `None` if there is none. It returns
    /// the builder of the new snapshot, whose user id is set here; or `None` to
    /// leave things as they are, and then `None` is returned.
    /// [`to_builder`](StateSnapshot::to_builder) keeps the timestamp: set
    /// [`updated_at`](StateSnapshotBuilder::updated_at) for a new observation.
    ///
    /// It is made of [`get_versioned`](StateStore::get_versioned) and
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
    ///         .update("ada", |current| {
    ///             let visits = current.map_or(0.0, |snapshot| snapshot.get_axis("visits"));
    ///             StateSnapshot::builder().axis("visits", visits + 0.25)
    ///         })
    ///         .await?;
    /// }
    /// assert_eq!(store.require_latest("ada").await?.get_axis("visits"), 0.75);
    /// # Ok(())
    /// # }
    /// ```
    fn update<C, R>(
        &self,
        user_id: &str,
        mut change: C,
    ) -> impl Future<Output = Result<Option<Versioned>>> + Send
    where
        C: FnMut(Option<&StateSnapshot>) -> R + Send,
        R: Into<Option<StateSnapshotBuilder>>,
    {
        async move {
            let mut attempt = 1;
            loop {
                let current = self.get_versioned(user_id).await?;
                let changed = change(current.as_ref().map(|current| &current.snapshot)).into();
                let Some(changed) = changed else {
                    return Ok(None);
                };
                let snapshot = changed.user_id(user_id).build()?;
                let expected = Expected::unchanged(current.as_ref());
                match self.upsert_if(snapshot.clone(), expected).await {
                    Err(StoreError::Conflict { .. }) if attempt < UPDATE_ATTEMPTS => attempt += 1,
                    written => {
                        return written.map(|revision| Some(Versioned::new(snapshot, revision)));
                    }
                }
            }
        }
    }

    /// Changes the named axes of a user's latest snapshot and leaves the others,
    /// atomically like [`update`](Self::update). Returns what was written, or
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
    /// and otherwise those of [`update`](Self::update).
    ///
    /// ```
    /// # use attuned_store::{MemoryStore, Source, StateStore, StateStoreExt, StoreError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StoreError> {
    /// let store: Box<dyn StateStore> = Box::new(MemoryStore::default());
    /// store.patch("ada", &[("warmth", 0.9)], Source::SelfReport, 1.0).await?;
    /// let inferred = [("warmth", 0.2), ("formality", 0.3)];
    /// store.patch("ada", &inferred, Source::Inferred, 0.6).await?;
    ///
    /// let latest = store.require_latest("ada").await?;
    /// assert!(latest.axes().eq([("formality", 0.3), ("warmth", 0.9)]));
    /// assert_eq!(latest.source(), Source::Mixed);
    /// assert_eq!(latest.confidence(), 0.6);
    /// # Ok(())
    /// # }
    /// ```
    fn patch(
        &self,
        user_id: &str,
        axes: &[(&str, f32)],
        source: Source,
        confidence: f32,
    ) -> impl Future<Output = Result<Option<Versioned>>> + Send {
        async move {
            let patch = Patch::new(user_id, axes, source, confidence)?;
            self.update(user_id, |current| patch.over(current)).await
        }
    }
}

/// How often [`StateStoreExt::update`] tries before it gives up with
/// [`StoreError::Conflict`].
pub const UPDATE_ATTEMPTS: u32 = 64;

impl<T: StateStore + ?Sized> StateStoreExt for T {}
