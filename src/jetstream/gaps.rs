//! What a follower of a log may answer although it has not seen all of it.
//!
//! A follower applies the messages of a log in their order. A message that was evicted,
//! rolled up or has expired before it was delivered never comes: the follower sees a *gap*
//! in the sequences and cannot tell what was in it. It may show states that were superseded
//! inside the gap, users who were deleted there, and histories with holes.
//!
//! What heals it: whatever removed a message of a user is itself a message of that user,
//! further on in the log, or was followed by one. So once the follower has applied all that
//! was in the log *when it found the gap*, nothing of the gap is left. How far that was, a
//! barrier tells that was begun after the discovery: its acknowledgement comes after all
//! that was in the log then.
//!
//! A barrier of this process is itself a message, and holds nothing of any user. So the state
//! at its sequence `S` is that at `S - 1`, and who has applied all up to `S - 1` and knows that
//! `S` is a barrier need not wait for its delivery. If it were delivered now, the follower would
//! find no gap, since `S` is next, and change no user: what it may answer then it may answer
//! at once. Nor does that come too early for a read, which knows of `S` only when the barrier is
//! in the log. `A ≥ S - 2` is not enough: the message at `S - 1` may be a user's.
//!
//! So these are the rules. `A` is the sequence applied last.
//!
//! 1. A gap is *found* when a delivered sequence is not `A + 1`. The first message after a
//!    start counts, too, unless it is the first of the log.
//! 2. A gap is *closed* once `A ≥ L - 1`, where `L` is the acknowledgement of a barrier that was
//!    begun after it was found; or its sequence in the delivery, which is the same. All that was
//!    in the log when the gap was found comes before `L`.
//! 3. A read whose own barrier was acknowledged at `S` may answer in a state with `A ≥ S - 1` in
//!    which each gap is closed. Test and read are one critical section.
//! 4. While a gap is open, what came at or after the *end of the newest gap* is known:
//!    nothing was missed since. So the newest `n` entries of a user are known if the n-th
//!    came there, or the user's deletion did.
//! 5. Nothing bounds the time until a follower that lags for good has no gap open. Who waits
//!    for it must have another way: see `validated`.
//! 6. A deletion's marker expires on the server. A follower that was away for longer could
//!    miss both the deletion and its marker, and then nothing that follows in the log heals
//!    it. So a follower that finds a gap starts over if it does not know that it was at most
//!    half of that time behind.
//!
//! This is pure bookkeeping: no clock, no input, no output.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A barrier that was begun and is not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    epoch: u64,
    /// The gaps that had been found.
    found: u64,
    applied: u64,
    at: Instant,
}

/// A barrier that was acknowledged: all that was in the log when it was begun has a lesser
/// sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Barrier {
    pub epoch: u64,
    pub sequence: u64,
}

impl Barrier {
    /// Who has applied so much has all that the barrier stands for.
    pub fn all_before(self) -> u64 {
        self.sequence.saturating_sub(1)
    }
}

/// The stream has given a sequence that it had given before: it is another stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replaced;

/// What to do with a message that was delivered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Apply,
    /// It was applied before.
    Ignore,
    /// The follower was away for too long: rule 6. Nothing was noted.
    StartOver,
}

/// Whether a read may answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// For any user.
    All,
    /// Only for what came at or after this sequence: rule 4.
    Since(u64),
    /// Not yet: what the barrier stands for is not applied.
    WaitFor(u64),
    /// Never: the follower has started over since. Take another barrier.
    Outdated,
}

/// How many barriers are remembered until they are applied.
const REMEMBERED: usize = 64;

#[derive(Debug)]
pub(super) struct Gaps {
    /// Counts the starts.
    epoch: u64,
    applied: u64,
    /// How far the log went at the start. Before that is applied, nothing can be answered.
    target: Option<u64>,
    /// How many gaps were found, ever.
    found: u64,
    /// How many of them were found before a barrier was begun that is acknowledged…
    covered: u64,
    /// …and what comes before that one.
    close_at: u64,
    newest_end: u64,
    missed: u64,
    /// Barriers of which not all is applied that comes before them: how far that goes, and
    /// when the barrier was begun.
    ahead: VecDeque<(u64, Instant)>,
    /// When the newest barrier was begun that is not ahead: the follower has seen all that
    /// was in the log then.
    abreast_at: Option<Instant>,
    longest_away: Duration,
}

impl Gaps {
    pub fn new(longest_away: Duration) -> Self {
        Self {
            epoch: 1,
            applied: 0,
            target: None,
            found: 0,
            covered: 0,
            close_at: 0,
            newest_end: 0,
            missed: 0,
            ahead: VecDeque::new(),
            abreast_at: None,
            longest_away,
        }
    }

    /// The follower begins with the first message of the log.
    pub fn start_over(&mut self) {
        self.epoch += 1;
        self.applied = 0;
        self.target = None;
        // What was covered stays so, and of no use: the next message makes another gap.
        self.close_at = 0;
        self.newest_end = 0;
        self.ahead.clear();
        self.abreast_at = None;
    }

    pub fn applied(&self) -> u64 {
        self.applied
    }

    pub fn found(&self) -> u64 {
        self.found
    }

    pub fn missed(&self) -> u64 {
        self.missed
    }

    pub fn is_open(&self) -> bool {
        self.covered < self.found || self.applied < self.close_at
    }

    /// Whether all is applied that was in the log at the start.
    pub fn has_caught_up(&self) -> bool {
        self.target.is_some_and(|target| self.applied >= target)
    }

    /// A message was delivered. The caller applies it in the same critical section.
    pub fn deliver(&mut self, sequence: u64, now: Instant) -> Delivery {
        if sequence <= self.applied {
            return Delivery::Ignore;
        }
        if sequence != self.applied + 1 {
            // Before the first catching up there is nothing that could be too old.
            if self.has_caught_up() && self.was_away_too_long(now) {
                return Delivery::StartOver;
            }
            self.found += 1;
            self.newest_end = sequence;
            self.missed += sequence - self.applied - 1;
        }
        self.applied = sequence;
        self.come_abreast();
        Delivery::Apply
    }

    fn was_away_too_long(&self, now: Instant) -> bool {
        self.abreast_at
            .is_none_or(|abreast| now.saturating_duration_since(abreast) > self.longest_away)
    }

    /// A barrier is about to be published.
    pub fn begin(&self, now: Instant) -> Begun {
        Begun {
            epoch: self.epoch,
            found: self.found,
            applied: self.applied,
            at: now,
        }
    }

    /// It was acknowledged with this sequence.
    pub fn acknowledge(&mut self, begun: Begun, sequence: u64) -> Result<Barrier, Replaced> {
        let barrier = Barrier {
            epoch: begun.epoch,
            sequence,
        };
        if begun.epoch == self.epoch {
            if sequence <= begun.applied {
                return Err(Replaced);
            }
            let all_before = barrier.all_before();
            if begun.found > self.covered {
                self.covered = begun.found;
                self.close_at = all_before;
            }
            self.target.get_or_insert(all_before);
            if self.ahead.len() == REMEMBERED {
                // The newest of them is of more use than one before it.
                self.ahead.pop_back();
            }
            self.ahead.push_back((all_before, begun.at));
            self.come_abreast();
        }
        Ok(barrier)
    }

    fn come_abreast(&mut self) {
        while let Some(&(all_before, at)) = self.ahead.front()
            && all_before <= self.applied
        {
            self.abreast_at = Some(at);
            self.ahead.pop_front();
        }
    }

    /// Whether a read may answer whose barrier this is.
    pub fn answer(&self, barrier: Barrier) -> Answer {
        if barrier.epoch != self.epoch {
            return Answer::Outdated;
        }
        let needed = barrier.all_before().max(self.target.unwrap_or(u64::MAX));
        if self.applied < needed {
            Answer::WaitFor(needed)
        } else if self.is_open() {
            Answer::Since(self.newest_end)
        } else {
            Answer::All
        }
    }

    /// What must be applied for the open gaps to be closed; `None` if no barrier tells yet.
    pub fn closed_from(&self) -> Option<u64> {
        (self.covered == self.found).then_some(self.close_at)
    }
}

#[cfg(test)]
mod tests;
