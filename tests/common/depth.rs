//! How deep the tests go that have no natural end.
//!
//! `ATTUNED_TEST_DEPTH=full` is for what may take long. Without it they go to
//! the plain depth, which is for every run.

use std::env::{self, VarError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    Plain,
    Full,
}

impl Depth {
    /// That of this run.
    ///
    /// # Panics
    ///
    /// If the variable says something else: a typing error shall not pass for
    /// the full depth.
    pub fn of_this_run() -> Self {
        match env::var("ATTUNED_TEST_DEPTH").as_deref() {
            Err(VarError::NotPresent) | Ok("" | "plain") => Self::Plain,
            Ok("full") => Self::Full,
            other => panic!("ATTUNED_TEST_DEPTH is plain or full, not {other:?}"),
        }
    }

    pub fn choose<T>(self, plain: T, full: T) -> T {
        match self {
            Self::Plain => plain,
            Self::Full => full,
        }
    }
}
