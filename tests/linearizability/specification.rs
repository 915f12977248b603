//! What a store is to its users: for each of them a list of snapshots, newest
//! first.

use std::collections::VecDeque;
use std::fmt;

use crate::program::{LONG, Operation, Value};

/// What an operation returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Upserted,
    Latest(Option<Value>),
    History(Vec<Value>),
    /// What came after the value that the thread remembered.
    Since {
        last: Option<Value>,
        values: Vec<Value>,
    },
    /// Whether there was something to delete, from stores that say so.
    Deleted(Option<bool>),
    /// What a conditional operation expected to be the latest, and whether it
    /// was. Values stand for the revisions: no two writes have the same.
    If {
        expected: Option<Value>,
        done: bool,
    },
}

/// An operation and what it returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performed {
    pub operation: Operation,
    pub outcome: Outcome,
}

impl fmt::Display for Performed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        match &self.outcome {
            Outcome::Upserted | Outcome::Deleted(None) => Ok(()),
            Outcome::Latest(None) => write!(f, " = none"),
            Outcome::Latest(Some(value)) => write!(f, " = {value}"),
            Outcome::History(values) => write!(f, " = {values:?}"),
            Outcome::Since { last, values } => match last {
                None => write!(f, " (all) = {values:?}"),
                Some(last) => write!(f, " ({last}) = {values:?}"),
            },
            Outcome::Deleted(Some(deleted)) => write!(f, " = {deleted}"),
            Outcome::If { expected, done } => match expected {
                None => write!(f, " (expected none) = {done}"),
                Some(value) => write!(f, " (expected {value}) = {done}"),
            },
        }
    }
}

/// One user of a store that keeps `RETENTION` snapshots, as the user is when a
/// [program](crate::program::Program::written_before) begins.
///
/// The retention is a parameter of the type because the checker makes its
/// initial state from nothing.
pub struct OneUser<const RETENTION: usize>;

impl<const RETENTION: usize> todc_utils::Specification for OneUser<RETENTION> {
    type State = VecDeque<Value>;
    type Operation = Performed;

    fn init() -> Self::State {
        if RETENTION == LONG {
            (1..=LONG as Value).map(|value| -value).collect()
        } else {
            VecDeque::new()
        }
    }

    fn apply(performed: &Performed, state: &Self::State) -> (bool, Self::State) {
        let mut after = state.clone();
        let explained = match (performed.operation, &performed.outcome) {
            (Operation::Upsert(value), Outcome::Upserted) => {
                after.push_front(value);
                after.truncate(RETENTION);
                true
            }
            (Operation::GetLatest | Operation::GetVersioned, Outcome::Latest(latest)) => {
                state.front() == latest.as_ref()
            }
            (Operation::GetHistory { limit }, Outcome::History(history)) => {
                state.iter().take(limit).eq(history)
            }
            (Operation::GetOldest { limit }, Outcome::History(oldest)) => {
                state.iter().rev().take(limit).eq(oldest)
            }
            // All of it, if that value is not kept any more: then all are later ones.
            (Operation::GetSince, Outcome::Since { last, values }) => {
                let since = state
                    .iter()
                    .take_while(|&value| Some(value) != last.as_ref());
                since.eq(values)
            }
            (Operation::Delete, Outcome::Deleted(deleted)) => {
                after.clear();
                deleted.is_none_or(|deleted| deleted != state.is_empty())
            }
            (
                Operation::UpsertIf(value) | Operation::Update(value),
                Outcome::If { expected, done },
            ) => {
                if *done {
                    after.push_front(value);
                    after.truncate(RETENTION);
                }
                *done == (state.front() == expected.as_ref())
            }
            (Operation::DeleteIf, Outcome::If { expected, done }) => {
                if *done {
                    after.clear();
                }
                *done == (state.front() == expected.as_ref())
            }
            _ => false,
        };
        if explained {
            (true, after)
        } else {
            (false, state.clone())
        }
    }
}
