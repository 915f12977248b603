//! What became of a write that was not acknowledged.
//!
//! # A refusal is not the last word
//!
//! A message can be in the log although it was refused:
//!
//! - While the leader changes, it can come to two servers that both take themselves for the
//!   leader. The former one refuses it, because a write of the same user is under way there
//!   that will never be carried out, and answers first; the new one carries it out.
//! - It was sent again after a time-out, and the first one had been carried out. Several
//!   servers then know its id, and acknowledge it; a single one refuses it, because it
//!   compares sequences first.
//!
//! So after a refusal the write is looked for, by its id, before anything is said of it.
//!
//! # Where it is looked for
//!
//! **In the replica**, which is told its own writes. The look that follows a refusal is of a
//! place behind the message, if that is in the log. So a replica that has applied the last
//! message of that look without a gap since the write began has applied the write, or it is
//! not in the log.
//!
//! **In the log**, if there is no replica, or it has found a gap: the message could have been
//! in the gap. All messages of the user are got, as of a place behind the refusal. If the
//! write is among them, it was carried out. If it is not, it could have been removed since.
//! It was not if nothing was removed that came after the message which it expected, and that
//! is known in three cases:
//!
//! - The oldest message that is there is that one, or came before it. Messages of a user
//!   leave the stream oldest first, one by one or all at once.
//! - The oldest message expected the same one. A message that was accepted on a condition
//!   lies directly behind what it expected.
//! - The write expected that there be nothing, and what there is does not begin with a
//!   removal and is not so much that the stream removes the oldest.
//!
//! **Else the leader is asked.** A single server has said the last word when it refused. Of
//! several, the leader knows the ids of what was carried out lately, and looks for them
//! before it compares. So the message is sent once more, as it was, and the answers of *all*
//! servers are awaited that take themselves for the leader: with a barrier behind it, whose
//! acknowledgement comes from the leader, after its answer to the message. If all refuse,
//! the write is not in the log: copies of the message that are still on their way came to the
//! leader before this one.
//!
//! That does not hold after a time-out or on another connection, since what was sent before
//! can still come: then the outcome is unknown. It is, too, after half of a marker's
//! lifetime. A marker that expires would remove the last trace.

use tokio::time::{self, Instant};

use super::Core;
use super::direct::Stored;
use super::error::JetStreamError;
use super::kept::Kept;
use super::outgoing::Message;
use super::put::{Attempts, UNTIL_APPLIED, applied};
use super::read::PAUSE;
use super::replica::Replica;
use super::seen::Seen;

/// What the log has of a write.
#[derive(Debug, PartialEq, Eq)]
enum Trace {
    /// It was carried out, with this sequence.
    Written(u64),
    NotWritten,
    Unknown,
}

impl Core {
    /// The user was looked at after an attempt was refused, if one was. Was the write carried
    /// out all the same? Its sequence, if so.
    pub(super) async fn settle(
        &self,
        attempts: &mut Attempts<'_>,
        message: &Message<'_>,
        seen: &Seen,
    ) -> Result<Option<u64>, JetStreamError> {
        let Some(expected) = attempts.refused.take() else {
            return Ok(None);
        };
        if let Kept::All(replica) = &self.kept {
            let until = attempts.deadline.min(Instant::now() + UNTIL_APPLIED);
            applied(replica, seen.last, until).await;
            if let Some(sequence) = attempts.write.was_seen() {
                return Ok(Some(sequence));
            }
            if has_all(replica, attempts, seen) {
                return Ok(None);
            }
        }
        let mut trace = self.trace(attempts, message, expected).await;
        if let Ok(Trace::Unknown) = trace {
            trace = self.ask_leader(attempts, message, expected).await;
        }
        match trace.unwrap_or(Trace::Unknown) {
            Trace::Written(sequence) => {
                self.note_written(attempts, message, sequence);
                Ok(Some(sequence))
            }
            Trace::NotWritten if attempts.begun.elapsed() < self.longest_away() => Ok(None),
            Trace::NotWritten | Trace::Unknown => Err(JetStreamError::OutcomeUnknown),
        }
    }

    /// Looks for the write in the log.
    async fn trace(
        &self,
        attempts: &Attempts<'_>,
        message: &Message<'_>,
        expected: u64,
    ) -> Result<Trace, JetStreamError> {
        let id = attempts.write.id();
        loop {
            let messages = self.validated_messages(message.user_id, attempts.deadline);
            match messages.await {
                Ok(Some(messages)) => {
                    let kept = self.link.messages_of_user();
                    return Ok(trace(&messages, &id, expected, kept));
                }
                Ok(None) | Err(JetStreamError::NoResponders | JetStreamError::TimedOut)
                    if attempts.has_time() =>
                {
                    time::sleep(PAUSE.mul_f64(self.jitter())).await;
                }
                Ok(None) => return Ok(Trace::Unknown),
                Err(error) => return Err(error),
            }
        }
    }

    /// The log does not tell what became of the write.
    async fn ask_leader(
        &self,
        attempts: &Attempts<'_>,
        message: &Message<'_>,
        expected: u64,
    ) -> Result<Trace, JetStreamError> {
        let refused = if attempts.in_doubt || self.link.connects() != attempts.connects_before {
            Trace::Unknown
        } else {
            Trace::NotWritten
        };
        if self.replicas == 1 {
            return Ok(refused);
        }
        loop {
            let headers = self.headers(attempts, message, Some(expected));
            let (user_id, payload) = (message.user_id, message.payload.clone());
            let answers = self
                .link
                .publish_to_all_leaders(user_id, headers, payload, expected);
            let answers = answers.await?;
            if let Some(acknowledged) = answers.iter().flatten().next() {
                return Ok(Trace::Written(acknowledged.sequence));
            }
            let is_refusal = |error: &JetStreamError| error.is_wrong_sequence();
            let all_refuse = answers
                .iter()
                .all(|answer| answer.as_ref().err().is_some_and(is_refusal));
            if !answers.is_empty() && all_refuse {
                return Ok(refused);
            }
            if !attempts.has_time() {
                return Ok(Trace::Unknown);
            }
            time::sleep(PAUSE).await;
        }
    }

    /// No answer came, and no further attempt is made.
    pub(super) async fn found_in_log(
        &self,
        attempts: &mut Attempts<'_>,
        message: &Message<'_>,
    ) -> Result<u64, JetStreamError> {
        // What has happened until now is found out within the time of one request more.
        let one_more = Instant::now() + self.link.request_timeout();
        attempts.deadline = attempts.deadline.max(one_more);
        if let Kept::All(replica) = &self.kept {
            let barrier = self.barrier(attempts.deadline).await;
            let barrier = barrier.map_err(|_| JetStreamError::OutcomeUnknown)?;
            applied(replica, barrier.sequence, attempts.deadline).await;
            if let Some(sequence) = attempts.write.was_seen() {
                return Ok(sequence);
            }
            if replica.gaps_found() == attempts.gaps_before {
                return Err(JetStreamError::OutcomeUnknown);
            }
        }
        // A server that shows it, stale or not, proves that it was carried out. None can prove
        // that it was not: it may be on its way.
        let id = attempts.write.id();
        loop {
            if let Ok(Some(messages)) = self.link.get_messages(message.user_id).await
                && let Some(sequence) = sequence_of(&messages, &id)
            {
                return Ok(sequence);
            }
            if !attempts.has_time() {
                return Err(JetStreamError::OutcomeUnknown);
            }
            time::sleep(PAUSE).await;
        }
    }
}

/// Whether the replica has seen all that happened to the user since the write began.
fn has_all(replica: &Replica, attempts: &Attempts<'_>, seen: &Seen) -> bool {
    // Nothing, with no marker, is not a place in the log.
    !attempts.in_doubt
        && seen.last > 0
        && replica.applied() >= seen.last
        && replica.gaps_found() == attempts.gaps_before
}

fn sequence_of(messages: &[Stored], id: &str) -> Option<u64> {
    let own = |message: &&Stored| message.id.as_deref() == Some(id);
    messages.iter().find(own).map(|message| message.sequence)
}

/// Looks for the write with this id among the messages of its user, of which the stream keeps
/// so many.
fn trace(messages: &[Stored], id: &str, expected: u64, kept: usize) -> Trace {
    if let Some(sequence) = sequence_of(messages, id) {
        return Trace::Written(sequence);
    }
    let Some(oldest) = messages.first() else {
        return Trace::NotWritten;
    };
    let all_since = oldest.sequence <= expected
        || oldest.expected == Some(expected)
        || (expected == 0 && !oldest.is_removal() && messages.len() < kept);
    if all_since {
        Trace::NotWritten
    } else {
        Trace::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::message::Content;
    use crate::removal::RemovalCause;

    const KEPT: usize = 3;

    fn stored(sequence: u64, id: &str, expected: Option<u64>) -> Stored {
        Stored {
            sequence,
            written_at: 0,
            content: Content::Unreadable,
            id: Some(id.into()),
            expected,
        }
    }

    fn removal(sequence: u64, expected: u64) -> Stored {
        Stored {
            content: Content::Removal(RemovalCause::Deleted),
            ..stored(sequence, "another", Some(expected))
        }
    }

    fn other(sequence: u64) -> Stored {
        stored(sequence, "another", None)
    }

    #[test]
    fn what_is_there_was_written() {
        let messages = [other(3), stored(5, "own", Some(3)), other(7)];
        assert_eq!(trace(&messages, "own", 3, KEPT), Trace::Written(5));
    }

    #[test]
    fn what_would_be_there_was_not_written() {
        for (messages, expected) in [
            // Nothing has come meanwhile, or something else.
            (vec![other(3)], 3),
            (vec![other(3), other(5)], 3),
            // What it expected was removed, and one that came before is there.
            (vec![other(2), other(5)], 3),
            // Somebody else has taken the place.
            (vec![removal(5, 3)], 3),
            (vec![stored(5, "another", Some(3)), other(6), other(7)], 3),
            (vec![stored(5, "another", Some(0))], 0),
            // There was nothing, and nothing was removed.
            (vec![], 0),
            (vec![other(5), other(6)], 0),
        ] {
            let found = trace(&messages, "own", expected, KEPT);
            assert_eq!(found, Trace::NotWritten, "{expected} in {messages:?}");
        }
    }

    #[test]
    fn what_may_have_been_removed_is_not_known() {
        for (messages, expected) in [
            (vec![removal(5, 4)], 3),
            (vec![removal(5, 4), other(6)], 0),
            (vec![other(5), other(6), other(7)], 3),
            (vec![other(5), other(6), other(7)], 0),
        ] {
            let found = trace(&messages, "own", expected, KEPT);
            assert_eq!(found, Trace::Unknown, "{expected} in {messages:?}");
        }
    }
}
