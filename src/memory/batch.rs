//! Many reads or writes in one call, in portions, between which other tasks have their turn.

use std::hash::BuildHasher;

use tracing::Span;

use super::MemoryStore;
use super::contract::{found, none_if_valid};
use crate::snapshot::StateSnapshot;
use crate::store::Result;
use crate::yield_now::yield_now;

/// How many entries a batch does at a time. They take some 10 to 100 microseconds, about as
/// long as a task should keep a worker to itself; to yield takes a small part of that.
const PORTION: usize = 128;

impl<S: BuildHasher + Send + Sync> MemoryStore<S> {
    /// Enters `span` for each portion, since others run in between.
    pub(super) async fn read_many(
        &self,
        user_ids: &[&str],
        span: &Span,
    ) -> Result<Vec<Option<StateSnapshot>>> {
        let mut snapshots = Vec::with_capacity(user_ids.len());
        let mut left = user_ids;
        loop {
            let (portion, rest) = left.split_at(left.len().min(PORTION));
            span.in_scope(|| {
                self.pin(|users| {
                    portion.iter().try_for_each(|id| -> Result<()> {
                        snapshots.push(users.map_latest(id, found, || none_if_valid(id))?);
                        Ok(())
                    })
                })
            })?;
            if rest.is_empty() {
                return Ok(snapshots);
            }
            left = rest;
            yield_now().await;
        }
    }

    /// As [`read_many`](Self::read_many). What was written before the future is dropped
    /// stays.
    pub(super) async fn write_many(
        &self,
        snapshots: Vec<StateSnapshot>,
        span: &Span,
    ) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(snapshots.len());
        let mut left = snapshots.into_iter();
        loop {
            span.in_scope(|| {
                let portion = left.by_ref().take(PORTION);
                results.extend(portion.map(|snapshot| self.insert(snapshot).map(drop)));
            });
            if left.len() == 0 {
                return results;
            }
            yield_now().await;
        }
    }
}
