//! The writes of this process that are under way.
//!
//! Each has an id, which goes with its message. The replica tells when it has applied the
//! message. That is how a write learns that it was carried out although the
//! acknowledgement was lost: no second attempt and no guess is needed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::snapshot::State;

#[derive(Debug)]
pub(super) struct OwnWrites {
    /// Tells this process, and this store in it, from all others.
    process: String,
    next: AtomicU64,
    under_way: Mutex<HashMap<u64, UnderWay>>,
}

#[derive(Debug)]
struct UnderWay {
    tell: oneshot::Sender<u64>,
    /// What is written, so that the replica need not read it from the message.
    state: Option<State>,
}

/// A write that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct OwnWrite<'a> {
    writes: &'a OwnWrites,
    number: u64,
    /// Told the sequence when the replica has applied it.
    pub seen: oneshot::Receiver<u64>,
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

    fn under_way(&self) -> MutexGuard<'_, HashMap<u64, UnderWay>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A write of this state, or a removal.
    pub fn begin(&self, state: Option<State>) -> OwnWrite<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, seen) = oneshot::channel();
        self.under_way().insert(number, UnderWay { tell, state });
        OwnWrite {
            writes: self,
            number,
            seen,
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
        if let Some(under_way) = self.under_way().remove(&number) {
            // It may have ended otherwise.
            let _ = under_way.tell.send(sequence);
        }
    }
}

impl OwnWrite<'_> {
    pub fn id(&self) -> String {
        format!("{}-{}", self.writes.process, self.number)
    }

    /// The sequence, if the replica has applied it.
    pub fn was_seen(&mut self) -> Option<u64> {
        self.seen.try_recv().ok()
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

    #[test]
    fn a_write_is_told_that_it_was_applied() {
        let writes = OwnWrites::new();
        let mut first = writes.begin(None);
        let mut second = writes.begin(None);
        let number = writes.number(&first.id()).unwrap();
        writes.applied(number, 7);
        assert_eq!(first.was_seen(), Some(7));
        assert_eq!(second.was_seen(), None);
        drop((first, second));
        assert!(writes.under_way().is_empty());
    }

    #[test]
    fn a_state_is_given_once() {
        let writes = OwnWrites::new();
        let state = State::builder().updated_at(5).build_state().unwrap();
        let write = writes.begin(Some(state.clone()));
        let number = writes.number(&write.id()).unwrap();
        assert_eq!(writes.take_state(number), Some(state));
        assert_eq!(writes.take_state(number), None);
        drop(write);
        assert_eq!(writes.take_state(number), None);
    }

    #[test]
    fn the_writes_of_others_are_told_apart() {
        let (writes, others) = (OwnWrites::new(), OwnWrites::new());
        let theirs = others.begin(None).id();
        assert_eq!(writes.number(&theirs), None);
        assert_eq!(writes.number("x"), None);
        assert_eq!(writes.process().len(), 32);
    }
}
