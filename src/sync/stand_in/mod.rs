//! Loom-visible stand-ins for the primitives.
//!
//! loom can interleave only what goes through its own types, so each operation
//! of a stand-in that other threads can notice is a [`Step`]: an access of a
//! loom atomic, at which loom may switch threads. The data itself is behind
//! locks that loom does not see and that are never held across a step; so an
//! operation happens as a whole at its step, which is what the real primitives
//! guarantee (they are linearizable).
//!
//! Nothing is dropped under such a lock, because dropping can be a step too.
//!
//! # Where a stand-in is stronger than the real primitive
//!
//! What the kernel takes for granted here, and the models cannot disprove:
//! - **Orderings.** The steps are acquiring and releasing and the data changes at them,
//!   so all the orderings that the kernel asks of a pointer are as good as sequentially
//!   consistent. [`AtomicU64`] has the orderings that are asked for.
//! - **[`AtomicShared`], [`Shared`].** An owner is added and taken away in one step,
//!   where `sdd` loads the count and exchanges it.
//! - **[`Guard`].** A value is dropped by the last who lets go of it, owner or guard.
//!   `sdd` drops it later, in whichever thread finds that enough epochs have passed; it
//!   may take long, and a thread that is ending may not be able to use `sdd`. The
//!   functions of [`epochs`] that care for these have nothing to do.
//! - **[`Mirror`].** To announce is one step, where the real one loads and exchanges the
//!   state. To show is two, of which the second stores all the words and gives up the
//!   claim. To close and wipe is one. To look is one, and it is in vain only if the words
//!   are not those of the newest version. The mirror as it is shipped has models of its
//!   own.
//!   Who watches is told of as it is at the second step of showing.
//! - **[`ArrayQueue`].** To push and to pop never waits for another thread inside the
//!   same place.
//! - **[`HashMap`].** It has no tables that are copied, and no hashes that are equal by
//!   accident. An insertion is one step. An iteration is one, too: what it meets was all
//!   there at the same moment. `len` is exact at its step. Reclaiming is as for `Guard`.
//! - **[`OnceBox`]**, and [`Mutex`] and [`fence`], which are loom's own, are no stronger.
//!
//! # Where a stand-in is set otherwise
//!
//! [`slack`] is 0, so that what it makes rare happens with two writers. [`stride`] is 2 with
//! two or more superseded versions, so that histories of three have versions that are not
//! anchors. Of the real numbers the unit tests of the timeline make sure.

mod atomic_shared;
mod clock;
pub mod epochs;
mod kept;
mod map;
mod mirror;
mod number;
mod once_box;
mod queue;
mod shared;

use std::sync::{Mutex as Unseen, MutexGuard as Seen, PoisonError};
use std::thread;

use loom::sync::atomic::AtomicUsize;
/// loom's own.
pub use loom::sync::{
    Mutex, MutexGuard,
    atomic::{Ordering, fence},
};

pub use clock::SetClock;
pub use epochs::{
    AtomicShared, Guard, Ptr, Shared, Tag, chained_drops, forget_counts, live_values,
};
pub use map::{
    Equivalent, HashMap, HashMapBuilder, HashMapRef, LocalGuard, OccupiedError, OwnedGuard,
    Reclaim, ResizeMode,
};
pub use mirror::Mirror;
pub use number::AtomicU64;
pub use once_box::OnceBox;
pub use queue::{ArrayQueue, slack, stride};

/// One, so that a model does the same in every execution, whatever the hashes.
pub const SHARDS: usize = 1;

/// A point at which loom can interleave other threads.
#[derive(Debug, Default)]
struct Step(AtomicUsize);

impl Step {
    fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Not in a thread that panics. It ends the execution, and what it drops on its way
    /// is of no interest; but a second panic out of loom would hide the first.
    fn take(&self) {
        if !thread::panicking() {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }
}

fn lock<T>(data: &Unseen<T>) -> Seen<'_, T> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}
