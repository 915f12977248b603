//! A value with what is known of its writing.

use std::time::SystemTime;

use crate::revision::{Expected, Revision};
use crate::timestamp::Timestamp;

/// A value with the revision of the write that stored it, and the time of that write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Versioned<V> {
    /// What was stored.
    pub value: V,
    /// Which write stored it.
    pub revision: Revision,
    /// When it was stored, by the clock of the map or of the backend: milliseconds since
    /// the Unix epoch. Never less than that of the write before, even if the clock was
    /// set back, unless the key was removed in between.
    pub written_at: i64,
}

impl<V> Versioned<V> {
    /// For backends: a value that the write of this revision stored at this time.
    #[must_use]
    pub fn new(value: V, revision: Revision, written_at: i64) -> Self {
        Self {
            value,
            revision,
            written_at,
        }
    }

    /// When it was stored, as [`written_at`](Self::written_at), but as the standard library
    /// has times.
    ///
    /// ```
    /// use attuned_store::HistoryMap;
    ///
    /// let map = HistoryMap::builder().build()?;
    /// map.insert("greeting", "hello")?;
    /// let age = map.get_versioned("greeting").map(|found| found.written_at_time().elapsed());
    /// # assert!(age.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn written_at_time(&self) -> SystemTime {
        Timestamp::from(self.written_at).to_system_time()
    }

    /// The same write with another form of the value.
    ///
    /// ```
    /// use attuned_store::HistoryMap;
    ///
    /// let map = HistoryMap::builder().build()?;
    /// map.insert("greeting", "hello")?;
    /// let length = map.get_versioned("greeting").map(|found| found.map(str::len));
    /// assert_eq!(length.map(|found| found.value), Some(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map<W>(self, change: impl FnOnce(V) -> W) -> Versioned<W> {
        Versioned {
            value: change(self.value),
            revision: self.revision,
            written_at: self.written_at,
        }
    }
}

impl<V> From<Option<&Versioned<V>>> for Expected {
    /// What was just read, unchanged.
    ///
    /// ```
    /// use attuned_store::{Expected, HistoryMap};
    ///
    /// let map = HistoryMap::<u64>::builder().build()?;
    /// let current = map.get_versioned("visits");
    /// assert_eq!(Expected::from(current.as_ref()), Expected::Absent);
    /// # Ok::<(), attuned_store::ConfigError>(())
    /// ```
    fn from(read: Option<&Versioned<V>>) -> Self {
        read.map_or(Self::Absent, |versioned| Self::At(versioned.revision))
    }
}
