//! Why something went.

use std::fmt;

/// Why a key or a user is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// A call removed it: `remove`, `delete`, `retain`, `clear` and what is like them.
    Deleted,
    /// It was not written for too long: its
    /// [time to live](crate::HistoryMapBuilder::time_to_live) was over, or
    /// [`expire_older_than`](crate::HistoryMap::expire_older_than) found it too old.
    Expired,
}

impl fmt::Display for RemovalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleted => "deleted",
            Self::Expired => "expired",
        })
    }
}
