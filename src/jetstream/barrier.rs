//! Barriers: empty messages that tell how far the log goes.
//!
//! One is in flight at a time. Who comes while it is shares the next one, so that any number
//! of readers at once costs one message for each round trip.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time;

use super::error::JetStreamError;
use super::gaps::Barrier;
use super::kept::Kept;
use super::link::Link;

/// After one that failed, so that those who ask again do not keep a core busy.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

pub(super) struct Barriers {
    rounds: Mutex<Rounds>,
    wanted: Notify,
    done: watch::Sender<Done>,
}

#[derive(Debug, Default)]
struct Rounds {
    begun: u64,
    wanted: u64,
}

#[derive(Clone, Debug)]
struct Done {
    round: u64,
    outcome: Result<Barrier, JetStreamError>,
}

impl Barriers {
    pub fn new() -> Self {
        let none = Done {
            round: 0,
            outcome: Err(JetStreamError::TimedOut),
        };
        Self {
            rounds: Mutex::default(),
            wanted: Notify::new(),
            done: watch::Sender::new(none),
        }
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many were begun.
    pub fn begun(&self) -> u64 {
        self.rounds().begun
    }

    /// A barrier that is begun after this call.
    pub async fn next(&self) -> Result<Barrier, JetStreamError> {
        let mut done = self.done.subscribe();
        let round = {
            let mut rounds = self.rounds();
            let next = rounds.begun + 1;
            rounds.wanted = rounds.wanted.max(next);
            next
        };
        self.wanted.notify_one();
        // One of a later round, if this task comes to run so late, serves as well.
        match done.wait_for(|done| done.round >= round).await {
            Ok(done) => done.outcome.clone(),
            // There is always one who sends: this store.
            Err(_) => Err(JetStreamError::TimedOut),
        }
    }

    /// Publishes barriers as they are wanted, and one in each `period` at least.
    pub async fn serve(&self, link: Arc<Link>, kept: Kept, period: Duration) {
        loop {
            // If nobody wants one in this time, it is published so that the store knows
            // how far the log goes.
            let _ = time::timeout(period, self.until_wanted()).await;
            let round = {
                let mut rounds = self.rounds();
                rounds.begun += 1;
                rounds.begun
            };
            let outcome = kept.barrier(&link).await;
            let failed = outcome.is_err();
            self.done.send_replace(Done { round, outcome });
            if failed {
                time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }

    async fn until_wanted(&self) {
        loop {
            {
                let rounds = self.rounds();
                if rounds.wanted > rounds.begun {
                    return;
                }
            }
            self.wanted.notified().await;
        }
    }
}
