//! The store behind the contract: its operations, each in a span.

use std::hash::BuildHasher;

use async_trait::async_trait;

use super::{MemoryStore, spans};
use crate::snapshot::validate_user_id;
use crate::{Expected, Result, Revision, StateSnapshot, StateStore, Versioned};

#[async_trait]
impl<S: BuildHasher + Send + Sync> StateStore for MemoryStore<S> {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        let span = self.shared.user_id_field.upsert(snapshot.user_id());
        spans::observe(&span, || self.upsert(snapshot), |()| {})
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        let span = self.shared.user_id_field.get(user_id);
        spans::observe(
            &span,
            || {
                let latest = self.latest(user_id);
                valid_if_absent(user_id, latest.is_none())?;
                Ok(latest)
            },
            |latest| {
                span.record("found", latest.is_some());
            },
        )
    }

    async fn get_versioned(&self, user_id: &str) -> Result<Option<Versioned>> {
        let span = self.shared.user_id_field.get(user_id);
        spans::observe(
            &span,
            || {
                let latest = self.versioned(user_id);
                valid_if_absent(user_id, latest.is_none())?;
                Ok(latest)
            },
            |latest| {
                span.record("found", latest.is_some());
            },
        )
    }

    async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        let span = self.shared.user_id_field.upsert(snapshot.user_id());
        spans::observe(&span, || self.upsert_if(snapshot, expected), |_| {})
    }

    async fn get_many(&self, user_ids: &[&str]) -> Result<Vec<Option<StateSnapshot>>> {
        let span = spans::get_many(user_ids.len());
        spans::observe(
            &span,
            || {
                let view = self.pin();
                let read = |user_id: &&str| {
                    let latest = view.latest(user_id);
                    valid_if_absent(user_id, latest.is_none())?;
                    Ok(latest)
                };
                user_ids.iter().map(read).collect()
            },
            |snapshots: &Vec<_>| {
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
        let span = self.shared.user_id_field.history(user_id, limit);
        spans::observe(
            &span,
            || {
                let history = self.history(user_id, limit);
                valid_if_absent(user_id, history.is_empty())?;
                Ok(history)
            },
            |history| {
                span.record("entries", history.len());
            },
        )
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        let span = self.shared.user_id_field.delete(user_id);
        spans::observe(
            &span,
            || {
                let removed = self.remove(user_id);
                valid_if_absent(user_id, !removed)?;
                Ok(removed)
            },
            |removed| {
                span.record("removed", removed);
            },
        )
    }

    async fn health_check(&self) -> Result<()> {
        spans::observe(&spans::health(), || Ok(()), |()| {})
    }
}

/// Refuses an id that breaks the rules, but only if nothing was found under it:
/// whatever is stored has a valid id, so a hit does not pay for the check.
fn valid_if_absent(user_id: &str, absent: bool) -> Result<()> {
    if absent {
        validate_user_id(user_id)?;
    }
    Ok(())
}
