//! Why something went.

use std::fmt;

/// Why a key or a user is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// Somebody removed it.
    Deleted,
    /// It was removed for its age, by a backend that does so. Those of this crate do not yet.
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
