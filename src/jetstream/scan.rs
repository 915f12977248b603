//! Goes through the last messages of all users, and then on with the log, without keeping
//! anything.
//!
//! It is a follower, to which the rules of [`gaps`](super::gaps) apply: what it has met of a
//! user is right at a place in the log as soon as it has come to that place and has no gap
//! open. What is left out of the log at its start is a gap, too.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use tokio::time::{self, Instant};

use super::Core;
use super::consumer::{self, Deliveries, Delivery, From, Position, Selection};
use super::error::JetStreamError;
use super::gaps::{Answer, Barrier, Delivery as Found, Gaps, Replaced};
use super::message::Subjects;
use super::read::PAUSE;
use super::stream;

type Messages = Vec<(Position, Message)>;

pub(super) struct Scan {
    core: Arc<Core>,
    headers_only: bool,
    /// How long it may be cut off.
    patience: Duration,
    deliveries: Option<Deliveries>,
    /// The stream that it goes through.
    created: Option<String>,
    gaps: Gaps,
    /// How far it has to come to have caught up.
    until: Option<Barrier>,
    barrier_at: Instant,
    /// When something was delivered.
    heard_at: Instant,
}

impl Scan {
    pub fn new(core: Arc<Core>, headers_only: bool, patience: Duration) -> Self {
        Self {
            headers_only,
            patience,
            deliveries: None,
            created: None,
            gaps: Gaps::new(core.longest_away()),
            until: None,
            barrier_at: Instant::now(),
            heard_at: Instant::now(),
            core,
        }
    }

    /// The next messages, until it has caught up with what was in the log at the first call;
    /// then `None`. Who drops the future cannot go on.
    ///
    /// # Errors
    ///
    /// [`ReplicaBehind`](JetStreamError::ReplicaBehind) if it was cut off for too long,
    /// [`StreamReplaced`](JetStreamError::StreamReplaced) if there is another stream, and what
    /// is met for longer than its patience lasts. Then it cannot go on.
    pub async fn next_until_caught_up(&mut self) -> Result<Option<Messages>, JetStreamError> {
        loop {
            let until = match self.until {
                Some(until) => until,
                None => {
                    // First, so that what was removed before it delivers lies before the barrier.
                    self.deliveries().await?;
                    self.new_barrier().await?
                }
            };
            match self.gaps.answer(until) {
                Answer::All => return Ok(None),
                Answer::WaitFor(_) if self.heard_at.elapsed() > self.patience => {
                    return Err(JetStreamError::ReplicaBehind);
                }
                Answer::WaitFor(_) => return self.next().await.map(Some),
                // A gap was found since the barrier was begun.
                Answer::Since(_) | Answer::Outdated => drop(self.new_barrier().await?),
            }
        }
    }

    /// The next messages; none if the server said only that it is there.
    ///
    /// # Errors
    ///
    /// As [`next_until_caught_up`](Self::next_until_caught_up).
    pub async fn next(&mut self) -> Result<Messages, JetStreamError> {
        if self.barrier_at.elapsed() > self.core.barrier_period() {
            // So that it is known that it is abreast.
            self.new_barrier().await?;
        }
        loop {
            let Ok(Delivery::Messages(messages)) = self.deliveries().await?.next().await else {
                self.deliveries = None;
                time::sleep(PAUSE).await;
                continue;
            };
            let now = Instant::now();
            if !messages.is_empty() {
                self.heard_at = now;
            }
            let mut new = Vec::with_capacity(messages.len());
            for (position, message) in messages {
                match self.gaps.deliver(position.sequence, now.into_std()) {
                    Found::Apply => new.push((position, message)),
                    Found::Ignore => {}
                    Found::StartOver => return Err(JetStreamError::ReplicaBehind),
                }
            }
            return Ok(new);
        }
    }

    /// The stream that it goes through, if it has begun.
    pub fn created(&self) -> Option<&str> {
        self.created.as_deref()
    }

    /// What delivers, made anew if need be.
    async fn deliveries(&mut self) -> Result<&mut Deliveries, JetStreamError> {
        let begun = Instant::now();
        let deliveries = match self.deliveries.take() {
            Some(deliveries) => deliveries,
            None => loop {
                match self.begin().await {
                    Ok(deliveries) => break deliveries,
                    Err(error) if is_final(&error) || begun.elapsed() > self.patience => {
                        return Err(error);
                    }
                    Err(_) => time::sleep(PAUSE).await,
                }
            },
        };
        Ok(self.deliveries.insert(deliveries))
    }

    async fn begin(&mut self) -> Result<Deliveries, JetStreamError> {
        let core = &self.core;
        let (subjects, from) = match self.gaps.applied() {
            0 => (Subjects::all_of(core.link.stream()), From::LastOfEach),
            applied => (Vec::new(), From::Sequence(applied + 1)),
        };
        let selection = Selection {
            subjects,
            from,
            headers_only: self.headers_only,
        };
        let connections = core.connections.clone();
        let deliveries = Deliveries::begin(&core.link, &selection, core.prefetch, connections);
        let deliveries = deliveries.await?;
        // After the consumer was made: if it is one of another stream, that shows now.
        let info = stream::info(&core.link, consumer::patience(&core.link)).await?;
        let created = self.created.get_or_insert_with(|| info.created.clone());
        if *created != info.created {
            return Err(JetStreamError::StreamReplaced);
        }
        Ok(deliveries)
    }

    async fn new_barrier(&mut self) -> Result<Barrier, JetStreamError> {
        let first = Instant::now();
        loop {
            let begun = self.gaps.begin(Instant::now().into_std());
            let barrier = match self.core.barrier(self.core.deadline()).await {
                Ok(barrier) => barrier,
                Err(error) if is_final(&error) || first.elapsed() > self.patience => {
                    return Err(error);
                }
                Err(_) => {
                    time::sleep(PAUSE).await;
                    continue;
                }
            };
            let barrier = self.gaps.acknowledge(begun, barrier.sequence);
            let barrier = barrier.map_err(|Replaced| JetStreamError::StreamReplaced)?;
            self.barrier_at = Instant::now();
            return Ok(*self.until.insert(barrier));
        }
    }
}

/// Whether a later try cannot succeed.
fn is_final(error: &JetStreamError) -> bool {
    !error.is_temporary() || matches!(error, JetStreamError::StreamReplaced)
}
