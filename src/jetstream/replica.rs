//! What this process has seen of the stream, and when it may answer from it.

mod look;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use smol_str::SmolStr;
use tokio::sync::oneshot;

pub(super) use self::look::Look;
use super::expiry::LogClock;
use super::gaps::{Barrier, Begun, Delivery, Gaps, Replaced};
use super::message::{Content, Delivered, Entry};
use super::own::OwnWrites;
use super::removed::{Removal, Removed};
use crate::map::{ConfigError, HistoryMap, PartMirrored};
use crate::removal::RemovalCause;
use crate::revision::Expected;

/// The users as of the sequence that was applied last.
///
/// One task applies the messages; anyone reads. A reader who is content with what there is
/// reads the map, which never blocks. One who is not asks [`look`](Self::look).
pub(super) struct Replica {
    users: HistoryMap<Entry, PartMirrored>,
    clock: Arc<LogClock>,
    own_writes: Arc<OwnWrites>,
    progress: Mutex<Progress>,
}

/// All that must change together with the map.
struct Progress {
    gaps: Gaps,
    removed: Removed,
    start_over: Option<StartOver>,
    /// Who waits for a sequence to be applied.
    waiting: BTreeMap<u64, Vec<oneshot::Sender<()>>>,
    /// Messages that were no snapshots.
    unreadable: u64,
    expired: u64,
    starts_over: u64,
    pending: u64,
    heard_at: Instant,
}

/// The log is delivered once more. Until all is caught up with, the users stay as they are
/// for those who read without a barrier, or watch; each one until a message shows that they
/// have changed.
struct StartOver {
    met_again: HashSet<SmolStr>,
    /// What the replica has is right as of this sequence.
    right_until: u64,
}

/// The replica was away for too long, and must start over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AwayTooLong;

/// Figures of a replica, all of one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub applied: u64,
    pub pending: u64,
    pub gaps: u64,
    pub missed: u64,
    pub unreadable: u64,
    pub expired: u64,
    pub starts_over: u64,
    pub heard_at: Instant,
    pub caught_up: bool,
}

impl Replica {
    pub fn new(
        history: Option<usize>,
        capacity: usize,
        gaps: Gaps,
        removed: Removed,
        clock: Arc<LogClock>,
        own_writes: Arc<OwnWrites>,
    ) -> Result<Self, ConfigError> {
        let mut users = HistoryMap::builder().part_mirrored().capacity(capacity);
        if let Some(entries) = history {
            users = users.history(entries);
        }
        Ok(Self {
            users: users.build()?,
            clock,
            own_writes,
            progress: Mutex::new(Progress {
                gaps,
                removed,
                start_over: None,
                waiting: BTreeMap::new(),
                unreadable: 0,
                expired: 0,
                starts_over: 0,
                pending: 0,
                heard_at: Instant::now(),
            }),
        })
    }

    /// The users, for reads without a barrier.
    pub fn users(&self) -> &HistoryMap<Entry, PartMirrored> {
        &self.users
    }

    /// Takes as long as a visit of all users.
    pub fn whose_time_is_over(&self) -> Vec<SmolStr> {
        let mut over = Vec::new();
        self.users.for_each(|user_id, latest| {
            if self.clock.is_over(latest) {
                over.push(SmolStr::new(user_id));
            }
        });
        over
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn figures(&self) -> Figures {
        let progress = self.progress();
        Figures {
            applied: progress.gaps.applied(),
            pending: progress.pending,
            gaps: progress.gaps.found(),
            missed: progress.gaps.missed(),
            unreadable: progress.unreadable,
            expired: progress.expired,
            starts_over: progress.starts_over,
            heard_at: progress.heard_at,
            caught_up: progress.gaps.has_caught_up(),
        }
    }

    pub fn applied(&self) -> u64 {
        self.progress().gaps.applied()
    }

    /// How many gaps were found until now.
    pub fn gaps_found(&self) -> u64 {
        self.progress().gaps.found()
    }

    /// Applies messages in their order.
    pub fn apply(&self, messages: impl IntoIterator<Item = Delivered>) -> Result<(), AwayTooLong> {
        let mut progress = self.progress();
        let now = Instant::now();
        let mut result = Ok(());
        for message in messages {
            match progress.gaps.deliver(message.sequence, now) {
                Delivery::Ignore => continue,
                Delivery::StartOver => {
                    result = Err(AwayTooLong);
                    break;
                }
                Delivery::Apply => {}
            }
            progress.pending = message.pending;
            progress.heard_at = now;
            progress.removed.forget_before(message.written_at);
            self.clock.set(message.written_at);
            if let Some((user_id, content)) = message.of_user {
                let (sequence, at) = (message.sequence, message.written_at);
                self.apply_to_user(&mut progress, user_id, content, sequence, at);
            }
            if let Some(number) = message.own {
                // Before anyone can see that so much is applied: who then has not been told
                // knows that the write is not there.
                self.own_writes.applied(number, message.sequence);
            }
            self.finish_start_over(&mut progress);
        }
        progress.wake();
        result
    }

    fn apply_to_user(
        &self,
        progress: &mut Progress,
        user_id: SmolStr,
        content: Content,
        sequence: u64,
        written_at: i64,
    ) {
        let mut is_known = false;
        if let Some(start_over) = &mut progress.start_over {
            is_known = sequence <= start_over.right_until;
            // If a message from before is still there, nobody has deleted the user since.
            if start_over.met_again.insert(user_id.clone()) && !is_known {
                self.remove(&user_id);
            }
        }
        let state = match content {
            Content::Removal(cause) => {
                if !is_known {
                    self.remove(&user_id);
                    progress.expired += u64::from(cause == RemovalCause::Expired);
                }
                let removal = Removal { sequence, cause };
                progress.removed.note(user_id, removal, written_at);
                return;
            }
            _ if is_known => return,
            Content::State(state) => Some(state),
            Content::Unreadable => {
                progress.unreadable += 1;
                tracing::warn!(
                    sequence,
                    "a message of the stream is no snapshot of its user"
                );
                None
            }
        };
        let before = |before: &Entry| (before.number, before.written_at);
        let (number, at_least) = self.users.with(&user_id, before).unwrap_or((0, i64::MIN));
        let entry = Entry {
            revision: sequence,
            // The clock of another server may be behind.
            written_at: written_at.max(at_least),
            number: number + 1,
            state,
        };
        let owned = || user_id.clone();
        let written = self
            .users
            .insert_owned(&user_id, owned, entry, Expected::Any);
        debug_assert!(
            written.is_ok(),
            "a map without bounds, in a thread that goes on"
        );
    }

    fn remove(&self, user_id: &str) {
        let removed = self.users.remove_quietly(user_id, Expected::Any);
        debug_assert!(removed.is_ok(), "a removal, in a thread that goes on");
    }

    /// If all is caught up with after a start over: who was not met again is gone.
    fn finish_start_over(&self, progress: &mut Progress) {
        if progress.gaps.has_caught_up()
            && let Some(StartOver { met_again, .. }) = progress.start_over.take()
        {
            self.users.retain(|user_id, _| met_again.contains(user_id));
        }
    }

    /// Everything will be delivered once more, from the first message on: of the same stream
    /// or, if it is not, of another one.
    pub fn start_over(&self, is_same_stream: bool) {
        let mut progress = self.progress();
        let is_right = is_same_stream && progress.gaps.has_caught_up() && !progress.gaps.is_open();
        let right_until = if is_right { progress.gaps.applied() } else { 0 };
        progress.gaps.start_over();
        progress.removed.forget_all();
        progress.starts_over += 1;
        if !self.users.is_empty() || progress.start_over.is_some() {
            progress.start_over = Some(StartOver {
                met_again: HashSet::new(),
                right_until,
            });
        }
        // They look again, and find that their barriers are outdated.
        progress.wake_all();
    }

    /// The server said that it is there.
    pub fn heard(&self) {
        self.progress().heard_at = Instant::now();
    }

    pub fn begin_barrier(&self) -> Begun {
        self.progress().gaps.begin(Instant::now())
    }

    pub fn acknowledge(&self, begun: Begun, sequence: u64) -> Result<Barrier, Replaced> {
        let mut progress = self.progress();
        let barrier = progress.gaps.acknowledge(begun, sequence)?;
        // It may have been applied before it was acknowledged.
        self.finish_start_over(&mut progress);
        Ok(barrier)
    }

    /// Told when the sequence is applied; `None` if it is.
    pub fn when_applied(&self, sequence: u64) -> Option<oneshot::Receiver<()>> {
        let mut progress = self.progress();
        (progress.gaps.applied() < sequence).then(|| progress.wait_for(sequence))
    }
}

impl Progress {
    fn wait_for(&mut self, sequence: u64) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.waiting.entry(sequence).or_default().push(tell);
        told
    }

    fn wake(&mut self) {
        let applied = self.gaps.applied();
        while let Some(first) = self.waiting.first_entry()
            && *first.key() <= applied
        {
            first.remove().into_iter().for_each(tell);
        }
    }

    fn wake_all(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().flatten().for_each(tell);
    }
}

/// Who no longer waits need not be told.
fn tell(waiting: oneshot::Sender<()>) {
    let _ = waiting.send(());
}

#[cfg(test)]
mod tests;
