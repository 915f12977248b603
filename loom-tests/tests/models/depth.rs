//! How thoroughly the programs are run.

use std::env::{self, VarError};

/// What the variable `ATTUNED_TEST_DEPTH` says. The recorded histories of the crate's own
/// tests go by the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// All programs, with few preemptions: for every run of the tests.
    Plain,
    /// All programs, with as many preemptions as can be waited for.
    Full,
}

impl Depth {
    /// That of this run.
    ///
    /// # Panics
    ///
    /// If the variable says something else: a typing error shall not pass for the full
    /// depth.
    pub fn of_this_run() -> Self {
        match env::var("ATTUNED_TEST_DEPTH").as_deref() {
            Err(VarError::NotPresent) | Ok("" | "plain") => Self::Plain,
            Ok("full") => Self::Full,
            other => panic!("ATTUNED_TEST_DEPTH is plain or full, not {other:?}"),
        }
    }
}

/// How often loom may take the processor away from a thread that could go on, in an
/// execution of a program; `None` for as often as possible, which is every interleaving.
#[derive(Clone, Copy, Debug)]
pub struct Preemptions {
    pub plain: Option<usize>,
    pub full: Option<usize>,
}

impl Preemptions {
    pub fn at(self, depth: Depth) -> Option<usize> {
        match depth {
            Depth::Plain => self.plain,
            Depth::Full => self.full,
        }
    }
}
