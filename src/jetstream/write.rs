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
//! # Refusals
//!
//! A refusal does not always mean that the message is not in the log, and what is done about
//! that is in [`settle`](super::settle).

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use async_nats::HeaderMap;
use futures_util::future::{Either, select};
use futures_util::stream::{self, StreamExt};
use tokio::time::{self, Instant};

use super::Core;
use super::error::JetStreamError;
use super::gaps::Replaced;
use super::hot::{HotUsers, Known};
use super::kept::Kept;
use super::link::Ack;
use super::message::{MESSAGE_ID, WRITE_ID};
use super::outgoing::Message;
use super::own::OwnWrite;
use super::read::PAUSE;
use super::replica::Replica;
use super::seen::{Seen, Wanted};
use crate::revision::{Expected, Revision};
use crate::snapshot::StateSnapshot;
use crate::store::{Result, StoreError};

/// How many users of a batch are written at once.
const IN_FLIGHT: usize = 256;

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
    fn attempts(&self) -> Attempts<'_> {
        self.attempts_until(self.deadline())
    }

    pub(super) fn attempts_until(&self, deadline: Instant) -> Attempts<'_> {
        Attempts {
            gaps_before: self.replica().map_or(0, Replica::gaps_found),
            connects_before: self.link.connects(),
            highest_before: self.hot().map_or(0, HotUsers::highest),
            write: self.own_writes.begin(),
            in_doubt: false,
            refused: None,
            begun: Instant::now(),
            deadline,
        }
    }

    pub(super) async fn upsert(&self, snapshot: &StateSnapshot) -> Result<Revision> {
        let message = Message::of(snapshot)?;
        let mut attempts = self.attempts();
        if self.clock.has_time_to_live() {
            // A user who comes back begins anew.
            self.present(snapshot.user_id(), attempts.deadline).await?;
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
        let headers = self.headers(attempts, message, expected);
        let mut tries = 0;
        loop {
            let payload = message.payload.clone();
            let sent =
                self.link
                    .publish_to_user(message.user_id, headers.clone(), payload, expected);
            let error = match self.acknowledged_or_seen(attempts, sent).await {
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
                        return self.found_in_log(attempts, message).await;
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
                _ if attempts.in_doubt => return self.found_in_log(attempts, message).await,
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
        headers.insert(id, attempts.write.id().as_str());
        headers
    }

    /// Waits for the acknowledgement, or for the replica, which may see the message first,
    /// and until the replica has applied it.
    async fn acknowledged_or_seen(
        &self,
        attempts: &mut Attempts<'_>,
        sent: impl Future<Output = Result<Ack, JetStreamError>>,
    ) -> Result<u64, JetStreamError> {
        let Kept::All(replica) = &self.kept else {
            return Ok(sent.await?.sequence);
        };
        let sent = pin!(sent);
        let acknowledged = match select(sent, &mut attempts.write.seen).await {
            Either::Left((acknowledged, _)) => acknowledged?,
            Either::Right((Ok(sequence), _)) => return Ok(sequence),
            // Told only once, and that was before.
            Either::Right((Err(_), sent)) => sent.await?,
        };
        let until = attempts.deadline.min(Instant::now() + UNTIL_APPLIED);
        applied(replica, acknowledged.sequence, until).await;
        Ok(acknowledged.sequence)
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

/// Waits until the replica has applied the sequence, so that reads without a barrier show
/// what this process has written. If that takes too long, the write is done all the same.
pub(super) async fn applied(replica: &Replica, sequence: u64, deadline: Instant) {
    if let Some(told) = replica.when_applied(sequence) {
        let _ = time::timeout_at(deadline, told).await;
    }
}

impl Attempts<'_> {
    pub fn has_time(&self) -> bool {
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
    pub fn failed(&self, error: JetStreamError) -> JetStreamError {
        if self.in_doubt {
            JetStreamError::OutcomeUnknown
        } else {
            error
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
