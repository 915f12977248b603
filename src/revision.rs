//! Which write of a key a value is of.

use std::fmt;

/// Tells the writes of one key, or of one user of a store, apart and orders them.
///
/// Every write of a key has a greater revision than all before it, and none
/// ever has the same as another: not even a write after the key was removed.
/// That holds as long as the map or the store does; one in memory begins anew with
/// the process. Nothing else about the number means anything: revisions can
/// skip, and those of different keys or stores do not compare.
///
/// To keep one outside the process, convert it to and from `u64`. With the
/// feature `serde` it serializes as that number.
///
/// ```
/// use attuned_store::HistoryMap;
///
/// let map = HistoryMap::builder().build()?;
/// let first = map.insert("ada", 0.2)?;
/// map.remove("ada")?;
/// let second = map.insert("ada", 0.3)?;
/// assert!(first < second);
/// # Ok::<(), Box<dyn std::error::Error>>(())
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

/// What a conditional write or removal expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Whatever is there, or nothing: the write is not conditional.
    Any,
    /// Nothing: the write is to be the first, or the first since a removal.
    Absent,
    /// What the write of this revision stored, still the latest.
    At(Revision),
}

impl From<Option<Revision>> for Expected {
    /// The revision that was just read, still there, or still nothing.
    fn from(read: Option<Revision>) -> Self {
        read.map_or(Self::Absent, Self::At)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Absent => f.write_str("nothing"),
            Self::At(revision) => write!(f, "revision {revision}"),
        }
    }
}

/// What a conditional write found, for messages.
pub(crate) struct Found(pub(crate) Option<Revision>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Expected::from(self.0).fmt(f)
    }
}
