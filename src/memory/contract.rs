//! The store behind the contract: its operations, each in a span.

use std::future;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::task::Poll;

use async_trait::async_trait;

use super::{MemoryStore, spans};
use crate::snapshot::validate_user_id;
use crate::{Expected, Result, Revision, StateSnapshot, StateStore, Versioned};

#[async_trait]
impl<S: BuildHasher + Send + Sync> StateStore for MemoryStore<S> {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        let ids = self.shared.user_id_field;
        spans::observe(
            snapshot,
            |snapshot| ids.upsert(snapshot.user_id()),
            |snapshot| self.upsert(snapshot),
            |_, ()| {},
        )
    }

    // What `async fn` would come to, but for a future that keeps no room for the
    // result and makes it where it is to be.
    fn get_latest<'a, 'b, 'f>(
        &'a self,
        user_id: &'b str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<StateSnapshot>>> + Send + 'f>>
    where
        'a: 'f,
        'b: 'f,
        Self: 'f,
    {
        Box::pin(future::poll_fn(move |_| {
            let ids = self.shared.user_id_field;
            Poll::Ready(spans::observe(
                user_id,
                |user_id| ids.get(user_id),
                |user_id| {
                    let found = |snapshot| Ok(Some(snapshot));
                    self.pin()
                        .map_latest(user_id, found, || none_if_valid(user_id))
                },
                |span, latest| {
                    span.record("found", latest.is_some());
                },
            ))
        }))
    }

    async fn get_versioned(&self, user_id: &str) -> Result<Option<Versioned>> {
        let ids = self.shared.user_id_field;
        spans::observe(
            user_id,
            |user_id| ids.get(user_id),
            |user_id| match self.versioned(user_id) {
                None => none_if_valid(user_id),
                latest => Ok(latest),
            },
            |span, latest| {
                span.record("found", latest.is_some());
            },
        )
    }

    async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        let ids = self.shared.user_id_field;
        spans::observe(
            snapshot,
            |snapshot| ids.upsert(snapshot.user_id()),
            |snapshot| self.upsert_if(snapshot, expected),
            |_, _| {},
        )
    }

    async fn get_many(&self, user_ids: &[&str]) -> Result<Vec<Option<StateSnapshot>>> {
        spans::observe(
            user_ids,
            |user_ids| spans::get_many(user_ids.len()),
            |user_ids| {
                let view = self.pin();
                let read = |user_id: &&str| match view.latest(user_id) {
                    None => none_if_valid(user_id),
                    latest => Ok(latest),
                };
                user_ids.iter().map(read).collect()
            },
            |span, snapshots: &Vec<_>| {
                span.record("found", snapshots.iter().flatten().count());
            },
        )
    }

    async fn upsert_many(&self, snapshots: Vec<StateSnapshot>) -> Vec<Result<()>> {
        let span = spans::upsert_many(snapshots.len());
        let _entered = span.enter();
        let view = self.pin();
        let results: Vec<_> = snapshots
            .into_iter()
            .map(|snapshot| view.upsert(snapshot))
            .collect();
        span.record(
            "failed",
            results.iter().filter(|result| result.is_err()).count(),
        );
        results
    }

    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        let ids = self.shared.user_id_field;
        spans::observe(
            user_id,
            |user_id| ids.history(user_id, limit),
            |user_id| {
                let history = self.history(user_id, limit);
                if history.is_empty() {
                    validate_user_id(user_id)?;
                }
                Ok(history)
            },
            |span, history| {
                span.record("entries", history.len());
            },
        )
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        let ids = self.shared.user_id_field;
        spans::observe(
            user_id,
            |user_id| ids.delete(user_id),
            |user_id| {
                let removed = self.remove(user_id);
                if !removed {
                    validate_user_id(user_id)?;
                }
                Ok(removed)
            },
            |span, removed| {
                span.record("removed", removed);
            },
        )
    }

    async fn health_check(&self) -> Result<()> {
        spans::observe((), |()| spans::health(), |()| Ok(()), |_, ()| {})
    }
}

/// For an id under which nothing was found: an error if it breaks the rules.
/// Whatever is stored has a valid id, so a hit does not pay for the check.
#[cold]
fn none_if_valid<T>(user_id: &str) -> Result<Option<T>> {
    validate_user_id(user_id)?;
    Ok(None)
}
