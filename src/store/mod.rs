//! The contract of a store, and what every store gets from it.

mod error;
mod extension;
mod forward;
mod refusal;

use std::future;
use std::pin::Pin;

use futures_core::Stream;

use self::refusal::Refusal;
use crate::range::{AsOf, VersionRange};
use crate::revision::{Expected, Revision};
use crate::snapshot::{StateSnapshot, validate_user_id};
use crate::timestamp::Timestamp;
use crate::versioned::Versioned;
use crate::watch::{AnyEvent, Event, Watch};

pub use self::error::{Result, StoreError};
pub use self::extension::{StateStoreExt, UPDATE_ATTEMPTS};

/// What the methods of a [`StateStore`] return: a future on the heap, because a trait
/// object cannot return futures of different types otherwise.
///
/// To call them, `.await` it. To implement them, write `async fn`s under
/// [`#[async_trait]`](crate::async_trait), which makes them into these; the lifetimes of the
/// trait's methods are those that it makes.
pub type BoxFuture<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

/// What [`StateStore::list`] returns: a stream on the heap, for the same reason.
///
/// `Stream` is that of the crate [futures-core](https://docs.rs/futures-core), which the
/// crates of streams have in common. To read one, use `StreamExt` or `TryStreamExt` of
/// [futures-util](https://docs.rs/futures-util): with the latter in scope,
/// `while let Some(user_id) = users.try_next().await?`.
pub type BoxStream<'s, T> = Pin<Box<dyn Stream<Item = T> + Send + 's>>;

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
/// *Conditional writes and removals* compare and act in one step. Of several that expect the
/// same revision, one succeeds; the others fail with
/// [`Conflict`](StoreError::Conflict) and tell which revision was there.
///
/// *Reads of the past*, [`get_versions`](Self::get_versions) and
/// [`get_as_of`](Self::get_as_of), are parts of the history at one instant, with the revision
/// and the time of each write. A backend that keeps no history reads the latest snapshot
/// alone.
///
/// *Listing* all users is no view of one instant: see [`list`](Self::list).
///
/// *Watches* give what is the latest, and go on with what becomes the latest after each
/// change. Several changes can be given as one, the last. A watch never goes back and never
/// ends with less than the newest: when the changes have stopped, its last event is what is
/// there. An event comes at the latest when all changes that had begun before its own returned
/// have returned, too.
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
/// [`Unavailable`](StoreError::Unavailable) or [`Internal`](StoreError::Internal) error of a
/// remote backend can mean that the outcome is not known. Each method can fail with these
/// two; that is not repeated below. No error shows a
/// [whole user id](StoreError#user-ids).
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
    /// all the users that it may have.
    fn upsert_latest<'s, 'f>(&'s self, snapshot: StateSnapshot) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        Self: 'f;

    /// The latest snapshot of a user, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUserId`] if `user_id` is not a user id.
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
    /// [`StoreError::InvalidUserId`] if `user_id` is not a user id.
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
    /// is not a user id.
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

    /// Removes a user like [`delete`](Self::delete), if what is there is what the caller
    /// expects.
    ///
    /// The comparison and the removal are one step: no write of the user can come between
    /// them. [`Expected::Any`] compares nothing. [`Expected::Absent`] removes nothing: it is
    /// `false` if there is nobody, and a conflict otherwise.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if something else is there; then nothing has changed.
    /// [`StoreError::Unsupported`] if the backend has no conditional removals, which is the
    /// default; otherwise those of [`delete`](Self::delete).
    ///
    /// ```
    /// use attuned_store::{Expected, MemoryStore, StateSnapshot, StateStore, StoreError};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StoreError> {
    /// let store: Box<dyn StateStore> = Box::new(MemoryStore::default());
    /// let ada = StateSnapshot::builder().user_id("ada").build()?;
    /// let first = store.upsert_if(ada.clone(), Expected::Absent).await?;
    /// let second = store.upsert_if(ada, Expected::At(first)).await?;
    ///
    /// let late = store.delete_if("ada", Expected::At(first)).await;
    /// assert!(matches!(late, Err(StoreError::Conflict { .. })));
    /// assert!(store.delete_if("ada", Expected::At(second)).await?);
    /// # Ok(())
    /// # }
    /// ```
    fn delete_if<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
        expected: Expected,
    ) -> BoxFuture<'f, Result<bool>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        let _ = (user_id, expected);
        Box::pin(future::ready(Err(StoreError::Unsupported {
            operation: "delete_if",
        })))
    }

    /// The kept snapshots of a user that are in `range`, in its order, each with the
    /// revision and the time of its write. Empty if there are none.
    ///
    /// A backend that keeps no history has the latest snapshot alone. Versions that have left
    /// the history are [left out without a sign](VersionRange#what-is-missing).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] if the backend cannot read the past, which is the default;
    /// otherwise those of [`get_latest`](Self::get_latest).
    ///
    /// ```
    /// use attuned_store::{Expected, MemoryStore, StateSnapshot, StateStore, VersionRange};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store: Box<dyn StateStore> = Box::new(MemoryStore::builder().history(10).build()?);
    /// let ada = |warmth| StateSnapshot::builder().user_id("ada").axis("warmth", warmth).build();
    /// let first = store.upsert_if(ada(0.2)?, Expected::Any).await?;
    /// store.upsert_latest(ada(0.4)?).await?;
    /// store.upsert_latest(ada(0.6)?).await?;
    ///
    /// let changes = VersionRange::all().after(first).oldest_first();
    /// let changes = store.get_versions("ada", changes).await?;
    /// let warmth: Vec<f32> = changes.iter().map(|v| v.value.get_axis("warmth")).collect();
    /// assert_eq!(warmth, [0.4, 0.6]);
    /// # Ok(())
    /// # }
    /// ```
    fn get_versions<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
        range: VersionRange,
    ) -> BoxFuture<'f, Result<Vec<Versioned<StateSnapshot>>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        let _ = (user_id, range);
        Box::pin(future::ready(Err(StoreError::Unsupported {
            operation: "get_versions",
        })))
    }

    /// What was the latest snapshot of a user at this time: the last one whose
    /// [`written_at`](Versioned::written_at) is not later.
    ///
    /// [`AsOf`] tells a user who was not there from one whose snapshots of that time have
    /// left the history. Of a deleted user nothing is known.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] if the backend cannot read the past, which is the default;
    /// otherwise those of [`get_latest`](Self::get_latest).
    ///
    /// ```
    /// use attuned_store::{AsOf, MemoryStore, StateSnapshot, StateStore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store: Box<dyn StateStore> = Box::new(MemoryStore::builder().history(10).build()?);
    /// store.upsert_latest(StateSnapshot::builder().user_id("ada").build()?).await?;
    /// let first = store.get_latest_versioned("ada").await?.expect("it was written");
    ///
    /// let written_at = first.written_at;
    /// assert_eq!(store.get_as_of("ada", written_at.into()).await?, AsOf::Was(first));
    /// let before = store.get_as_of("ada", (written_at - 1).into()).await?;
    /// assert_eq!(before, AsOf::NotThere);
    /// # Ok(())
    /// # }
    /// ```
    fn get_as_of<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
        time: Timestamp,
    ) -> BoxFuture<'f, Result<AsOf<StateSnapshot>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        let _ = (user_id, time);
        Box::pin(future::ready(Err(StoreError::Unsupported {
            operation: "get_as_of",
        })))
    }

    /// The ids of all users, in no order.
    ///
    /// A user who is there from the first poll of the stream to its end is given exactly
    /// once. One who comes or goes meanwhile may be given or may not be; one who goes and
    /// comes back may be given twice. While users arrive faster than the stream gives ids, it
    /// may not end. The memory that it takes is bounded, however many users there are. It may
    /// be dropped at any time.
    ///
    /// The stream borrows the store. To read it in a task of its own, move an `Arc` of the
    /// store into the task and call `list` there.
    ///
    /// # Errors
    ///
    /// In the place of an id, [`StoreError::Unsupported`] if the backend cannot list its
    /// users: that is all the default gives. The stream ends after an error.
    ///
    /// ```
    /// use attuned_store::{MemoryStore, StateSnapshot, StateStore};
    /// use futures_util::TryStreamExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), attuned_store::StoreError> {
    /// let store: Box<dyn StateStore> = Box::new(MemoryStore::default());
    /// for id in ["ada", "grace"] {
    ///     store.upsert_latest(StateSnapshot::builder().user_id(id).build()?).await?;
    /// }
    /// let mut users = store.list();
    /// while let Some(user_id) = users.try_next().await? {
    ///     println!("{user_id}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn list(&self) -> BoxStream<'_, Result<String>> {
        Box::pin(Refusal::of("list"))
    }

    /// Watches a user, whether or not they are there: first what is the latest now, then what
    /// it is after each change.
    ///
    /// The watch does not borrow the store, and ends when the store is gone. Drop it to end
    /// it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] if the backend cannot tell of changes, which is the
    /// default; [`StoreError::InvalidUserId`] if `user_id` is not a user id.
    ///
    /// ```
    /// # use attuned_store::{Event, MemoryStore, StateSnapshot, StateStore, StoreError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StoreError> {
    /// let store = MemoryStore::default();
    /// let mut watch = store.watch("ada").await?;
    /// store.upsert_latest(StateSnapshot::builder().user_id("ada").build()?).await?;
    /// match watch.next().await {
    ///     Some(Event::Put(latest)) => assert_eq!(latest.value.user_id(), "ada"),
    ///     other => unreachable!("{other:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn watch<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
    ) -> BoxFuture<'f, Result<Watch<Event<StateSnapshot>>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        let _ = user_id;
        Box::pin(future::ready(Err(StoreError::Unsupported {
            operation: "watch",
        })))
    }

    /// Watches all users, those who are there and those to come.
    ///
    /// First all that is there, in no order; then [`AnyEvent::CaughtUp`]; then what changes. Before
    /// it has caught up, a backend on a log may tell older states of a user, too.
    /// Of each user the events are like those of [`watch`](Self::watch), in the order of their
    /// revisions; between users there is no order. A slow consumer costs memory in the number
    /// of users, however much is written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] if the backend cannot tell of changes, which is the
    /// default.
    fn watch_all<'s, 'f>(&'s self) -> BoxFuture<'f, Result<Watch<AnyEvent<StateSnapshot>>>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(future::ready(Err(StoreError::Unsupported {
            operation: "watch_all",
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
