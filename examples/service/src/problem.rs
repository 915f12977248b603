//! Errors as problem details (RFC 9457).

use attuned_store::StoreError;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::etag::Tags;

pub type Answer = Result<Response, Problem>;

/// An answer of the type `application/problem+json`.
///
/// It has the type `about:blank`: the status says what kind of problem it is, and `detail`
/// tells people the rest.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    /// The tag of what is there, if it is known.
    etag: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            etag: None,
        }
    }

    pub fn nobody() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such user")
    }

    pub fn nobody_then() -> Self {
        let detail = "there was no such user at that time, as far as is known";
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub fn evicted() -> Self {
        let detail = "what was there at that time is not kept any more";
        Self::new(StatusCode::GONE, detail)
    }

    pub fn unmet(etag: Option<String>) -> Self {
        let detail = "the condition is not met, and nothing has changed";
        Self {
            etag,
            ..Self::new(StatusCode::PRECONDITION_FAILED, detail)
        }
    }

    /// For a request with a condition, which the store has compared with what is there.
    pub fn of_conditional(error: StoreError, tags: Tags) -> Self {
        match error {
            StoreError::Conflict { actual, .. } => {
                Self::unmet(actual.map(|revision| tags.of(revision)))
            }
            error => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::UserNotFound { .. } => return Self::nobody(),
            StoreError::InvalidUserId(_) => StatusCode::BAD_REQUEST,
            StoreError::InvalidSnapshot(_) => StatusCode::UNPROCESSABLE_ENTITY,
            // The request had no condition: it lost against others as often as it may.
            StoreError::Conflict { .. } => StatusCode::CONFLICT,
            StoreError::CapacityExceeded { .. } => StatusCode::INSUFFICIENT_STORAGE,
            StoreError::Unsupported { .. } => StatusCode::NOT_IMPLEMENTED,
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "the store cannot be reached");
                let detail = "the store cannot be reached now";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, detail);
            }
            // The cause is for the log, not for the client.
            _ => {
                tracing::error!(%error, "the store failed");
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the store failed");
            }
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let content_type = [(CONTENT_TYPE, "application/problem+json")];
        let etag = self.etag.map(|etag| [(ETAG, etag)]);
        (self.status, content_type, etag, body.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use attuned_store::{Expected, SnapshotError, UserIdError};

    use super::*;

    #[test]
    fn each_error_has_its_status() {
        let conflict = || StoreError::Conflict {
            user_id: "ada".to_owned(),
            expected: Expected::Absent,
            actual: Some(5.into()),
        };
        for (error, status) in [
            (UserIdError::Empty.into(), 400),
            (
                SnapshotError::ConfidenceOutOfRange { value: 7.0 }.into(),
                422,
            ),
            (
                StoreError::UserNotFound {
                    user_id: "ada".to_owned(),
                },
                404,
            ),
            (conflict(), 409),
            (StoreError::CapacityExceeded { max_users: 1 }, 507),
            (
                StoreError::Unsupported {
                    operation: "delete",
                },
                501,
            ),
            (StoreError::unavailable("the password is 1234"), 503),
            (StoreError::internal("the password is 1234"), 500),
        ] {
            let problem = Problem::from(error);
            assert_eq!(problem.status, status, "{problem:?}");
            assert!(!problem.detail.contains("1234"), "{problem:?}");
        }

        let tags = Tags::of_this_run();
        let unmet = Problem::of_conditional(conflict(), tags);
        assert_eq!(unmet.status, 412);
        assert_eq!(unmet.etag, Some(tags.of(5.into())));
    }
}
