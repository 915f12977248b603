//! Which write of a key a value is of.

use std::fmt;
use std::str::FromStr;

/// Tells the writes of one key, or of one user of a store, apart and orders them.
///
/// Every write of a key has a greater revision than all before it, and none
/// ever has the same as another: not even a write after the key was removed.
/// That holds for the life of the map or the store. A map or a store in memory begins anew with
/// the process, unless the store is restored from a checkpoint (`docs::checkpoints`). The number
/// means nothing else: revisions can skip, so the first is not always 1, and revisions of
/// different keys or stores do not compare.
///
/// To keep one outside the process, convert it to and from `u64`, or to text and back. With
/// the feature `serde` it serializes as that number.
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

impl FromStr for Revision {
    type Err = ParseRevisionError;

    /// The revision that `Display` has written: decimal digits and nothing else. Leading
    /// zeros make no difference.
    ///
    /// ```
    /// use attuned_store::{Revision, ParseRevisionError};
    ///
    /// let revision = Revision::from(42);
    /// assert_eq!(revision.to_string().parse(), Ok(revision));
    ///
    /// let error = "+42".parse::<Revision>().unwrap_err();
    /// assert_eq!(error, ParseRevisionError::InvalidCharacter { character: '+', position: 0 });
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseRevisionError> {
        let wrong = text
            .char_indices()
            .find(|(_, character)| !character.is_ascii_digit());
        if let Some((position, character)) = wrong {
            return Err(ParseRevisionError::InvalidCharacter {
                character,
                position,
            });
        }
        if text.is_empty() {
            return Err(ParseRevisionError::Empty);
        }
        // Of digits alone, only the number of them can be wrong now.
        text.parse()
            .map(Self)
            .map_err(|_| ParseRevisionError::TooGreat)
    }
}

/// Why a text is not a [`Revision`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRevisionError {
    /// The text is empty.
    #[error("revision is empty")]
    Empty,

    /// A character is not a decimal digit.
    #[error("revision has {character:?} at byte {position}, but only digits are allowed")]
    InvalidCharacter {
        /// The first character that is not allowed.
        character: char,
        /// Where it starts, in bytes from the start of the text.
        position: usize,
    },

    /// The number has more than 64 bits.
    #[error("revision is greater than {}, the greatest that there is", u64::MAX)]
    TooGreat,
}

#[cfg(feature = "serde")]
impl serde_core::Serialize for Revision {
    fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde_core::Deserialize<'de> for Revision {
    fn deserialize<D: serde_core::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
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

impl Expected {
    /// For backends: whether this is what is there, with the revision of what is there, or
    /// `None` if nothing is.
    ///
    /// ```
    /// use attuned_store::{Expected, Revision};
    ///
    /// let (first, second) = (Revision::from(1), Revision::from(2));
    /// assert!(Expected::At(first).is_met_by(Some(first)));
    /// assert!(!Expected::At(first).is_met_by(Some(second)));
    /// assert!(Expected::Absent.is_met_by(None));
    /// assert!(Expected::Any.is_met_by(None) && Expected::Any.is_met_by(Some(first)));
    /// ```
    #[must_use]
    pub fn is_met_by(self, actual: Option<Revision>) -> bool {
        self == Self::Any || self == Self::from(actual)
    }
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
