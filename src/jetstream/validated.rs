//! Linearizable reads of one user without the replica.
//!
//! The user's messages are got from any server, which may be stale. Then a barrier is
//! published on the condition that the newest of them is still the user's last message. If
//! it is accepted, what was got was right at that point of the log. If not, it proves
//! nothing, and the read begins again.
//!
//! A user who is written all the time would keep it from ending. But then there is another
//! proof: a message that comes after a barrier that was begun after the call was the user's
//! last one at its own place in the log, and that is late enough.
//!
//! A store that follows nobody reads so always. What it remembers of a user takes the place
//! of the first answer: if the barrier is accepted that expects the last message that it
//! knows of, the read has taken one round trip.
//!
//! On a replicated stream, conditions on one user exclude each other for a moment, and
//! conditional writes of the user as well. In a process one such read of a user is under way
//! at a time, and those who came before it began share its result. They do not wait for ever: the
//! one that is under way may belong to a future that nobody polls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{self, Instant};

use super::Core;
use super::direct::Stored;
use super::error::JetStreamError;
use super::gaps::Replaced;
use super::hot::Known;
use super::link::Condition;
use super::read::PAUSE;
use super::seen::{Seen, Wanted};

/// How often it is tried before the replica gets another chance.
const TRIES: u32 = 5;

/// How long a read waits for the one before it. Then it goes on by itself.
const UNTIL_ALONE: Duration = Duration::from_millis(30);

/// The users that are being read so.
#[derive(Debug, Default)]
pub(super) struct SingleFlight(Mutex<HashMap<SmolStr, Flight>>);

type Flight = Arc<AsyncMutex<Option<Landed>>>;

#[derive(Debug)]
struct Landed {
    begun: Instant,
    wanted: Wanted,
    seen: Seen,
}

impl SingleFlight {
    fn flights(&self) -> MutexGuard<'_, HashMap<SmolStr, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, user_id: &str) -> Flight {
        Arc::clone(self.flights().entry(SmolStr::new(user_id)).or_default())
    }

    /// Forgets the user, unless others are there.
    fn leave(&self, user_id: &str, flight: Flight) {
        let mut flights = self.flights();
        drop(flight);
        if flights
            .get(user_id)
            .is_some_and(|flight| Arc::strong_count(flight) == 1)
        {
            flights.remove(user_id);
        }
    }
}

/// What a server has told of a user.
enum Told {
    Last(Seen),
    /// All messages that there are, oldest first.
    Messages(Vec<Stored>),
}

impl Told {
    fn last(&self) -> u64 {
        match self {
            Self::Last(seen) => seen.last,
            Self::Messages(messages) => messages.last().map_or(0, |last| last.sequence),
        }
    }

    fn seen(self, entries: usize) -> Seen {
        match self {
            Self::Last(seen) => seen,
            Self::Messages(messages) => Seen::of(messages, entries),
        }
    }
}

impl Core {
    /// What is there of a user; `None` if it changed at each try.
    pub(super) async fn validated(
        &self,
        user_id: &str,
        wanted: Wanted,
        deadline: Instant,
    ) -> Result<Option<Seen>, JetStreamError> {
        let called = Instant::now();
        let flight = self.single_flight.join(user_id);
        let seen = async {
            let Ok(mut landed) = time::timeout(UNTIL_ALONE, flight.lock()).await else {
                return self.try_validated(user_id, wanted, deadline).await;
            };
            if let Some(landed) = &*landed
                && landed.begun >= called
                && landed.wanted >= wanted
            {
                let mut seen = landed.seen.clone();
                seen.entries.truncate(wanted.entries());
                return Ok(Some(seen));
            }
            let begun = Instant::now();
            let seen = self.try_validated(user_id, wanted, deadline).await?;
            *landed = seen.clone().map(|seen| Landed {
                begun,
                wanted,
                seen,
            });
            Ok(seen)
        }
        .await;
        self.single_flight.leave(user_id, flight);
        seen
    }

    async fn try_validated(
        &self,
        user_id: &str,
        wanted: Wanted,
        deadline: Instant,
    ) -> Result<Option<Seen>, JetStreamError> {
        if let Some(known) = self.remembered(user_id, wanted)
            && let Some(sequence) = self.is_still_last(user_id, known.seen.last).await?
        {
            known.confirm(sequence);
            self.counts.confirmed();
            return Ok(Some(known.seen.clone()));
        }
        let epoch = self.hot().map(|hot| hot.epoch());
        let all = matches!(wanted, Wanted::Entries(_));
        let Some((as_of, told)) = self.validate(user_id, all, deadline).await? else {
            return Ok(None);
        };
        let seen = told.seen(wanted.entries());
        if let (Some(hot), Some(epoch)) = (self.hot(), epoch) {
            let mut latest = seen.clone();
            latest.entries.truncate(1);
            hot.put(epoch, user_id, Known::told(as_of, latest));
        }
        Ok(Some(seen))
    }

    /// All messages of a user that the stream has, oldest first, as of a place in the log
    /// behind all that was there at the call; `None` if they changed at each try.
    pub(super) async fn validated_messages(
        &self,
        user_id: &str,
        deadline: Instant,
    ) -> Result<Option<Vec<Stored>>, JetStreamError> {
        let validated = self.validate(user_id, true, deadline).await?;
        Ok(validated.and_then(|(_, told)| match told {
            Told::Messages(messages) => Some(messages),
            Told::Last(_) => None,
        }))
    }

    /// Gets the last message of a user, or all, that were right at a place in the log behind
    /// all that was there at the call. Returns the place, too.
    async fn validate(
        &self,
        user_id: &str,
        all: bool,
        deadline: Instant,
    ) -> Result<Option<(u64, Told)>, JetStreamError> {
        let mut late_enough = None;
        for attempt in 0..TRIES {
            let told = if all {
                let messages = self.link.get_messages(user_id).await?;
                messages.map(Told::Messages)
            } else {
                Some(Told::Last(self.link.get_last(user_id).await?))
            };
            let Some(told) = told else { continue };
            let last = told.last();
            if late_enough.is_some_and(|barrier| last > barrier) {
                self.counts.validated();
                return Ok(Some((last, told)));
            }
            if let Some(sequence) = self.is_still_last(user_id, last).await? {
                self.counts.validated();
                return Ok(Some((sequence, told)));
            }
            // There is nothing to wait for after the last try.
            if attempt + 1 == TRIES || Instant::now() >= deadline {
                break;
            }
            if late_enough.is_none() {
                late_enough = Some(self.barrier(deadline).await?.sequence);
            } else {
                // Not in step with the others who try the same.
                let pause = PAUSE.mul_f64(self.jitter()) / 8 * (attempt + 1);
                time::sleep(pause).await;
            }
        }
        Ok(None)
    }

    /// Whether this is the user's last message, 0 if there is none, at a place in the log
    /// behind all that was there at the call: that place. `None` says nothing: the server
    /// refuses, too, what it cannot tell at the moment.
    async fn is_still_last(&self, user_id: &str, last: u64) -> Result<Option<u64>, JetStreamError> {
        let before = self.hot().map(|hot| hot.highest());
        let condition = Condition { user_id, last };
        let sequence = match self.link.publish_barrier(Some(condition)).await {
            Ok(acknowledged) => acknowledged.sequence,
            Err(error) if error.is_wrong_sequence() => {
                self.counts.refused();
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if let (Some(hot), Some(before)) = (self.hot(), before) {
            let acknowledged = hot.acknowledge(before, sequence);
            acknowledged.map_err(|Replaced| JetStreamError::StreamReplaced)?;
        }
        Ok(Some(sequence))
    }

    /// What a store that follows nobody remembers of a user, if it is enough.
    pub(super) fn remembered(&self, user_id: &str, wanted: Wanted) -> Option<Arc<Known>> {
        let known = self.hot()?.get(user_id)?;
        let is_enough = match wanted {
            // Whether their time is over cannot be told without the time.
            Wanted::State => known.is_timed || !self.clock.has_time_to_live(),
            Wanted::Version => known.is_timed,
            // Nothing is all that there is.
            Wanted::Entries(_) => known.seen.entries.is_empty(),
        };
        is_enough.then_some(known)
    }
}
