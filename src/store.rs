//! The contract of a store, and what every store gets from it.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Result, StateSnapshot, StoreError, Versioned};

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
/// *Snapshots* are immutable. A snapshot that a store returned is the caller's:
/// it stays as it is whatever happens in the store. Cloning it shares it.
///
/// *User ids* follow the rules of [`StateSnapshot`]. Asking with an id that
/// breaks them is an error, [`StoreError::InvalidUserId`], not an absent user.
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
    /// [`StoreError::Internal`] if the backend fails.
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
        let _ = (user_id, limit);
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
}

impl<T: StateStore + ?Sized> StateStoreExt for T {}
