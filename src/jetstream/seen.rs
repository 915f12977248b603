//! What an operation has found of a user.

use super::message::Entry;
use crate::revision::Revision;

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
