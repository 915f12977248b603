//! A message on its way to the log.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;

use super::message::{EXPIRED, Entry, REMOVAL, SCHEMA, SCHEMA_VERSION, name};
use super::seen::Seen;
use crate::clock::unix_ms_now;
use crate::removal::RemovalCause;
use crate::snapshot::{State, StateSnapshot};
use crate::store::{Result, StoreError};

/// A snapshot with some axes takes less, and is written without growing.
const ROOM_FOR_JSON: usize = 512;

/// What is to be written of a user.
pub(super) struct Message<'m> {
    pub user_id: &'m str,
    /// What is written; `None` if it is a removal.
    snapshot: Option<&'m StateSnapshot>,
    cause: RemovalCause,
    /// Empty for a deletion.
    pub payload: Bytes,
}

impl<'m> Message<'m> {
    pub fn removal(user_id: &'m str) -> Self {
        Self {
            user_id,
            snapshot: None,
            cause: RemovalCause::Deleted,
            payload: Bytes::new(),
        }
    }

    pub fn expiry(user_id: &'m str) -> Self {
        Self {
            cause: RemovalCause::Expired,
            ..Self::removal(user_id)
        }
    }

    pub fn of(snapshot: &'m StateSnapshot) -> Result<Self> {
        let mut json = Vec::with_capacity(ROOM_FOR_JSON);
        serde_json::to_writer(&mut json, snapshot).map_err(StoreError::internal)?;
        Ok(Self {
            user_id: snapshot.user_id(),
            snapshot: Some(snapshot),
            cause: RemovalCause::Deleted,
            payload: json.into(),
        })
    }

    pub fn headers(&self, marker_lifetime: Duration) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.snapshot.is_none() {
            headers.insert(name("Nats-Rollup"), "sub");
            if self.cause == RemovalCause::Expired {
                headers.insert(name(REMOVAL), EXPIRED);
            }
            let lifetime = format!("{}s", marker_lifetime.as_secs());
            headers.insert(name("Nats-TTL"), lifetime);
        } else {
            headers.insert(name(SCHEMA), SCHEMA_VERSION);
        }
        headers
    }

    /// What is written; `None` if it is a removal.
    pub fn state(&self) -> Option<&State> {
        self.snapshot.map(StateSnapshot::state)
    }

    /// What there is of the user once it is written with this sequence. When the server took
    /// it is not known, and put as now.
    pub fn seen(&self, sequence: u64) -> Seen {
        let entry = |state: &State| Entry {
            revision: sequence,
            written_at: unix_ms_now(),
            number: 1,
            state: Some(state.clone()),
        };
        Seen {
            last: sequence,
            entries: self.state().map(entry).into_iter().collect(),
        }
    }
}
