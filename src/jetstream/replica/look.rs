//! Reads of a replica that are to be up to date.

use smol_str::SmolStr;
use tokio::sync::oneshot;

use super::Replica;
use crate::jetstream::gaps::{Answer, Barrier};
use crate::jetstream::message::Entry;
use crate::jetstream::removed::{Removal, Removed};
use crate::jetstream::seen::Seen;
use crate::removal::RemovalCause;

/// Whether a look was answered.
pub(in crate::jetstream) enum Look<T> {
    Answer(T),
    /// What the barrier stands for is not applied. Look again when this is told.
    Behind(oneshot::Receiver<()>),
    /// A gap is open, and closed when this is told. Look again then.
    Gap(oneshot::Receiver<()>),
    /// A gap is open and no barrier tells yet when it closes, or the replica has started
    /// over: look again with another barrier.
    AskAnew,
}

impl Replica {
    /// Answers for these users, or for all, with `entries` of each, in a state that has all
    /// that was in the log when the barrier was begun; as far as the rules on gaps allow it.
    pub fn look<T>(
        &self,
        barrier: Barrier,
        user_ids: Option<&[&str]>,
        entries: usize,
        answer: impl FnOnce(&mut dyn FnMut(&str) -> Seen) -> T,
    ) -> Look<T> {
        let mut progress = self.progress();
        match progress.gaps.answer(barrier) {
            Answer::All => {}
            Answer::Since(end) => {
                let is_known = |id: &&str| self.is_known(&progress.removed, id, entries, end);
                if !user_ids.is_some_and(|ids| ids.iter().all(is_known)) {
                    return match progress.gaps.closed_from() {
                        Some(sequence) => Look::Gap(progress.wait_for(sequence)),
                        None => Look::AskAnew,
                    };
                }
            }
            Answer::WaitFor(sequence) => return Look::Behind(progress.wait_for(sequence)),
            Answer::Outdated => return Look::AskAnew,
        }
        // The lock is held until all is read.
        Look::Answer(answer(&mut |id| self.seen(&progress.removed, id, entries)))
    }

    /// What the replica has of a user, whether it is up to date or not.
    pub fn glance(&self, user_id: &str) -> Seen {
        let progress = self.progress();
        self.seen(&progress.removed, user_id, 1)
    }

    fn seen(&self, removed: &Removed, user_id: &str, entries: usize) -> Seen {
        let entries = match entries {
            0 | 1 => self.users.get(user_id).into_iter().collect(),
            _ => self.entries(user_id, entries),
        };
        let newest = entries.first().map(|entry: &Entry| entry.revision);
        Seen {
            last: newest.or_else(|| removed.marker(user_id)).unwrap_or(0),
            entries,
        }
    }

    /// When and why a user went who is not there; `None` if they are. If nothing is known of
    /// it, it was before the message that was applied last.
    pub fn removal_of(&self, user_id: &str) -> Option<Removal> {
        let progress = self.progress();
        if self.users.contains(user_id) {
            return None;
        }
        let unknown = Removal {
            sequence: progress.gaps.applied(),
            cause: RemovalCause::Deleted,
        };
        Some(progress.removed.of_user(user_id).unwrap_or(unknown))
    }

    fn entries(&self, user_id: &str, limit: usize) -> Vec<Entry> {
        let take = |_: &SmolStr, entry: &Entry| entry.clone();
        self.users
            .pin(|users| users.map_history(user_id, limit, take))
    }

    /// Whether the newest entries of the user came, or the user was removed, at or after
    /// the end of the newest gap: rule 4.
    fn is_known(&self, removed: &Removed, user_id: &str, entries: usize, end: u64) -> bool {
        if removed.marker(user_id).is_some_and(|marker| marker >= end) {
            return true;
        }
        let seen = self.seen(removed, user_id, entries);
        let oldest = seen.entries.get(entries.max(1) - 1);
        oldest.is_some_and(|oldest| oldest.revision >= end)
    }
}
