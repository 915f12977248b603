//! The in-memory backend: a map of states behind the contract.

mod batch;
mod config;
mod contract;
#[cfg(feature = "checkpoint")]
mod handles;
pub(crate) mod listing;
pub(crate) mod spans;
#[cfg(feature = "sweep")]
mod sweep;
mod write;

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::map::{DefaultHashBuilder, HistoryMap, Mirrored, Stats, View};
use crate::range::{AsOf, VersionRange};
use crate::snapshot::State;
use crate::timestamp::Timestamp;
use crate::versioned::Versioned;

pub use self::config::{MemoryStoreBuilder, MemoryStoreConfig};
#[cfg(feature = "checkpoint")]
pub(crate) use self::handles::{Portion, Restorer, WeakStore};
pub use self::spans::UserIdField;

/// Keeps the state of each user in memory.
///
/// It is a [`HistoryMap`] of [`State`]s behind the contract [`StateStore`](crate::StateStore).
/// Cloning a `MemoryStore` shares it: all clones see the same users.
///
/// ```
/// use attuned_store::{MemoryStore, StateSnapshot};
///
/// let store = MemoryStore::builder().history(10).build()?;
/// for warmth in [0.2, 0.4, 0.6] {
///     store.insert(StateSnapshot::builder().user_id("ada").axis("warmth", warmth).build()?)?;
/// }
///
/// let warmth = store.with("ada", |state| state.get_axis("warmth"));
/// assert_eq!(warmth, Some(0.6));
/// let history = store.history("ada", 2);
/// let history: Vec<f32> = history.iter().map(|entry| entry.value.get_axis("warmth")).collect();
/// assert_eq!(history, [0.6, 0.4]);
///
/// assert!(store.remove("ada")?);
/// assert!(store.get("ada").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Two interfaces
///
/// The methods here are synchronous, and have the names of those of [`HistoryMap`]: `get`,
/// `insert`, `remove`. They give states, since the caller knows the user id. The methods
/// of the contract are asynchronous, and have names of their own: `get_latest`,
/// `upsert_latest`, `delete`. They give snapshots, and each runs in a tracing span. What
/// they do is the same. A call through the contract costs a boxed future more. None of their
/// futures waits for anything; the batches `get_many` and `upsert_many` let other tasks of
/// the executor go first after each 128 entries, so that a large batch does not hold up a
/// worker.
///
/// # Listing
///
/// [`list`](crate::StateStore::list) gives the ids of all users in bounded memory. It passes
/// over the whole store once for each 262,144 users that are there, at most 32 times, and each
/// time collects the ids of one part of them: 24 bytes each, whatever their length, and up to as
/// much again. Up to 8 million users that is at most some 13 MB, with more of them at most
/// 1.5 bytes per user. Nothing is pinned while the consumer waits for
/// something else. An id that was collected stays in memory until it is given or the listing
/// is dropped, also if its user is deleted meanwhile.
///
/// A pass costs what [`for_each`](Self::for_each) costs, and a hash of each id: some tenths of
/// a second for a million users. A million users are 4 passes, eight million and more are 32.
///
/// A pass happens inside a poll of the stream. It does not wait, but its task does nothing
/// else meanwhile. Between two passes the stream lets other tasks go first. With many users,
/// drive it where a poll may take long: on a thread of its own, such as one of Tokio's
/// `spawn_blocking`. If there is memory for all ids, [`user_ids`](Self::user_ids) needs a single
/// pass.
///
/// # Guarantees and cost
///
/// Those of [`HistoryMap`]: every operation on a user is linearizable, reads never block,
/// writes are lock-free with the exceptions that are told there.
///
/// A state is *large* if its axes take more than 40 bytes
/// ([Memory](crate::StateSnapshot#memory)). Others are mirrored: read by loads alone from the entry
/// of the user, unless the store has a [time to live](MemoryStoreBuilder::time_to_live).
/// A reader that meets a writer at that copy tries again, at most 16 times, and then reads the
/// state like a large one. When two writes of a user have met at the copy, all reads of that user
/// go the way of large states until the next write.
pub struct MemoryStore<S = DefaultHashBuilder>(Arc<Shared<S>>)
where
    S: BuildHasher + Send + Sync;

pub(crate) type Users<S> = HistoryMap<State, Mirrored, S>;

struct Shared<S: BuildHasher + Send + Sync> {
    users: Users<S>,
    /// If not, histories are empty: the latest state alone is no history.
    keeps_history: bool,
    user_id_field: UserIdField,
    /// Dropped with the store.
    #[cfg(feature = "sweep")]
    end: sweep::End,
}

impl MemoryStore {
    /// A store with these settings.
    ///
    /// # Panics
    ///
    /// If history is enabled with `max_history_per_user` of 0 or more than
    /// [`MAX_HISTORY`](crate::MAX_HISTORY). Where the settings come from outside, use
    /// [`builder`](Self::builder), which returns an error instead.
    #[must_use]
    #[track_caller]
    pub fn new(config: MemoryStoreConfig) -> Self {
        let mut builder = Self::builder();
        if config.enable_history {
            builder = builder.history(config.max_history_per_user);
        }
        match builder.build() {
            Ok(store) => store,
            Err(error) => panic!("invalid MemoryStoreConfig: {error}"),
        }
    }

    /// Sets up a store: without history, bound and initial capacity, unless
    /// the builder is told otherwise.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::new()
    }
}

impl Default for MemoryStore {
    /// A store without history.
    fn default() -> Self {
        Self::new(MemoryStoreConfig::default())
    }
}

impl<S: BuildHasher + Send + Sync> MemoryStore<S> {
    pub(crate) fn users(&self) -> &Users<S> {
        &self.0.users
    }

    /// The latest state of a user, or `None` if there is none, even if
    /// `user_id` breaks the rules for user ids.
    ///
    /// As [`HistoryMap::get`]: never blocks; allocates nothing.
    #[inline]
    #[must_use]
    pub fn get(&self, user_id: &str) -> Option<State> {
        self.users().get(user_id)
    }

    /// Calls `read` with the latest state of a user, if there is one.
    ///
    /// As [`HistoryMap::with`]: no reference count is touched, so threads that read the
    /// same user do not get in each other's way.
    ///
    /// ```
    /// # use attuned_store::{MemoryStore, StateSnapshot};
    /// # let store = MemoryStore::default();
    /// # store.insert(StateSnapshot::builder().user_id("ada").axis("warmth", 0.7).build()?)?;
    /// let tone = store.with("ada", |state| match state.get_axis("warmth") {
    ///     warmth if warmth > 0.6 => "warm",
    ///     _ => "matter-of-fact",
    /// });
    /// assert_eq!(tone, Some("warm"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R> {
        self.users().with(user_id, read)
    }

    /// The latest state of a user with the revision and the time of its write, or `None`
    /// if there is none. As [`HistoryMap::get_versioned`].
    #[must_use]
    pub fn get_versioned(&self, user_id: &str) -> Option<Versioned<State>> {
        self.users().get_versioned(user_id)
    }

    /// The newest states of a user, newest first, the latest included: at
    /// most `limit`, and at most as many as the store keeps. Empty if there are
    /// none or the store keeps no history. As [`HistoryMap::history`].
    #[must_use]
    pub fn history(&self, user_id: &str, limit: usize) -> Vec<Versioned<State>> {
        if !self.0.keeps_history {
            return Vec::new();
        }
        self.users().history(user_id, limit)
    }

    /// The states of a user that are in `range`, in its order. Empty if there are none; a
    /// store that keeps no history has the latest state alone. As [`HistoryMap::versions`].
    ///
    /// ```
    /// use attuned_store::{MemoryStore, StateSnapshot, VersionRange};
    ///
    /// let store = MemoryStore::builder().history(10).build()?;
    /// let ada = |warmth| StateSnapshot::builder().user_id("ada").axis("warmth", warmth).build();
    /// let first = store.insert(ada(0.2)?)?;
    /// store.insert(ada(0.4)?)?;
    ///
    /// let changes = store.versions("ada", VersionRange::all().after(first));
    /// assert_eq!(changes.len(), 1);
    /// assert_eq!(changes[0].value.get_axis("warmth"), 0.4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn versions(&self, user_id: &str, range: VersionRange) -> Vec<Versioned<State>> {
        self.users().versions(user_id, range)
    }

    /// What was the latest state of a user at this time, by the times of the writes. As
    /// [`HistoryMap::as_of`].
    #[must_use]
    pub fn as_of(&self, user_id: &str, time: impl Into<Timestamp>) -> AsOf<State> {
        self.users().as_of(user_id, time)
    }

    /// Whether there is a state of the user. Never blocks; allocates nothing.
    #[must_use]
    pub fn contains(&self, user_id: &str) -> bool {
        self.users().contains(user_id)
    }

    /// Many reads under one pin, as [`HistoryMap::pin`].
    ///
    /// The view is of the map below. Its history has the latest state also in a store
    /// that keeps no history.
    ///
    /// ```
    /// use attuned_store::MemoryStore;
    ///
    /// let store = MemoryStore::default();
    /// let ids = ["ada", "grace", "alan"];
    /// let present = store.pin(|users| ids.iter().filter(|id| users.contains(id)).count());
    /// assert_eq!(present, 0);
    /// ```
    #[inline]
    pub fn pin<R>(&self, read: impl FnOnce(&View<'_, State, Mirrored, S>) -> R) -> R {
        self.users().pin(read)
    }

    /// Calls `visit` with each user's id and latest state, in no order. As
    /// [`HistoryMap::for_each`].
    pub fn for_each(&self, visit: impl FnMut(&str, &State)) {
        self.users().for_each(visit);
    }

    /// The ids of all users, in no order; as good as [`for_each`](Self::for_each).
    #[must_use]
    pub fn user_ids(&self) -> Vec<String> {
        self.users().keys()
    }

    /// How many users there are. Under concurrent changes an estimate. Counts users who have
    /// expired and were not taken out yet, as [`HistoryMap::len`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.users().len()
    }

    /// Whether there are no users; under concurrent changes as good as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users().is_empty()
    }

    /// Figures of the store: how much is in it and what was done. As
    /// [`HistoryMap::stats`].
    ///
    /// ```
    /// # use attuned_store::{MemoryStore, StateSnapshot};
    /// let store = MemoryStore::builder().history(2).build()?;
    /// for _ in 0..3 {
    ///     store.insert(StateSnapshot::builder().user_id("ada").build()?)?;
    /// }
    /// let stats = store.stats();
    /// assert_eq!((stats.keys, stats.versions), (1, 2));
    /// assert_eq!((stats.writes, stats.evictions), (3, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.users().stats()
    }
}

impl<S: BuildHasher + Send + Sync> Clone for MemoryStore<S> {
    /// Another handle to the same store.
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Shows the settings and the number of users, no user's data.
impl<S: BuildHasher + Send + Sync> fmt::Debug for MemoryStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let history = self.0.keeps_history.then(|| self.users().history_len());
        f.debug_struct("MemoryStore")
            .field("users", &self.len())
            .field("history", &history)
            .field("max_users", &self.users().max_keys())
            .field("time_to_live", &self.users().time_to_live())
            .field("user_id_field", &self.0.user_id_field)
            .finish()
    }
}
