//! The history of a user, or a part of it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use attuned_store::{Revision, StateSnapshot, StateStore as _, Timestamp, VersionRange};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::etag::Tags;
use crate::extract::{Parameters, UserId};
use crate::problem::{Answer, Problem};

/// Which part is asked for. What is left out has no bound, except for the limit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    limit: Option<NonZeroUsize>,
    /// Times of writing, both included.
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// Entity tags, both excluded: the last one of a page is where the next one begins.
    after: Option<String>,
    before: Option<String>,
    #[serde(default)]
    order: Order,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// First.
    #[default]
    Newest,
    Oldest,
}

impl Part {
    fn into_range(self, tags: Tags) -> Result<VersionRange, Problem> {
        let limit = self.limit.map_or(10, NonZeroUsize::get);
        let mut range = VersionRange::all().limit(limit);
        if let Some(time) = self.since {
            range = range.since(time);
        }
        if let Some(time) = self.until {
            range = range.until(time);
        }
        if let Some(tag) = self.after {
            range = range.after(revision("after", &tag, tags)?);
        }
        if let Some(tag) = self.before {
            range = range.before(revision("before", &tag, tags)?);
        }
        Ok(match self.order {
            Order::Newest => range,
            Order::Oldest => range.oldest_first(),
        })
    }
}

/// The quotes, which have to be escaped in an address, can be left out.
fn revision(parameter: &str, tag: &str, tags: Tags) -> Result<Revision, Problem> {
    let quoted = format!("\"{}\"", tag.trim_matches('"'));
    tags.revision(&quoted).ok_or_else(|| {
        let detail = format!("{parameter} is no entity tag of this run of the service");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

#[derive(Serialize)]
struct Entry {
    etag: String,
    written_at_unix_ms: i64,
    snapshot: StateSnapshot,
}

pub async fn read_history(
    State(app): State<Arc<App>>,
    UserId(id): UserId,
    Parameters(part): Parameters<Part>,
) -> Answer {
    let range = part.into_range(app.tags)?;
    let versions = app.store.get_versions(&id, range).await?;
    // Nobody has no versions, and a part of a history can have none.
    if versions.is_empty() && app.store.get_latest(&id).await?.is_none() {
        return Err(Problem::nobody());
    }
    let entries = versions.into_iter().map(|version| Entry {
        etag: app.tags.of(version.revision),
        written_at_unix_ms: version.written_at,
        snapshot: version.value,
    });
    Ok(Json(entries.collect::<Vec<_>>()).into_response())
}
