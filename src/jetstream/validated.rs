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
//! On a replicated stream, conditions on one user exclude each other for a moment, and
//! conditional writes of the user as well. So this is a way for now and then. In a process
//! one such read of a user is under way at a time, and those who came before it began share
//! its result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{self, Instant};

use super::Core;
use super::error::JetStreamError;
use super::link::Condition;
use super::read::PAUSE;
use super::seen::Seen;

/// How often it is tried before the replica gets another chance.
const TRIES: u32 = 5;

/// The users that are being read so.
#[derive(Debug, Default)]
pub(super) struct SingleFlight(Mutex<HashMap<SmolStr, Flight>>);

type Flight = Arc<AsyncMutex<Option<Landed>>>;

#[derive(Debug)]
struct Landed {
    begun: Instant,
    entries: usize,
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

impl Core {
    /// What is there of a user; `None` if it changed at each try.
    pub(super) async fn validated(
        &self,
        user_id: &str,
        entries: usize,
        deadline: Instant,
    ) -> Result<Option<Seen>, JetStreamError> {
        let called = Instant::now();
        let flight = self.single_flight.join(user_id);
        let seen = async {
            let mut landed = flight.lock().await;
            if let Some(landed) = &*landed
                && landed.begun >= called
                && landed.entries >= entries
            {
                let mut seen = landed.seen.clone();
                seen.entries.truncate(entries.max(1));
                return Ok(Some(seen));
            }
            let begun = Instant::now();
            let seen = self.try_validated(user_id, entries, deadline).await?;
            *landed = seen.clone().map(|seen| Landed {
                begun,
                entries,
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
        entries: usize,
        deadline: Instant,
    ) -> Result<Option<Seen>, JetStreamError> {
        let mut late_enough = None;
        for attempt in 0..TRIES {
            let seen = match entries {
                0 | 1 => Some(self.link.get_last(user_id).await?),
                _ => self.link.get_history(user_id, entries).await?,
            };
            let Some(seen) = seen else { continue };
            if late_enough.is_some_and(|barrier| seen.last > barrier) {
                self.counts.validated();
                return Ok(Some(seen));
            }
            let condition = Condition {
                user_id,
                last: seen.last,
            };
            match self.link.publish_barrier(Some(condition)).await {
                Ok(_) => {
                    self.counts.validated();
                    return Ok(Some(seen));
                }
                Err(error) if error.is_wrong_sequence() => self.counts.refused(),
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline {
                break;
            }
            if late_enough.is_none() {
                late_enough = Some(self.barrier(deadline).await?.sequence);
            } else {
                // Not in step with the others who try the same.
                let pause = PAUSE.mul_f64(self.jitter()) / 4 * (attempt + 1);
                time::sleep(pause).await;
            }
        }
        Ok(None)
    }
}
