//! What the maps with locks hold for each user.

use std::collections::VecDeque;

use attuned_store::StateSnapshot;

/// The latest snapshot and those that it superseded, oldest first, so that an
/// update pushes at one end and evicts at the other.
pub struct Record {
    latest: StateSnapshot,
    superseded: VecDeque<StateSnapshot>,
}

impl Record {
    pub fn new(latest: StateSnapshot) -> Self {
        Self {
            latest,
            // Without an allocation: most users never have a second snapshot.
            superseded: VecDeque::new(),
        }
    }

    pub fn latest(&self) -> &StateSnapshot {
        &self.latest
    }

    /// Makes `snapshot` the latest; what is no longer kept is returned, to be
    /// dropped after the lock is released.
    pub fn update(&mut self, snapshot: StateSnapshot, retention: usize) -> Option<StateSnapshot> {
        let replaced = std::mem::replace(&mut self.latest, snapshot);
        if retention <= 1 {
            return Some(replaced);
        }
        // First out, then in: a full queue does not grow for the moment.
        let evicted = if self.superseded.len() + 1 >= retention {
            self.superseded.pop_front()
        } else {
            None
        };
        self.superseded.push_back(replaced);
        evicted
    }

    pub fn history(&self, limit: usize) -> Vec<StateSnapshot> {
        let entries = limit.min(1 + self.superseded.len());
        let mut history = Vec::with_capacity(entries);
        history.extend(
            std::iter::once(&self.latest)
                .chain(self.superseded.iter().rev())
                .take(entries)
                .cloned(),
        );
        history
    }
}
