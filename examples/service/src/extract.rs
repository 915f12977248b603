//! What a request says: user id, parameters, condition, body. What it says wrongly becomes a
//! problem.

use std::sync::Arc;

use attuned_store::{Expected, validate_user_id};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::{StatusCode, request::Parts};
use axum::middleware::Next;
use axum::response::Response;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::etag::Condition;
use crate::problem::Problem;

/// The largest body that is read. A state of a thousand axes takes some 30 kB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The `{id}` of a path. It keeps the rules for user ids.
pub struct UserId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for UserId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|refusal| Problem::new(refusal.status(), refusal.body_text()))?;
        validate_user_id(&id)
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        Ok(Self(id))
    }
}

/// What is behind the `?` of an address.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, app).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(refusal) => Err(Problem::new(refusal.status(), refusal.body_text())),
        }
    }
}

/// What a write or a removal expects to find, from `If-Match` and `If-None-Match`.
pub struct Expectation(pub Expected);

impl FromRequestParts<Arc<App>> for Expectation {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let if_match = list(&parts.headers, &IF_MATCH);
        let if_none_match = list(&parts.headers, &IF_NONE_MATCH);
        match app
            .tags
            .expected(if_match.as_deref(), if_none_match.as_deref())
        {
            Ok(expected) => Ok(Self(expected)),
            Err(Condition::Unmet) => Err(Problem::unmet(None)),
            Err(Condition::Unsupported) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "a change can have the condition `If-Match` with one entity tag, or \
                 `If-None-Match: *`, and no other",
            )),
        }
    }
}

/// A header whose value is a list, which can be spread over several lines.
pub fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// Reads the whole body before anything else is looked at.
///
/// An early answer would make the server close the connection with the rest of the body
/// unread, and then the client can see a reset connection instead of the answer.
pub async fn read_body_first(request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = Request::from_parts(parts.clone(), body);
    let body = Bytes::from_request(body, &())
        .await
        .map_err(|refusal| Problem::new(refusal.status(), refusal.body_text()))?;
    Ok(next.run(Request::from_parts(parts, body.into())).await)
}

/// A body in JSON.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &S) -> Result<Self, Problem> {
        match Json::from_request(request, app).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(refusal) => Err(Problem::new(refusal.status(), refusal.body_text())),
        }
    }
}
