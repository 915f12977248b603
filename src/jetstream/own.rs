//! The writes of this process that are under way.
//!
//! Each has an id, which goes with its message. The replica tells when it has applied the
//! message. That is how a write learns that it was carried out although the
//! acknowledgement was lost: no second attempt and no guess is needed.
//!
//! A write ends with that, and not with the acknowledgement, which as a rule comes a moment
//! earlier: it is noted, and the writer is not woken for it. Without a replica the
//! acknowledgement ends it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::JetStreamError;
use crate::map::DefaultHashBuilder;
use crate::snapshot::State;

#[derive(Debug)]
pub(super) struct OwnWrites {
    /// Tells this process, and this store in it, from all others.
    process: String,
    next: AtomicU64,
    under_way: Mutex<HashMap<u64, UnderWay, DefaultHashBuilder>>,
}

#[derive(Debug)]
struct UnderWay {
    /// What is written, so that the replica need not read it from the message.
    state: Option<State>,
    ends: Ends,
    attempt: u32,
    /// `None` once it was told how the attempt has ended.
    tell: Option<oneshot::Sender<Outcome>>,
    acknowledged: Option<Acknowledged>,
    /// The sequence that the replica has applied.
    applied: Option<u64>,
}

/// With what a write ends that is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Acknowledged,
    Applied,
}

/// That a write is in the log was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    pub sequence: u64,
    pub at: Instant,
}

/// The sequence, or why an attempt has failed.
type Outcome = Result<u64, JetStreamError>;

/// One message of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// That of the write.
    pub number: u64,
    pub attempt: u32,
}

/// A write that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct OwnWrite<'a> {
    writes: &'a OwnWrites,
    number: u64,
}

impl OwnWrites {
    pub fn new() -> Self {
        // Its keys are drawn from the randomness of the system.
        let random = || RandomState::new().hash_one(std::process::id());
        Self {
            process: format!("{:016x}{:016x}", random(), random()),
            next: AtomicU64::new(0),
            under_way: Mutex::default(),
        }
    }

    /// 32 hexadecimal digits.
    pub fn process(&self) -> &str {
        &self.process
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<u64, UnderWay, DefaultHashBuilder>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A write of this state, or a removal.
    pub fn begin(&self, state: Option<State>, ends: Ends) -> OwnWrite<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let under_way = UnderWay {
            state,
            ends,
            attempt: 0,
            tell: None,
            acknowledged: None,
            applied: None,
        };
        self.under_way().insert(number, under_way);
        OwnWrite {
            writes: self,
            number,
        }
    }

    /// The number of the write that has this id, if it is one of this process.
    pub fn number(&self, id: &str) -> Option<u64> {
        let (process, number) = id.split_once('-')?;
        if process != self.process {
            return None;
        }
        number.parse().ok()
    }

    /// What the write with this number writes, the first time that it is asked for.
    pub fn take_state(&self, number: u64) -> Option<State> {
        self.under_way().get_mut(&number)?.state.take()
    }

    /// The replica has applied a write of this process.
    pub fn applied(&self, number: u64, sequence: u64) {
        if let Some(under_way) = self.under_way().get_mut(&number) {
            under_way.applied = Some(sequence);
            under_way.end(Ok(sequence));
        }
    }

    /// A server has answered to a write of this process.
    pub fn answered(&self, to: Attempt, answer: Result<u64, JetStreamError>) {
        let mut writes = self.under_way();
        let Some(under_way) = writes.get_mut(&to.number) else {
            return;
        };
        match answer {
            Ok(sequence) => {
                let at = Instant::now();
                under_way.acknowledged = Some(Acknowledged { sequence, at });
                if under_way.ends == Ends::Acknowledged {
                    under_way.end(Ok(sequence));
                }
            }
            // Of an attempt before, it says nothing about this one.
            Err(error) if to.attempt == under_way.attempt => under_way.end(Err(error)),
            Err(_) => {}
        }
    }
}

impl UnderWay {
    fn end(&mut self, outcome: Outcome) {
        if let Some(tell) = self.tell.take() {
            // It may have been given up.
            let _ = tell.send(outcome);
        }
    }
}

impl OwnWrite<'_> {
    pub fn id(&self) -> String {
        let process = &self.writes.process;
        // With the dash and the longest number.
        let mut id = String::with_capacity(process.len() + 21);
        let _ = write!(id, "{process}-{}", self.number);
        id
    }

    /// Another attempt is about to be made. Its end is told to the receiver.
    pub fn attempt(&self) -> (Attempt, oneshot::Receiver<Outcome>) {
        let (tell, told) = oneshot::channel();
        let mut attempt = Attempt {
            number: self.number,
            attempt: 0,
        };
        if let Some(under_way) = self.writes.under_way().get_mut(&self.number) {
            under_way.attempt += 1;
            attempt.attempt = under_way.attempt;
            under_way.tell = Some(tell);
            if let Some(sequence) = under_way.applied {
                under_way.end(Ok(sequence));
            }
        }
        (attempt, told)
    }

    /// The sequence, if the replica has applied it.
    pub fn was_seen(&self) -> Option<u64> {
        self.writes.under_way().get(&self.number)?.applied
    }

    pub fn acknowledged(&self) -> Option<Acknowledged> {
        self.writes.under_way().get(&self.number)?.acknowledged
    }
}

impl Drop for OwnWrite<'_> {
    fn drop(&mut self) {
        self.writes.under_way().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> JetStreamError {
        JetStreamError::NoResponders
    }

    #[test]
    fn a_write_is_told_that_it_was_applied() {
        let writes = OwnWrites::new();
        let first = writes.begin(None, Ends::Applied);
        let second = writes.begin(None, Ends::Applied);
        let (attempt, mut told) = first.attempt();
        writes.answered(attempt, Ok(7));
        assert!(told.try_recv().is_err(), "acknowledged, and not applied");
        assert_eq!(first.acknowledged().map(|known| known.sequence), Some(7));
        let number = writes.number(&first.id()).unwrap();
        writes.applied(number, 7);
        assert!(matches!(told.try_recv(), Ok(Ok(7))));
        assert_eq!((first.was_seen(), second.was_seen()), (Some(7), None));
        drop((first, second));
        assert!(writes.under_way().is_empty());
    }

    #[test]
    fn without_a_replica_the_acknowledgement_ends_a_write() {
        let writes = OwnWrites::new();
        let write = writes.begin(None, Ends::Acknowledged);
        let (attempt, mut told) = write.attempt();
        writes.answered(attempt, Ok(7));
        assert!(matches!(told.try_recv(), Ok(Ok(7))));
    }

    #[test]
    fn a_refusal_ends_its_own_attempt() {
        let writes = OwnWrites::new();
        let write = writes.begin(None, Ends::Applied);
        let (first, mut told) = write.attempt();
        writes.answered(first, Err(refused()));
        assert!(matches!(told.try_recv(), Ok(Err(_))));
        let (second, mut told) = write.attempt();
        writes.answered(first, Err(refused()));
        assert!(told.try_recv().is_err(), "it was about the first");
        writes.answered(second, Err(refused()));
        assert!(matches!(told.try_recv(), Ok(Err(_))));
    }

    #[test]
    fn what_was_carried_out_although_it_was_refused_ends_the_next_attempt() {
        let writes = OwnWrites::new();
        let write = writes.begin(None, Ends::Applied);
        let (first, _) = write.attempt();
        writes.answered(first, Err(refused()));
        writes.applied(first.number, 9);
        let (_, mut told) = write.attempt();
        assert!(matches!(told.try_recv(), Ok(Ok(9))));
    }

    #[test]
    fn a_state_is_given_once() {
        let writes = OwnWrites::new();
        let state = State::builder().updated_at(5).build_state().unwrap();
        let write = writes.begin(Some(state.clone()), Ends::Applied);
        let number = writes.number(&write.id()).unwrap();
        assert_eq!(writes.take_state(number), Some(state));
        assert_eq!(writes.take_state(number), None);
        drop(write);
        assert_eq!(writes.take_state(number), None);
    }

    #[test]
    fn the_writes_of_others_are_told_apart() {
        let (writes, others) = (OwnWrites::new(), OwnWrites::new());
        let theirs = others.begin(None, Ends::Applied).id();
        assert_eq!(writes.number(&theirs), None);
        assert_eq!(writes.number("x"), None);
        assert_eq!(writes.process().len(), 32);
    }
}
