//! The contenders: ways to keep each user's latest state and bounded history.
//!
//! All of them keep the same semantics unless they say otherwise: latest and
//! history of a user change together, a history is newest first, includes the
//! latest state and is bounded, and a removal takes both. Each write has a revision,
//! which it returns, and the time at which it was made, and both come back with the
//! history. `tests/semantics.rs` holds them to it.

mod attuned;
mod dashmap;
mod papaya;
mod parts;
mod published;
mod record;
mod rwlock;
mod scc;
mod through_trait;

use attuned_store::{State, StateSnapshot, Versioned};

pub use self::attuned::Attuned;
pub use self::dashmap::DashMap;
pub use self::papaya::Papaya;
pub use self::parts::Parts;
pub use self::published::Published;
pub use self::rwlock::{ParkingLotRwLock, StdRwLock};
pub use self::scc::Scc;
pub use self::through_trait::ThroughTrait;

/// What is written: a user's id and the value to keep for it.
pub trait Snapshot: Clone + Send + Sync + 'static {
    /// A new snapshot, with `at` to tell it from others of its user.
    ///
    /// # Panics
    ///
    /// If the user id or an axis is not valid.
    fn build(user_id: &str, axes: &[&str], at: i64) -> Self;
}

/// What is read of a user, or what shows it.
pub trait Value {
    fn at(&self) -> i64;
    fn confidence(&self) -> f32;
    /// The value of the first axis by name; 0 if there are none.
    fn first_axis(&self) -> f32;
}

/// A history, newest first.
pub trait History {
    fn values(&self) -> impl Iterator<Item = impl Value>;
}

/// A store, by its synchronous operations.
pub trait Contender: Send + Sync + Sized + 'static {
    const NAME: &'static str;
    /// Whether it keeps histories at all.
    const KEEPS_HISTORY: bool = true;
    type Snapshot: Snapshot;
    type Value: Value;
    /// How a value is shown where it is.
    type Shown<'a>: Value;
    type History: History;
    /// What a write returns: the revision, if the contender has revisions.
    type Written;

    /// `history` is how many states of a user are kept, the latest included,
    /// and `capacity` for how many users there is to be room from the start.
    fn new(history: Option<usize>, capacity: usize) -> Self;
    fn upsert(&self, snapshot: Self::Snapshot) -> Self::Written;
    /// A copy of the latest.
    fn get(&self, user_id: &str) -> Option<Self::Value>;
    /// Reads the latest where it is, if the contender can.
    fn with<R>(&self, user_id: &str, read: impl FnOnce(Self::Shown<'_>) -> R) -> Option<R>;
    fn history(&self, user_id: &str, limit: usize) -> Self::History;
    fn remove(&self, user_id: &str) -> bool;
}

/// A store that can visit all its users and remove those that are not to be kept.
pub trait Retain: Contender {
    /// How many users were removed.
    fn retain(&self, keep: impl FnMut(&str, Self::Shown<'_>) -> bool) -> usize;
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
}

macro_rules! values {
    ($($value:ty),*) => {$(
        impl Value for $value {
            #[inline]
            fn at(&self) -> i64 {
                self.updated_at_unix_ms()
            }

            #[inline]
            fn confidence(&self) -> f32 {
                self.confidence()
            }

            #[inline]
            fn first_axis(&self) -> f32 {
                self.axes().next().map_or(0.0, |(_, value)| value)
            }
        }
    )*};
}

values!(State, StateSnapshot);

impl<V: Value> Value for &V {
    #[inline]
    fn at(&self) -> i64 {
        V::at(self)
    }

    #[inline]
    fn confidence(&self) -> f32 {
        V::confidence(self)
    }

    #[inline]
    fn first_axis(&self) -> f32 {
        V::first_axis(self)
    }
}

impl<V: Value> Value for Versioned<V> {
    #[inline]
    fn at(&self) -> i64 {
        self.value.at()
    }

    #[inline]
    fn confidence(&self) -> f32 {
        self.value.confidence()
    }

    #[inline]
    fn first_axis(&self) -> f32 {
        self.value.first_axis()
    }
}

impl<V: Value> History for Vec<V> {
    #[inline]
    fn values(&self) -> impl Iterator<Item = impl Value> {
        self.iter()
    }
}
