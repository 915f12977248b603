//! A number.

use loom::sync::atomic::{self, AtomicUsize, Ordering};

/// loom's own, with the orderings that the crate asks for, and each access preceded
/// by a store to a companion that nobody reads.
///
/// loom 0.7.3 misses interleavings if a thread loads an atomic and then writes to it:
/// for each write it only compares with the last access, and that is the thread's own
/// load (<https://github.com/tokio-rs/loom/issues/166>, and 392). Stores are compared
/// with every access. They are relaxed, so that they order nothing else.
#[derive(Debug, Default)]
pub struct AtomicU64 {
    companion: AtomicUsize,
    number: atomic::AtomicU64,
}

impl AtomicU64 {
    pub fn new(number: u64) -> Self {
        Self {
            companion: AtomicUsize::new(0),
            number: atomic::AtomicU64::new(number),
        }
    }

    fn number(&self) -> &atomic::AtomicU64 {
        self.companion.store(0, Ordering::Relaxed);
        &self.number
    }

    pub fn load(&self, order: Ordering) -> u64 {
        self.number().load(order)
    }

    pub fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.number()
            .compare_exchange(current, new, success, failure)
    }

    pub fn fetch_max(&self, number: u64, order: Ordering) -> u64 {
        self.number().fetch_max(number, order)
    }

    pub fn fetch_add(&self, number: u64, order: Ordering) -> u64 {
        self.number().fetch_add(number, order)
    }

    pub fn fetch_sub(&self, number: u64, order: Ordering) -> u64 {
        self.number().fetch_sub(number, order)
    }

    pub fn fetch_or(&self, number: u64, order: Ordering) -> u64 {
        self.number().fetch_or(number, order)
    }

    pub fn fetch_and(&self, number: u64, order: Ordering) -> u64 {
        self.number().fetch_and(number, order)
    }
}
