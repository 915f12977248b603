//! One message of a user, sent until it is known what became of it.
//!
//! # Lost acknowledgements
//!
//! A conditional write is sent again, with the same expectation and the same id: of several
//! that expect the same sequence at most one is carried out. An unconditional one is *not*
//! sent again. The server could recognize an id, but it forgets the ids of messages that a
//! deletion has removed when it restarts, and then a user would come back who was deleted.
//!
//! # Refusals
//!
//! A refusal does not always mean that the message is not in the log, and what is done about
//! that is in [`settle`](super::settle).

use std::time::Duration;

use async_nats::HeaderMap;
use tokio::time::{self, Instant};

use super::Core;
use super::error::JetStreamError;
use super::gaps::Replaced;
use super::hot::{HotUsers, Known};
use super::kept::Kept;
use super::message::{MESSAGE_ID, WRITE_ID, name};
use super::outgoing::Message;
use super::own::{Ends, OwnWrite};
use super::read::PAUSE;
use super::replica::Replica;

/// How long a write that is acknowledged waits for the replica.
pub(super) const UNTIL_APPLIED: Duration = Duration::from_secs(1);

/// How often a message is sent of which the server cannot tell whether its condition holds,
/// before the user is looked at.
const TRIES_IN_A_ROW: u32 = 4;

/// How long after such a message it is sent again.
const UNTIL_IT_CAN_TELL: Duration = Duration::from_millis(2);

/// An operation's write, over all of its attempts.
pub(super) struct Attempts<'a> {
    pub write: OwnWrite<'a>,
    /// Whether one of them may have been carried out.
    pub in_doubt: bool,
    /// The sequence that the last one expected, if it was refused because of that, and what
    /// this means is not settled yet.
    pub refused: Option<u64>,
    /// How many gaps the replica had found.
    pub gaps_before: u64,
    /// How far a store that follows nobody knew the log to go.
    highest_before: u64,
    /// How many connections had been made.
    pub connects_before: u64,
    pub begun: Instant,
    pub deadline: Instant,
}

impl Core {
    pub(super) fn attempts(&self, message: &Message<'_>) -> Attempts<'_> {
        self.attempts_until(message, self.deadline())
    }

    pub(super) fn attempts_until(&self, message: &Message<'_>, deadline: Instant) -> Attempts<'_> {
        // For the replica.
        let (state, ends) = match &self.kept {
            Kept::All(_) => (message.state().cloned(), Ends::Applied),
            Kept::Hot(_) => (None, Ends::Acknowledged),
        };
        Attempts {
            gaps_before: self.replica().map_or(0, Replica::gaps_found),
            connects_before: self.link.connects(),
            highest_before: self.hot().map_or(0, HotUsers::highest),
            write: self.own_writes.begin(state, ends),
            in_doubt: false,
            refused: None,
            begun: Instant::now(),
            deadline,
        }
    }

    /// Sends a message until it is known what became of it, and returns its sequence.
    pub(super) async fn put(
        &self,
        attempts: &mut Attempts<'_>,
        message: &Message<'_>,
        expected: Option<u64>,
    ) -> Result<u64, JetStreamError> {
        let sequence = self.put_without_note(attempts, message, expected).await?;
        self.note_written(attempts, message, sequence);
        Ok(sequence)
    }

    async fn put_without_note(
        &self,
        attempts: &mut Attempts<'_>,
        message: &Message<'_>,
        expected: Option<u64>,
    ) -> Result<u64, JetStreamError> {
        let mut tries = 0;
        loop {
            let error = match self.try_once(attempts, message, expected).await {
                Ok(sequence) => return Ok(sequence),
                Err(error) => error,
            };
            tries += 1;
            match error {
                // Not carried out. The next attempt may be, even if this was not the first.
                JetStreamError::NoResponders if attempts.has_time() => time::sleep(PAUSE).await,
                JetStreamError::TimedOut => {
                    attempts.in_doubt = true;
                    if expected.is_none() || !attempts.has_time() {
                        return Box::pin(self.found_in_log(attempts, message)).await;
                    }
                }
                // An attempt before is still under way on the server.
                error if error.is_in_process() && attempts.has_time() => {
                    attempts.in_doubt = true;
                    time::sleep(PAUSE).await;
                }
                error if error.is_wrong_sequence() => {
                    attempts.refused = expected;
                    let is_busy = error.is_busy() && tries < TRIES_IN_A_ROW;
                    if !is_busy || !attempts.has_time() {
                        return Err(error);
                    }
                    // Not in step with the others who try the same.
                    time::sleep(UNTIL_IT_CAN_TELL.mul_f64(self.jitter()) * tries).await;
                }
                _ if attempts.may_be_written() => {
                    return Box::pin(self.found_in_log(attempts, message)).await;
                }
                error => return Err(error),
            }
        }
    }

    pub(super) fn headers(
        &self,
        attempts: &Attempts<'_>,
        message: &Message<'_>,
        expected: Option<u64>,
    ) -> HeaderMap {
        let mut headers = message.headers(self.marker_lifetime);
        // One that is not sent again spares the server the trouble to remember it.
        let id = expected.map_or(WRITE_ID, |_| MESSAGE_ID);
        headers.insert(name(id), attempts.write.id());
        headers
    }

    /// Sends the message, and waits until the replica has applied it, so that reads without a
    /// barrier show what this process has written. If that takes too long, a write that is
    /// acknowledged is done all the same. Without a replica it is done with that.
    async fn try_once(
        &self,
        attempts: &Attempts<'_>,
        message: &Message<'_>,
        expected: Option<u64>,
    ) -> Result<u64, JetStreamError> {
        // Made for each attempt: hardly ever is there a second one.
        let headers = self.headers(attempts, message, expected);
        let payload = message.payload.clone();
        let (attempt, mut told) = attempts.write.attempt();
        let begun = Instant::now();
        let sent = self
            .link
            .send_to_user(attempt, message.user_id, headers, payload, expected);
        sent.await?;

        let gives_up = begun + self.link.request_timeout();
        // As a rule it ends long before.
        let mut until = gives_up.min(begun + UNTIL_APPLIED);
        loop {
            if let Ok(told) = time::timeout_at(until, &mut told).await {
                // It is told as long as the write is under way.
                return told.unwrap_or(Err(JetStreamError::TimedOut));
            }
            let known = attempts.write.acknowledged();
            let ends = known.map_or(gives_up, |known| {
                attempts.deadline.min(known.at + UNTIL_APPLIED)
            });
            if ends <= until {
                let sequence = known.map(|known| known.sequence);
                return sequence.ok_or(JetStreamError::TimedOut);
            }
            until = ends;
        }
    }

    /// A store that follows nobody remembers what it has written.
    pub(super) fn note_written(
        &self,
        attempts: &Attempts<'_>,
        message: &Message<'_>,
        sequence: u64,
    ) {
        let Some(hot) = self.hot() else { return };
        let epoch = match hot.acknowledge(attempts.highest_before, sequence) {
            Ok(barrier) => barrier.epoch,
            // It is in the stream that is there now.
            Err(Replaced) => hot.epoch(),
        };
        hot.put(
            epoch,
            message.user_id,
            Known::written(message.seen(sequence)),
        );
    }
}

/// Waits until the replica has applied the sequence.
pub(super) async fn applied(replica: &Replica, sequence: u64, deadline: Instant) {
    if let Some(told) = replica.when_applied(sequence) {
        let _ = time::timeout_at(deadline, told).await;
    }
}

impl Attempts<'_> {
    pub fn has_time(&self) -> bool {
        Instant::now() + PAUSE < self.deadline
    }

    pub fn in_time(&self) -> Result<(), JetStreamError> {
        if self.has_time() {
            Ok(())
        } else {
            Err(self.failed(JetStreamError::TimedOut))
        }
    }

    /// Whether nothing tells yet what became of an attempt.
    fn may_be_written(&self) -> bool {
        self.in_doubt || self.refused.is_some()
    }

    /// The error of the operation, if this one ends it.
    pub fn failed(&self, error: JetStreamError) -> JetStreamError {
        if self.may_be_written() {
            JetStreamError::OutcomeUnknown
        } else {
            error
        }
    }
}
