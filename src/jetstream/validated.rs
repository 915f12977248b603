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
//! one that is under way may belong to a future that nobody polls. After a while one of them begins
//! anew, for all of them.

use std::collections::HashMap;
use std::mem;
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

/// How long a read waits for the one before it. Then another one begins.
const UNTIL_ABANDONED: Duration = Duration::from_millis(30);

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

    fn join<'a>(&'a self, user_id: &'a str) -> Seat<'a> {
        let mut flights = self.flights();
        let flight = flights.entry(SmolStr::new(user_id)).or_default();
        Seat {
            flights: self,
            user_id,
            flight: Arc::clone(flight),
        }
    }
}

/// A place in a flight, of one who reads or waits.
struct Seat<'a> {
    flights: &'a SingleFlight,
    user_id: &'a str,
    flight: Flight,
}

impl Seat<'_> {
    /// Has those who join from now on get another flight.
    fn abandon(&self) {
        let mut flights = self.flights.flights();
        if self.is_current(&flights) {
            flights.remove(self.user_id);
        }
    }

    fn is_current(&self, flights: &HashMap<SmolStr, Flight>) -> bool {
        let current = flights.get(self.user_id);
        current.is_some_and(|current| Arc::ptr_eq(current, &self.flight))
    }
}

/// Forgets the user, unless others are there; also if the read was cancelled.
impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        let is_current = self.is_current(&flights);
        // Under the lock, so that of several who leave at once the last finds itself alone.
        drop(mem::take(&mut self.flight));
        let is_empty = |flight: &Flight| Arc::strong_count(flight) == 1;
        if is_current && flights.get(self.user_id).is_some_and(is_empty) {
            flights.remove(self.user_id);
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
        loop {
            let seat = self.single_flight.join(user_id);
            let Ok(mut landed) = time::timeout(UNTIL_ABANDONED, seat.flight.lock()).await else {
                // Those who wait with this one find the same, and share the next.
                seat.abandon();
                if Instant::now() >= deadline {
                    return Err(JetStreamError::TimedOut);
                }
                continue;
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
            return Ok(seen);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_is_shared_until_it_is_abandoned_and_forgotten_when_all_have_left() {
        let flights = SingleFlight::default();
        let (first, second) = (flights.join("ada"), flights.join("ada"));
        assert!(Arc::ptr_eq(&first.flight, &second.flight));
        first.abandon();
        let third = flights.join("ada");
        assert!(!Arc::ptr_eq(&first.flight, &third.flight));
        // It is not theirs any more.
        second.abandon();
        drop((first, second));
        let fourth = flights.join("ada");
        assert!(Arc::ptr_eq(&third.flight, &fourth.flight));
        drop(third);
        assert_eq!(flights.flights().len(), 1);
        drop(fourth);
        assert!(flights.flights().is_empty());
    }
}
