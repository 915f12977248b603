//! Follows the log: a pull consumer without acknowledgements, made anew whenever it falls
//! silent.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time;

use super::config::Follow;
use super::counts::Counts;
use super::error::JetStreamError;
use super::link::Link;
use super::message::{Content, Delivered, MESSAGE_ID, Subjects, WRITE_ID};
use super::own::OwnWrites;
use super::replica::{AwayTooLong, Replica};
use super::stream::{self, Info};

/// How many messages are applied at once, at most.
const AT_ONCE: usize = 256;

/// How long a request for messages stands.
const EXPIRES: Duration = Duration::from_secs(10);

/// How often the server says that it is there when there are no messages.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Without a message or a heartbeat for so long, the consumer is made anew. A server that
/// died is noticed no later, although the connection stands.
const SILENCE: Duration = Duration::from_millis(1_500);

const PAUSE: Duration = Duration::from_millis(100);

/// How long a request that makes a consumer waits for its answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// The server removes a consumer that nobody has asked for messages for this long.
const ABANDONED: Duration = Duration::from_secs(30);

pub(super) struct Follower {
    pub link: Arc<Link>,
    pub replica: Arc<Replica>,
    pub own_writes: Arc<OwnWrites>,
    pub counts: Arc<Counts>,
    /// Changes with each connection that is made.
    pub connections: watch::Receiver<u64>,
    /// How many messages are asked for in advance.
    pub prefetch: u64,
    pub follow: Follow,
    /// The stream that the replica is of.
    pub created: Option<String>,
}

/// Why a consumer is no longer of use.
enum End {
    Silence,
    Reconnected,
    /// Messages were lost between server and client.
    Lost,
    AwayTooLong,
    Ended,
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

/// What was delivered.
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

impl Follower {
    pub async fn run(mut self) {
        loop {
            match self.follow().await {
                Ok(End::AwayTooLong) => {
                    tracing::warn!("the replica was away for too long and starts over");
                    self.replica.start_over(true);
                }
                Ok(End::Silence | End::Reconnected) => {}
                Ok(End::Lost | End::Ended) => time::sleep(PAUSE).await,
                Err(error) => {
                    tracing::debug!(%error, "the stream cannot be followed now");
                    time::sleep(PAUSE).await;
                }
            }
            self.counts.followed_anew();
        }
    }

    async fn follow(&mut self) -> Result<End, JetStreamError> {
        self.connections.mark_unchanged();
        let client = self.link.client().clone();
        let inbox = client.new_inbox();
        let subscribed = client.subscribe(inbox.clone()).await;
        let mut messages = subscribed
            .map_err(JetStreamError::client)?
            .ready_chunks(AT_ONCE);
        let name = self.create_consumer(self.replica.applied() + 1).await?;

        // After the consumer was made: if it is one of another stream, that shows now.
        let info = stream::info(&self.link, self.patience()).await?;
        if self.is_another_stream(&info) {
            tracing::warn!("the stream was made anew, and the replica starts over");
            self.replica.start_over(false);
            self.created = Some(info.created);
            return Ok(End::Ended);
        }
        self.created = Some(info.created);

        let mut consumer = Consumer {
            next: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{name}", self.link.stream()),
            inbox,
            sequence: 0,
            asked_for: 0,
        };
        loop {
            consumer.ask(&client, self.prefetch).await?;
            let chunk = tokio::select! {
                biased;
                changed = self.connections.changed() => {
                    return Ok(if changed.is_ok() { End::Reconnected } else { End::Ended });
                }
                chunk = time::timeout(SILENCE, messages.next()) => match chunk {
                    Ok(Some(chunk)) => chunk,
                    Ok(None) => return Ok(End::Ended),
                    Err(_) => return Ok(End::Silence),
                },
            };
            if let Some(end) = self.apply(&mut consumer, &chunk) {
                return Ok(end);
            }
        }
    }

    /// Applies what came; says so if nothing more will come, or nothing of use.
    fn apply(&self, consumer: &mut Consumer, chunk: &[Message]) -> Option<End> {
        let mut delivered = Vec::with_capacity(chunk.len());
        let mut end = None;
        for message in chunk {
            match consumer.take(message) {
                Taken::Message(position) => delivered.push(self.read(message, &position)),
                Taken::Heartbeat => self.replica.heard(),
                Taken::Nothing => {}
                Taken::End(reason) => {
                    end = Some(reason);
                    break;
                }
            }
        }
        match self.replica.apply(delivered) {
            Ok(()) => end,
            Err(AwayTooLong) => Some(End::AwayTooLong),
        }
    }

    /// While there is no leader nobody answers; then it is better to ask again.
    fn patience(&self) -> Duration {
        self.link.request_timeout().min(PATIENCE)
    }

    fn is_another_stream(&self, info: &Info) -> bool {
        let other = |created: &String| *created != info.created;
        self.created.as_ref().is_some_and(other) || info.last_sequence() < self.replica.applied()
    }

    async fn create_consumer(&self, from: u64) -> Result<String, JetStreamError> {
        let stream = self.link.stream();
        let mut config = json!({
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": true,
            "num_replicas": 1,
            "inactive_threshold": nanoseconds(ABANDONED),
        });
        // What is left out is a gap, like what was evicted.
        if from == 1 && self.follow == Follow::Latest {
            config["deliver_policy"] = json!("last_per_subject");
            config["filter_subjects"] = json!(Subjects::all_of(stream));
        } else {
            config["deliver_policy"] = json!("by_start_sequence");
            config["opt_start_seq"] = json!(from);
        }
        let body = json!({"stream_name": stream, "config": config});
        let subject = format!("$JS.API.CONSUMER.CREATE.{stream}");
        let created: Created = self.link.api(subject, &body, self.patience()).await?;
        Ok(created.name)
    }

    fn own_write(&self, message: &Message) -> Option<u64> {
        let headers = message.headers.as_ref()?;
        let id = headers.get(WRITE_ID).or_else(|| headers.get(MESSAGE_ID))?;
        self.own_writes.number(id.as_str())
    }

    fn read(&self, message: &Message, position: &Position) -> Delivered {
        let user_id = self.link.subjects().user_of(&message.subject);
        let of_user = user_id.map(|user_id| {
            let content = Content::read(user_id, message.headers.as_ref(), &message.payload);
            (user_id.into(), content)
        });
        Delivered {
            sequence: position.sequence,
            written_at: position.written_at,
            of_user,
            own: self.own_write(message),
            pending: position.pending,
        }
    }
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
struct Position {
    sequence: u64,
    consumer_sequence: u64,
    written_at: i64,
    pending: u64,
}

impl Position {
    /// Of `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<time>.<pending>`,
    /// before whose stream newer servers put domain and account, and after it a token.
    fn read(reply: &str) -> Option<Self> {
        let reply = reply.strip_prefix("$JS.ACK.")?;
        let before = match reply.matches('.').count() {
            6 => 3,
            8.. => 5,
            _ => return None,
        };
        let mut numbers = reply
            .split('.')
            .skip(before)
            .map(|token| token.parse::<u64>().ok());
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
        ] {
            assert_eq!(Position::read(reply), None, "{reply}");
        }
    }
}
