//! The in-memory backend: a map of states behind the contract.

mod batch;
mod config;
mod contract;
mod listing;
mod spans;
#[cfg(feature = "sweep")]
mod sweep;

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use crate::map::{DefaultHashBuilder, HistoryMap, Mirrored, Stats, View};
use crate::patch::{Patch, Patched};
use crate::range::{AsOf, VersionRange};
use crate::revision::{Expected, Revision};
use crate::snapshot::{State, StateSnapshot, StateSnapshotBuilder, validate_user_id};
use crate::store::{Result, StoreError};
use crate::timestamp::Timestamp;
use crate::versioned::Versioned;

pub use self::config::{MemoryStoreBuilder, MemoryStoreConfig};
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
/// over the whole store once for each 262,144 users that are there, and each time collects
/// the ids of that part of them: 24 bytes each, whatever their length, and up to as much
/// again. That is at most some 13 MB. Nothing is pinned while the consumer waits for
/// something else. An id that was collected stays in memory until it is given or the listing
/// is dropped, also if its user is deleted meanwhile.
///
/// A pass costs what [`for_each`](Self::for_each) costs, and a hash of each id: some tenths of
/// a second for a million users. So the whole time grows with the square of their number. A
/// million users are 4 passes; ten million are 39, each ten times as long. While users arrive
/// faster than the listing gives ids, it may not end.
///
/// A pass happens inside a poll of the stream. It does not wait, but its task does nothing
/// else meanwhile. Between two passes the stream lets other tasks go first. With many users,
/// drive it where a poll may take long: on a thread of its own, such as one of Tokio's
/// `spawn_blocking`. Where memory for all ids is to be had, [`user_ids`](Self::user_ids) is a
/// single pass.
///
/// # Guarantees and cost
///
/// Those of [`HistoryMap`]: every operation on a user is linearizable, reads never block,
/// writes are lock-free with the exceptions that are told there.
///
/// A state is *large* if its axes take more than 40 bytes
/// ([Memory](StateSnapshot#memory)). Others are mirrored: read by loads alone from the entry
/// of the user, unless the store has a [time to live](MemoryStoreBuilder::time_to_live).
/// A reader that comes while that copy is being renewed
/// looks again, at most 16 times, and then reads the state like a large one. The same goes
/// for reads after two writes of a user that met there, until the next one.
pub struct MemoryStore<S = DefaultHashBuilder>(Arc<Shared<S>>)
where
    S: BuildHasher + Send + Sync;

type Users<S> = HistoryMap<State, Mirrored, S>;

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
    fn users(&self) -> &Users<S> {
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

    /// Makes `snapshot` the latest one of its user and the newest entry of the
    /// user's history, and returns the revision of this write. As [`HistoryMap::insert`].
    ///
    /// # Errors
    ///
    /// [`StoreError::CapacityExceeded`] if
    /// the user is new and the store has all the users that it may have
    /// ([`max_users`](MemoryStoreBuilder::max_users)). [`StoreError::Internal`] where
    /// [threads end](HistoryMap#threads-that-end).
    pub fn insert(&self, snapshot: StateSnapshot) -> Result<Revision> {
        self.insert_if(snapshot, Expected::Any)
    }

    /// Makes `snapshot` the latest one of its user if what is there is what the
    /// caller expects, and returns the revision of this write. As
    /// [`HistoryMap::insert_if`].
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
    /// `change` gets the latest state, or `None` if there is none. It returns
    /// the builder of the new one, or `None` to
    /// leave things as they are, and then `None` is returned. It may run several times, as
    /// by [`HistoryMap::update`]. A user id given to the builder is ignored.
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
    /// something to remove. As [`HistoryMap::remove`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Internal`] where [threads end](HistoryMap#threads-that-end).
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

    /// Removes each user whose latest state `keep` does not want to keep,
    /// latest and history together, and returns how many those were. As
    /// [`HistoryMap::retain`]: what is written after `keep` has decided is never lost, and a
    /// `keep` that writes the user and then rejects it is asked without end.
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

    /// Removes each user whose latest state was written `age` ago or longer, latest and
    /// history together, and returns how many those were. As
    /// [`HistoryMap::expire_older_than`]: by the time of the write, not by the time in the
    /// state, and nothing is lost that is written meanwhile.
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

    /// Takes every user out whose [time to live](MemoryStoreBuilder::time_to_live) is over,
    /// and returns how many those were: 0 if the store has none. As [`HistoryMap::sweep`].
    pub fn sweep(&self) -> usize {
        self.users().sweep()
    }

    /// Removes all users, as by [`retain`](Self::retain) of none of them.
    pub fn clear(&self) {
        self.users().clear();
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
