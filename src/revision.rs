//! Which write of a user a snapshot is.

use std::fmt;

use crate::StateSnapshot;

/// Tells the writes of one user apart and orders them.
///
/// Every write of a user has a greater revision than all before it, and none
/// ever has the same as another: not even a write after the user was deleted.
/// That holds as long as the store does; the in-memory store begins anew with
/// the process. Nothing else about the number means anything: revisions can
/// skip, and those of different users or stores do not compare.
///
/// To keep one outside the process, convert it to and from `u64`. With the
/// feature `serde` it serializes as that number.
///
/// ```
/// use attuned_store::{MemoryStore, StateSnapshot};
///
/// let store = MemoryStore::default();
/// let ada = StateSnapshot::builder().user_id("ada");
/// store.upsert(ada.clone().axis("warmth", 0.2).build()?)?;
/// let first = store.versioned("ada").map(|versioned| versioned.revision);
/// store.remove("ada");
/// store.upsert(ada.axis("warmth", 0.3).build()?)?;
/// let second = store.versioned("ada").map(|versioned| versioned.revision);
/// assert!(first < second);
/// # Ok::<(), attuned_store::StoreError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl From<u64> for Revision {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<Revision> for u64 {
    fn from(revision: Revision) -> Self {
        revision.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Revision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Revision {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}

/// A snapshot with the revision of the write that stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Versioned {
    /// What was stored.
    pub snapshot: StateSnapshot,
    /// Which write stored it.
    pub revision: Revision,
}

impl Versioned {
    /// For backends: a snapshot that the write of this revision stored.
    #[must_use]
    pub fn new(snapshot: StateSnapshot, revision: Revision) -> Self {
        Self { snapshot, revision }
    }
}

/// What a conditional write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// No snapshot of the user: the write is to be the first, or the first since
    /// the user was deleted.
    Absent,
    /// The snapshot that the write of this revision stored, still the latest.
    At(Revision),
}

impl Expected {
    /// Whatever was just read.
    ///
    /// ```
    /// use attuned_store::{Expected, MemoryStore};
    ///
    /// let store = MemoryStore::default();
    /// let current = store.versioned("ada");
    /// assert_eq!(Expected::unchanged(current.as_ref()), Expected::Absent);
    /// ```
    #[must_use]
    pub fn unchanged(read: Option<&Versioned>) -> Self {
        read.map_or(Self::Absent, |versioned| Self::At(versioned.revision))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no snapshot"),
            Self::At(revision) => write!(f, "revision {revision}"),
        }
    }
}
