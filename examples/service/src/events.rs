//! What changes, as server-sent events.

use std::future;
use std::sync::Arc;

use attuned_store::{AnyEvent, Event, StateSnapshot, StateStore as _};
use axum::extract::State;
use axum::http::header::{HeaderMap, HeaderName};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::json;

use crate::app::App;
use crate::etag::Tags;
use crate::extract::{UserId, list};
use crate::problem::Answer;
use crate::walk::walk;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

type Sent = Result<sse::Event, axum::Error>;

/// One user: what is there, and then what is the latest after each change.
pub async fn watch_user(
    State(app): State<Arc<App>>,
    UserId(id): UserId,
    headers: HeaderMap,
) -> Answer {
    let watch = app.store.watch(&id).await?;
    // A watch says nothing of who is not there. A client that was cut off has to know.
    let is_absent = app.store.get_latest(&id).await?.is_none();
    let absent = is_absent.then(|| data("absent", json!({ "user_id": id })));

    let tags = app.tags;
    let last = list(&headers, &LAST_EVENT_ID);
    let changes = watch.filter_map(move |change| {
        // A client that was cut off has it already. Nothing later has the same tag.
        let is_known = last.as_ref() == Some(&tags.of(change.revision()));
        future::ready((!is_known).then(|| sent(tags, &id, change)))
    });
    Ok(answer(&app, stream::iter(absent).chain(changes)))
}

/// All users: those who are there, in no order, and then what changes.
pub async fn watch_users(State(app): State<Arc<App>>) -> Answer {
    let watch = walk(app.store.watch_all()).await?;
    let tags = app.tags;
    let changes = watch.map(move |change| match change {
        AnyEvent::Of { key, event } => sent(tags, &key, event),
        AnyEvent::CaughtUp => data("caught-up", json!({})),
    });
    Ok(answer(&app, changes))
}

/// The id of the event is the entity tag of the write. A removal has one, too, which
/// nothing that is stored ever has.
fn sent(tags: Tags, user_id: &str, change: Event<StateSnapshot>) -> Sent {
    let event = sse::Event::default().id(tags.of(change.revision()));
    match change {
        Event::Put(latest) => event.event("put").json_data(latest.value),
        Event::Removed { cause, .. } => {
            let removed = json!({ "user_id": user_id, "cause": cause.to_string() });
            event.event("removed").json_data(removed)
        }
    }
}

/// An event that is no change. Browsers drop events without data.
fn data(name: &str, data: serde_json::Value) -> Sent {
    sse::Event::default().event(name).json_data(data)
}

/// The stream ends with the service. It ends, too, when the client goes away: then the
/// server drops it, and with it the watch.
fn answer(app: &App, events: impl Stream<Item = Sent> + Send + 'static) -> Response {
    let keep_alive = KeepAlive::new().interval(app.keep_alive);
    let events = app.streams.open(events);
    Sse::new(events).keep_alive(keep_alive).into_response()
}
