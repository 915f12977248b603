//! Memory that is given back when all who could be reading it have gone on: the part
//! of `sdd` that the crate uses, and the crate's own functions around it.

use std::any::Any;
use std::fmt;

use super::kept::Kept;

pub use super::atomic_shared::{AtomicShared, Tag};
pub use super::shared::{Ptr, Shared, chained_drops, forget_counts, live_values};

/// For `sdd::Guard`. What was reached under it stays readable as long as it is there,
/// with or without owners.
///
/// The real one protects what *could* be reached. That is the same: what has yet to be
/// reached is owned by something that was reached, so it is kept by that.
pub struct Guard(Kept<Box<dyn Any>>);

impl Guard {
    pub fn new() -> Self {
        Self(Kept::new())
    }

    /// Keeps `value` and lends it for as long as the guard is there.
    pub(super) fn keep<T: 'static>(&self, value: T) -> &T {
        match self.0.keep(Box::new(value)).downcast_ref() {
            Some(kept) => kept,
            None => unreachable!("it was boxed as what it is"),
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

/// For the type of that name.
pub struct Quick(bool);

impl Quick {
    pub const NEVER: Self = Self(false);
    pub const IF_RUNNING: Self = Self(true);

    pub fn holds(&self) -> bool {
        self.0
    }
}

/// For the function of that name. No thread of a model begins while it ends.
pub fn usable(_touch_map: impl FnOnce()) -> bool {
    true
}

/// For the function of that name. No thread of a model runs while it ends.
pub fn is_running() -> bool {
    true
}

/// For the function of that name.
pub fn enter() -> Guard {
    Guard::new()
}

/// For the function of that name. The last who lets go of a stand-in of a value gives it
/// back, so nobody has to hurry anything.
pub fn retired(_count: usize, _guard: &Guard) {}

/// For the function of that name. There is never anything left to give back.
pub fn drive() -> bool {
    true
}

/// For the function of that name. Every thread of a model can do the work itself.
pub fn elsewhere<R: Send>(work: impl FnOnce() -> R + Send) -> Option<R> {
    Some(work())
}
