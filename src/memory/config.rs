//! How a [`MemoryStore`] is set up, and which settings are refused.

use std::hash::BuildHasher;

use super::MemoryStore;
use super::hasher::DefaultHashBuilder;
use super::spans::UserIdField;

/// The longest history that can be asked for, in entries a user: 65,536.
///
/// A user's queue is allocated whole at the second write, 16 bytes an entry,
/// so this is 1 MiB a user. Who needs more wants a log, not a store of states.
pub const MAX_HISTORY_PER_USER: usize = 1 << 16;

/// The largest capacity that can be asked for, in users: 67,108,864.
///
/// It bounds what is allocated up front, 1.2 GB at the most, not how many users
/// a store can hold.
pub const MAX_CAPACITY: usize = 1 << 26;

/// The settings of [`MemoryStore::new`]; [`MemoryStore::builder`] has more.
///
/// ```
/// use attuned_store::{MemoryStore, MemoryStoreConfig};
///
/// let store = MemoryStore::new(MemoryStoreConfig {
///     enable_history: true,
///     max_history_per_user: 20,
/// });
/// # assert!(store.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryStoreConfig {
    /// Whether superseded snapshots are kept. Default: no.
    pub enable_history: bool,
    /// How many snapshots of a user are kept, in entries, the latest included:
    /// 1 to [`MAX_HISTORY_PER_USER`]. Without `enable_history` it means nothing.
    /// Default: 100.
    pub max_history_per_user: usize,
}

impl Default for MemoryStoreConfig {
    fn default() -> Self {
        Self {
            enable_history: false,
            max_history_per_user: 100,
        }
    }
}

/// A setting that a [`MemoryStore`] cannot be built with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A history of no entries: to keep none, leave history off.
    #[error("a history must have at least 1 entry a user; leave it off to keep none")]
    HistoryZero,

    /// A history of more entries than [`MAX_HISTORY_PER_USER`].
    #[error("a history of {requested} entries a user exceeds the maximum of {max}")]
    HistoryTooLarge {
        /// The entries that were asked for.
        requested: usize,
        /// [`MAX_HISTORY_PER_USER`].
        max: usize,
    },

    /// A capacity of more users than [`MAX_CAPACITY`].
    #[error("a capacity of {requested} users exceeds the maximum of {max}")]
    CapacityTooLarge {
        /// The users that were asked for.
        requested: usize,
        /// [`MAX_CAPACITY`].
        max: usize,
    },

    /// A maximum of no users: nothing could ever be stored.
    #[error("the maximum of users must be at least 1")]
    MaxUsersZero,

    /// The allocator does not have the memory for the capacity asked for.
    #[error("no memory for a capacity of {requested} users")]
    CapacityUnavailable {
        /// The users that were asked for.
        requested: usize,
    },
}

/// Builds a [`MemoryStore`]; made by [`MemoryStore::builder`].
///
/// ```
/// use attuned_store::{ConfigError, MemoryStore, UserIdField};
///
/// let store = MemoryStore::builder()
///     .history(50)
///     .capacity(100_000)
///     .user_id_field(UserIdField::Off)
///     .build()?;
/// # assert!(store.is_empty());
///
/// let refused = MemoryStore::builder().history(0).build();
/// assert_eq!(refused.unwrap_err(), ConfigError::HistoryZero);
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct MemoryStoreBuilder<S = DefaultHashBuilder> {
    pub(super) history: Option<usize>,
    pub(super) capacity: usize,
    pub(super) max_users: Option<usize>,
    pub(super) user_id_field: UserIdField,
    pub(super) hasher: S,
}

impl MemoryStoreBuilder {
    pub(super) fn new() -> Self {
        Self {
            history: None,
            capacity: 0,
            max_users: None,
            user_id_field: UserIdField::default(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<S> MemoryStoreBuilder<S> {
    /// Keeps the newest `entries` snapshots of each user, the latest included:
    /// 1 to [`MAX_HISTORY_PER_USER`]. Without this call no history is kept.
    ///
    /// A user with a single snapshot pays nothing for it. The second write
    /// allocates the user's queue: some 500 bytes and 16 bytes an entry. What has
    /// left a history is kept a little longer, see
    /// [Memory](MemoryStore#guarantees).
    pub fn history(mut self, entries: usize) -> Self {
        self.history = Some(entries);
        self
    }

    /// Allocates room for this many users up front, 0 to [`MAX_CAPACITY`]: 12 to
    /// 24 bytes each. Until there are more, no new user waits for the map
    /// to be copied into a larger one.
    pub fn capacity(mut self, users: usize) -> Self {
        self.capacity = users;
        self
    }

    /// Refuses new users beyond this number, at least 1, with
    /// [`StoreError::CapacityExceeded`](crate::StoreError::CapacityExceeded);
    /// those who are there go on. Without this call there is no bound.
    ///
    /// The number is exact, however many newcomers race. In return, newcomers and
    /// removals take a lock, one after the other, in a store that has a bound.
    /// Reads and writes of users who are there do not.
    ///
    /// ```
    /// use attuned_store::{MemoryStore, StateSnapshot, StoreError};
    ///
    /// let store = MemoryStore::builder().max_users(1).build()?;
    /// let snapshot = |id: &str| StateSnapshot::builder().user_id(id).build();
    /// store.upsert(snapshot("ada")?)?;
    /// let refused = store.upsert(snapshot("grace")?);
    /// assert!(matches!(refused, Err(StoreError::CapacityExceeded { max_users: 1 })));
    /// store.upsert(snapshot("ada")?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_users(mut self, users: usize) -> Self {
        self.max_users = Some(users);
        self
    }

    /// How a user's id appears on tracing spans. Default: [`UserIdField::Hash`].
    pub fn user_id_field(mut self, field: UserIdField) -> Self {
        self.user_id_field = field;
        self
    }

    /// Hashes user ids with `hasher`.
    ///
    /// The default is [`DefaultHashBuilder`]: fast, and seeded at random, but not
    /// cryptographic. Where strangers choose user ids and can measure very exactly
    /// how long calls take, give it the standard library's `RandomState`, which is
    /// SipHash-1-3 and was made to withstand them. It takes some 160 instructions
    /// more for an id of 16 bytes, half as many again as a whole `latest`
    /// (x86_64; `cargo bench -p attuned-store-benches --bench operations hasher`
    /// shows it in time).
    ///
    /// ```
    /// use std::hash::RandomState;
    /// use attuned_store::MemoryStore;
    ///
    /// let store = MemoryStore::builder().hasher(RandomState::new()).build()?;
    /// # assert!(store.is_empty());
    /// # Ok::<(), attuned_store::ConfigError>(())
    /// ```
    ///
    /// The hasher must be a good one, and keyed if ids are not your own. With
    /// papaya 0.2.5, ids whose hashes collide are worse than slow: the 32nd user
    /// with the same hash makes [`upsert`](MemoryStore::upsert) loop for ever
    /// while memory grows, because the map takes a probe that is too long for a
    /// lack of room and makes another table of the same size. (To see it, run
    /// this under a memory limit: a `Hasher` whose `finish` returns a constant,
    /// and 32 users.)
    pub fn hasher<H>(self, hasher: H) -> MemoryStoreBuilder<H> {
        MemoryStoreBuilder {
            history: self.history,
            capacity: self.capacity,
            max_users: self.max_users,
            user_id_field: self.user_id_field,
            hasher,
        }
    }
}

impl<S: BuildHasher> MemoryStoreBuilder<S> {
    /// Builds the store.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the setting that is out of bounds, or the
    /// capacity that there is no memory for.
    pub fn build(self) -> Result<MemoryStore<S>, ConfigError> {
        match self.history {
            Some(0) => return Err(ConfigError::HistoryZero),
            Some(requested) if requested > MAX_HISTORY_PER_USER => {
                return Err(ConfigError::HistoryTooLarge {
                    requested,
                    max: MAX_HISTORY_PER_USER,
                });
            }
            _ => {}
        }
        let requested = self.capacity;
        if requested > MAX_CAPACITY {
            return Err(ConfigError::CapacityTooLarge {
                requested,
                max: MAX_CAPACITY,
            });
        }
        if self.max_users == Some(0) {
            return Err(ConfigError::MaxUsersZero);
        }
        // papaya (0.2.5) aborts the process if it cannot have its table: a pointer
        // and a byte for each slot, of which it makes up to 8 for 3 users.
        if Vec::<[u8; 24]>::new().try_reserve_exact(requested).is_err() {
            return Err(ConfigError::CapacityUnavailable { requested });
        }
        Ok(MemoryStore::from_builder(self))
    }
}
