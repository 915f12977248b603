//! The concurrency primitives, all of them and nothing else.
//!
//! In the crate that is shipped they are the real ones, unwrapped; one of them, the
//! [mirror], is our own: seqlocks in libraries wait for each other. Under the
//! cfg `attuned_loom` they are stand-ins with the same names and the part of
//! the interface that the crate uses, built on loom's types, so that loom sees
//! each of their operations as a step that it can interleave with others.
//! Nothing else in the crate knows that loom exists, with two exceptions: the mirror, whose
//! own models use loom's atomics, and `lib.rs`, which
//! then makes this module public for the models to test the stand-ins themselves.
//! [`epochs`] says when the reclaimer is asked to advance, and what a thread that ends can do.

#[cfg(not(attuned_loom))]
mod mirror;
#[cfg(attuned_loom)]
pub mod mirror;

#[cfg(not(attuned_loom))]
pub(crate) mod epochs;

#[cfg(not(attuned_loom))]
mod real {
    pub(crate) use super::mirror::Mirror;
    pub(crate) use crossbeam_queue::ArrayQueue;
    pub(crate) use once_cell::race::OnceBox;
    pub(crate) use papaya::{
        Equivalent, Guard as Reclaim, HashMap, HashMapRef, LocalGuard, ResizeMode,
    };
    pub(crate) use sdd::{AtomicShared, Guard, Ptr, Shared, Tag};
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};
    pub(crate) use std::sync::{Mutex, MutexGuard};

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

    /// Over how many locks watched keys are spread.
    pub(crate) const SHARDS: usize = 16;

    /// Of the superseded versions, each of which numbers is put into the queue.
    ///
    /// With a longer history the queue costs a write less, and memory, at the price
    /// of up to three versions more. With a short one those would count.
    pub(crate) fn stride(in_window: usize) -> u64 {
        if in_window < 16 { 1 } else { 4 }
    }
}
#[cfg(not(attuned_loom))]
pub(crate) use real::*;

#[cfg(attuned_loom)]
mod stand_in;
#[cfg(attuned_loom)]
pub use stand_in::*;
