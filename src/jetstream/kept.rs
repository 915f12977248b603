//! What a store has of the users in its memory.

use std::sync::Arc;

use super::error::JetStreamError;
use super::gaps::{Barrier, Replaced};
use super::hot::HotUsers;
use super::link::Link;
use super::replica::Replica;

#[derive(Clone)]
pub(super) enum Kept {
    /// All users, as the log delivers them.
    All(Arc<Replica>),
    /// Those that were used lately.
    Hot(Arc<HotUsers>),
}

impl Kept {
    /// Publishes a barrier, of which what is in memory is told.
    pub async fn barrier(&self, link: &Link) -> Result<Barrier, JetStreamError> {
        let barrier = match self {
            Self::All(replica) => {
                let begun = replica.begin_barrier();
                let acknowledged = link.publish_barrier(None).await?;
                replica.acknowledge(begun, acknowledged.sequence)
            }
            Self::Hot(hot) => {
                let before = hot.highest();
                let acknowledged = link.publish_barrier(None).await?;
                hot.acknowledge(before, acknowledged.sequence)
            }
        };
        barrier.map_err(|Replaced| JetStreamError::StreamReplaced)
    }
}
