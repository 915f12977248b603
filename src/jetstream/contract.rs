//! The store behind the contract: its operations, each in a span.

use smol_str::SmolStr;
use tokio::time;
use tracing::field::display;
use tracing::{Instrument, Span};

use super::error::JetStreamError;
use super::message::Entry;
use super::seen::Wanted;
use super::{Core, JetStreamStore};
use crate::memory::spans;
use crate::range::{AsOf, VersionRange};
use crate::revision::{Expected, Revision};
use crate::snapshot::{StateSnapshot, validate_user_id};
use crate::store::{BoxFuture, BoxStream, Result, StateStore, StoreError};
use crate::timestamp::Timestamp;
use crate::versioned::Versioned;
use crate::watch::{AnyEvent, Event, Watch};

impl StateStore for JetStreamStore {
    fn upsert_latest<'s, 'f>(&'s self, snapshot: StateSnapshot) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let core = &self.0.core;
            let span = core.user_id_field.upsert(snapshot.user_id());
            observe(span, core.upsert(&snapshot), |_, _| {})
                .await
                .map(drop)
        })
    }

    fn get_latest<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
    ) -> BoxFuture<'f, Result<Option<StateSnapshot>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let latest = self.0.core.latest(user_id, Wanted::State).await?;
            Ok(latest.map(|latest| latest.value))
        })
    }

    fn get_latest_versioned<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
    ) -> BoxFuture<'f, Result<Option<Versioned<StateSnapshot>>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move { self.0.core.latest(user_id, Wanted::Version).await })
    }

    fn upsert_if<'s, 'f>(
        &'s self,
        snapshot: StateSnapshot,
        expected: Expected,
    ) -> BoxFuture<'f, Result<Revision>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let core = &self.0.core;
            let span = core.user_id_field.upsert(snapshot.user_id());
            observe(span, core.upsert_if(&snapshot, expected), |_, _| {}).await
        })
    }

    fn get_many<'s, 'i, 'u, 'f>(
        &'s self,
        user_ids: &'i [&'u str],
    ) -> BoxFuture<'f, Result<Vec<Option<StateSnapshot>>>>
    where
        's: 'f,
        'i: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let core = &self.0.core;
            let read = async {
                for user_id in user_ids {
                    validate_user_id(user_id)?;
                }
                if user_ids.is_empty() {
                    return Ok(Vec::new());
                }
                let seen = core.see_many(user_ids, core.deadline()).await?;
                let latest = seen.into_iter().map(|seen| seen.entries.into_iter().next());
                user_ids
                    .iter()
                    .zip(latest)
                    .map(|(user_id, latest)| {
                        let latest = latest
                            .map(|latest| core.snapshot(user_id, latest))
                            .transpose()?;
                        Ok(latest.map(|latest| latest.value))
                    })
                    .collect()
            };
            observe(
                spans::get_many(user_ids.len()),
                read,
                |span, snapshots: &Vec<_>| {
                    span.record("found", snapshots.iter().flatten().count());
                },
            )
            .await
        })
    }

    fn upsert_many<'s, 'f>(
        &'s self,
        snapshots: Vec<StateSnapshot>,
    ) -> BoxFuture<'f, Vec<Result<()>>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let span = spans::upsert_many(snapshots.len());
            let results = self
                .0
                .core
                .upsert_many(snapshots)
                .instrument(span.clone())
                .await;
            let failed = results.iter().filter(|result| result.is_err()).count();
            span.record("failed", failed);
            results
        })
    }

    fn get_history<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
        limit: usize,
    ) -> BoxFuture<'f, Result<Vec<StateSnapshot>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let core = &self.0.core;
            let read = async {
                validate_user_id(user_id)?;
                let limit = limit.min(core.history.unwrap_or(0));
                if limit == 0 {
                    return Ok(Vec::new());
                }
                let wanted = Wanted::Entries(limit);
                let seen = core.see(user_id, wanted, core.deadline()).await?;
                let entries = seen.entries.into_iter();
                entries
                    .map(|entry| core.snapshot(user_id, entry).map(|entry| entry.value))
                    .collect()
            };
            let span = core.user_id_field.history(user_id, limit);
            observe(span, read, |span, history: &Vec<_>| {
                span.record("entries", history.len());
            })
            .await
        })
    }

    fn delete<'s, 'u, 'f>(&'s self, user_id: &'u str) -> BoxFuture<'f, Result<bool>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let core = &self.0.core;
            let delete = async {
                validate_user_id(user_id)?;
                core.remove(user_id).await
            };
            let span = core.user_id_field.delete(user_id);
            observe(span, delete, |span, removed| {
                span.record("removed", removed);
            })
            .await
        })
    }

    fn delete_if<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
        expected: Expected,
    ) -> BoxFuture<'f, Result<bool>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let core = &self.0.core;
            let delete = async {
                validate_user_id(user_id)?;
                core.remove_if(user_id, expected).await
            };
            let span = core.user_id_field.delete(user_id);
            observe(span, delete, |span, removed| {
                span.record("removed", removed);
            })
            .await
        })
    }

    fn get_versions<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
        range: VersionRange,
    ) -> BoxFuture<'f, Result<Vec<Versioned<StateSnapshot>>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let core = &self.0.core;
            let read = async {
                validate_user_id(user_id)?;
                let entries = core.kept().min(range.newest_needed());
                if entries == 0 {
                    return Ok(Vec::new());
                }
                let wanted = Wanted::Entries(entries);
                let seen = core.see(user_id, wanted, core.deadline()).await?;
                let known = |entry: &Entry| (Revision::from(entry.revision), entry.written_at);
                let picked = range.pick(seen.entries, known).into_iter();
                picked.map(|entry| core.snapshot(user_id, entry)).collect()
            };
            let span = core.user_id_field.versions(user_id);
            observe(span, read, |span, versions: &Vec<_>| {
                span.record("entries", versions.len());
            })
            .await
        })
    }

    fn get_as_of<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
        time: Timestamp,
    ) -> BoxFuture<'f, Result<AsOf<StateSnapshot>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let core = &self.0.core;
            let read = async {
                validate_user_id(user_id)?;
                let wanted = Wanted::Entries(core.kept());
                let seen = core.see(user_id, wanted, core.deadline()).await?;
                let oldest = seen.entries.last().map_or(1, |oldest| oldest.number);
                let was_there = |entry: &Entry| entry.written_at <= time.as_unix_ms();
                match seen.entries.into_iter().find(was_there) {
                    Some(entry) => core.snapshot(user_id, entry).map(AsOf::Was),
                    None if oldest > 1 => Ok(AsOf::Evicted),
                    None => Ok(AsOf::NotThere),
                }
            };
            let span = core.user_id_field.as_of(user_id);
            observe(span, read, |span, then| {
                span.record("found", matches!(then, AsOf::Was(_)));
            })
            .await
        })
    }

    fn list(&self) -> BoxStream<'_, Result<String>> {
        Box::pin(self.0.core.list())
    }

    fn watch<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
    ) -> BoxFuture<'f, Result<Watch<Event<StateSnapshot>>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let core = &self.0.core;
            let span = core.user_id_field.watch(user_id);
            observe(span, core.watch(user_id), |_, _| {}).await
        })
    }

    fn watch_all<'s, 'f>(&'s self) -> BoxFuture<'f, Result<Watch<AnyEvent<StateSnapshot>>>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(
            async move { observe(spans::watch_all(), self.0.core.watch_all(), |_, _| {}).await },
        )
    }

    /// A round trip through the log and back into the replica, if there is one, within
    /// [`operation_timeout`](super::JetStreamStoreBuilder::operation_timeout).
    fn health_check<'s, 'f>(&'s self) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let core = &self.0.core;
            let check = async {
                let deadline = core.deadline();
                let barrier = core.barrier(deadline).await?;
                let replica = core.replica();
                match replica.and_then(|replica| replica.when_applied(barrier.sequence)) {
                    Some(told) => match time::timeout_at(deadline, told).await {
                        Ok(_) => Ok(()),
                        Err(_) => Err(JetStreamError::ReplicaBehind.into()),
                    },
                    None => Ok(()),
                }
            };
            observe(spans::health(), check, |_, ()| {}).await
        })
    }
}

impl Core {
    /// How many entries of a user can be read.
    fn kept(&self) -> usize {
        self.history.unwrap_or(1)
    }

    async fn latest(
        &self,
        user_id: &str,
        wanted: Wanted,
    ) -> Result<Option<Versioned<StateSnapshot>>> {
        let read = async {
            validate_user_id(user_id)?;
            let seen = self.see(user_id, wanted, self.deadline()).await?;
            let latest = seen.entries.into_iter().next();
            latest
                .map(|latest| self.snapshot(user_id, latest))
                .transpose()
        };
        let span = self.user_id_field.get(user_id);
        observe(span, read, |span, latest| {
            span.record("found", latest.is_some());
        })
        .await
    }

    /// An entry of a user, as the contract gives it.
    fn snapshot(&self, user_id: &str, entry: Entry) -> Result<Versioned<StateSnapshot>> {
        let Some(state) = entry.state else {
            self.counts.unreadable();
            let unreadable = JetStreamError::Unreadable {
                subject: self.link.subjects().of_user(user_id),
                sequence: entry.revision,
            };
            return Err(unreadable.into());
        };
        let snapshot = StateSnapshot::from_parts(SmolStr::new(user_id), state);
        let revision = Revision::from(entry.revision);
        Ok(Versioned::new(snapshot, revision, entry.written_at))
    }
}

/// Runs an operation inside a span and records how it ended.
async fn observe<T>(
    span: Span,
    operation: impl Future<Output = Result<T, StoreError>>,
    outcome: impl FnOnce(&Span, &T),
) -> Result<T> {
    if span.is_disabled() {
        return operation.await;
    }
    let result = operation.instrument(span.clone()).await;
    match &result {
        Ok(value) => outcome(&span, value),
        Err(error) => {
            span.record("error", display(error));
        }
    }
    result
}
