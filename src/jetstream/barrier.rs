//! Barriers: messages that tell how far the log goes.
//!
//! One is in flight at a time. Who comes while it is shares the next one, so that any number
//! of readers at once costs one message for each round trip.
//!
//! **Nobody waits for a reader.** If no barrier is in flight, a reader publishes one itself,
//! before it waits. From then on it is a reader like the others: what becomes of the barrier
//! is learned by the tasks of the store. So a reader can be dropped, or not be polled for
//! long, without keeping the others waiting.
//!
//! **What is learned.** A barrier's place in the log is its sequence. The acknowledgement tells
//! it, and so does the delivery of the barrier to the replica, since each has a number: a
//! message is delivered only after it was committed, at the sequence that it then has for
//! ever. So the first of the two counts.
//!
//! **What readers wait for.** The replica must have applied all that comes *before* the barrier.
//! The barrier holds nothing of any user, so its own delivery adds nothing to that:
//! [`gaps`](super::gaps) has the argument. As a rule the acknowledgement comes before the
//! delivery, and the replica has all the rest by then, so that the acknowledgement ends the
//! read. Else readers wait on, and for as long as [`Patience`] says.

use std::collections::VecDeque;
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{self, Instant};

use super::error::JetStreamError;
use super::gaps::Barrier;
use super::kept::{Kept, Mark};
use super::link::Link;

/// How long a reader waits for the replica. What comes then takes some milliseconds, so longer
/// patience does not pay, and a reader is not to wait for 100 ms in all.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// From the acknowledgement until the replica has what comes before the barrier…
    pub reached: Duration,
    /// …and then for the gaps to be closed.
    pub closed: Duration,
}

const PATIENCE: Patience = Patience {
    reached: Duration::from_millis(20),
    closed: Duration::from_millis(10),
};

/// The same after a replica has kept a reader waiting in vain, until it has answered one.
const LITTLE_PATIENCE: Patience = Patience {
    reached: Duration::from_millis(5),
    closed: Duration::from_millis(5),
};

/// What one waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The place of the barrier in the log.
    Known,
    /// The replica has applied all that comes before it. Without one: as `Known`.
    Applied,
}

/// A barrier whose place in the log is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub barrier: Barrier,
    /// Whether the replica has not come so far in time, for one who waits for that.
    pub is_late: bool,
}

type Outcome = Result<Reached, JetStreamError>;

struct Waiter {
    until: Until,
    tell: oneshot::Sender<Outcome>,
}

pub(super) struct Barriers {
    link: Arc<Link>,
    kept: Kept,
    /// One is published so often also if nobody asks for one, so that the store knows how
    /// far the log goes.
    period: Duration,
    rounds: Mutex<Rounds>,
    /// Something is due sooner than the task that keeps time knows.
    sooner: Notify,
    /// Whether the replica has kept the last reader waiting in vain.
    lags: AtomicBool,
}

struct Rounds {
    /// How many barriers were begun.
    begun: u64,
    begun_at: Instant,
    in_flight: Option<Round>,
    /// Those whose place is known, and of which the replica does not have all that comes
    /// before them; in the order of the log.
    behind: VecDeque<Behind>,
    /// Who came since the one in flight was begun.
    next: Vec<Waiter>,
    /// When the task that keeps time will look.
    looks_at: Instant,
}

struct Round {
    number: u64,
    mark: Mark,
    waiters: Vec<Waiter>,
}

struct Behind {
    barrier: Barrier,
    /// How long its readers wait.
    until: Instant,
    waiters: Vec<Waiter>,
}

impl Barriers {
    pub fn new(link: Arc<Link>, kept: Kept, period: Duration) -> Self {
        let now = Instant::now();
        Self {
            link,
            kept,
            period,
            rounds: Mutex::new(Rounds {
                begun: 0,
                begun_at: now,
                in_flight: None,
                behind: VecDeque::new(),
                next: Vec::new(),
                looks_at: now,
            }),
            sooner: Notify::new(),
            lags: AtomicBool::new(false),
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
    pub async fn next(&self, until: Until) -> Outcome {
        let (tell, told) = oneshot::channel();
        {
            let mut rounds = self.rounds();
            rounds.next.push(Waiter { until, tell });
            if rounds.in_flight.is_none() {
                self.begin(&mut rounds);
            }
        }
        // The store is gone if nobody tells.
        told.await.unwrap_or(Err(JetStreamError::TimedOut))
    }

    /// Publishes a barrier for all who wait for the next one.
    fn begin(&self, rounds: &mut Rounds) {
        rounds.begun += 1;
        rounds.begun_at = Instant::now();
        let round = Round {
            number: rounds.begun,
            // Before it is published.
            mark: self.kept.mark(),
            waiters: mem::take(&mut rounds.next),
        };
        match self.link.send_barrier(round.number) {
            Ok(()) => {
                self.is_due(rounds, rounds.begun_at + self.link.request_timeout());
                rounds.in_flight = Some(round);
            }
            Err(error) => tell_all(round.waiters, &Err(error)),
        }
    }

    /// The sequence of a barrier is known, or why it has none.
    pub fn learn(&self, number: u64, sequence: Result<u64, JetStreamError>) {
        let mut rounds = self.rounds();
        // It may be known already, or be given up.
        let Some(round) = rounds.in_flight.take_if(|round| round.number == number) else {
            return;
        };
        let barrier = sequence.and_then(|sequence| {
            let known = self.kept.learn(round.mark, sequence);
            known.map_err(|_| JetStreamError::StreamReplaced)
        });
        match barrier {
            Ok(barrier) => self.reach(&mut rounds, barrier, round.waiters),
            Err(error) => tell_all(round.waiters, &Err(error)),
        }
        if !rounds.next.is_empty() {
            self.begin(&mut rounds);
        }
    }

    fn reach(&self, rounds: &mut Rounds, barrier: Barrier, waiters: Vec<Waiter>) {
        let reached = Ok(Reached {
            barrier,
            is_late: false,
        });
        // Asked under the lock, which `applied` takes later: who is put among those behind
        // is not overlooked there.
        if self.kept.has_applied(barrier) {
            return tell_all(waiters, &reached);
        }
        let (waiters, others) = waiters
            .into_iter()
            .partition::<Vec<_>, _>(|waiter| waiter.until == Until::Applied);
        tell_all(others, &reached);
        if !waiters.is_empty() {
            let until = Instant::now() + self.patience().reached;
            self.is_due(rounds, until);
            rounds.behind.push_back(Behind {
                barrier,
                until,
                waiters,
            });
        }
    }

    /// The replica has applied so much.
    pub fn applied(&self, sequence: u64) {
        self.tell_behind(|behind| behind.barrier.all_before() <= sequence, false);
    }

    /// The replica has started over. They look, and find that their barriers are outdated.
    pub fn started_over(&self) {
        self.tell_behind(|_| true, false);
    }

    fn tell_behind(&self, is_told: impl Fn(&Behind) -> bool, is_late: bool) {
        let mut rounds = self.rounds();
        while rounds.behind.front().is_some_and(&is_told)
            && let Some(Behind {
                barrier, waiters, ..
            }) = rounds.behind.pop_front()
        {
            tell_all(waiters, &Ok(Reached { barrier, is_late }));
        }
    }

    /// Gives up what takes too long, and publishes a barrier in each period.
    pub async fn keep_time(&self) {
        let mut sleep = pin!(time::sleep(Duration::ZERO));
        loop {
            tokio::select! {
                () = &mut sleep => {}
                () = self.sooner.notified() => {}
            }
            sleep.as_mut().reset(self.look(Instant::now()));
        }
    }

    /// Does what is due, and returns when to look again.
    fn look(&self, now: Instant) -> Instant {
        self.tell_behind(|behind| behind.until <= now, true);
        let mut rounds = self.rounds();
        let gives_up_at = rounds.begun_at + self.link.request_timeout();
        if now >= gives_up_at
            && let Some(round) = rounds.in_flight.take()
        {
            tell_all(round.waiters, &Err(JetStreamError::TimedOut));
        }
        let is_wanted = !rounds.next.is_empty() || now >= rounds.begun_at + self.period;
        if rounds.in_flight.is_none() && is_wanted {
            self.begin(&mut rounds);
        }
        let mut looks_at = rounds.begun_at + self.period;
        if rounds.in_flight.is_some() {
            looks_at = looks_at.min(rounds.begun_at + self.link.request_timeout());
        }
        if let Some(behind) = rounds.behind.front() {
            looks_at = looks_at.min(behind.until);
        }
        rounds.looks_at = looks_at;
        looks_at
    }

    fn is_due(&self, rounds: &mut Rounds, at: Instant) {
        if at < rounds.looks_at {
            rounds.looks_at = at;
            self.sooner.notify_one();
        }
    }

    pub fn patience(&self) -> Patience {
        if self.lags.load(Ordering::Relaxed) {
            LITTLE_PATIENCE
        } else {
            PATIENCE
        }
    }

    pub fn note_lag(&self, lags: bool) {
        // Most of the time it is known, and threads share the word without writing to it.
        if self.lags.load(Ordering::Relaxed) != lags {
            self.lags.store(lags, Ordering::Relaxed);
        }
    }
}

/// Who no longer waits need not be told.
fn tell_all(waiters: Vec<Waiter>, outcome: &Outcome) {
    for waiter in waiters {
        let _ = waiter.tell.send(outcome.clone());
    }
}
