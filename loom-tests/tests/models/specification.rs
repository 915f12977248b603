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
            Self::ExpireOld => None,
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
            Self::Delete(_) | Self::DeleteIfSeen(_) | Self::ExpireOld
        )
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
}

/// A store as a user thinks of it: a list for each user.
#[derive(Clone, Debug)]
pub struct Specification {
    retention: usize,
    max_users: Option<usize>,
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
}

impl Specification {
    pub fn new(retention: usize, max_users: Option<usize>) -> Self {
        Self {
            retention,
            max_users,
            users: BTreeMap::new(),
            revisions: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Applies an operation; whether it can have had this outcome.
    pub fn apply(&mut self, operation: Operation, value: Value, outcome: &Outcome) -> bool {
        match operation {
            Operation::Upsert(user) => {
                let expected = if self.has_room_for(user) {
                    self.write(user, value);
                    Outcome::Upserted
                } else {
                    Outcome::Refused
                };
                *outcome == expected
            }
            Operation::UpsertIfAbsent(user) | Operation::UpsertIfSeen(user) => {
                self.apply_conditional(user, value, outcome)
            }
            Operation::ExpireOld => {
                let before = self.users.len();
                self.users
                    .retain(|_, life| life.history.front().is_some_and(|&latest| latest >= 0));
                *outcome == Outcome::Expired(before - self.users.len())
            }
            Operation::Update(user) => match *outcome {
                Outcome::Updated(latest, revision) => {
                    let seen = latest == self.latest(user);
                    self.write(user, value);
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
                let lives = self.users.get(&user).into_iter();
                let history = lives.flat_map(|life| &life.history);
                *outcome == Outcome::History(history.take(limit).copied().collect())
            }
            Operation::GetOldest(user, limit) => {
                let lives = self.users.get(&user).into_iter();
                let oldest_first = lives.flat_map(|life| life.history.iter().rev());
                *outcome == Outcome::History(oldest_first.take(limit).copied().collect())
            }
            Operation::GetSince(user) => match outcome {
                Outcome::Since(seen, versions) => self.admits_since(user, *seen, versions),
                _ => false,
            },
            Operation::Delete(user) => {
                *outcome == Outcome::Deleted(self.users.remove(&user).is_some())
            }
        }
    }

    fn apply_conditional(&mut self, user: User, value: Value, outcome: &Outcome) -> bool {
        match *outcome {
            Outcome::Written(expected, revision) => {
                let admitted = self.is_as_expected(user, expected);
                self.write(user, value);
                admitted && self.admits(user, value, revision)
            }
            Outcome::Refused => !self.has_room_for(user),
            Outcome::Conflict(expected, actual) => self.admits_conflict(user, expected, actual),
            _ => false,
        }
    }

    fn apply_conditional_removal(&mut self, user: User, outcome: &Outcome) -> bool {
        match *outcome {
            Outcome::Removed(expected, removed) => {
                let admitted = self.is_as_expected(user, expected);
                admitted && self.users.remove(&user).is_some() == removed
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
        let lives = self.users.get(&user).into_iter();
        let history: Vec<Value> = lives.flat_map(|life| &life.history).copied().collect();
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

    fn has_room_for(&self, user: User) -> bool {
        let is_full = self.max_users.is_some_and(|max| self.users.len() >= max);
        !is_full || self.users.contains_key(&user)
    }

    fn write(&mut self, user: User, value: Value) {
        let life = self.users.entry(user).or_default();
        life.writes += 1;
        life.history.push_front(value);
        life.history.truncate(self.retention);
    }

    fn latest(&self, user: User) -> Option<Value> {
        self.users.get(&user)?.history.front().copied()
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
    /// real time and explains every outcome; `None` if there is no such order.
    pub fn after(&self, observed: &[Observed]) -> Option<Self> {
        if observed.is_empty() {
            return Some(self.clone());
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
            let mut next = self.clone();
            if !next.apply(candidate.operation, candidate.value, &candidate.outcome) {
                return None;
            }
            next.after(&others)
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
