//! What an operation has found of a user.

use super::message::Entry;
use crate::revision::Revision;

/// What an operation has to know of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Wanted {
    /// The latest state, and its revision.
    State,
    /// When it was written, too.
    Version,
    /// So many of the newest entries, and the number of each.
    Entries(usize),
}

impl Wanted {
    /// At least one.
    pub fn entries(self) -> usize {
        match self {
            Self::State | Self::Version => 1,
            Self::Entries(entries) => entries.max(1),
        }
    }
}

/// What is known of a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// The sequence of the last message of the user, a marker of a removal included; 0 if
    /// there is none.
    pub last: u64,
    /// What there is, newest first: as many as were asked for.
    pub entries: Vec<Entry>,
}

impl Seen {
    /// That of the latest entry.
    pub fn revision(&self) -> Option<Revision> {
        self.entries
            .first()
            .map(|latest| Revision::from(latest.revision))
    }
}
