//! The store behind the contract: its operations, each in a span.

use std::future;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::task::Poll;

use smol_str::SmolStr;

use super::listing::Listing;
use super::{MemoryStore, Users, spans};
use crate::map::Look;
use crate::range::{AsOf, VersionRange};
use crate::revision::{Expected, Revision};
use crate::snapshot::{State, StateSnapshot, validate_user_id};
use crate::store::{BoxFuture, BoxStream, Result, StateStore};
use crate::timestamp::Timestamp;
use crate::versioned::Versioned;
use crate::watch::{AnyEvent, Event, Watch};

impl<S: BuildHasher + Send + Sync + 'static> StateStore for MemoryStore<S> {
    fn upsert_latest<'s, 'f>(&'s self, snapshot: StateSnapshot) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let ids = self.0.user_id_field;
            spans::observe(
                snapshot,
                |snapshot| ids.upsert(snapshot.user_id()),
                |snapshot| self.insert(snapshot).map(drop),
                |_, ()| {},
            )
        })
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

    fn get_latest_versioned<'s, 'u, 'f>(
        &'s self,
        user_id: &'u str,
    ) -> BoxFuture<'f, Result<Option<Versioned<StateSnapshot>>>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
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
        })
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
            let ids = self.0.user_id_field;
            spans::observe(
                snapshot,
                |snapshot| ids.upsert(snapshot.user_id()),
                |snapshot| self.insert_if(snapshot, expected),
                |_, _| {},
            )
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
            let span = spans::get_many(user_ids.len());
            let result = self.read_many(user_ids, &span).await;
            spans::record(&span, &result, |span, snapshots| {
                span.record("found", snapshots.iter().flatten().count());
            });
            result
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
            let results = self.write_many(snapshots, &span).await;
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
        })
    }

    fn delete<'s, 'u, 'f>(&'s self, user_id: &'u str) -> BoxFuture<'f, Result<bool>>
    where
        's: 'f,
        'u: 'f,
        Self: 'f,
    {
        Box::pin(async move {
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
        })
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
            let ids = self.0.user_id_field;
            spans::observe(
                user_id,
                |user_id| ids.watch(user_id),
                |user_id| {
                    validate_user_id(user_id)?;
                    let store = Arc::downgrade(&self.0);
                    let look = move |id: &SmolStr| Some(looked(id, &store.upgrade()?.users));
                    Ok(self.users().watch_with(user_id, look))
                },
                |_, _| {},
            )
        })
    }

    fn watch_all<'s, 'f>(&'s self) -> BoxFuture<'f, Result<Watch<AnyEvent<StateSnapshot>>>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            spans::observe(
                (),
                |()| spans::watch_all(),
                |()| {
                    let store = Arc::downgrade(&self.0);
                    let look = move |id: &SmolStr| Some(looked(id, &store.upgrade()?.users));
                    Ok(self.users().watch_all_with(look))
                },
                |_, _| {},
            )
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
            let ids = self.0.user_id_field;
            spans::observe(
                user_id,
                |user_id| ids.delete(user_id),
                |user_id| {
                    let removed = self.remove_if(user_id, expected);
                    if !matches!(removed, Ok(true)) {
                        validate_user_id(user_id)?;
                    }
                    removed
                },
                |span, removed| {
                    span.record("removed", removed);
                },
            )
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
            let ids = self.0.user_id_field;
            spans::observe(
                (user_id, range),
                |(user_id, _)| ids.versions(user_id),
                |(user_id, range)| {
                    let versions = self.versions(user_id, range);
                    if versions.is_empty() {
                        validate_user_id(user_id)?;
                        return Ok(Vec::new());
                    }
                    // An id that is allocated is allocated once.
                    let id = SmolStr::new(user_id);
                    let whole = |state| StateSnapshot::from_parts(id.clone(), state);
                    Ok(versions.into_iter().map(|found| found.map(whole)).collect())
                },
                |span, versions: &Vec<_>| {
                    span.record("entries", versions.len());
                },
            )
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
            let ids = self.0.user_id_field;
            spans::observe(
                user_id,
                |user_id| ids.as_of(user_id),
                |user_id| {
                    let then = self.as_of(user_id, time);
                    if matches!(then, AsOf::NotThere) {
                        validate_user_id(user_id)?;
                    }
                    Ok(then.map(|state| snapshot(user_id, state)))
                },
                |span, then| {
                    span.record("found", matches!(then, AsOf::Was(_)));
                },
            )
        })
    }

    fn list(&self) -> BoxStream<'_, Result<String>> {
        Box::pin(Listing::of(self))
    }

    fn health_check<'s, 'f>(&'s self) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move { spans::observe((), |()| spans::health(), |()| Ok(()), |_, ()| {}) })
    }
}

/// What was found, as a snapshot of the user whose id the map has.
#[inline]
pub(super) fn found(user_id: &SmolStr, state: State) -> Result<Option<StateSnapshot>> {
    Ok(Some(StateSnapshot::from_parts(user_id.clone(), state)))
}

/// What a watcher finds, as a snapshot.
fn looked<S: BuildHasher + Send + Sync>(
    user_id: &SmolStr,
    users: &Users<S>,
) -> Look<StateSnapshot> {
    let found = users.look(user_id)?;
    let whole = |state| StateSnapshot::from_parts(user_id.clone(), state);
    Ok(found.map(|latest| latest.map(whole)))
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
