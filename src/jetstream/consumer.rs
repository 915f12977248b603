//! What the log delivers: a pull consumer without acknowledgements, in a loop of the store's
//! own. The client's is silent for too long when a server dies.

use std::pin::Pin;
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{self, Instant, Sleep};

use super::error::JetStreamError;
use super::link::Link;

/// How many messages are given at once, at most.
const AT_ONCE: usize = 256;

/// How long a request for messages stands.
const EXPIRES: Duration = Duration::from_secs(10);

/// How often the server says that it is there when there are no messages.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Without a message or a heartbeat for so long, the consumer has ended. A server that died
/// is noticed no later, although the connection stands.
const SILENCE: Duration = Duration::from_millis(1_500);

/// How long a request that makes a consumer waits for its answer. While there is no leader
/// nobody answers; then it is better to ask again.
const PATIENCE: Duration = Duration::from_millis(500);

/// The server removes a consumer that nobody has asked for messages for this long.
const ABANDONED: Duration = Duration::from_secs(30);

/// What is delivered.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// Of which subjects; of all if there are none. The last of each must be named.
    pub subjects: Vec<String>,
    pub from: From,
    /// No payloads; a header tells how long they are.
    pub headers_only: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    /// The last message of each subject, and all that come after that was asked for.
    LastOfEach,
    Sequence(u64),
}

/// Why a consumer is no longer of use.
#[derive(Debug)]
pub(super) enum End {
    Silence,
    Reconnected,
    /// Messages were lost between server and client.
    Lost,
    /// The server has ended it.
    Ended,
}

/// What came at once.
pub(super) enum Delivery {
    /// Nothing if the server said only that it is there.
    Messages(Vec<(Position, Message)>),
    End(End),
}

/// Messages of the log as they come.
pub(super) struct Deliveries {
    client: Client,
    messages: Subscriber,
    consumer: Consumer,
    /// How many are asked for in advance.
    prefetch: u64,
    /// Changes with each connection that is made.
    connections: watch::Receiver<u64>,
    silence: Pin<Box<Sleep>>,
    end: Option<End>,
}

#[derive(Deserialize)]
struct Created {
    name: String,
}

/// What the server delivers from, on request.
struct Consumer {
    /// Where messages are asked for.
    next: String,
    inbox: String,
    /// How many were delivered.
    sequence: u64,
    asked_for: u64,
}

/// What one message is.
enum Taken {
    Message(Position),
    Heartbeat,
    Nothing,
    End(End),
}

impl Consumer {
    /// Asks for more when half of what was asked for has come.
    async fn ask(&mut self, client: &Client, prefetch: u64) -> Result<(), JetStreamError> {
        if self.asked_for > prefetch / 2 {
            return Ok(());
        }
        let more = prefetch - self.asked_for;
        let body = json!({
            "batch": more,
            "expires": nanoseconds(EXPIRES),
            "idle_heartbeat": nanoseconds(HEARTBEAT),
        });
        let (next, inbox) = (self.next.clone(), self.inbox.clone());
        let asked = client.publish_with_reply(next, inbox, body.to_string().into());
        asked.await.map_err(JetStreamError::client)?;
        self.asked_for += more;
        Ok(())
    }

    fn take(&mut self, message: &Message) -> Taken {
        match message.status.map(|status| status.as_u16()) {
            None => {}
            Some(100) => return Taken::Heartbeat,
            // A request has expired.
            Some(404 | 408) => {
                let gone = still_pending(message).unwrap_or(self.asked_for);
                self.asked_for = self.asked_for.saturating_sub(gone);
                return Taken::Nothing;
            }
            Some(409) if message.description.as_deref() == Some("Batch Completed") => {
                return Taken::Nothing;
            }
            Some(_) => return Taken::End(End::Ended),
        }
        let Some(position) = message.reply.as_deref().and_then(Position::read) else {
            return Taken::Nothing;
        };
        self.sequence += 1;
        if position.consumer_sequence != self.sequence {
            return Taken::End(End::Lost);
        }
        self.asked_for = self.asked_for.saturating_sub(1);
        Taken::Message(position)
    }
}

impl Deliveries {
    pub async fn begin(
        link: &Link,
        selection: &Selection,
        prefetch: u64,
        mut connections: watch::Receiver<u64>,
    ) -> Result<Self, JetStreamError> {
        connections.mark_unchanged();
        let client = link.client().clone();
        let inbox = client.new_inbox();
        let subscribed = client.subscribe(inbox.clone()).await;
        let messages = subscribed.map_err(JetStreamError::client)?;
        let name = create_consumer(link, selection).await?;
        Ok(Self {
            client,
            messages,
            consumer: Consumer {
                next: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{name}", link.stream()),
                inbox,
                sequence: 0,
                asked_for: 0,
            },
            prefetch,
            connections,
            silence: Box::pin(time::sleep(SILENCE)),
            end: None,
        })
    }

    /// Waits for the next messages. After an end nothing comes.
    pub async fn next(&mut self) -> Result<Delivery, JetStreamError> {
        if let Some(end) = self.end.take() {
            return Ok(Delivery::End(end));
        }
        self.consumer.ask(&self.client, self.prefetch).await?;
        // Moved on, which is cheaper than one made for each time.
        self.silence.as_mut().reset(Instant::now() + SILENCE);
        let first = tokio::select! {
            biased;
            changed = self.connections.changed() => match changed {
                Ok(()) => Err(End::Reconnected),
                Err(_) => Err(End::Ended),
            },
            first = self.messages.next() => first.ok_or(End::Ended),
            () = &mut self.silence => Err(End::Silence),
        };
        let mut next = match first {
            Ok(first) => Some(first),
            Err(end) => return Ok(Delivery::End(end)),
        };
        let mut delivered = Vec::new();
        while let Some(message) = next {
            match self.consumer.take(&message) {
                Taken::Message(position) => delivered.push((position, message)),
                Taken::Heartbeat | Taken::Nothing => {}
                Taken::End(end) => {
                    self.end = Some(end);
                    break;
                }
            }
            next = if delivered.len() < AT_ONCE {
                self.messages.next().now_or_never().flatten()
            } else {
                None
            };
        }
        Ok(Delivery::Messages(delivered))
    }
}

/// How long a request waits that should be asked again rather than waited for.
pub(super) fn patience(link: &Link) -> Duration {
    link.request_timeout().min(PATIENCE)
}

async fn create_consumer(link: &Link, selection: &Selection) -> Result<String, JetStreamError> {
    let stream = link.stream();
    let mut config = json!({
        "ack_policy": "none",
        "replay_policy": "instant",
        "mem_storage": true,
        "num_replicas": 1,
        "inactive_threshold": nanoseconds(ABANDONED),
        "headers_only": selection.headers_only,
    });
    if !selection.subjects.is_empty() {
        config["filter_subjects"] = json!(selection.subjects);
    }
    match selection.from {
        From::LastOfEach => config["deliver_policy"] = json!("last_per_subject"),
        From::Sequence(sequence) => {
            config["deliver_policy"] = json!("by_start_sequence");
            config["opt_start_seq"] = json!(sequence);
        }
    }
    let body = json!({"stream_name": stream, "config": config});
    let subject = format!("$JS.API.CONSUMER.CREATE.{stream}");
    let created: Created = link.api(subject, &body, patience(link)).await?;
    Ok(created.name)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How many messages of a request will not come any more.
fn still_pending(status: &Message) -> Option<u64> {
    let pending = status.headers.as_ref()?.get("Nats-Pending-Messages")?;
    pending.as_str().parse().ok()
}

/// Where a delivered message is in the stream, which its reply subject says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub sequence: u64,
    consumer_sequence: u64,
    /// In milliseconds since the Unix epoch.
    pub written_at: i64,
    /// How many messages come behind it, as far as the server knew.
    pub pending: u64,
}

impl Position {
    /// Of `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<time>.<pending>`,
    /// before whose stream newer servers put domain and account, and after it a token.
    fn read(reply: &str) -> Option<Self> {
        let reply = reply.strip_prefix("$JS.ACK.")?.as_bytes();
        let before = match reply.iter().filter(|byte| **byte == b'.').count() {
            6 => 3,
            8.. => 5,
            _ => return None,
        };
        let mut numbers = reply.split(|byte| *byte == b'.').skip(before).map(number);
        let mut number = || numbers.next()?;
        let (sequence, consumer_sequence) = (number()?, number()?);
        let nanoseconds = i64::try_from(number()?).ok()?;
        Some(Self {
            sequence,
            consumer_sequence,
            written_at: nanoseconds / 1_000_000,
            pending: number()?,
        })
    }
}

/// Some decimal digits. Each message has four such numbers, and this takes half as long as a
/// way over `str`.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_from_reply_subjects() {
        let expected = Some(Position {
            sequence: 12,
            consumer_sequence: 7,
            written_at: 1_795_732_313_123,
            pending: 3,
        });
        for reply in [
            "$JS.ACK.USERS.c1.1.12.7.1795732313123456789.3",
            "$JS.ACK._.hash.USERS.c1.1.12.7.1795732313123456789.3",
            "$JS.ACK.hub.hash.USERS.c1.1.12.7.1795732313123456789.3.token",
        ] {
            assert_eq!(Position::read(reply), expected, "{reply}");
        }
        for reply in [
            "_INBOX.x",
            "$JS.ACK.USERS.c1.1.12.7",
            "$JS.ACK.U.c.1.a.7.0.3",
            "$JS.ACK.U.c.1..7.0.3",
            "$JS.ACK.U.c.1.2.7.0.18446744073709551616",
        ] {
            assert_eq!(Position::read(reply), None, "{reply}");
        }
    }
}
