//! The concurrency primitives, all of them and nothing else.
//!
//! In the crate that is shipped they are the real ones, unwrapped; one of them, the
//! [mirror], is our own: seqlocks in libraries wait for each other. Under the
//! cfg `attuned_loom` they are stand-ins with the same names and the part of
//! the interface that the crate uses, built on loom's types, so that loom sees
//! each of their operations as a step that it can interleave with others.
//! Nothing else in the crate knows that loom exists, but for the mirror, whose own
//! models use loom's atomics, and `lib.rs`, which
//! then makes this module public for the models to test the stand-ins themselves.

#[cfg(not(attuned_loom))]
mod mirror;
#[cfg(attuned_loom)]
pub mod mirror;

#[cfg(not(attuned_loom))]
mod real {
    pub(crate) use super::mirror::Mirror;
    pub(crate) use arc_swap::{ArcSwapOption, Guard};
    pub(crate) use crossbeam_queue::ArrayQueue;
    pub(crate) use once_cell::race::OnceBox;
    pub(crate) use papaya::{
        Equivalent, Guard as Reclaim, HashMap, HashMapRef, LocalGuard, ResizeMode,
    };
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use std::sync::{Arc, Mutex, Weak};

    /// How many superseded versions a queue has room for beyond those in the
    /// window. No argument of the kernel depends on it.
    ///
    /// Without room to spare, a single version that comes late stays out of
    /// order for good: from then on, what falls out is in the window at nearly
    /// every write, and part of the queue has to go round. Half of the room is
    /// for those that come late, the other half lets several leave together.
    pub(crate) fn slack(in_window: usize) -> usize {
        in_window.min(8)
    }

    /// Reads what a push into the queue is going to read, and does nothing else:
    /// the processor fetches it while it waits for other memory.
    pub(crate) fn touch<T>(queue: &OnceBox<ArrayQueue<T>>) {
        if let Some(queue) = queue.get() {
            std::hint::black_box(queue.is_full());
        }
    }
}
#[cfg(not(attuned_loom))]
pub(crate) use real::*;

#[cfg(attuned_loom)]
mod stand_in;
#[cfg(attuned_loom)]
pub use stand_in::*;
