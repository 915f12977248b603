//! The contenders: ways to keep each user's latest snapshot and bounded history.
//!
//! All of them keep the same semantics unless they say otherwise: latest and
//! history of a user change together, a history is newest first, includes the
//! latest snapshot and is bounded, and a removal takes both. `tests/semantics.rs`
//! holds them to it.

mod attuned;
mod dashmap;
mod papaya;
mod parts;
mod published;
mod record;
mod rwlock;
mod scc;
mod through_trait;

use attuned_store::StateSnapshot;

pub use self::attuned::Attuned;
pub use self::dashmap::DashMap;
pub use self::papaya::Papaya;
pub use self::parts::Parts;
pub use self::published::Published;
pub use self::rwlock::{ParkingLotRwLock, StdRwLock};
pub use self::scc::Scc;
pub use self::through_trait::ThroughTrait;

/// A snapshot as a contender stores it.
pub trait Snapshot: Clone + Send + Sync + 'static {
    /// A new snapshot, with `at` to tell it from others of its user.
    ///
    /// # Panics
    ///
    /// If the user id or an axis is not valid.
    fn build(user_id: &str, axes: &[&str], at: i64) -> Self;
    fn user_id(&self) -> &str;
    fn at(&self) -> i64;
    fn confidence(&self) -> f32;
}

/// A store, by its synchronous operations.
pub trait Contender: Send + Sync + Sized + 'static {
    const NAME: &'static str;
    /// Whether it keeps histories at all.
    const KEEPS_HISTORY: bool = true;
    type Snapshot: Snapshot;

    /// `history` is how many snapshots of a user are kept, the latest included,
    /// and `capacity` for how many users there is to be room from the start.
    fn new(history: Option<usize>, capacity: usize) -> Self;
    fn upsert(&self, snapshot: Self::Snapshot);
    fn latest(&self, user_id: &str) -> Option<Self::Snapshot>;
    /// Reads the latest snapshot where it is, if the contender can.
    fn with_latest<R>(&self, user_id: &str, read: impl FnOnce(&Self::Snapshot) -> R) -> Option<R>;
    fn history(&self, user_id: &str, limit: usize) -> Vec<Self::Snapshot>;
    fn remove(&self, user_id: &str) -> bool;
}

/// Calls a generic function for every contender; the results in a `Vec`.
#[macro_export]
macro_rules! for_all_contenders {
    ($function:ident($($argument:expr),* $(,)?)) => {
        vec![
            $function::<$crate::contenders::Attuned>($($argument),*),
            $function::<$crate::contenders::DashMap>($($argument),*),
            $function::<$crate::contenders::StdRwLock>($($argument),*),
            $function::<$crate::contenders::ParkingLotRwLock>($($argument),*),
            $function::<$crate::contenders::Scc>($($argument),*),
            $function::<$crate::contenders::Published>($($argument),*),
            $function::<$crate::contenders::Papaya>($($argument),*),
        ]
    };
}

impl Snapshot for StateSnapshot {
    fn build(user_id: &str, axes: &[&str], at: i64) -> Self {
        StateSnapshot::builder()
            .user_id(user_id)
            .updated_at(at)
            .confidence(0.75)
            .axes(axes.iter().map(|name| (name, 0.25)))
            .build()
            .expect("a valid snapshot")
    }

    fn user_id(&self) -> &str {
        self.user_id()
    }

    fn at(&self) -> i64 {
        self.updated_at_unix_ms()
    }

    fn confidence(&self) -> f32 {
        self.confidence()
    }
}
