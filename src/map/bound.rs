//! The bound on the number of keys.

use std::sync::PoisonError;

use crate::sync::Mutex;

/// Counts the keys of a map that has a maximum.
///
/// The count is exact at every moment: no race of newcomers exceeds the maximum, and
/// no newcomer is refused for a place that is free. Only newcomers and removals take a
/// lock, and only in a map that has a maximum; reads, and writes of keys that are there,
/// do not.
///
/// There are two locks, so that a removal waits for nothing that can take long.
/// `newcomers` makes newcomers go one after the other; it is held while the map takes a
/// key in, which waits while the map is copied into a larger one. `keys` is held for as long
/// as it takes to look a key up or to close a timeline.
#[derive(Debug)]
pub(super) struct Bound {
    max_keys: usize,
    newcomers: Mutex<()>,
    keys: Mutex<usize>,
}

impl Bound {
    pub(super) fn new(max_keys: usize) -> Self {
        Self {
            max_keys,
            newcomers: Mutex::new(()),
            keys: Mutex::new(0),
        }
    }

    pub(super) fn max_keys(&self) -> usize {
        self.max_keys
    }

    /// Counts a key if there is room and `insert` brings it; otherwise hands back what
    /// `insert` was to bring, as an outer error if there is no room. `present` is whether
    /// the key has come in the meantime, and so does not need room.
    ///
    /// A refusal takes effect while `keys` is locked. No other newcomer has a place
    /// reserved then, and no removal is between closing its timeline and counting it
    /// off, so the count is the number of keys that are there. This key is not one of
    /// them: `present` is asked under the same lock.
    pub(super) fn admit<N, T>(
        &self,
        newcomer: N,
        insert: impl FnOnce(N) -> Result<T, N>,
        present: impl FnOnce() -> bool,
    ) -> Result<Result<T, N>, N> {
        let _one_at_a_time = self
            .newcomers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if *keys >= self.max_keys {
                if present() {
                    return Ok(Err(newcomer));
                }
                return Err(newcomer);
            }
            *keys += 1;
        }
        let reserved = Reserved(self);
        let inserted = insert(newcomer);
        if inserted.is_ok() {
            std::mem::forget(reserved);
        }
        Ok(inserted)
    }

    /// Counts so many keys that came with a restore, if there is room for them. Nobody else uses
    /// the map yet, so they may be there already.
    #[cfg(feature = "checkpoint")]
    pub(super) fn count_restored(&self, came: usize) -> bool {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = came <= self.max_keys.saturating_sub(*keys);
        if fits {
            *keys += came;
        }
        fits
    }

    /// Counts a key off if `close` closes its timeline.
    pub(super) fn dismiss<T, E>(&self, close: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = close()?;
        *keys -= 1;
        Ok(closed)
    }
}

/// A place for a newcomer. It is given back if the newcomer does not come, be it
/// because a hasher panics.
struct Reserved<'a>(&'a Bound);

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let Self(bound) = self;
        *bound.keys.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}
