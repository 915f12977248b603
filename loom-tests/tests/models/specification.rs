//! The sequential specification, and the judgement of what was observed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::RangeInclusive;

use attuned_store::sync::{slack, stride};
use attuned_store::{Expected, Revision};

/// Users of a model. Operations on different users meet only in the map, in the floor of
/// revisions, and in the bound on users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    Ada,
    Grace,
    Alan,
}

impl User {
    pub fn id(self) -> &'static str {
        match self {
            Self::Ada => "ada",
            Self::Grace => "grace",
            Self::Alan => "alan",
        }
    }
}

/// An operation of the trait, or one of the store's own that it has beside those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Upsert(User),
    GetLatest(User),
    GetVersioned(User),
    GetHistory(User, usize),
    /// The oldest versions that are kept.
    GetOldest(User, usize),
    /// The versions since the one that this thread has seen last, or that was the latest at
    /// the start.
    GetSince(User),
    Delete(User),
    /// A first write, on condition that it is one.
    UpsertIfAbsent(User),
    /// A write on condition that the user is as this thread saw them last, or as
    /// they were at the start.
    UpsertIfSeen(User),
    /// A write of what a closure makes of the latest snapshot.
    Update(User),
    /// A removal on the condition of `UpsertIfSeen`.
    DeleteIfSeen(User),
    /// Conditional removal: of all users whose latest snapshot is one of those
    /// from the start.
    ExpireOld,
    /// The clock goes on by one tick.
    TimePasses,
    /// Takes out whatever has expired.
    Sweep,
}

impl Operation {
    /// Whom it is about; `None` if it is about all users.
    pub fn user(self) -> Option<User> {
        match self {
            Self::Upsert(user)
            | Self::GetLatest(user)
            | Self::GetVersioned(user)
            | Self::GetHistory(user, _)
            | Self::GetOldest(user, _)
            | Self::GetSince(user)
            | Self::Delete(user)
            | Self::UpsertIfAbsent(user)
            | Self::UpsertIfSeen(user)
            | Self::Update(user)
            | Self::DeleteIfSeen(user) => Some(user),
            Self::ExpireOld | Self::TimePasses | Self::Sweep => None,
        }
    }

    /// Whether it depends on what its thread knows of the user.
    pub fn is_conditional(self) -> bool {
        matches!(
            self,
            Self::UpsertIfAbsent(_)
                | Self::UpsertIfSeen(_)
                | Self::DeleteIfSeen(_)
                | Self::GetSince(_)
        )
    }

    pub fn removes(self) -> bool {
        matches!(
            self,
            Self::Delete(_)
                | Self::DeleteIfSeen(_)
                | Self::ExpireOld
                | Self::TimePasses
                | Self::Sweep
        )
    }

    /// Whether it is of a store with a time to live.
    pub fn is_about_time(self) -> bool {
        matches!(self, Self::TimePasses | Self::Sweep)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, user) = match self {
            Self::Upsert(user) => ("upsert", user),
            Self::GetLatest(user) => ("get_latest", user),
            Self::GetVersioned(user) => ("get_versioned", user),
            Self::GetHistory(user, _) => ("get_history", user),
            Self::GetOldest(user, _) => ("get_versions, oldest first", user),
            Self::GetSince(user) => ("get_versions after seen", user),
            Self::Delete(user) => ("delete", user),
            Self::UpsertIfAbsent(user) => ("upsert_if absent", user),
            Self::UpsertIfSeen(user) => ("upsert_if as seen", user),
            Self::Update(user) => ("update", user),
            Self::DeleteIfSeen(user) => ("delete as seen", user),
            Self::ExpireOld => return f.write_str("retain"),
            Self::TimePasses => return f.write_str("time passes"),
            Self::Sweep => return f.write_str("sweep"),
        };
        match user {
            User::Ada => f.write_str(name),
            User::Grace => write!(f, "{name}(other user)"),
            User::Alan => write!(f, "{name}(third user)"),
        }
    }
}

/// What identifies a snapshot: no two in a program are the same. Those that are
/// stored before the threads start are negative, the others are not.
pub type Value = i64;

/// What an operation returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Upserted,
    /// A new user for whom the store had no room.
    Refused,
    /// A conditional write succeeded.
    Written(Expected, Revision),
    /// A conditional removal succeeded; whether somebody was there.
    Removed(Expected, bool),
    /// A conditional write or removal found something else.
    Conflict(Expected, Option<Revision>),
    /// An update, which saw this and wrote with that revision.
    Updated(Option<Value>, Revision),
    Latest(Option<Value>),
    Versioned(Option<(Value, Revision)>),
    History(Vec<Value>),
    /// The versions after what was seen, newest first.
    Since(Expected, Vec<(Value, Revision)>),
    Deleted(bool),
    Expired(usize),
    Passed,
    Swept(usize),
}

/// An operation as it happened: what it wrote, what it returned, and when it
/// was called and returned, on a clock that all threads share.
#[derive(Clone, Debug)]
pub struct Observed {
    pub thread: usize,
    pub operation: Operation,
    pub value: Value,
    pub outcome: Outcome,
    pub called: usize,
    pub returned: usize,
    /// What the clock of the store showed when it was called.
    pub called_at: i64,
}

/// A store as a user thinks of it: a list for each user.
#[derive(Clone, Debug)]
pub struct Specification {
    retention: usize,
    max_users: Option<usize>,
    /// How long a user lives, in ticks of the clock, if there is an end to it.
    time_to_live: Option<i64>,
    now: i64,
    /// Those who have expired are among them until somebody takes them out.
    users: BTreeMap<User, Life>,
    /// The last revision of each user that was seen, and whose it was.
    revisions: BTreeMap<User, (Revision, Value)>,
    /// All revisions that were seen, and whose they were.
    seen: BTreeMap<(User, Revision), Value>,
}

/// A user, from their first write or the first one after a removal.
#[derive(Clone, Debug, Default)]
struct Life {
    /// Newest first.
    history: VecDeque<Value>,
    writes: usize,
    /// When the latest was written.
    written_at: i64,
}

impl Specification {
    pub fn new(retention: usize, max_users: Option<usize>, time_to_live: Option<i64>) -> Self {
        Self {
            retention,
            max_users,
            time_to_live,
            now: 0,
            users: BTreeMap::new(),
            revisions: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Applies an operation; whether it can have had this outcome. What it writes, it
    /// writes with the time `at`.
    pub fn apply(
        &mut self,
        operation: Operation,
        value: Value,
        outcome: &Outcome,
        at: i64,
    ) -> bool {
        match operation {
            Operation::Upsert(user) => match outcome {
                Outcome::Upserted => {
                    let may_come = self.may_come(user);
                    self.write(user, value, at);
                    may_come
                }
                Outcome::Refused => self.may_be_refused(user),
                _ => false,
            },
            Operation::UpsertIfAbsent(user) | Operation::UpsertIfSeen(user) => {
                self.apply_conditional(user, value, outcome, at)
            }
            Operation::ExpireOld => {
                self.sweep();
                let before = self.users.len();
                self.users
                    .retain(|_, life| life.history.front().is_some_and(|&latest| latest >= 0));
                *outcome == Outcome::Expired(before - self.users.len())
            }
            Operation::TimePasses => {
                self.now += 1;
                *outcome == Outcome::Passed
            }
            // Another operation may have taken some of them out on its way, whose effect
            // is yet to come.
            Operation::Sweep => {
                let expired = self.sweep();
                matches!(*outcome, Outcome::Swept(users) if users <= expired)
            }
            Operation::Update(user) => match *outcome {
                Outcome::Updated(latest, revision) => {
                    let seen = latest == self.latest(user);
                    self.write(user, value, at);
                    seen && self.admits(user, value, revision)
                }
                _ => false,
            },
            Operation::DeleteIfSeen(user) => self.apply_conditional_removal(user, outcome),
            Operation::GetLatest(user) => *outcome == Outcome::Latest(self.latest(user)),
            Operation::GetVersioned(user) => match (self.latest(user), outcome) {
                (None, Outcome::Versioned(None)) => true,
                (Some(latest), Outcome::Versioned(Some((value, revision)))) => {
                    *value == latest && self.admits(user, latest, *revision)
                }
                _ => false,
            },
            Operation::GetHistory(user, limit) => {
                let history = self.there(user).into_iter();
                let history = history.flat_map(|life| &life.history);
                *outcome == Outcome::History(history.take(limit).copied().collect())
            }
            Operation::GetOldest(user, limit) => {
                let history = self.there(user).into_iter();
                let oldest_first = history.flat_map(|life| life.history.iter().rev());
                *outcome == Outcome::History(oldest_first.take(limit).copied().collect())
            }
            Operation::GetSince(user) => match outcome {
                Outcome::Since(seen, versions) => self.admits_since(user, *seen, versions),
                _ => false,
            },
            Operation::Delete(user) => *outcome == Outcome::Deleted(self.remove(user)),
        }
    }

    fn apply_conditional(&mut self, user: User, value: Value, outcome: &Outcome, at: i64) -> bool {
        match *outcome {
            Outcome::Written(expected, revision) => {
                let admitted = self.is_as_expected(user, expected) && self.may_come(user);
                self.write(user, value, at);
                admitted && self.admits(user, value, revision)
            }
            Outcome::Refused => self.may_be_refused(user),
            Outcome::Conflict(expected, actual) => self.admits_conflict(user, expected, actual),
            _ => false,
        }
    }

    fn apply_conditional_removal(&mut self, user: User, outcome: &Outcome) -> bool {
        match *outcome {
            Outcome::Removed(expected, removed) => {
                let admitted = self.is_as_expected(user, expected);
                admitted && self.remove(user) == removed
            }
            Outcome::Conflict(expected, actual) => self.admits_conflict(user, expected, actual),
            _ => false,
        }
    }

    /// A revision that is expected was seen before, so the specification
    /// knows which value it is of, unless a later one has been seen since.
    fn is_as_expected(&self, user: User, expected: Expected) -> bool {
        match (expected, self.latest(user)) {
            (Expected::Any, _) => true,
            (Expected::Absent, latest) => latest.is_none(),
            (Expected::At(revision), Some(latest)) => {
                self.revisions.get(&user) == Some(&(revision, latest))
            }
            (Expected::At(_), None) => false,
        }
    }

    fn admits_conflict(
        &mut self,
        user: User,
        expected: Expected,
        actual: Option<Revision>,
    ) -> bool {
        !self.is_as_expected(user, expected)
            && match (self.latest(user), actual) {
                (None, None) => true,
                (Some(latest), Some(actual)) => self.admits(user, latest, actual),
                _ => false,
            }
    }

    /// What comes after the version that was seen, or all if nobody was, or if that version
    /// is not kept any more.
    fn admits_since(&mut self, user: User, seen: Expected, versions: &[(Value, Revision)]) -> bool {
        let there = self.there(user).into_iter();
        let history: Vec<Value> = there.flat_map(|life| &life.history).copied().collect();
        let last = match seen {
            Expected::At(revision) => self.seen.get(&(user, revision)),
            Expected::Any | Expected::Absent => None,
        };
        let since = history.iter().take_while(|&value| Some(value) != last);
        if !since.eq(versions.iter().map(|(value, _)| value)) {
            return false;
        }
        let falling = versions.is_sorted_by(|(_, newer), (_, older)| newer > older);
        let newer = versions
            .iter()
            .all(|(_, revision)| !matches!(seen, Expected::At(seen) if *revision <= seen));
        let agreed = versions.iter().all(|&(value, revision)| {
            let known = self.seen.insert((user, revision), value);
            known.is_none_or(|known| known == value)
        });
        let newest = versions
            .first()
            .is_none_or(|&(value, revision)| self.admits(user, value, revision));
        falling && newer && agreed && newest
    }

    /// Whether there is room for the user, once nobody is in the way who has expired.
    fn may_come(&self, user: User) -> bool {
        let present = self.users.values().filter(|life| !self.is_over(life));
        self.max_users.is_none_or(|max| present.count() < max) || self.there(user).is_some()
    }

    /// Whether there is no room for the user, as long as those who have expired are in the
    /// way.
    fn may_be_refused(&self, user: User) -> bool {
        let is_full = self.max_users.is_some_and(|max| self.users.len() >= max);
        is_full && self.there(user).is_none()
    }

    fn write(&mut self, user: User, value: Value, at: i64) {
        if self.there(user).is_none() {
            self.users.remove(&user);
            if self.max_users.is_some_and(|max| self.users.len() >= max) {
                self.sweep();
            }
        }
        let life = self.users.entry(user).or_default();
        life.writes += 1;
        life.written_at = at.max(life.written_at);
        life.history.push_front(value);
        life.history.truncate(self.retention);
    }

    /// Whether there was somebody to remove.
    fn remove(&mut self, user: User) -> bool {
        let was_there = self.there(user).is_some();
        self.users.remove(&user);
        was_there
    }

    /// Takes out those who have expired, and returns how many those were.
    fn sweep(&mut self) -> usize {
        let before = self.users.len();
        let users = std::mem::take(&mut self.users);
        let present = users.into_iter().filter(|(_, life)| !self.is_over(life));
        self.users = present.collect();
        before - self.users.len()
    }

    /// The same without those who have expired.
    pub fn swept(&self) -> Self {
        let mut swept = self.clone();
        swept.sweep();
        swept
    }

    fn is_over(&self, life: &Life) -> bool {
        let time_to_live = self.time_to_live;
        time_to_live.is_some_and(|time_to_live| self.now - life.written_at >= time_to_live)
    }

    /// The user, if there and not expired.
    fn there(&self, user: User) -> Option<&Life> {
        self.users.get(&user).filter(|life| !self.is_over(life))
    }

    fn latest(&self, user: User) -> Option<Value> {
        self.there(user)?.history.front().copied()
    }

    /// What revision a write has is for the store to choose, but it is greater
    /// than all before it, and the same whenever it is asked for.
    fn admits(&mut self, user: User, latest: Value, revision: Revision) -> bool {
        self.seen.insert((user, revision), latest);
        match self.revisions.insert(user, (revision, latest)) {
            Some((known, of)) if of == latest => revision == known,
            Some((known, _)) => revision > known,
            None => true,
        }
    }

    /// How many users there are.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// How many snapshots the store may own, when nobody is at work: none of a user who
    /// was removed.
    pub fn owned(&self) -> RangeInclusive<usize> {
        let lives = || self.users.values();
        let most = |life: &Life| most_owned(life.writes, self.retention);
        lives().map(|life| life.history.len()).sum()..=lives().map(most).sum()
    }

    /// The specification after some order of these operations that respects
    /// real time and explains every outcome, and that `fits`; `None` if there is no such
    /// order.
    pub fn after(&self, observed: &[Observed], fits: &dyn Fn(&Self) -> bool) -> Option<Self> {
        if observed.is_empty() {
            return fits(self).then(|| self.clone());
        }
        (0..observed.len()).find_map(|first| {
            let candidate = &observed[first];
            let others: Vec<Observed> = observed
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != first)
                .map(|(_, other)| other.clone())
                .collect();
            // What had returned before the candidate was called comes first.
            if others.iter().any(|other| other.returned < candidate.called) {
                return None;
            }
            // The store's clock was read at some time during the call.
            (candidate.called_at.min(self.now)..=self.now).find_map(|at| {
                let mut next = self.clone();
                let Observed {
                    operation, value, ..
                } = *candidate;
                if !next.apply(operation, value, &candidate.outcome, at) {
                    return None;
                }
                next.after(&others, fits)
            })
        })
    }
}

/// How many of so many versions of one user are owned at the most, with whichever of them
/// handed over late.
///
/// The chain was cut behind some anchor, which it still owns. Those that came after it are in
/// the queue, and the queue has room for a certain number; so at least all but so many of
/// the newest have been cut behind. An anchor that is in the queue though the chain was cut
/// behind a later one takes the place of one of those.
fn most_owned(versions: usize, retention: usize) -> usize {
    let superseded = retention - 1;
    if superseded == 0 {
        return versions.min(1);
    }
    let stride = stride(superseded) as usize;
    let anchors = superseded.div_ceil(stride) + slack(superseded).div_ceil(stride);
    let cut_at = (versions.saturating_sub(1) / stride).saturating_sub(anchors) * stride;
    versions - cut_at.saturating_sub(1)
}
