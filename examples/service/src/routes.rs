//! Which request does what to the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use attuned_store::{
    AsOf, Expected, Patch, Patched, Revision, Source, StateSnapshot, StateStore, StateStoreExt,
    StoreError, Timestamp,
};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware, routing::get};
use serde::Deserialize;

use crate::app::App;
use crate::events::{watch_user, watch_users};
use crate::extract::{
    Body, Expectation, MAX_BODY_BYTES, Parameters, UserId, list, read_body_first,
};
use crate::history::read_history;
use crate::listing::list_users;
use crate::problem::{Answer, Problem};

pub fn router(app: Arc<App>) -> Router {
    let user = get(read_user)
        .put(write_user)
        .patch(patch_user)
        .delete(remove_user);
    Router::new()
        .route("/users", get(list_users))
        .route("/users/{id}", user)
        .route("/users/{id}/history", get(read_history))
        .route("/users/{id}/events", get(watch_user))
        .route("/events", get(watch_users))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .fallback(|uri: Uri| async move {
            let detail = format!("there is nothing at {}", uri.path());
            Problem::new(StatusCode::NOT_FOUND, detail)
        })
        .method_not_allowed_fallback(|method: Method| async move {
            let detail = format!("{method} cannot be done here; `Allow` names what can");
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(middleware::from_fn(read_body_first))
        // Outside of the layer above, which keeps to it.
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(app)
}

/// A user as the body, with the entity tag of the write that stored it.
fn user(app: &App, status: StatusCode, snapshot: StateSnapshot, revision: Revision) -> Response {
    (status, [(ETAG, app.tags.of(revision))], Json(snapshot)).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moment {
    as_of: Option<Timestamp>,
}

/// The latest state, or the one that was the latest at some time.
async fn read_user(
    State(app): State<Arc<App>>,
    UserId(id): UserId,
    Parameters(moment): Parameters<Moment>,
    headers: HeaderMap,
) -> Answer {
    let found = match moment.as_of {
        None => {
            let latest = app.store.get_latest_versioned(&id).await?;
            latest.ok_or_else(Problem::nobody)?
        }
        Some(time) => match app.store.get_as_of(&id, time).await? {
            AsOf::Was(version) => version,
            AsOf::NotThere => return Err(Problem::nobody_then()),
            AsOf::Evicted => return Err(Problem::evicted()),
        },
    };
    let known = list(&headers, &IF_NONE_MATCH);
    if known.is_some_and(|tags| app.tags.listed(&tags, found.revision)) {
        let etag = [(ETAG, app.tags.of(found.revision))];
        return Ok((StatusCode::NOT_MODIFIED, etag).into_response());
    }
    Ok(user(&app, StatusCode::OK, found.value, found.revision))
}

/// The whole of a user's new state.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewState {
    /// Not needed, but what `GET` has answered can be sent back.
    user_id: Option<String>,
    /// The time of the request, if it is left out.
    updated_at_unix_ms: Option<i64>,
    source: Source,
    confidence: f32,
    axes: BTreeMap<String, f32>,
}

impl NewState {
    fn into_snapshot(self, id: &str) -> Result<StateSnapshot, Problem> {
        if self.user_id.is_some_and(|user_id| user_id != id) {
            let detail = "user_id is not the user of the address";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        let mut builder = StateSnapshot::builder()
            .user_id(id)
            .source(self.source)
            .confidence(self.confidence)
            .axes(self.axes);
        if let Some(unix_ms) = self.updated_at_unix_ms {
            builder = builder.updated_at(unix_ms);
        }
        Ok(builder.build().map_err(StoreError::from)?)
    }
}

async fn write_user(
    State(app): State<Arc<App>>,
    UserId(id): UserId,
    Expectation(expected): Expectation,
    Body(new): Body<NewState>,
) -> Answer {
    let snapshot = new.into_snapshot(&id)?;
    let (found, revision) = match expected {
        Expected::Any => write_over_anything(&app.store, &snapshot).await?,
        _ => {
            let written = app.store.upsert_if(snapshot.clone(), expected).await;
            let refused = |error| Problem::of_conditional(error, app.tags);
            (expected, written.map_err(refused)?)
        }
    };
    let status = match found {
        Expected::Absent => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    // The body has what the store has added: the time, if the request had none.
    Ok(user(&app, status, snapshot, revision))
}

/// Writes without a condition, and tells what was there.
///
/// A plain upsert does not tell whether the user is new. A look before it could be
/// outdated by the time of the write, and then `201` would go to two clients or to none.
async fn write_over_anything(
    store: &dyn StateStore,
    snapshot: &StateSnapshot,
) -> Result<(Expected, Revision), StoreError> {
    // Each further turn means that another write of this user has succeeded.
    loop {
        let latest = store.get_latest_versioned(snapshot.user_id()).await?;
        let found = Expected::from(latest.as_ref());
        match store.upsert_if(snapshot.clone(), found).await {
            Err(StoreError::Conflict { .. }) => {}
            written => return Ok((found, written?)),
        }
    }
}

/// New values of some axes; `null` removes one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    source: Source,
    confidence: f32,
    axes: BTreeMap<String, Option<f32>>,
}

impl Changes {
    fn into_patch(self, expected: Expected) -> Patch {
        let patch = Patch::new(self.source)
            .confidence(self.confidence)
            .expecting(expected);
        self.axes
            .iter()
            .fold(patch, |patch, (name, value)| match value {
                Some(value) => patch.axis(name, *value),
                None => patch.remove(name),
            })
    }
}

/// Explicit values win: what a user has reported is not overridden by what was inferred.
async fn patch_user(
    State(app): State<Arc<App>>,
    UserId(id): UserId,
    Expectation(expected): Expectation,
    Body(changes): Body<Changes>,
) -> Answer {
    let patch = changes.into_patch(expected);
    let patched = app.store.patch_latest(&id, &patch).await;
    let patched = patched.map_err(|error| match expected {
        Expected::Any => error.into(),
        _ => Problem::of_conditional(error, app.tags),
    })?;
    match patched {
        Patched::Written { value, revision } | Patched::Unchanged { value, revision } => {
            Ok(user(&app, StatusCode::OK, value, revision))
        }
        Patched::Nobody => Err(Problem::nobody()),
    }
}

async fn remove_user(
    State(app): State<Arc<App>>,
    UserId(id): UserId,
    Expectation(expected): Expectation,
) -> Answer {
    let removed = app.store.delete_if(&id, expected).await;
    if removed.map_err(|error| Problem::of_conditional(error, app.tags))? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::nobody())
    }
}

async fn health(State(app): State<Arc<App>>) -> Answer {
    app.store.health_check().await.map_err(|error| {
        tracing::error!(%error, "the store cannot serve");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot serve")
    })?;
    Ok("ok\n".into_response())
}

async fn metrics(State(app): State<Arc<App>>) -> Answer {
    // The figures take a walk over all users, so they are not for a thread that serves.
    let text = tokio::task::spawn_blocking(move || app.metrics.text(&app))
        .await
        .map_err(|error| {
            tracing::error!(%error, "no figures");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "there are no figures")
        })?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use attuned_store::{MemoryStore, Result, Versioned, async_trait};

    use super::*;

    /// Another write comes in right after the first look.
    #[derive(Default)]
    struct Interrupted {
        store: MemoryStore,
        before: AtomicBool,
    }

    #[async_trait]
    impl StateStore for Interrupted {
        async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
            self.store.upsert_latest(snapshot).await
        }

        async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
            self.store.get_latest(user_id).await
        }

        async fn get_latest_versioned(
            &self,
            user_id: &str,
        ) -> Result<Option<Versioned<StateSnapshot>>> {
            let latest = self.store.get_latest_versioned(user_id).await;
            if !self.before.swap(true, SeqCst) {
                let other = StateSnapshot::builder().user_id(user_id).build()?;
                self.store.upsert_latest(other).await?;
            }
            latest
        }

        async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
            self.store.upsert_if(snapshot, expected).await
        }
    }

    #[tokio::test]
    async fn a_user_who_comes_in_between_is_not_new() -> Result<()> {
        let store = Interrupted::default();
        let ada = StateSnapshot::builder().user_id("ada").axis("warmth", 0.5);
        let (found, revision) = write_over_anything(&store, &ada.build()?).await?;
        assert!(matches!(found, Expected::At(other) if other < revision));
        let latest = store.store.get("ada").map(|ada| ada.get_axis("warmth"));
        assert_eq!(latest, Some(0.5));
        Ok(())
    }
}
