//! The former state of this library.
//!
//! It keeps less: a write returns no revision, and versions bear no times. Its snapshots
//! hold the user's id. The builder of one allocates memory for it, which the store takes
//! over. So its upserts allocate nothing in the timed part, where those of the present state
//! allocate the version.

use attuned_store_before::{MemoryStore, StateSnapshot};
use attuned_store_benches::contenders::{Contender, History, Retain, Snapshot, Value};

pub struct Former(MemoryStore);

/// A snapshot, or a reference to one. The types are the former crate's and the traits the
/// benchmarks', so that something of this crate must lie between them.
#[derive(Clone)]
pub struct Of<T>(T);

impl Contender for Former {
    const NAME: &'static str = "before";
    type Snapshot = Of<StateSnapshot>;
    type Value = Of<StateSnapshot>;
    type Shown<'a> = Of<&'a StateSnapshot>;
    type History = Of<Vec<StateSnapshot>>;
    type Written = ();

    fn new(history: Option<usize>, capacity: usize) -> Self {
        let builder = MemoryStore::builder().capacity(capacity);
        let builder = match history {
            Some(entries) => builder.history(entries),
            None => builder,
        };
        Self(builder.build().expect("a valid configuration"))
    }

    fn upsert(&self, Of(snapshot): Of<StateSnapshot>) {
        self.0.upsert(snapshot).expect("a store without a bound");
    }

    fn get(&self, user_id: &str) -> Option<Of<StateSnapshot>> {
        self.0.latest(user_id).map(Of)
    }

    fn with<R>(&self, user_id: &str, read: impl FnOnce(Of<&StateSnapshot>) -> R) -> Option<R> {
        self.0.with_latest(user_id, |latest| read(Of(latest)))
    }

    fn history(&self, user_id: &str, limit: usize) -> Of<Vec<StateSnapshot>> {
        Of(self.0.history(user_id, limit))
    }

    fn remove(&self, user_id: &str) -> bool {
        self.0.remove(user_id)
    }
}

impl Retain for Former {
    fn retain(&self, mut keep: impl FnMut(&str, Of<&StateSnapshot>) -> bool) -> usize {
        self.0.retain(|latest| keep(latest.user_id(), Of(latest)))
    }
}

impl Snapshot for Of<StateSnapshot> {
    fn build(user_id: &str, axes: &[&str], at: i64) -> Self {
        let snapshot = StateSnapshot::builder()
            .user_id(user_id)
            .updated_at(at)
            .confidence(0.75)
            .axes(axes.iter().map(|name| (name, 0.25)))
            .build();
        Self(snapshot.expect("a valid snapshot"))
    }
}

impl History for Of<Vec<StateSnapshot>> {
    #[inline]
    fn values(&self) -> impl Iterator<Item = impl Value> {
        self.0.iter().map(Of)
    }
}

macro_rules! values {
    ($($of:ty),*) => {$(
        impl Value for Of<$of> {
            #[inline]
            fn at(&self) -> i64 {
                self.0.updated_at_unix_ms()
            }

            #[inline]
            fn confidence(&self) -> f32 {
                self.0.confidence()
            }

            #[inline]
            fn first_axis(&self) -> f32 {
                self.0.axes().next().map_or(0.0, |(_, value)| value)
            }
        }
    )*};
}

values!(StateSnapshot, &StateSnapshot);
