//! Direct gets: the messages of one user, from whichever server answers.
//!
//! What comes may be stale, also from the server that leads the stream.

use async_nats::{HeaderMap, Message, Request};
use futures_util::StreamExt;
use serde_json::json;
use smol_str::SmolStr;
use tokio::time;

use super::error::JetStreamError;
use super::link::{EXPECTED_SEQUENCE, Link};
use super::message::{Content, Entry, name, write_id};
use super::seen::Seen;

const NOT_FOUND: u16 = 404;
const END_OF_BATCH: u16 = 204;

/// How many messages more than the stream keeps of a user are asked for: while one is
/// written, there may be one too many.
const MARGIN: usize = 8;

impl Link {
    /// The last message of a user.
    pub(super) async fn get_last(&self, user_id: &str) -> Result<Seen, JetStreamError> {
        let subject = self.subjects().of_user(user_id);
        match self.get_last_of(&subject).await? {
            Some(message) => Ok(Seen::of(vec![Stored::read(user_id, &message)?], 1)),
            None => Ok(Seen::default()),
        }
    }

    /// The time of the last barrier of this process, by the clock of the server that took it;
    /// `None` if there is none.
    pub(super) async fn time_of_barrier(&self) -> Result<Option<i64>, JetStreamError> {
        let barrier = self.get_last_of(&self.subjects().barrier).await?;
        let position = barrier.and_then(|message| position(message.headers.as_ref()?));
        Ok(position.map(|(_, written_at)| written_at))
    }

    async fn get_last_of(&self, subject: &str) -> Result<Option<Message>, JetStreamError> {
        let get = format!("$JS.API.DIRECT.GET.{}.{subject}", self.stream());
        let message = self.request(get, Request::new()).await?;
        match message.status.map(|status| status.as_u16()) {
            None => Ok(Some(message)),
            Some(NOT_FOUND) => Ok(None),
            Some(status) => Err(unexpected(status, &message)),
        }
    }

    /// All messages of a user that the stream has, oldest first, in one round trip; `None` if
    /// so many came meanwhile that the answer does not go to the end, and may have holes.
    pub(super) async fn get_messages(
        &self,
        user_id: &str,
    ) -> Result<Option<Vec<Stored>>, JetStreamError> {
        if !self.is_connected() {
            return Err(JetStreamError::Disconnected);
        }
        let client = self.client();
        let inbox = client.new_inbox();
        let subscribed = client.subscribe(inbox.clone()).await;
        let mut messages = subscribed.map_err(JetStreamError::client)?;
        let get = format!("$JS.API.DIRECT.GET.{}", self.stream());
        let subject = self.subjects().of_user(user_id);
        let batch = self.messages_of_user() + MARGIN;
        let body = json!({"batch": batch, "seq": 1, "next_by_subj": subject});
        let sent = client.publish_with_reply(get, inbox, body.to_string().into());
        sent.await.map_err(JetStreamError::client)?;

        let mut stored = Vec::new();
        loop {
            let next = time::timeout(self.request_timeout(), messages.next()).await;
            let message = next
                .map_err(|_| JetStreamError::TimedOut)?
                .ok_or(JetStreamError::Disconnected)?;
            match message.status.map(|status| status.as_u16()) {
                None => stored.push(Stored::read(user_id, &message)?),
                Some(END_OF_BATCH | NOT_FOUND) => {
                    return Ok((stored.len() < batch).then_some(stored));
                }
                Some(503) => return Err(JetStreamError::NoResponders),
                Some(status) => return Err(unexpected(status, &message)),
            }
        }
    }
}

fn unexpected(status: u16, message: &Message) -> JetStreamError {
    JetStreamError::Refused {
        code: status.into(),
        description: message.description.clone().unwrap_or_default(),
    }
}

/// A message of a user, as it lies in the stream.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub sequence: u64,
    pub written_at: i64,
    pub content: Content,
    /// The id of the write, if a store has made it.
    pub id: Option<SmolStr>,
    /// Which sequence of the user's last message it was conditional on: there is nothing
    /// between that one and this.
    pub expected: Option<u64>,
}

impl Stored {
    fn read(user_id: &str, message: &Message) -> Result<Self, JetStreamError> {
        let headers = message.headers.as_ref();
        let malformed = || JetStreamError::Refused {
            code: 0,
            description: "a message came without its sequence and time".to_owned(),
        };
        let (sequence, written_at) = headers.and_then(position).ok_or_else(malformed)?;
        let header = |header| headers.and_then(|headers| headers.get(name(header)));
        let expected =
            header(EXPECTED_SEQUENCE).and_then(|expected| expected.as_str().parse().ok());
        Ok(Self {
            sequence,
            written_at,
            content: Content::read(user_id, headers, &message.payload),
            id: headers.and_then(write_id).map(SmolStr::new),
            expected,
        })
    }

    pub fn is_removal(&self) -> bool {
        matches!(self.content, Content::Removal(_))
    }
}

impl Seen {
    /// What these messages of a user, oldest first, say of them, with so many entries.
    pub(super) fn of(messages: Vec<Stored>, entries: usize) -> Self {
        let mut seen = Self::default();
        for message in messages {
            seen.fold(message);
        }
        seen.entries.reverse();
        seen.entries.truncate(entries.max(1));
        seen
    }

    /// Takes in the next newer message of the user, as the last entry.
    fn fold(&mut self, message: Stored) {
        self.last = message.sequence;
        let state = match message.content {
            Content::Removal(_) => return self.entries.clear(),
            Content::State(state) => Some(state),
            Content::Unreadable => None,
        };
        let before = self.entries.last();
        let entry = Entry {
            revision: message.sequence,
            // The clock of another server may be behind.
            written_at: before.map_or(message.written_at, |before| {
                message.written_at.max(before.written_at)
            }),
            number: before.map_or(0, |before| before.number) + 1,
            state,
        };
        self.entries.push(entry);
    }
}

/// Where the message is in the stream, and since when, in milliseconds.
fn position(headers: &HeaderMap) -> Option<(u64, i64)> {
    let sequence = headers.get(name("Nats-Sequence"))?.as_str().parse().ok()?;
    let time = unix_ms(headers.get(name("Nats-Time-Stamp"))?.as_str())?;
    Some((sequence, time))
}

/// Reads a time as the server writes it: RFC 3339, in UTC.
fn unix_ms(time: &str) -> Option<i64> {
    let (date, time) = time.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;

    // Days since 1970-01-01, in years that begin in March, so that leap days come last.
    let (year, month) = match month {
        1..=2 => (year - 1, month + 9),
        3..=12 => (year, month - 3),
        _ => return None,
    };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = 146_097 * era + day_of_era - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.5Z", 500),
            ("2000-02-29T12:34:56.789123456Z", 951_827_696_789),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
            ("2026-11-26T22:31:53.123Z", 1_795_732_313_123),
            ("1969-12-31T23:59:59Z", -1_000),
        ] {
            assert_eq!(unix_ms(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "2026-11-26",
            "2026-13-26T22:31:53Z",
            "2026-11-26T22:31:53",
            "x-1-1T0:0:0Z",
        ] {
            assert_eq!(unix_ms(text), None, "{text}");
        }
    }
}
