//! Keeps a replica abreast of the log.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use tokio::sync::watch;
use tokio::time;

use super::barrier::Barriers;
use super::config::Follow;
use super::consumer::{self, Deliveries, Delivery, End, From, Position, Selection};
use super::counts::Counts;
use super::error::JetStreamError;
use super::link::Link;
use super::message::{Content, Delivered, Subjects, write_id};
use super::own::OwnWrites;
use super::replica::{AwayTooLong, Replica};
use super::stream::{self, Info};

const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Follower {
    pub link: Arc<Link>,
    pub replica: Arc<Replica>,
    pub own_writes: Arc<OwnWrites>,
    pub barriers: Arc<Barriers>,
    pub counts: Arc<Counts>,
    /// Changes with each connection that is made.
    pub connections: watch::Receiver<u64>,
    /// How many messages are asked for in advance.
    pub prefetch: u64,
    pub follow: Follow,
    /// The stream that the replica is of.
    pub created: Option<String>,
}

impl Follower {
    pub async fn run(mut self) {
        loop {
            match self.follow().await {
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
        let (prefetch, connections) = (self.prefetch, self.connections.clone());
        let selection = self.selection();
        let mut deliveries =
            Deliveries::begin(&self.link, &selection, prefetch, connections).await?;

        // After the consumer was made: if it is one of another stream, that shows now.
        let info = stream::info(&self.link, consumer::patience(&self.link)).await?;
        if self.is_another_stream(&info) {
            tracing::warn!("the stream was made anew, and the replica starts over");
            self.start_over(false);
            self.created = Some(info.created);
            return Ok(End::Ended);
        }
        self.created = Some(info.created);

        loop {
            let messages = match deliveries.next().await? {
                Delivery::Messages(messages) => messages,
                Delivery::End(end) => return Ok(end),
            };
            if messages.is_empty() {
                self.replica.heard();
            }
            let delivered = messages
                .iter()
                .map(|(position, message)| self.read(message, position));
            let applied = self.replica.apply(delivered.collect::<Vec<_>>());
            // One is in flight at a time, so what came before the last is of no use.
            let barriers = messages.iter().rev().find_map(|(position, message)| {
                let number = self.link.subjects().barrier_of(message)?;
                Some((number, position.sequence))
            });
            if let Some((number, sequence)) = barriers {
                self.barriers.learn(number, Ok(sequence));
            }
            self.barriers.applied(self.replica.applied());
            if let Err(AwayTooLong) = applied {
                tracing::warn!("the replica was away for too long and starts over");
                self.start_over(true);
                return Ok(End::Reconnected);
            }
        }
    }

    fn start_over(&self, is_same_stream: bool) {
        self.replica.start_over(is_same_stream);
        self.barriers.started_over();
    }

    fn selection(&self) -> Selection {
        let next = self.replica.applied() + 1;
        // What is left out is a gap, like what was evicted.
        if next == 1 && self.follow == Follow::Latest {
            Selection {
                subjects: Subjects::all_of(self.link.stream()),
                from: From::LastOfEach,
                headers_only: false,
            }
        } else {
            Selection {
                subjects: Vec::new(),
                from: From::Sequence(next),
                headers_only: false,
            }
        }
    }

    fn is_another_stream(&self, info: &Info) -> bool {
        let other = |created: &String| *created != info.created;
        self.created.as_ref().is_some_and(other) || info.last_sequence() < self.replica.applied()
    }

    fn own_write(&self, message: &Message) -> Option<u64> {
        self.own_writes.number(write_id(message.headers.as_ref()?)?)
    }

    fn read(&self, message: &Message, position: &Position) -> Delivered {
        let own = self.own_write(message);
        let user_id = self.link.subjects().user_of(&message.subject);
        let of_user = user_id.map(|user_id| {
            // What this process has written need not be read.
            let known = own.and_then(|number| self.own_writes.take_state(number));
            let content = known.map_or_else(
                || Content::read(user_id, message.headers.as_ref(), &message.payload),
                Content::State,
            );
            (user_id.into(), content)
        });
        Delivered {
            sequence: position.sequence,
            written_at: position.written_at,
            of_user,
            own,
            pending: position.pending,
        }
    }
}
