//! How a [`MemoryStore`] is set up.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use super::spans::UserIdField;
use super::{MemoryStore, Shared};
use crate::map::{ConfigError, DefaultHashBuilder, Settings};

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
    /// 1 to [`MAX_HISTORY`](crate::MAX_HISTORY). Without `enable_history` it means nothing.
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
    settings: Settings<S>,
    user_id_field: UserIdField,
}

impl MemoryStoreBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings::default(),
            user_id_field: UserIdField::default(),
        }
    }
}

impl<S> MemoryStoreBuilder<S> {
    /// Keeps the newest `entries` snapshots of each user, the latest included:
    /// 1 to [`MAX_HISTORY`](crate::MAX_HISTORY). Without this call no history is kept.
    ///
    /// A user with a single snapshot pays nothing for it; see
    /// [`HistoryMapBuilder::history`](crate::HistoryMapBuilder::history) for what it costs
    /// others.
    pub fn history(mut self, entries: usize) -> Self {
        self.settings.history = Some(entries);
        self
    }

    /// Allocates room for this many users up front, 0 to [`MAX_CAPACITY`](crate::MAX_CAPACITY):
    /// 12 to 24 bytes each. Until there are more, no new user waits for the map
    /// to be copied into a larger one.
    pub fn capacity(mut self, users: usize) -> Self {
        self.settings.capacity = users;
        self
    }

    /// Refuses new users beyond this number, at least 1, with
    /// [`StoreError::CapacityExceeded`](crate::StoreError::CapacityExceeded);
    /// those that are there go on. Without this call there is no bound.
    ///
    /// The number is exact, at a price:
    /// [`HistoryMapBuilder::max_keys`](crate::HistoryMapBuilder::max_keys) tells it.
    ///
    /// ```
    /// use attuned_store::{MemoryStore, StateSnapshot, StoreError};
    ///
    /// let store = MemoryStore::builder().max_users(1).build()?;
    /// let snapshot = |id: &str| StateSnapshot::builder().user_id(id).build();
    /// store.insert(snapshot("ada")?)?;
    /// let refused = store.insert(snapshot("grace")?);
    /// assert!(matches!(refused, Err(StoreError::CapacityExceeded { max_users: 1 })));
    /// store.insert(snapshot("ada")?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_users(mut self, users: usize) -> Self {
        self.settings.max_keys = Some(users);
        self
    }

    /// Has a user expire whose latest snapshot was written `time_to_live` ago or longer, 1 ms
    /// to [`MAX_TIME_TO_LIVE`](crate::MAX_TIME_TO_LIVE). Without this call none does.
    ///
    /// By the time of the write, and not by the time in the snapshot. From that moment on
    /// nobody is there, for every read and every condition.
    /// [`HistoryMapBuilder::time_to_live`](crate::HistoryMapBuilder::time_to_live) tells
    /// what it means and costs; most of all, states are not mirrored then. Memory is freed by
    /// [`sweep`](MemoryStore::sweep), or by the future of `sweep_every` (feature `sweep`).
    ///
    /// ```
    /// use std::time::Duration;
    /// use attuned_store::{ConfigError, MemoryStore};
    ///
    /// let half_an_hour = Duration::from_secs(30 * 60);
    /// let store = MemoryStore::builder().time_to_live(half_an_hour).build()?;
    /// # assert!(store.is_empty());
    /// let refused = MemoryStore::builder().time_to_live(Duration::ZERO).build();
    /// assert_eq!(refused.unwrap_err(), ConfigError::TimeToLiveZero);
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub fn time_to_live(mut self, time_to_live: Duration) -> Self {
        self.settings.time_to_live = Some(time_to_live);
        self
    }

    /// Takes the time from a clock that a test sets.
    #[cfg(attuned_loom)]
    pub fn clock(mut self, clock: crate::sync::SetClock) -> Self {
        self.settings.clock = crate::clock::Clock::set_by(clock);
        self
    }

    /// How a user's id appears on tracing spans. Default: [`UserIdField::Hash`].
    pub fn user_id_field(mut self, field: UserIdField) -> Self {
        self.user_id_field = field;
        self
    }

    /// Hashes user ids with `hasher`. See
    /// [`HistoryMapBuilder::hasher`](crate::HistoryMapBuilder::hasher) for what it must be
    /// like, and when the default, [`DefaultHashBuilder`], is not enough.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// use attuned_store::MemoryStore;
    ///
    /// let store = MemoryStore::builder().hasher(RandomState::new()).build()?;
    /// # assert!(store.is_empty());
    /// # Ok::<(), attuned_store::ConfigError>(())
    /// ```
    pub fn hasher<H>(self, hasher: H) -> MemoryStoreBuilder<H> {
        MemoryStoreBuilder {
            settings: self.settings.with_hasher(hasher),
            user_id_field: self.user_id_field,
        }
    }
}

#[cfg(feature = "checkpoint")]
impl<S> MemoryStoreBuilder<S> {
    /// With a capacity of at least so many users.
    pub(crate) fn room_for(mut self, users: usize) -> Self {
        self.settings.capacity = self.settings.capacity.max(users);
        self
    }
}

impl<S: BuildHasher + Send + Sync> MemoryStoreBuilder<S> {
    /// Builds the store.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the setting that is out of bounds, or the
    /// capacity that there is no memory for.
    pub fn build(self) -> Result<MemoryStore<S>, ConfigError> {
        Ok(MemoryStore(Arc::new(Shared {
            keeps_history: self.settings.history.is_some(),
            users: self.settings.build()?,
            user_id_field: self.user_id_field,
            #[cfg(feature = "sweep")]
            end: super::sweep::End::default(),
        })))
    }
}
