//! A message on its way to the log.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;

use super::message::{EXPIRED, REMOVAL, SCHEMA, SCHEMA_VERSION};
use crate::removal::RemovalCause;
use crate::snapshot::StateSnapshot;
use crate::store::{Result, StoreError};

/// What is to be written of a user.
pub(super) struct Message<'m> {
    pub user_id: &'m str,
    /// If it is a removal.
    cause: Option<RemovalCause>,
    /// Empty for a deletion.
    pub payload: Bytes,
}

impl<'m> Message<'m> {
    pub fn removal(user_id: &'m str) -> Self {
        Self {
            user_id,
            cause: Some(RemovalCause::Deleted),
            payload: Bytes::new(),
        }
    }

    pub fn expiry(user_id: &'m str) -> Self {
        Self {
            cause: Some(RemovalCause::Expired),
            ..Self::removal(user_id)
        }
    }

    pub fn of(snapshot: &'m StateSnapshot) -> Result<Self> {
        let json = serde_json::to_vec(snapshot).map_err(StoreError::internal)?;
        Ok(Self {
            user_id: snapshot.user_id(),
            cause: None,
            payload: json.into(),
        })
    }

    pub fn headers(&self, marker_lifetime: Duration) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(cause) = self.cause {
            headers.insert("Nats-Rollup", "sub");
            if cause == RemovalCause::Expired {
                headers.insert(REMOVAL, EXPIRED);
            }
            headers.insert(
                "Nats-TTL",
                format!("{}s", marker_lifetime.as_secs()).as_str(),
            );
        } else {
            headers.insert(SCHEMA, SCHEMA_VERSION);
        }
        headers
    }
}
