//! Linearizable reads.
//!
//! All writes take effect in the order of the log. A barrier that was begun after a read was
//! called comes after each write that was acknowledged before the call. So a replica that
//! has applied the log up to the barrier has all of those; [`gaps`](super::gaps) says what
//! else it takes, since messages can be missed. A replica that lags for good would keep
//! readers waiting: after a short while they read the one user without it, which
//! [`validated`](super::validated) does. So do all readers of a store that follows nobody.

use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{self, Instant};

use super::Core;
use super::barrier::{Reached, Until};
use super::config::Follow;
use super::error::JetStreamError;
use super::gaps::Barrier;
use super::kept::Kept;
use super::replica::{Look, Replica};
use super::seen::{Seen, Wanted};

/// Between tries, when there is nothing else to wait for.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// How many users of a batch are read at once without the replica.
const AT_ONCE: usize = 64;

impl Core {
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.operation_timeout
    }

    /// A barrier that is begun after the call, when its place in the log is known.
    pub(super) async fn barrier(&self, deadline: Instant) -> Result<Barrier, JetStreamError> {
        let reached = self.barrier_until(Until::Known, deadline).await?;
        Ok(reached.barrier)
    }

    async fn barrier_until(
        &self,
        until: Until,
        deadline: Instant,
    ) -> Result<Reached, JetStreamError> {
        loop {
            let next = time::timeout_at(deadline, self.barriers.next(until)).await;
            match next.unwrap_or(Err(JetStreamError::TimedOut)) {
                Ok(reached) => return Ok(reached),
                // An election, or a message that was lost on its way.
                Err(
                    JetStreamError::NoResponders
                    | JetStreamError::TimedOut
                    | JetStreamError::StreamReplaced,
                ) if Instant::now() + PAUSE < deadline => time::sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// What is there of a user.
    pub(super) async fn see(
        &self,
        user_id: &str,
        wanted: Wanted,
        deadline: Instant,
    ) -> Result<Seen, JetStreamError> {
        loop {
            let seen = self.see_as_it_is(user_id, wanted, deadline).await?;
            if !seen.is_over(&self.clock) {
                return Ok(seen);
            }
            if let Some(nobody) = self.expire(user_id, &seen, deadline).await? {
                return Ok(nobody);
            }
            if Instant::now() >= deadline {
                return Err(JetStreamError::TimedOut);
            }
        }
    }

    /// As `see`, also of a user whose time to live is over.
    async fn see_as_it_is(
        &self,
        user_id: &str,
        wanted: Wanted,
        deadline: Instant,
    ) -> Result<Seen, JetStreamError> {
        let user_ids = [user_id];
        let replica = self.replica_with(wanted);
        loop {
            if let Some(replica) = replica {
                let see = |seen: &mut dyn FnMut(&str) -> Seen| seen(user_id);
                let entries = wanted.entries();
                let by_replica = self.by_replica(replica, Some(&user_ids), entries, deadline, see);
                if let Some(seen) = by_replica.await? {
                    return Ok(seen);
                }
            }
            match self.validated(user_id, wanted, deadline).await {
                Ok(Some(seen)) => return Ok(seen),
                Ok(None) | Err(JetStreamError::NoResponders | JetStreamError::TimedOut) => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline {
                return Err(match replica {
                    Some(_) => JetStreamError::ReplicaBehind,
                    None => JetStreamError::TimedOut,
                });
            }
            if replica.is_none() {
                time::sleep(PAUSE.mul_f64(self.jitter())).await;
            }
        }
    }

    /// The replica, if there is one and it has so much of each user.
    fn replica_with(&self, wanted: Wanted) -> Option<&Replica> {
        match (&self.kept, self.follow, wanted) {
            (Kept::Hot(_), ..) | (_, Follow::Latest, Wanted::Entries(_)) => None,
            (Kept::All(replica), ..) => Some(replica),
        }
    }

    /// The latest of several users, by one barrier if there is a replica that keeps up.
    pub(super) async fn see_many(
        &self,
        user_ids: &[&str],
        deadline: Instant,
    ) -> Result<Vec<Seen>, JetStreamError> {
        let all = |seen: &mut dyn FnMut(&str) -> Seen| -> Vec<Seen> {
            user_ids.iter().map(|id| seen(id)).collect()
        };
        let is_over = |seen: &Seen| seen.is_over(&self.clock);
        let by_replica = match &self.kept {
            Kept::All(replica) => {
                let all = self.by_replica(replica, Some(user_ids), 1, deadline, all);
                all.await?
            }
            Kept::Hot(_) => None,
        };
        let known = match by_replica {
            Some(all) if all.iter().any(is_over) => all,
            Some(all) => return Ok(all),
            None => Vec::new(),
        };
        let one = async |(index, user_id): (usize, &&str)| match known.get(index) {
            Some(seen) if !is_over(seen) => Ok(seen.clone()),
            Some(_) => self.see(user_id, Wanted::State, deadline).await,
            None => self.see_behind_replica(user_id, deadline).await,
        };
        let all = stream::iter(user_ids.iter().enumerate()).map(one);
        all.buffered(AT_ONCE).try_collect().await
    }

    /// Waits until the replica has all users who are there now, and no others.
    pub(super) async fn all_users(
        &self,
        replica: &Replica,
        deadline: Instant,
    ) -> Result<(), JetStreamError> {
        loop {
            let all = self.by_replica(replica, None, 0, deadline, |_| ());
            if all.await?.is_some() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(JetStreamError::ReplicaBehind);
            }
        }
    }

    /// Waits until the replica has all of a user that is there now.
    pub(super) async fn keep_up_with(
        &self,
        replica: &Replica,
        user_id: &str,
        deadline: Instant,
    ) -> Result<(), JetStreamError> {
        let user_ids = [user_id];
        loop {
            let see = |seen: &mut dyn FnMut(&str) -> Seen| seen(user_id);
            let seen = self.by_replica(replica, Some(&user_ids), 1, deadline, see);
            match seen.await? {
                Some(seen) if seen.is_over(&self.clock) => {
                    self.expire(user_id, &seen, deadline).await?;
                }
                Some(_) => return Ok(()),
                None => {}
            }
            if Instant::now() >= deadline {
                return Err(JetStreamError::ReplicaBehind);
            }
        }
    }

    /// The latest of a user, when the replica has just been found not to keep up.
    async fn see_behind_replica(
        &self,
        user_id: &str,
        deadline: Instant,
    ) -> Result<Seen, JetStreamError> {
        match self.validated(user_id, Wanted::State, deadline).await {
            Ok(Some(seen)) if !seen.is_over(&self.clock) => Ok(seen),
            _ => self.see(user_id, Wanted::State, deadline).await,
        }
    }

    /// Answers from the replica; `None` if it does not keep up.
    async fn by_replica<T>(
        &self,
        replica: &Replica,
        user_ids: Option<&[&str]>,
        entries: usize,
        deadline: Instant,
        answer: impl Fn(&mut dyn FnMut(&str) -> Seen) -> T,
    ) -> Result<Option<T>, JetStreamError> {
        let mut reached = None;
        loop {
            let next = self.barrier_until(Until::Applied, deadline).await?;
            let until = *reached.get_or_insert_with(Instant::now) + self.barriers.patience().closed;
            if next.is_late {
                self.barriers.note_lag(true);
                return Ok(None);
            }
            loop {
                let told = match replica.look(next.barrier, user_ids, entries, &answer) {
                    Look::Answer(answer) => {
                        self.barriers.note_lag(false);
                        return Ok(Some(answer));
                    }
                    Look::AskAnew => break,
                    Look::Behind(told) | Look::Gap(told) => told,
                };
                // It is told, too, if the replica starts over: then the look says so.
                if time::timeout_at(until.min(deadline), told).await.is_err() {
                    self.barriers.note_lag(true);
                    return Ok(None);
                }
            }
            if Instant::now() > until {
                self.barriers.note_lag(true);
                return Ok(None);
            }
        }
    }
}
