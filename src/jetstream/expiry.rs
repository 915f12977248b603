//! Users whom nobody has written for long.
//!
//! **The log decides who is there.** A user whose time to live is over is there until a
//! message says that they are gone, like a deletion: on the condition that nobody has written
//! them meanwhile. A call of the contract that meets such a user, to read or to write, first
//! sends that message; and each store looks for them now and then. So all processes agree on
//! who is there, whatever their clocks say, and reads stay linearizable.
//!
//! **The clock is that of the log.** Messages have the times of the server that took them. From
//! the last one that was applied the store goes on by its own monotonic clock. What is late on
//! its way makes that clock late, never early. A store that follows nobody asks now and then
//! for the time of a barrier of its own.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use smol_str::SmolStr;
use tokio::time::{self, Instant};

use super::Core;
use super::error::JetStreamError;
use super::kept::Kept;
use super::message::{Entry, has_no_payload};
use super::outgoing::Message;
use super::scan::Scan;
use super::seen::Seen;

/// How many users a sweep takes out at once.
const AT_ONCE: usize = 64;

/// How many users of the log a sweep takes out, at most.
const MOST_OF_A_SWEEP: usize = 1 << 16;

const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
const LONGEST_PERIOD: Duration = Duration::from_secs(60);

/// What time it is where messages get theirs.
#[derive(Debug)]
pub(super) struct LogClock {
    begun: Instant,
    /// How much later it was there when this was made, in milliseconds since the Unix epoch.
    ahead: AtomicI64,
    time_to_live: Option<i64>,
}

impl LogClock {
    pub fn new(time_to_live: Option<Duration>) -> Self {
        let whole_ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self {
            begun: Instant::now(),
            // Before any message nothing is over.
            ahead: AtomicI64::new(i64::MIN),
            time_to_live: time_to_live.map(whole_ms),
        }
    }

    pub fn has_time_to_live(&self) -> bool {
        self.time_to_live.is_some()
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// A message of this time was there.
    pub fn set_at_least(&self, written_at: i64) {
        if self.has_time_to_live() {
            let ahead = written_at.saturating_sub(self.elapsed());
            self.ahead.fetch_max(ahead, Ordering::Relaxed);
        }
    }

    /// A message of this time was delivered.
    pub fn set(&self, written_at: i64) {
        if self.has_time_to_live() {
            let ahead = written_at.saturating_sub(self.elapsed());
            self.ahead.store(ahead, Ordering::Relaxed);
        }
    }

    /// Whether the time to live is over of a user whose latest state this is.
    pub fn is_over(&self, latest: &Entry) -> bool {
        self.is_over_since(latest.written_at)
    }

    /// The same, of one that was written then.
    pub fn is_over_since(&self, written_at: i64) -> bool {
        self.has_time_to_live() && self.is_over_after(self.elapsed(), written_at)
    }

    /// The same, so many milliseconds after this was made.
    fn is_over_after(&self, elapsed: i64, written_at: i64) -> bool {
        let now = elapsed.saturating_add(self.ahead.load(Ordering::Relaxed));
        let ends = |time| written_at.saturating_add(time);
        self.time_to_live.is_some_and(|time| ends(time) <= now)
    }
}

impl Seen {
    /// Whether the user is there and their time to live is over.
    pub fn is_over(&self, clock: &LogClock) -> bool {
        self.entries
            .first()
            .is_some_and(|latest| clock.is_over(latest))
    }
}

impl Core {
    /// Takes a user out who was seen like this; `None` if they were written meanwhile.
    pub(super) async fn expire(
        &self,
        user_id: &str,
        seen: &Seen,
        deadline: Instant,
    ) -> Result<Option<Seen>, JetStreamError> {
        let message = Message::expiry(user_id);
        let mut attempts = self.attempts_until(&message, deadline);
        match self.put(&mut attempts, &message, Some(seen.last)).await {
            Ok(sequence) => {
                self.counts.expired();
                Ok(Some(Seen {
                    last: sequence,
                    entries: Vec::new(),
                }))
            }
            Err(error) if error.is_wrong_sequence() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks for users whose time is over, again and again.
    pub(super) async fn sweep(self: Arc<Self>, time_to_live: Duration) {
        let period = match &self.kept {
            Kept::All(_) => (time_to_live / 10).clamp(SHORTEST_PERIOD, LONGEST_PERIOD),
            // All users come from the servers each time.
            Kept::Hot(_) => (time_to_live / 2).max(SHORTEST_PERIOD),
        };
        loop {
            // Not in step with other processes, which look for the same.
            time::sleep(period.mul_f64(0.5 + self.jitter())).await;
            let over = match &self.kept {
                Kept::All(replica) => {
                    let replica = Arc::clone(replica);
                    // Going over all users is not for a thread that serves.
                    let over = tokio::task::spawn_blocking(move || replica.whose_time_is_over());
                    let Ok(over) = over.await else { return };
                    over
                }
                Kept::Hot(_) => self.whose_time_is_over_in_log().await,
            };
            let expiring = stream::iter(over).map(|user_id| self.expire_if_over(user_id));
            expiring.buffer_unordered(AT_ONCE).collect::<()>().await;
        }
    }

    /// Not more than a sweep should take out. The next one finds the others.
    async fn whose_time_is_over_in_log(self: &Arc<Self>) -> Vec<SmolStr> {
        let mut over = HashSet::new();
        if self.set_clock().await.is_err() {
            return Vec::new();
        }
        let mut scan = Scan::new(Arc::clone(self), true, self.operation_timeout);
        while over.len() < MOST_OF_A_SWEEP
            && let Ok(Some(messages)) = scan.next_until_caught_up().await
        {
            for (position, message) in messages {
                let Some(user_id) = self.link.subjects().user_of(&message.subject) else {
                    continue;
                };
                let is_there = !has_no_payload(message.headers.as_ref());
                if is_there && self.clock.is_over_since(position.written_at) {
                    over.insert(SmolStr::new(user_id));
                } else {
                    over.remove(user_id);
                }
            }
        }
        over.into_iter().collect()
    }

    /// Finds out what time it is where messages get theirs.
    pub(super) async fn set_clock(&self) -> Result<(), JetStreamError> {
        self.barrier(self.deadline()).await?;
        if let Some(time) = self.link.time_of_barrier().await? {
            self.clock.set_at_least(time);
        }
        Ok(())
    }

    async fn expire_if_over(&self, user_id: SmolStr) {
        let deadline = self.deadline();
        let expired = async {
            let seen = match &self.kept {
                // Another process may have done it since.
                Kept::All(replica) => replica.glance(&user_id),
                Kept::Hot(_) => self.link.get_last(&user_id).await?,
            };
            if seen.is_over(&self.clock) {
                self.expire(&user_id, &seen, deadline).await?;
            }
            Ok::<_, JetStreamError>(())
        };
        if let Err(error) = expired.await {
            tracing::debug!(%error, "a user could not be taken out, and will be later");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(written_at: i64) -> Entry {
        Entry {
            revision: 1,
            written_at,
            number: 1,
            state: None,
        }
    }

    #[test]
    fn time_is_over_by_the_clock_of_the_log() {
        let clock = LogClock::new(Some(Duration::from_secs(3_600)));
        assert!(!clock.is_over(&entry(i64::MIN)), "nothing is known yet");
        let now = 1_700_000_000_000;
        clock.set(now);
        assert!(clock.is_over(&entry(now - 3_600_000)));
        assert!(!clock.is_over(&entry(now - 1_800_000)));
        assert!(!clock.is_over(&entry(now)));
        assert!(!LogClock::new(None).is_over(&entry(i64::MIN)));
    }

    #[test]
    fn time_goes_on_without_messages() {
        let clock = LogClock::new(Some(Duration::from_secs(10)));
        clock.ahead.store(1_000, Ordering::Relaxed);
        assert!(!clock.is_over_after(9_999, 1_000));
        assert!(clock.is_over_after(10_000, 1_000));
    }
}
