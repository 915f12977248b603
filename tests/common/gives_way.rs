//! More of the interleavings in which operations meet in the map of users.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

/// A hasher that lets other threads run at some of the lookups in the map, long
/// enough for several operations. An operation that changes the map looks a user
/// up more than once: between two lookups is where others can get in its way.
#[derive(Default)]
pub struct GivesWay {
    lookups: AtomicUsize,
    hasher: RandomState,
}

impl BuildHasher for GivesWay {
    type Hasher = <RandomState as BuildHasher>::Hasher;

    fn build_hasher(&self) -> Self::Hasher {
        if self.lookups.fetch_add(1, SeqCst).is_multiple_of(4) {
            for _ in 0..8 {
                thread::yield_now();
            }
        }
        self.hasher.build_hasher()
    }
}
