//! What the suite found.

use std::error::Error;
use std::fmt;

use futures_util::future::BoxFuture;

use super::trial::{Stop, Trial};

/// How the suite finds out whether a backend keeps a clause.
type Check = for<'a> fn(&'a Trial<'a>) -> BoxFuture<'a, Result<(), Stop>>;

/// One clause of the contract of [`StateStore`](crate::StateStore).
pub struct Clause {
    id: &'static str,
    sentence: &'static str,
    pub(super) check: Check,
}

impl Clause {
    pub(super) const fn new(id: &'static str, sentence: &'static str, check: Check) -> Self {
        Self {
            id,
            sentence,
            check,
        }
    }

    /// The name of the clause, such as `history.newest_first`. It stays the same
    /// as long as the clause does.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// What the contract says.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        self.sentence
    }
}

/// Shows the id and the sentence.
impl fmt::Debug for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clause")
            .field("id", &self.id)
            .field("sentence", &self.sentence)
            .finish_non_exhaustive()
    }
}

/// Whether a backend keeps a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It does, as far as the suite can see.
    Kept,
    /// It does not; the text says what was seen.
    Broken(String),
    /// The clause does not concern a backend of these
    /// [capabilities](super::Capabilities); the text says why.
    NotApplicable(&'static str),
}

/// What became of every clause that was looked at, in the order of the suite.
///
/// Its `Display` form has a line for each.
#[derive(Debug)]
pub struct Report {
    outcomes: Vec<(&'static Clause, Outcome)>,
}

impl Report {
    /// The clauses with their outcomes.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static Clause, &Outcome)> {
        self.outcomes
            .iter()
            .map(|(clause, outcome)| (*clause, outcome))
    }

    pub(super) fn into_result(outcomes: Vec<(&'static Clause, Outcome)>) -> Result<Self, Failure> {
        let report = Self { outcomes };
        let broken = |(_, outcome): (_, &Outcome)| matches!(outcome, Outcome::Broken(_));
        if report.outcomes().any(broken) {
            Err(Failure(report))
        } else {
            Ok(report)
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (clause, outcome) in self.outcomes() {
            let id = clause.id;
            match outcome {
                Outcome::Kept => writeln!(f, "kept            {id}")?,
                Outcome::Broken(seen) => writeln!(f, "BROKEN          {id}: {seen}")?,
                Outcome::NotApplicable(why) => writeln!(f, "not applicable  {id}: {why}")?,
            }
        }
        Ok(())
    }
}

/// A backend breaks at least one clause.
///
/// The message names each broken clause, what the contract says, and what was
/// seen. It may hold parts of the suite's own snapshots, and none of others.
pub struct Failure(Report);

impl Failure {
    /// The clauses that are broken, each with what was seen.
    pub fn broken(&self) -> impl Iterator<Item = (&'static Clause, &str)> {
        self.0
            .outcomes()
            .filter_map(|(clause, outcome)| match outcome {
                Outcome::Broken(seen) => Some((clause, seen.as_str())),
                _ => None,
            })
    }

    /// All that was looked at.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.broken().count();
        let checked = self.0.outcomes.len();
        write!(f, "the backend breaks {count} of {checked} clauses")?;
        for (clause, seen) in self.broken() {
            write!(
                f,
                "\n\n{}\n  contract: {}\n  seen: {seen}",
                clause.id, clause.sentence
            )?;
        }
        Ok(())
    }
}

/// The same as `Display`: a test that unwraps, or returns the error, prints this.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failure {}
