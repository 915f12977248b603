//! Writes: one message each, carried out at most once.
//!
//! # Conditions
//!
//! The server compares: a conditional write expects the sequence of the last message of its
//! user, and a deletion does so, too. It is refused if that has changed, and now and then
//! although nothing has. So a refusal only says: look. `Conflict` is returned if the look
//! shows something else than what was expected.
//!
//! How a message is sent is in [`put`](super::put).

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt};
use tokio::time::{self, Instant};

use super::Core;
use super::error::JetStreamError;
use super::hot::Known;
use super::kept::Kept;
use super::outgoing::Message;
use super::read::PAUSE;
use super::seen::{Seen, Wanted};
use crate::revision::{Expected, Revision};
use crate::snapshot::StateSnapshot;
use crate::store::{Result, StoreError};

/// How many users of a batch are written at once.
const IN_FLIGHT: usize = 256;

impl Core {
    pub(super) async fn upsert(&self, snapshot: &StateSnapshot) -> Result<Revision> {
        let message = Message::of(snapshot)?;
        let mut attempts = self.attempts(&message);
        if self.clock.has_time_to_live() {
            // A user who comes back begins anew.
            Box::pin(self.present(snapshot.user_id(), attempts.deadline)).await?;
        }
        let sequence = self.put(&mut attempts, &message, None).await?;
        Ok(Revision::from(sequence))
    }

    /// What this process has of a user, or else a server, up to date or not. If their time to
    /// live is over: what there is after they were taken out.
    async fn present(&self, user_id: &str, deadline: Instant) -> Result<Seen, JetStreamError> {
        let seen = match &self.kept {
            Kept::All(replica) => replica.glance(user_id),
            Kept::Hot(hot) => match self.remembered(user_id, Wanted::State) {
                Some(known) => known.seen.clone(),
                None => {
                    let epoch = hot.epoch();
                    let seen = self.last_at_any_server(user_id, deadline).await?;
                    hot.put(epoch, user_id, Known::told(seen.last, seen.clone()));
                    seen
                }
            },
        };
        if seen.is_over(&self.clock) {
            self.see(user_id, Wanted::State, deadline).await
        } else {
            Ok(seen)
        }
    }

    /// What a server says of a user, which may be old.
    pub(super) async fn last_at_any_server(
        &self,
        user_id: &str,
        deadline: Instant,
    ) -> Result<Seen, JetStreamError> {
        loop {
            match self.link.get_last(user_id).await {
                Err(JetStreamError::NoResponders | JetStreamError::TimedOut)
                    if Instant::now() + PAUSE < deadline =>
                {
                    time::sleep(PAUSE).await;
                }
                seen => return seen,
            }
        }
    }

    /// Writes many at a time. Those of one user go one after the other: only so they take
    /// effect in their order, whatever becomes of each.
    pub(super) async fn upsert_many(&self, snapshots: Vec<StateSnapshot>) -> Vec<Result<()>> {
        let mut of_users: HashMap<String, Vec<(usize, StateSnapshot)>> = HashMap::new();
        for (index, snapshot) in snapshots.into_iter().enumerate() {
            let of_user = of_users.entry(snapshot.user_id().to_owned());
            of_user.or_default().push((index, snapshot));
        }
        let under_way = stream::iter(
            of_users
                .into_values()
                .map(|of_user| self.upsert_in_turn(of_user)),
        );
        let mut results: Vec<_> = under_way.buffer_unordered(IN_FLIGHT).concat().await;
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    async fn upsert_in_turn(
        &self,
        snapshots: Vec<(usize, StateSnapshot)>,
    ) -> Vec<(usize, Result<()>)> {
        let mut results = Vec::with_capacity(snapshots.len());
        for (index, snapshot) in snapshots {
            results.push((index, self.upsert(&snapshot).await.map(drop)));
        }
        results
    }

    pub(super) async fn upsert_if(
        &self,
        snapshot: &StateSnapshot,
        expected: Expected,
    ) -> Result<Revision> {
        if expected == Expected::Any {
            return self.upsert(snapshot).await;
        }
        let message = Message::of(snapshot)?;
        let sequence = self.put_if(&message, expected).await?;
        Ok(Revision::from(sequence))
    }

    /// Writes or deletes, if what is there is what is expected; returns the sequence.
    async fn put_if(&self, message: &Message<'_>, expected: Expected) -> Result<u64> {
        let user_id = message.user_id;
        let mut attempts = self.attempts(message);
        let mut seen = self.present(user_id, attempts.deadline).await?;
        loop {
            if let Some(sequence) = seen.sequence_to_expect(expected) {
                match self.put(&mut attempts, message, Some(sequence)).await {
                    Ok(sequence) => return Ok(sequence),
                    Err(error) if error.is_wrong_sequence() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let looked = self.see(user_id, Wanted::State, attempts.deadline).await;
            seen = looked.map_err(|error| attempts.failed(error))?;
            if let Some(sequence) = self.settle(&mut attempts, message, &seen).await? {
                return Ok(sequence);
            }
            let actual = seen.revision();
            if Expected::from(actual) != expected {
                return Err(StoreError::Conflict {
                    user_id: user_id.to_owned(),
                    expected,
                    actual,
                });
            }
            attempts.in_time()?;
            if expected == Expected::Absent
                && let Ok(at_server) = self.link.get_last(user_id).await
                && at_server.entries.is_empty()
            {
                // The marker of a deletion may have expired there. The replica does not
                // learn of that, and would expect it for ever.
                seen = at_server;
            }
        }
    }

    /// Deletes by compare-and-swap: whose message was accepted has removed what it expected,
    /// and nobody else can have.
    pub(super) async fn remove(&self, user_id: &str) -> Result<bool> {
        let message = Message::removal(user_id);
        let mut attempts = self.attempts(&message);
        let mut seen = self.present(user_id, attempts.deadline).await?;
        loop {
            if seen.revision().is_some() {
                match self.put(&mut attempts, &message, Some(seen.last)).await {
                    Ok(_) => return Ok(true),
                    Err(error) if error.is_wrong_sequence() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let looked = self.see(user_id, Wanted::State, attempts.deadline).await;
            seen = looked.map_err(|error| attempts.failed(error))?;
            // What is there now may have come after this operation has deleted.
            if self.settle(&mut attempts, &message, &seen).await?.is_some() {
                return Ok(true);
            }
            if seen.revision().is_none() {
                return Ok(false);
            }
            attempts.in_time()?;
        }
    }

    pub(super) async fn remove_if(&self, user_id: &str, expected: Expected) -> Result<bool> {
        match expected {
            Expected::Any => self.remove(user_id).await,
            Expected::At(_) => {
                self.put_if(&Message::removal(user_id), expected).await?;
                Ok(true)
            }
            Expected::Absent => {
                let seen = self.see(user_id, Wanted::State, self.deadline()).await?;
                match seen.revision() {
                    None => Ok(false),
                    actual => Err(StoreError::Conflict {
                        user_id: user_id.to_owned(),
                        expected,
                        actual,
                    }),
                }
            }
        }
    }
}

impl Seen {
    /// The sequence that a write with this condition is to expect on the server; `None` if
    /// what is known is not enough, or known not to meet it.
    fn sequence_to_expect(&self, expected: Expected) -> Option<u64> {
        let is_there = self.revision().is_some();
        match expected {
            Expected::Any => None,
            Expected::Absent if is_there => None,
            Expected::Absent => Some(self.last),
            // What is greater is unknown here. It may be what another process has written a
            // moment ago, or the marker of a deletion, which is no revision: look first.
            Expected::At(revision) => {
                let sequence = u64::from(revision);
                (sequence == self.last && is_there).then_some(sequence)
            }
        }
    }
}
