//! What a thread does that is about to end: one whose thread-local variables are being
//! destroyed, while their destructors use the map.
//!
//! It cannot use the reclaimers any more ([`epochs::usable`]). A small value is read from
//! the mirror under a guard of papaya's that needs no thread-local variable. All else is
//! done in a thread of its own, which takes some 60 microseconds, or refused where no
//! thread can be started.

use std::hash::BuildHasher;

use smol_str::SmolStr;

use super::key::BorrowedKey;
use super::small_value::Mirroring;
use super::{HistoryMap, MapError, read};
use crate::revision::{Expected, Revision};
use crate::sync::epochs;
use crate::versioned::Versioned;

impl<V, M, S> HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    #[cold]
    pub(super) fn ending_latest(&self, key: &str) -> Option<(SmolStr, V)> {
        {
            let pinned = self.timelines.pin_owned();
            let (key, timeline) = pinned.get_key_value(&BorrowedKey(key))?;
            if let Some(value) = read::mirrored::<V, M>(timeline) {
                return Some((key.text().clone(), value));
            }
        }
        let latest = || {
            let found = |key: &SmolStr, value| Some((key.clone(), value));
            self.pin(|view| view.map_latest(key, found, || None))
        };
        epochs::elsewhere(latest)?
    }

    #[cold]
    pub(super) fn ending_contains(&self, key: &str) -> bool {
        if self.expiry.is_some() {
            return epochs::elsewhere(|| self.contains(key)).unwrap_or_default();
        }
        let pinned = self.timelines.pin_owned();
        let timeline = pinned.get(&BorrowedKey(key));
        timeline.is_some_and(|timeline| !timeline.is_closed())
    }

    /// By a conditional write on what was read, since `change` cannot go to another thread.
    #[cold]
    pub(super) fn ending_update(
        &self,
        key: &str,
        expected: Expected,
        mut change: impl FnMut(Option<(&V, Revision)>) -> Option<V>,
    ) -> Result<Option<Versioned<V>>, MapError> {
        loop {
            let current =
                epochs::elsewhere(|| self.get_versioned(key)).ok_or(MapError::ThreadEnding)?;
            let actual = current.as_ref().map(|current| current.revision);
            if !expected.is_met_by(actual) {
                return Err(self.conflict(expected, actual));
            }
            let found = current
                .as_ref()
                .map(|current| (&current.value, current.revision));
            let Some(value) = change(found) else {
                return Ok(None);
            };
            let there = Expected::from(actual);
            let written = epochs::elsewhere(|| {
                let written = self.write(key, || SmolStr::new(key), value.clone(), there)?;
                Ok(written.with(value))
            });
            match written.unwrap_or(Err(MapError::ThreadEnding)) {
                Err(MapError::Conflict { .. }) => {}
                written => return written.map(Some),
            }
        }
    }

    #[cold]
    pub(super) fn ending_for_each(&self, mut visit: impl FnMut(&str, &V)) {
        for key in self.ending_keys() {
            if let Some((key, value)) = self.ending_latest(&key) {
                visit(&key, &value);
            }
        }
    }

    #[cold]
    pub(super) fn ending_retain(&self, mut keep: impl FnMut(&str, &V) -> bool) -> usize {
        let mut removed = 0;
        for key in self.ending_keys() {
            while let Some(latest) = epochs::elsewhere(|| self.get_versioned(&key)).flatten() {
                if keep(&key, &latest.value) {
                    break;
                }
                match self.remove_if(&key, Expected::At(latest.revision)) {
                    Ok(gone) => {
                        removed += usize::from(gone.is_some());
                        break;
                    }
                    Err(MapError::Conflict { .. }) => {}
                    Err(_) => return removed,
                }
            }
        }
        // Those who have expired are not among the keys.
        self.sweep();
        removed
    }

    fn ending_keys(&self) -> Vec<String> {
        epochs::elsewhere(|| self.keys()).unwrap_or_default()
    }
}
