//! Writes: one message each, carried out at most once.
//!
//! # Conditions
//!
//! The server compares: a conditional write expects the sequence of the last message of its
//! user, and a deletion does so, too. It is refused if that has changed, and now and then
//! although nothing has. So a refusal only says: look. `Conflict` is returned if the look
//! shows something else than what was expected.
//!
//! # Lost acknowledgements
//!
//! A conditional write is sent again, with the same expectation and the same id: of several
//! that expect the same sequence at most one is carried out. An unconditional one is *not*
//! sent again. The server could recognize an id, but it forgets the ids of messages that a
//! deletion has removed when it restarts, and then a user would come back who was deleted.
//!
//! # Refusals by a former leader
//!
//! While the leader changes, a message can come to two servers that both take themselves for
//! the leader. One refuses it, because of a write of the same user that it was about to
//! propose, and answers first; the other one carries it out. So after a refusal, too, the
//! write is looked for in the log before anything is said of it.
//!
//! In all of these cases the replica tells whether the message is in the log, by its id. Only where the
//! replica has missed messages, or does not hear from any server, the outcome is unknown.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{self, StreamExt};
use tokio::time::{self, Instant};

use super::Core;
use super::error::JetStreamError;
use super::link::Ack;
use super::message::{MESSAGE_ID, WRITE_ID};
use super::outgoing::Message;
use super::own::OwnWrite;
use super::read::PAUSE;
use super::seen::Seen;
use crate::revision::{Expected, Revision};
use crate::snapshot::StateSnapshot;
use crate::store::{Result, StoreError};

/// How many users of a batch are written at once.
const IN_FLIGHT: usize = 256;

/// How long a write that is acknowledged waits for the replica.
const UNTIL_APPLIED: Duration = Duration::from_secs(1);

/// An operation's write, over all of its attempts.
pub(super) struct Attempts<'a> {
    write: OwnWrite<'a>,
    /// Whether one of them may have been carried out.
    in_doubt: bool,
    /// Whether one was refused because of its condition.
    refused: bool,
    gaps_before: u64,
    deadline: Instant,
}

impl Core {
    fn attempts(&self) -> Attempts<'_> {
        self.attempts_until(self.deadline())
    }

    pub(super) fn attempts_until(&self, deadline: Instant) -> Attempts<'_> {
        Attempts {
            gaps_before: self.replica.gaps_found(),
            write: self.own_writes.begin(),
            in_doubt: false,
            refused: false,
            deadline,
        }
    }

    pub(super) async fn upsert(&self, snapshot: &StateSnapshot) -> Result<Revision> {
        let message = Message::of(snapshot)?;
        let mut attempts = self.attempts();
        if self.replica.clock().has_time_to_live() {
            // A user who comes back begins anew.
            self.present(snapshot.user_id(), attempts.deadline).await?;
        }
        let sequence = self.put(&mut attempts, &message, None).await?;
        Ok(Revision::from(sequence))
    }

    /// What the replica has of a user, unless their time to live is over: then what there is
    /// after they were taken out.
    async fn present(&self, user_id: &str, deadline: Instant) -> Result<Seen, JetStreamError> {
        let seen = self.replica.glance(user_id);
        if seen.is_over(self.replica.clock()) {
            self.see(user_id, 1, deadline).await
        } else {
            Ok(seen)
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
        let mut attempts = self.attempts();
        let mut seen = self.present(user_id, attempts.deadline).await?;
        loop {
            if let Some(sequence) = seen.sequence_to_expect(expected) {
                match self.put(&mut attempts, message, Some(sequence)).await {
                    Ok(sequence) => return Ok(sequence),
                    Err(error) if error.is_wrong_sequence() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let looked = self.see(user_id, 1, attempts.deadline).await;
            seen = looked.map_err(|error| attempts.failed(error))?;
            if let Some(sequence) = self.settle(&mut attempts, &seen).await? {
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
        let mut attempts = self.attempts();
        let mut seen = self.present(user_id, attempts.deadline).await?;
        loop {
            if seen.revision().is_some() {
                match self.put(&mut attempts, &message, Some(seen.last)).await {
                    Ok(_) => return Ok(true),
                    Err(error) if error.is_wrong_sequence() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let looked = self.see(user_id, 1, attempts.deadline).await;
            seen = looked.map_err(|error| attempts.failed(error))?;
            // What is there now may have come after this operation has deleted.
            if self.settle(&mut attempts, &seen).await?.is_some() {
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
                let seen = self.see(user_id, 1, self.deadline()).await?;
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

    /// Sends a message until it is known what became of it, and returns its sequence.
    pub(super) async fn put(
        &self,
        attempts: &mut Attempts<'_>,
        message: &Message<'_>,
        expected: Option<u64>,
    ) -> Result<u64, JetStreamError> {
        let mut headers = message.headers(self.marker_lifetime);
        // One that is not sent again spares the server the trouble to remember it.
        let id = expected.map_or(WRITE_ID, |_| MESSAGE_ID);
        headers.insert(id, attempts.write.id().as_str());
        loop {
            let payload = message.payload.clone();
            let sent =
                self.link
                    .publish_to_user(message.user_id, headers.clone(), payload, expected);
            let error = match self.acknowledged_or_seen(attempts, sent).await {
                Ok(sequence) => return Ok(sequence),
                Err(error) => error,
            };
            match error {
                // Not carried out. The next attempt may be, even if this was not the first.
                JetStreamError::NoResponders if attempts.has_time() => time::sleep(PAUSE).await,
                JetStreamError::TimedOut => {
                    attempts.in_doubt = true;
                    if expected.is_none() || !attempts.has_time() {
                        return self.found_in_log(attempts).await;
                    }
                }
                // An attempt before is still under way on the server.
                error if error.is_in_process() && attempts.has_time() => {
                    attempts.in_doubt = true;
                    time::sleep(PAUSE).await;
                }
                error if error.is_wrong_sequence() => {
                    attempts.refused = true;
                    return Err(error);
                }
                _ if attempts.in_doubt => return self.found_in_log(attempts).await,
                error => return Err(error),
            }
        }
    }

    /// Waits for the acknowledgement, or for the replica, which may see the message first,
    /// and until the replica has applied it.
    async fn acknowledged_or_seen(
        &self,
        attempts: &mut Attempts<'_>,
        sent: impl Future<Output = Result<Ack, JetStreamError>>,
    ) -> Result<u64, JetStreamError> {
        let sent = pin!(sent);
        let acknowledged = match select(sent, &mut attempts.write.seen).await {
            Either::Left((acknowledged, _)) => acknowledged?,
            Either::Right((Ok(sequence), _)) => return Ok(sequence),
            // Told only once, and that was before.
            Either::Right((Err(_), sent)) => sent.await?,
        };
        let until = attempts.deadline.min(Instant::now() + UNTIL_APPLIED);
        self.applied(acknowledged.sequence, until).await;
        Ok(acknowledged.sequence)
    }

    /// Waits until the replica has applied the sequence, so that reads without a barrier
    /// show what this process has written. If that takes too long, the write is done all
    /// the same.
    async fn applied(&self, sequence: u64, deadline: Instant) {
        if let Some(told) = self.replica.when_applied(sequence) {
            let _ = time::timeout_at(deadline, told).await;
        }
    }

    /// No answer came, and no further attempt is made.
    async fn found_in_log(&self, attempts: &mut Attempts<'_>) -> Result<u64, JetStreamError> {
        // What has happened until now is found out within the time of one request more.
        let one_more = Instant::now() + self.link.request_timeout();
        attempts.deadline = attempts.deadline.max(one_more);
        match self.seen_by_now(attempts).await {
            Ok(Some(sequence)) => Ok(sequence),
            _ => Err(JetStreamError::OutcomeUnknown),
        }
    }

    /// The user was looked at. If the server has refused an attempt before: was the write
    /// carried out all the same? Its sequence, if so.
    async fn settle(
        &self,
        attempts: &mut Attempts<'_>,
        seen: &Seen,
    ) -> Result<Option<u64>, JetStreamError> {
        if !attempts.refused {
            return Ok(None);
        }
        if !attempts.in_doubt {
            // The look was after a barrier that the servers got after the message, so it has
            // shown the message if that was written.
            let until = attempts.deadline.min(Instant::now() + UNTIL_APPLIED);
            self.applied(seen.last, until).await;
            return Ok(attempts.write.was_seen());
        }
        match self.seen_by_now(attempts).await {
            Ok(Some(sequence)) => Ok(Some(sequence)),
            // None that is still on its way is carried out, either: what it expects is no
            // longer so. Should that come to be so again, the server knows the id.
            Ok(None) if self.has_seen_all(attempts) => Ok(None),
            _ => Err(JetStreamError::OutcomeUnknown),
        }
    }

    /// The sequence of the write, if it was carried out until now and the replica has seen it.
    async fn seen_by_now(
        &self,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<u64>, JetStreamError> {
        let barrier = self.barrier(attempts.deadline).await?;
        self.applied(barrier.sequence, attempts.deadline).await;
        Ok(attempts.write.was_seen())
    }

    fn has_seen_all(&self, attempts: &Attempts<'_>) -> bool {
        self.replica.gaps_found() == attempts.gaps_before && Instant::now() < attempts.deadline
    }
}

impl Attempts<'_> {
    fn has_time(&self) -> bool {
        Instant::now() + PAUSE < self.deadline
    }

    fn in_time(&self) -> Result<(), JetStreamError> {
        if self.has_time() {
            Ok(())
        } else {
            Err(self.failed(JetStreamError::TimedOut))
        }
    }

    /// The error of the operation, if this one ends it.
    fn failed(&self, error: JetStreamError) -> JetStreamError {
        if self.in_doubt {
            JetStreamError::OutcomeUnknown
        } else {
            error
        }
    }
}

impl Seen {
    /// The sequence that a write with this condition is to expect on the server; `None` if
    /// it is known not to hold, unless the replica is in error.
    fn sequence_to_expect(&self, expected: Expected) -> Option<u64> {
        let is_there = self.revision().is_some();
        match expected {
            Expected::Any => None,
            Expected::Absent if is_there => None,
            Expected::Absent => Some(self.last),
            Expected::At(revision) => {
                let sequence = u64::from(revision);
                // Revisions only grow, and a marker's sequence is no revision. What is
                // greater may be what another process has written a moment ago.
                let may_hold = sequence > self.last || (sequence == self.last && is_there);
                may_hold.then_some(sequence)
            }
        }
    }
}
