//! The store behind the contract: its operations, each in a span.

use std::future;
use std::hash::BuildHasher;
use std::task::Poll;

use async_trait::async_trait;
use smol_str::SmolStr;

use super::{MemoryStore, spans};
use crate::revision::{Expected, Revision};
use crate::snapshot::{State, StateSnapshot, validate_user_id};
use crate::store::{BoxFuture, Result, StateStore};
use crate::versioned::Versioned;

#[async_trait]
impl<S: BuildHasher + Send + Sync> StateStore for MemoryStore<S> {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        let ids = self.0.user_id_field;
        spans::observe(
            snapshot,
            |snapshot| ids.upsert(snapshot.user_id()),
            |snapshot| self.insert(snapshot).map(drop),
            |_, ()| {},
        )
    }

    // What `async fn` would come to, with a future that keeps no room for the
    // result and makes it where it is to be.
    fn get_latest<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
    ) -> BoxFuture<'f, Result<Option<StateSnapshot>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(future::poll_fn(move |_| {
            let ids = self.0.user_id_field;
            Poll::Ready(spans::observe(
                user_id,
                |user_id| ids.get(user_id),
                |user_id| {
                    self.pin(|users| users.map_latest(user_id, found, || none_if_valid(user_id)))
                },
                |span, latest| {
                    span.record("found", latest.is_some());
                },
            ))
        }))
    }

    async fn get_latest_versioned(
        &self,
        user_id: &str,
    ) -> Result<Option<Versioned<StateSnapshot>>> {
        let ids = self.0.user_id_field;
        spans::observe(
            user_id,
            |user_id| ids.get(user_id),
            |user_id| match self.get_versioned(user_id) {
                None => none_if_valid(user_id),
                Some(latest) => Ok(Some(latest.map(|state| snapshot(user_id, state)))),
            },
            |span, latest| {
                span.record("found", latest.is_some());
            },
        )
    }

    async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        let ids = self.0.user_id_field;
        spans::observe(
            snapshot,
            |snapshot| ids.upsert(snapshot.user_id()),
            |snapshot| self.insert_if(snapshot, expected),
            |_, _| {},
        )
    }

    async fn get_many(&self, user_ids: &[&str]) -> Result<Vec<Option<StateSnapshot>>> {
        let span = spans::get_many(user_ids.len());
        let result = self.read_many(user_ids, &span).await;
        spans::record(&span, &result, |span, snapshots| {
            span.record("found", snapshots.iter().flatten().count());
        });
        result
    }

    async fn upsert_many(&self, snapshots: Vec<StateSnapshot>) -> Vec<Result<()>> {
        let span = spans::upsert_many(snapshots.len());
        let results = self.write_many(snapshots, &span).await;
        let failed = results.iter().filter(|result| result.is_err()).count();
        span.record("failed", failed);
        results
    }

    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        let ids = self.0.user_id_field;
        spans::observe(
            user_id,
            |user_id| ids.history(user_id, limit),
            |user_id| {
                let history = if self.0.keeps_history {
                    self.pin(|users| users.map_history(user_id, limit, entry))
                } else {
                    Vec::new()
                };
                if history.is_empty() {
                    validate_user_id(user_id)?;
                }
                Ok(history)
            },
            |span, history: &Vec<_>| {
                span.record("entries", history.len());
            },
        )
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        let ids = self.0.user_id_field;
        spans::observe(
            user_id,
            |user_id| ids.delete(user_id),
            |user_id| {
                let removed = self.remove(user_id)?;
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

/// What was found, as a snapshot of the user whose id the map has.
#[inline]
pub(super) fn found(user_id: &SmolStr, state: State) -> Result<Option<StateSnapshot>> {
    Ok(Some(StateSnapshot::from_parts(user_id.clone(), state)))
}

fn entry(user_id: &SmolStr, state: &State) -> StateSnapshot {
    StateSnapshot::from_parts(user_id.clone(), state.clone())
}

/// A state that was found under this id, which is valid therefore.
fn snapshot(user_id: &str, state: State) -> StateSnapshot {
    StateSnapshot::from_parts(SmolStr::new(user_id), state)
}

/// For an id under which nothing was found: an error if it breaks the rules.
/// Whatever is stored has a valid id, so a hit does not pay for the check.
#[cold]
pub(super) fn none_if_valid<T>(user_id: &str) -> Result<Option<T>> {
    validate_user_id(user_id)?;
    Ok(None)
}
