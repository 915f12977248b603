//! The contract of a store, and what every store gets from it.

mod error;
mod extension;
mod forward;

use std::future;
use std::pin::Pin;

use crate::revision::{Expected, Revision};
use crate::snapshot::{StateSnapshot, validate_user_id};
use crate::versioned::Versioned;

pub use self::error::{Result, StoreError};
pub use self::extension::{StateStoreExt, UPDATE_ATTEMPTS};

/// What the methods of a [`StateStore`] return: a future on the heap, because a trait
/// object cannot return futures of different types otherwise.
///
/// To call them, `.await` it. To implement them, write `async fn`s under
/// [`#[async_trait]`](crate::async_trait), which makes them into these; the lifetimes of the
/// trait's methods are those that it makes.
pub type BoxFuture<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

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
/// even when the user was deleted in between. With each goes the time of the write by the
/// backend's own clock ([`written_at`](Versioned::written_at)); in a history it never goes
/// back. A backend that has revisions has
/// [`get_latest_versioned`](Self::get_latest_versioned) and [`upsert_if`](Self::upsert_if); one
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
pub trait StateStore: Send + Sync {
    /// Makes `snapshot` the latest one of its user and the newest entry of the
    /// user's history.
    ///
    /// # Errors
    ///
    /// [`StoreError::CapacityExceeded`] if the user is new and the backend has
    /// all the users that it may have, and [`StoreError::Internal`] if it fails.
    fn upsert_latest<'s, 'f>(&'s self, snapshot: StateSnapshot) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        Self: 'f;

    /// The latest snapshot of a user, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUserId`] if `user_id` is not a user id, and
    /// [`StoreError::Internal`] if the backend fails.
    fn get_latest<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
    ) -> BoxFuture<'f, Result<Option<StateSnapshot>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f;

    /// The latest snapshot of a user and the [revision](crate::Revision) of the
    /// write that stored it, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] if the backend has no revisions, which is the
    /// default; otherwise those of [`get_latest`](Self::get_latest).
    fn get_latest_versioned<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
    ) -> BoxFuture<'f, Result<Option<Versioned<StateSnapshot>>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        let _ = user_id;
        Box::pin(future::ready(Err(StoreError::Unsupported {
            operation: "get_latest_versioned",
        })))
    }

    /// Makes `snapshot` the latest one of its user, if what is there is what the
    /// caller expects, and returns the revision of this write.
    ///
    /// The comparison and the write are one step: no other write of the user can
    /// come between them. [`Expected::Any`] compares nothing: that write is like
    /// [`upsert_latest`](Self::upsert_latest), and returns its revision.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if something else is there; then nothing has
    /// changed. [`StoreError::Unsupported`] if the backend has no conditional
    /// writes, which is the default; otherwise those of
    /// [`upsert_latest`](Self::upsert_latest).
    fn upsert_if<'s, 'f>(
        &'s self,
        snapshot: StateSnapshot,
        expected: Expected,
    ) -> BoxFuture<'f, Result<Revision>>
    where
        's: 'f,
        Self: 'f,
    {
        let _ = (snapshot, expected);
        Box::pin(future::ready(Err(StoreError::Unsupported {
            operation: "upsert_if",
        })))
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
    fn get_many<'s, 'i, 'u, 'f>(
        &'s self,
        user_ids: &'i [&'u str],
    ) -> BoxFuture<'f, Result<Vec<Option<StateSnapshot>>>>
    where
        's: 'f,
        'i: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let mut snapshots = Vec::with_capacity(user_ids.len());
            for user_id in user_ids {
                snapshots.push(self.get_latest(user_id).await?);
            }
            Ok(snapshots)
        })
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
    fn upsert_many<'s, 'f>(
        &'s self,
        snapshots: Vec<StateSnapshot>,
    ) -> BoxFuture<'f, Vec<Result<()>>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let mut results = Vec::with_capacity(snapshots.len());
            for snapshot in snapshots {
                results.push(self.upsert_latest(snapshot).await);
            }
            results
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
    fn get_history<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
        limit: usize,
    ) -> BoxFuture<'f, Result<Vec<StateSnapshot>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        let _ = limit;
        let empty = validate_user_id(user_id).map(|()| Vec::new());
        Box::pin(future::ready(empty.map_err(StoreError::from)))
    }

    /// Removes a user's latest snapshot and history together; true if there was
    /// something to remove.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] unless the backend can delete: a deletion
    /// must not silently do nothing. [`StoreError::InvalidUserId`] if `user_id`
    /// is not a user id, and [`StoreError::Internal`] if the backend fails.
    fn delete<'s, 'u, 'f>(&'s self, user_id: &'u str) -> BoxFuture<'f, Result<bool>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        let _ = user_id;
        Box::pin(future::ready(Err(StoreError::Unsupported {
            operation: "delete",
        })))
    }

    /// Whether the store can serve requests: `Ok` if it can.
    ///
    /// # Errors
    ///
    /// What keeps the store from serving.
    fn health_check<'s, 'f>(&'s self) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(future::ready(Ok(())))
    }
}
