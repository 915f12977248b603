//! What a store has of the users in its memory.

use std::sync::Arc;

use super::gaps::{Barrier, Begun, Replaced};
use super::hot::HotUsers;
use super::replica::Replica;

#[derive(Clone)]
pub(super) enum Kept {
    /// All users, as the log delivers them.
    All(Arc<Replica>),
    /// Those that were used lately.
    Hot(Arc<HotUsers>),
}

/// What was known of the log before a barrier was published.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    All(Begun),
    /// No sequence was greater.
    Hot(u64),
}

impl Kept {
    /// A barrier is about to be published.
    pub fn mark(&self) -> Mark {
        match self {
            Self::All(replica) => Mark::All(replica.begin_barrier()),
            Self::Hot(hot) => Mark::Hot(hot.highest()),
        }
    }

    /// It has this sequence.
    pub fn learn(&self, mark: Mark, sequence: u64) -> Result<Barrier, Replaced> {
        match (self, mark) {
            (Self::All(replica), Mark::All(begun)) => replica.acknowledge(begun, sequence),
            (Self::Hot(hot), Mark::Hot(before)) => hot.acknowledge(before, sequence),
            // A mark is of the store that has made it.
            (Self::All(_), Mark::Hot(_)) | (Self::Hot(_), Mark::All(_)) => Err(Replaced),
        }
    }

    /// Whether all that comes before it was applied, if there is a replica.
    pub fn has_applied(&self, barrier: Barrier) -> bool {
        match self {
            Self::All(replica) => replica.applied() >= barrier.all_before(),
            Self::Hot(_) => true,
        }
    }
}
