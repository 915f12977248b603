//! Watching users without a replica: each watch has a consumer of its own.
//!
//! **One user.** The watch begins with a validated read. From behind the message that it has
//! shown, the consumer delivers all that comes on the user's subject, in the order of the
//! log. What it misses was superseded or removed by something that it delivers later. When
//! the consumer has to be made anew, the watch reads once more: so it also notices a removal
//! whose marker has expired meanwhile.
//!
//! **All users.** The watch is a [scan](super::scan). Until it has caught up, a removal is told
//! only of a user who was told before. So it remembers until then who that was: a hash of the
//! id, since one told too many does no harm. If it is cut off for so long that a marker could
//! have expired unseen, it cannot know who is gone, and ends.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::Arc;

use async_nats::Message;
use futures_util::stream;
use smol_str::SmolStr;
use tokio::sync::watch;
use tokio::time;

use super::Core;
use super::consumer::{Deliveries, Delivery, From, Position, Selection};
use super::error::JetStreamError;
use super::message::{Content, Entry};
use super::read::PAUSE;
use super::scan::Scan;
use super::seen::{Seen, Wanted};
use crate::map::DefaultHashBuilder;
use crate::removal::RemovalCause;
use crate::revision::Revision;
use crate::snapshot::StateSnapshot;
use crate::store::Result;
use crate::versioned::Versioned;
use crate::watch::{AnyEvent, Event, Watch};

/// How many messages the watch of one user asks for in advance.
const PREFETCH: u64 = 64;

impl Core {
    pub(super) async fn watch_log(
        self: &Arc<Self>,
        user_id: &str,
    ) -> Result<Watch<Event<StateSnapshot>>> {
        let seen = self.see(user_id, Wanted::Version, self.deadline()).await?;
        let mut watching = OfUser {
            core: Arc::clone(self),
            user_id: user_id.into(),
            told: 0,
            is_there: false,
            epoch: self.starts_over(),
            deliveries: None,
            events: VecDeque::new(),
        };
        watching.take(seen);
        let alive = self.alive.clone();
        let events = stream::unfold((watching, alive), |(mut watching, mut alive)| async {
            let event = while_alive(&mut alive, watching.next()).await?;
            Some((event, (watching, alive)))
        });
        Ok(Watch::new(events))
    }

    pub(super) async fn watch_all_of_log(
        self: &Arc<Self>,
    ) -> Result<Watch<AnyEvent<StateSnapshot>>> {
        let mut watching = OfAll {
            scan: Scan::new(Arc::clone(self), false, self.longest_away()),
            core: Arc::clone(self),
            hasher: DefaultHashBuilder::default(),
            told: Some(HashSet::new()),
            events: VecDeque::new(),
        };
        // So that it has begun when this returns, or fails.
        let first = time::timeout_at(self.deadline(), watching.advance()).await;
        first.unwrap_or(Err(JetStreamError::TimedOut))?;
        let alive = self.alive.clone();
        let events = stream::unfold((watching, alive), |(mut watching, mut alive)| async {
            let event = while_alive(&mut alive, watching.next()).await??;
            Some((event, (watching, alive)))
        });
        Ok(Watch::new(events))
    }
}

/// `None` when the store is gone.
async fn while_alive<T>(
    alive: &mut watch::Receiver<()>,
    event: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        _ = alive.changed() => None,
        event = event => Some(event),
    }
}

/// What a message says has happened; `None` if it is no snapshot of its user.
fn event(user_id: &str, position: &Position, message: &Message) -> Option<Event<StateSnapshot>> {
    let revision = Revision::from(position.sequence);
    match Content::read(user_id, message.headers.as_ref(), &message.payload) {
        Content::State(state) => {
            let snapshot = StateSnapshot::from_parts(user_id.into(), state);
            let put = Versioned::new(snapshot, revision, position.written_at);
            Some(Event::Put(put))
        }
        Content::Removal(cause) => Some(Event::Removed { revision, cause }),
        Content::Unreadable => None,
    }
}

struct OfUser {
    core: Arc<Core>,
    user_id: SmolStr,
    /// The last message of the user that was told of, or left out.
    told: u64,
    /// Whether the last event has shown them.
    is_there: bool,
    /// Counts the streams under this name.
    epoch: u64,
    deliveries: Option<Deliveries>,
    events: VecDeque<Event<StateSnapshot>>,
}

impl OfUser {
    async fn next(&mut self) -> Event<StateSnapshot> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if let Err(error) = self.advance().await {
                tracing::debug!(%error, "a user cannot be watched now");
                time::sleep(PAUSE).await;
            }
        }
    }

    async fn advance(&mut self) -> Result<(), JetStreamError> {
        let deliveries = match &mut self.deliveries {
            Some(deliveries) => deliveries,
            None => {
                let begun = self.begin().await?;
                self.deliveries.insert(begun)
            }
        };
        match deliveries.next().await {
            Ok(Delivery::Messages(messages)) => {
                for (position, message) in messages {
                    let event = event(&self.user_id, &position, &message);
                    self.tell(position.sequence, event);
                }
                Ok(())
            }
            Ok(Delivery::End(end)) => {
                self.deliveries = None;
                tracing::debug!(?end, "a user is watched anew");
                let deadline = self.core.deadline();
                let seen = self
                    .core
                    .see(&self.user_id, Wanted::Version, deadline)
                    .await?;
                self.take(seen);
                Ok(())
            }
            Err(error) => {
                self.deliveries = None;
                Err(error)
            }
        }
    }

    async fn begin(&self) -> Result<Deliveries, JetStreamError> {
        let core = &self.core;
        let selection = Selection {
            subjects: vec![core.link.subjects().of_user(&self.user_id)],
            from: From::Sequence(self.told + 1),
            headers_only: false,
        };
        let connections = core.connections.clone();
        Deliveries::begin(&core.link, &selection, PREFETCH, connections).await
    }

    /// What there is of the user at a place behind all that was told.
    fn take(&mut self, seen: Seen) {
        let epoch = self.core.starts_over();
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.told = 0;
        }
        let cause = RemovalCause::Deleted;
        match seen.entries.into_iter().next() {
            Some(latest) => {
                let sequence = latest.revision;
                let event = self.put(latest);
                self.tell(sequence, event);
            }
            None if seen.last > self.told => {
                let revision = Revision::from(seen.last);
                self.tell(seen.last, Some(Event::Removed { revision, cause }));
            }
            // The marker has expired. It was behind what was told, and so is all that comes.
            None if self.is_there => {
                let revision = Revision::from(self.told + 1);
                self.tell(self.told + 1, Some(Event::Removed { revision, cause }));
            }
            None => {}
        }
    }

    fn put(&self, latest: Entry) -> Option<Event<StateSnapshot>> {
        let snapshot = StateSnapshot::from_parts(self.user_id.clone(), latest.state?);
        let revision = Revision::from(latest.revision);
        Some(Event::Put(Versioned::new(
            snapshot,
            revision,
            latest.written_at,
        )))
    }

    fn tell(&mut self, sequence: u64, event: Option<Event<StateSnapshot>>) {
        if sequence <= self.told {
            return;
        }
        self.told = sequence;
        let Some(event) = event else { return };
        let was_there = self.is_there;
        self.is_there = matches!(event, Event::Put(_));
        if was_there || self.is_there {
            self.events.push_back(event);
        }
    }
}

struct OfAll {
    core: Arc<Core>,
    scan: Scan,
    hasher: DefaultHashBuilder,
    /// Hashes of those who were told and not removed since, until all is caught up with.
    told: Option<HashSet<u64>>,
    events: VecDeque<AnyEvent<StateSnapshot>>,
}

impl OfAll {
    /// `None` if it cannot go on.
    async fn next(&mut self) -> Option<AnyEvent<StateSnapshot>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if let Err(error) = self.advance().await {
                tracing::warn!(%error, "a watch of all users ends");
                return None;
            }
        }
    }

    async fn advance(&mut self) -> Result<(), JetStreamError> {
        let messages = if self.told.is_some() {
            match self.scan.next_until_caught_up().await? {
                Some(messages) => messages,
                None => {
                    self.told = None;
                    self.events.push_back(AnyEvent::CaughtUp);
                    return Ok(());
                }
            }
        } else {
            self.scan.next().await?
        };
        for (position, message) in messages {
            let Some(user_id) = self.core.link.subjects().user_of(&message.subject) else {
                continue;
            };
            let Some(event) = event(user_id, &position, &message) else {
                continue;
            };
            let hash = self.hasher.hash_one(user_id);
            let is_told = match (&mut self.told, &event) {
                (None, _) => true,
                (Some(told), Event::Put(_)) => {
                    told.insert(hash);
                    true
                }
                (Some(told), Event::Removed { .. }) => told.remove(&hash),
            };
            if is_told {
                let key = user_id.to_owned();
                self.events.push_back(AnyEvent::Of { key, event });
            }
        }
        Ok(())
    }
}
