//! The sequential specification, and the judgement of what was observed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use attuned_store::{Expected, Revision};

/// Users of a model. Two are enough: operations on different users meet only
/// in the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    Ada,
    Grace,
}

impl User {
    pub fn id(self) -> &'static str {
        match self {
            Self::Ada => "ada",
            Self::Grace => "grace",
        }
    }
}

/// An operation of the trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Upsert(User),
    GetLatest(User),
    GetVersioned(User),
    GetHistory(User, usize),
    Delete(User),
    /// A first write, on condition that it is one.
    UpsertIfAbsent(User),
    /// A write on condition that the user is as this thread saw them last, or as
    /// they were at the start.
    UpsertIfSeen(User),
    /// Conditional removal: of all users whose latest snapshot is one of those
    /// from the start.
    ExpireOld,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, user) = match self {
            Self::Upsert(user) => ("upsert", user),
            Self::GetLatest(user) => ("get_latest", user),
            Self::GetVersioned(user) => ("get_versioned", user),
            Self::GetHistory(user, _) => ("get_history", user),
            Self::Delete(user) => ("delete", user),
            Self::UpsertIfAbsent(user) => ("upsert_if absent", user),
            Self::UpsertIfSeen(user) => ("upsert_if as seen", user),
            Self::ExpireOld => return f.write_str("expire_before"),
        };
        match user {
            User::Ada => f.write_str(name),
            User::Grace => write!(f, "{name}(other user)"),
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
    /// A conditional write found something else.
    Conflict(Expected, Option<Revision>),
    Latest(Option<Value>),
    Versioned(Option<(Value, Revision)>),
    History(Vec<Value>),
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

/// A store as a user thinks of it: a list for each user, newest first.
#[derive(Clone, Debug)]
pub struct Specification {
    retention: usize,
    max_users: Option<usize>,
    users: BTreeMap<User, VecDeque<Value>>,
    /// The last revision of each user that was seen, and whose it was.
    revisions: BTreeMap<User, (Revision, Value)>,
}

impl Specification {
    pub fn new(retention: usize, max_users: Option<usize>) -> Self {
        Self {
            retention,
            max_users,
            users: BTreeMap::new(),
            revisions: BTreeMap::new(),
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
                    .retain(|_, history| history.front().is_some_and(|&latest| latest >= 0));
                *outcome == Outcome::Expired(before - self.users.len())
            }
            Operation::GetLatest(user) => *outcome == Outcome::Latest(self.latest(user)),
            Operation::GetVersioned(user) => match (self.latest(user), outcome) {
                (None, Outcome::Versioned(None)) => true,
                (Some(latest), Outcome::Versioned(Some((value, revision)))) => {
                    *value == latest && self.admits(user, latest, *revision)
                }
                _ => false,
            },
            Operation::GetHistory(user, limit) => {
                let history = self.users.get(&user).into_iter().flatten();
                *outcome == Outcome::History(history.take(limit).copied().collect())
            }
            Operation::Delete(user) => {
                *outcome == Outcome::Deleted(self.users.remove(&user).is_some())
            }
        }
    }

    /// A revision that a write expects was seen before, so the specification
    /// knows which value it is of, unless a later one has been seen since.
    fn apply_conditional(&mut self, user: User, value: Value, outcome: &Outcome) -> bool {
        let latest = self.latest(user);
        let as_expected = |known: &BTreeMap<_, _>, expected| match (expected, latest) {
            (Expected::Absent, latest) => latest.is_none(),
            (Expected::At(revision), Some(latest)) => known.get(&user) == Some(&(revision, latest)),
            (Expected::At(_), None) => false,
        };
        match *outcome {
            Outcome::Written(expected, revision) => {
                let admitted = as_expected(&self.revisions, expected);
                self.write(user, value);
                admitted && self.admits(user, value, revision)
            }
            Outcome::Conflict(expected, actual) => {
                !as_expected(&self.revisions, expected)
                    && match (latest, actual) {
                        (None, None) => true,
                        (Some(latest), Some(actual)) => self.admits(user, latest, actual),
                        _ => false,
                    }
            }
            _ => false,
        }
    }

    fn has_room_for(&self, user: User) -> bool {
        let is_full = self.max_users.is_some_and(|max| self.users.len() >= max);
        !is_full || self.users.contains_key(&user)
    }

    fn write(&mut self, user: User, value: Value) {
        let history = self.users.entry(user).or_default();
        history.push_front(value);
        history.truncate(self.retention);
    }

    fn latest(&self, user: User) -> Option<Value> {
        self.users.get(&user)?.front().copied()
    }

    /// What revision a write has is for the store to choose, but it is greater
    /// than all before it, and the same whenever it is asked for.
    fn admits(&mut self, user: User, latest: Value, revision: Revision) -> bool {
        match self.revisions.insert(user, (revision, latest)) {
            Some((known, of)) if of == latest => revision == known,
            Some((known, _)) => revision > known,
            None => true,
        }
    }

    /// How many snapshots the store should own.
    pub fn owned(&self) -> usize {
        self.users.values().map(VecDeque::len).sum()
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
