//! The in-memory backend: users to timelines.

mod bound;
mod config;
mod contract;
mod hasher;
mod key;
mod spans;
mod stats;
mod view;

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use self::bound::UserBound;
use self::key::UserKey;
use self::stats::Tally;
use crate::sync::{HashMap, ResizeMode};
use crate::timeline::{RevisionFloor, Timeline};
use crate::{Expected, Result, Revision, Source, StateSnapshot, StateSnapshotBuilder, Versioned};

pub use config::{
    ConfigError, MAX_CAPACITY, MAX_HISTORY_PER_USER, MemoryStoreBuilder, MemoryStoreConfig,
};
pub use hasher::{DefaultHashBuilder, DefaultHasher};
pub use spans::UserIdField;
pub use stats::Stats;
pub use view::PinnedView;

/// Keeps the state of each user in memory.
///
/// Cloning a `MemoryStore` shares it: all clones see the same users.
///
/// # Which read to use
///
/// | read | costs beside the lookup |
/// |---|---|
/// | [`with_latest`](Self::with_latest) | a copy of 56 bytes; of a large snapshot two atomic updates of the thread's own memory |
/// | [`latest`](Self::latest) | the same; of a large snapshot also a reference count, which all its readers share |
/// | [`history`](Self::history) | a vector, and a reference count for each entry |
/// | any of them on a [`pin`](Self::pin) | less: a pin for many reads, not for each |
/// | [`StateStore`](crate::StateStore)'s methods | a boxed future; the same otherwise |
///
/// A snapshot is *large* if its user id has more than 23 bytes or its axes take more
/// than 40 ([Memory](StateSnapshot#memory)). Others are read from a copy that the entry
/// of the user has, by loads alone. A reader who comes while that copy is being renewed
/// looks again, at most 16 times, and then reads the snapshot like a large one. So it
/// is after two writes of a user that met there, until the next one.
///
/// # Guarantees
///
/// Every operation on one user is linearizable, as the
/// [contract](crate::StateStore#contract) says. Operations on different users are
/// independent; [`len`](Self::len) and [`clear`](Self::clear) are not atomic
/// over all users.
///
/// **Reads never block** and never wait for a writer: not on an update of the
/// same user, nor on the growth of the map. A thread's first read allocates that
/// thread's bookkeeping; later ones allocate nothing beyond their result.
/// [`history`](Self::history) begins again when writers evict what it is about
/// to read; a repeated walk only covers what was written in between.
///
/// **Writes** to an existing user are lock-free but for one spot: two writers
/// that hand a superseded snapshot to the queue of the same user at the same
/// time may wait for each other inside a slot of it. A write that brings a new
/// user may wait while the map is copied into a larger one, which
/// [`capacity`](MemoryStoreBuilder::capacity) prevents; and, like a removal, for
/// other newcomers and removals in a store with
/// [`max_users`](MemoryStoreBuilder::max_users).
///
/// **Memory.** All snapshots of a deleted user are dropped at once, save those
/// that callers still hold and what a concurrent upsert of the same user is just
/// handing over. Some things stay a little longer:
/// - Snapshots that have left a history are evicted in fours. Until then a user
///   has up to 8 more than the history shows, or, if it shows fewer than 9, one
///   fewer than it shows.
/// - The oldest snapshot of a history (of two or more entries) keeps the emptied
///   allocation of the one before it, to which a weak link leads, until it is
///   dropped itself. So it is with one that a caller holds.
/// - A large snapshot that was read is a handle to what the store has, a small one
///   a copy.
/// - The removed entry, which has the user's id, is reclaimed when the threads
///   that were reading at that moment have gone on. If more threads are reading
///   at the time of a delete than the deleting thread has entries to reclaim,
///   they wait for one of its next deletes (as of papaya 0.2.5 with seize 0.5.1;
///   at most 31 entries a thread), or for the end of the store.
///
/// # Example
///
/// ```
/// use attuned_store::{MemoryStore, StateSnapshot};
///
/// let store = MemoryStore::builder().history(10).build()?;
/// for warmth in [0.2, 0.4, 0.6] {
///     store.upsert(StateSnapshot::builder().user_id("ada").axis("warmth", warmth).build()?)?;
/// }
///
/// let warmth = store.with_latest("ada", |snapshot| snapshot.get_axis("warmth"));
/// assert_eq!(warmth, Some(0.6));
/// let history: Vec<f32> = store.history("ada", 2).iter().map(|s| s.get_axis("warmth")).collect();
/// assert_eq!(history, [0.6, 0.4]);
///
/// assert!(store.remove("ada"));
/// assert!(store.latest("ada").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryStore<S = DefaultHashBuilder> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    users: HashMap<UserKey, Timeline<StateSnapshot>, S>,
    /// `None`: no history is kept.
    history: Option<usize>,
    user_id_field: UserIdField,
    revision_floor: RevisionFloor,
    bound: Option<UserBound>,
    tally: Tally,
}

impl<S> Shared<S> {
    /// How many versions a timeline keeps.
    fn retention(&self) -> usize {
        self.history.unwrap_or(1)
    }
}

impl MemoryStore {
    /// A store with these settings.
    ///
    /// # Panics
    ///
    /// If history is enabled with `max_history_per_user` of 0 or more than
    /// [`MAX_HISTORY_PER_USER`]. Where the settings come from outside, use
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

    /// Sets up a store: without history and without initial capacity, unless
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

impl<S> MemoryStore<S> {
    fn from_builder(builder: MemoryStoreBuilder<S>) -> Self {
        let users = HashMap::builder()
            .capacity(builder.capacity)
            .hasher(builder.hasher)
            // An incremental resize would leave readers to search two tables
            // until enough new users have come along to finish it.
            .resize_mode(ResizeMode::Blocking)
            .build();
        Self {
            shared: Arc::new(Shared {
                users,
                history: builder.history,
                user_id_field: builder.user_id_field,
                revision_floor: RevisionFloor::default(),
                bound: builder.max_users.map(UserBound::new),
                tally: Tally::default(),
            }),
        }
    }
}

impl<S: BuildHasher> MemoryStore<S> {
    /// A view of the store for many operations under one pin.
    ///
    /// While it exists, memory that any thread retires (removed entries, tables
    /// outgrown) is not reclaimed. Keep it for a batch of reads, not for long;
    /// it cannot be held across an `.await` of a future that is `Send`.
    ///
    /// ```
    /// # use attuned_store::MemoryStore;
    /// # let store = MemoryStore::default();
    /// let view = store.pin();
    /// let present = ["ada", "grace", "alan"].iter().filter(|id| view.contains(id)).count();
    /// assert_eq!(present, 0);
    /// ```
    #[must_use]
    pub fn pin(&self) -> PinnedView<'_, S> {
        PinnedView::new(&self.shared)
    }

    /// Makes `snapshot` the latest one of its user and the newest entry of the
    /// user's history.
    ///
    /// Takes effect at one moment before it returns: for a known user soon after the
    /// latest snapshot has been swapped, for a new one when the entry is inserted.
    ///
    /// # Cost
    ///
    /// Nothing is allocated if the user is known, the history (if there is one)
    /// has its queue, and `snapshot` is the only handle to it. A snapshot that
    /// is shared with anybody, this store included, is copied into a new
    /// allocation first.
    ///
    /// # Errors
    ///
    /// [`StoreError::CapacityExceeded`](crate::StoreError::CapacityExceeded) if
    /// the user is new and the store has all the users that it may have
    /// ([`max_users`](MemoryStoreBuilder::max_users)); nothing else.
    pub fn upsert(&self, snapshot: StateSnapshot) -> Result<()> {
        self.pin().upsert(snapshot)
    }

    /// Makes `snapshot` the latest one of its user if what is there is what the
    /// caller expects, and returns the revision of this write.
    ///
    /// Takes effect like [`upsert`](Self::upsert), in one step with the
    /// comparison. Costs the same, and may wait where that may.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`](crate::StoreError::Conflict) with the revision
    /// that is there if it is another one; then nothing has changed. Otherwise
    /// those of [`upsert`](Self::upsert).
    ///
    /// ```
    /// use attuned_store::{Expected, MemoryStore, StateSnapshot, StoreError};
    ///
    /// let store = MemoryStore::default();
    /// let ada = StateSnapshot::builder().user_id("ada").build()?;
    /// let first = store.upsert_if(ada.clone(), Expected::Absent)?;
    /// let second = store.upsert_if(ada.clone(), Expected::At(first))?;
    /// let late = store.upsert_if(ada, Expected::At(first));
    /// assert!(matches!(late, Err(StoreError::Conflict { actual: Some(a), .. }) if a == second));
    /// # Ok::<(), StoreError>(())
    /// ```
    pub fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        self.pin().upsert_if(snapshot, expected)
    }

    /// Replaces the latest snapshot of a user by one made from it, atomically.
    /// Returns what was written.
    ///
    /// `change` gets the latest snapshot, or `None` if there is none. It returns
    /// the builder of the new snapshot, whose user id is set here; or `None` to
    /// leave things as they are, and then `None` is returned.
    ///
    /// If another write comes between the reading and the writing, `change` is
    /// called again with what that write has left. So it may run several times,
    /// and should have no effects of its own; if it panics, nothing has changed.
    /// There is no bound on the number of times, since each means that another
    /// write or removal of this user has succeeded. It runs on a pin (see
    /// [`pin`](Self::pin)) and should be short.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidUserId`](crate::StoreError::InvalidUserId);
    /// [`StoreError::InvalidSnapshot`](crate::StoreError::InvalidSnapshot) if the
    /// builder does not make a snapshot; and those of [`upsert`](Self::upsert).
    ///
    /// ```
    /// use attuned_store::{MemoryStore, StateSnapshot, StoreError};
    ///
    /// let store = MemoryStore::default();
    /// for _ in 0..3 {
    ///     store.update("ada", |current| {
    ///         let visits = current.map_or(0.0, |snapshot| snapshot.get_axis("visits"));
    ///         StateSnapshot::builder().axis("visits", visits + 0.25)
    ///     })?;
    /// }
    /// assert_eq!(store.with_latest("ada", |s| s.get_axis("visits")), Some(0.75));
    /// # Ok::<(), StoreError>(())
    /// ```
    pub fn update<R>(
        &self,
        user_id: &str,
        change: impl FnMut(Option<&StateSnapshot>) -> R,
    ) -> Result<Option<Versioned>>
    where
        R: Into<Option<StateSnapshotBuilder>>,
    {
        self.pin().update(user_id, change)
    }

    /// Changes the named axes of a user's latest snapshot and leaves the others,
    /// atomically like [`update`](Self::update), by the rule of
    /// [`StateStoreExt::patch`](crate::StateStoreExt::patch): explicit values
    /// win. Returns what was written, or `None` if there was nothing to change.
    ///
    /// # Errors
    ///
    /// Those of [`update`](Self::update).
    pub fn patch(
        &self,
        user_id: &str,
        axes: &[(&str, f32)],
        source: Source,
        confidence: f32,
    ) -> Result<Option<Versioned>> {
        self.pin().patch(user_id, axes, source, confidence)
    }

    /// The latest snapshot of a user, or `None` if there is none, be it that
    /// `user_id` breaks the rules for user ids.
    ///
    /// Takes effect at one moment between call and return, when it was the latest.
    /// Never blocks; allocates nothing.
    #[inline]
    #[must_use]
    pub fn latest(&self, user_id: &str) -> Option<StateSnapshot> {
        self.pin().latest(user_id)
    }

    /// Calls `read` with the latest snapshot of a user, if there is one.
    ///
    /// No reference count is touched, so threads that read the same user do not
    /// get in each other's way. Never blocks; allocates nothing.
    ///
    /// To keep the snapshot, use [`latest`](Self::latest): a clone of a large one
    /// allocates here, and does not there.
    ///
    /// The closure runs on a pin (see [`pin`](Self::pin)): it should be short.
    /// It sees the snapshot that was the latest when the call took effect, even
    /// if another is written while it runs.
    ///
    /// ```
    /// # use attuned_store::{MemoryStore, StateSnapshot};
    /// # let store = MemoryStore::default();
    /// # store.upsert(StateSnapshot::builder().user_id("ada").axis("warmth", 0.7).build()?)?;
    /// let tone = store.with_latest("ada", |snapshot| match snapshot.get_axis("warmth") {
    ///     warmth if warmth > 0.6 => "warm",
    ///     _ => "matter-of-fact",
    /// });
    /// assert_eq!(tone, Some("warm"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn with_latest<R>(
        &self,
        user_id: &str,
        read: impl FnOnce(&StateSnapshot) -> R,
    ) -> Option<R> {
        self.pin().with_latest(user_id, read)
    }

    /// The latest snapshot of a user with the revision of its write, or `None`
    /// if there is none.
    ///
    /// Takes effect like [`latest`](Self::latest). Never blocks; allocates nothing.
    #[inline]
    #[must_use]
    pub fn versioned(&self, user_id: &str) -> Option<Versioned> {
        self.pin().versioned(user_id)
    }

    /// The newest snapshots of a user, newest first, the latest included: at
    /// most `limit`, and at most as many as the store keeps. Empty if there are
    /// none or the store keeps no history.
    ///
    /// Takes effect at one moment between call and return: the history is complete as
    /// of that instant. Never blocks; allocates the vector, with
    /// exactly the room needed. Under continuous writes to the same user it may
    /// have to begin again; a repeated walk covers only what was written since.
    #[must_use]
    pub fn history(&self, user_id: &str, limit: usize) -> Vec<StateSnapshot> {
        self.pin().history(user_id, limit)
    }

    /// Whether there is a snapshot of the user. Never blocks; allocates nothing.
    #[must_use]
    pub fn contains(&self, user_id: &str) -> bool {
        self.pin().contains(user_id)
    }

    /// Removes a user's latest snapshot and history together; true if there was
    /// something to remove.
    ///
    /// Takes effect at one moment before it returns: latest and history end together. See
    /// [Memory](Self#guarantees) for what is released when.
    ///
    /// # Cost
    ///
    /// Reclaiming the entry takes a system call (on Linux `membarrier`) that
    /// interrupts all cores on which this process runs: some microseconds.
    pub fn remove(&self, user_id: &str) -> bool {
        self.pin().remove(user_id)
    }

    /// How many users there are.
    ///
    /// Under concurrent changes an estimate: it counts what the map holds,
    /// without stopping it. Its cost does not depend on the number of users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.users.len()
    }

    /// Whether there are no users; under concurrent changes as good as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all users, as by [`retain`](Self::retain) of none of them.
    pub fn clear(&self) {
        self.pin().clear();
    }

    /// Calls `visit` with the latest snapshot of each user, in no order.
    ///
    /// Every user who is there during the whole call is visited once; one who
    /// comes or goes meanwhile may be or may not be, and one who goes and comes
    /// back may be visited twice. Each snapshot is the latest
    /// at its own moment: there is no view of the whole store at one instant.
    ///
    /// It all runs on one pin (see [`pin`](Self::pin)), so with many users it
    /// should be quick. May wait for a resize of the map to finish.
    pub fn for_each(&self, visit: impl FnMut(&StateSnapshot)) {
        self.pin().for_each(visit);
    }

    /// The ids of all users, in no order; as good as [`for_each`](Self::for_each).
    #[must_use]
    pub fn user_ids(&self) -> Vec<String> {
        let mut user_ids = Vec::with_capacity(self.len());
        self.for_each(|snapshot| user_ids.push(snapshot.user_id().to_owned()));
        user_ids
    }

    /// Removes each user whose latest snapshot `keep` does not want to keep,
    /// latest and history together, and returns how many those were.
    ///
    /// A user is removed only if the snapshot that `keep` has seen is still the
    /// latest. One that is written in between is never lost: `keep` is asked
    /// again, about that one.
    ///
    /// Users are met as by [`for_each`](Self::for_each), and removed as by
    /// [`remove`](Self::remove). If `keep` panics, those who were removed before
    /// stay removed.
    ///
    /// ```
    /// # use attuned_store::{MemoryStore, StateSnapshot, StoreError};
    /// # let store = MemoryStore::default();
    /// for (id, confidence) in [("ada", 0.9), ("grace", 0.1)] {
    ///     store.upsert(StateSnapshot::builder().user_id(id).confidence(confidence).build()?)?;
    /// }
    /// assert_eq!(store.retain(|snapshot| snapshot.confidence() > 0.5), 1);
    /// assert_eq!(store.user_ids(), ["ada"]);
    /// # Ok::<(), StoreError>(())
    /// ```
    pub fn retain(&self, keep: impl FnMut(&StateSnapshot) -> bool) -> usize {
        self.pin().retain(keep)
    }

    /// Removes each user whose latest snapshot is older than `unix_ms`, in
    /// milliseconds since the Unix epoch, and returns how many those were.
    ///
    /// By the timestamp in the snapshot, and free of races like
    /// [`retain`](Self::retain), of which it is a case.
    pub fn expire_before(&self, unix_ms: i64) -> usize {
        self.retain(|snapshot| snapshot.updated_at_unix_ms() >= unix_ms)
    }

    /// Figures of the store: how much is in it and what was done.
    ///
    /// They cost the store's operations nothing, since nearly all of them are
    /// told from the users' latest snapshots, all of which are visited here: the
    /// cost is that of [`for_each`](Self::for_each). Ask every few seconds, not
    /// at every request. While others write, the figures are of slightly
    /// different moments; at rest they are exact.
    ///
    /// ```
    /// # use attuned_store::{MemoryStore, StateSnapshot, StoreError};
    /// let store = MemoryStore::builder().history(2).build().expect("valid settings");
    /// for _ in 0..3 {
    ///     store.upsert(StateSnapshot::builder().user_id("ada").build()?)?;
    /// }
    /// let stats = store.stats();
    /// assert_eq!((stats.users, stats.versions), (1, 2));
    /// assert_eq!((stats.upserts, stats.evictions), (3, 1));
    /// # Ok::<(), StoreError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.pin().stats()
    }
}

impl<S> Clone for MemoryStore<S> {
    /// Another handle to the same store.
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: BuildHasher> fmt::Debug for MemoryStore<S> {
    /// Shows the settings and the number of users, no user's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("users", &self.len())
            .field("history", &self.shared.history)
            .field(
                "max_users",
                &self.shared.bound.as_ref().map(UserBound::max_users),
            )
            .field("user_id_field", &self.shared.user_id_field)
            .finish()
    }
}
