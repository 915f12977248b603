//! The sequential specification, and the judgement of what was observed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

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
    GetHistory(User, usize),
    Delete(User),
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, user) = match self {
            Self::Upsert(user) => ("upsert", user),
            Self::GetLatest(user) => ("get_latest", user),
            Self::GetHistory(user, _) => ("get_history", user),
            Self::Delete(user) => ("delete", user),
        };
        match user {
            User::Ada => f.write_str(name),
            User::Grace => write!(f, "{name}(other user)"),
        }
    }
}

/// What identifies a snapshot: no two in a program are the same.
pub type Value = i64;

/// What an operation returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Upserted,
    Latest(Option<Value>),
    History(Vec<Value>),
    Deleted(bool),
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
    users: BTreeMap<User, VecDeque<Value>>,
}

impl Specification {
    pub fn new(retention: usize) -> Self {
        Self {
            retention,
            users: BTreeMap::new(),
        }
    }

    pub fn apply(&mut self, operation: Operation, value: Value) -> Outcome {
        match operation {
            Operation::Upsert(user) => {
                let history = self.users.entry(user).or_default();
                history.push_front(value);
                history.truncate(self.retention);
                Outcome::Upserted
            }
            Operation::GetLatest(user) => {
                let history = self.users.get(&user);
                Outcome::Latest(history.and_then(|history| history.front().copied()))
            }
            Operation::GetHistory(user, limit) => {
                let history = self.users.get(&user);
                Outcome::History(history.into_iter().flatten().take(limit).copied().collect())
            }
            Operation::Delete(user) => Outcome::Deleted(self.users.remove(&user).is_some()),
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
            if next.apply(candidate.operation, candidate.value) != candidate.outcome {
                return None;
            }
            next.after(&others)
        })
    }
}
