//! A timeline that is made at once, of versions that another map had.

use super::Timeline;
use crate::map::eviction::Anchors;
use crate::map::retention::Retention;
use crate::map::revisions::FormerBase;
use crate::map::small_value::Words;
use crate::map::version::Version;
use crate::sync::{AtomicShared, AtomicU64, Mirror};

/// The versions of a timeline that is to be restored.
pub(in crate::map) struct FormerVersions<I> {
    /// Values and times of writing, the oldest first: at least one, and no more than a history
    /// shows.
    pub(in crate::map) versions: I,
    /// Whether others came before them.
    pub(in crate::map) cut: bool,
    /// Those of the newest value.
    pub(in crate::map) words: Option<Words>,
    pub(in crate::map) numbers: FormerBase,
}

impl<V: 'static> Timeline<V> {
    /// The timeline of these versions; `None` if there are none.
    ///
    /// It is the one to which as many [writes](Self::publish) lead, one after the other, where
    /// nobody reads or watches:
    /// - *the chain*: the head owns the newest version, and each version the one before. All of
    ///   them are in the window, so nothing has been cut.
    /// - *the mirror*: its number is the newest sequence, with the words of that version if it
    ///   has any. No writer is inside.
    /// - *the queue*: it has the superseded anchors, in the order of their sequences. It was
    ///   never full, as it has room for all those of a window.
    /// - *the revision base*: it was fixed before anybody could ask for it.
    ///
    /// No other thread has seen any of it. The insertion into the map, which releases it, is how
    /// others come to it.
    #[inline]
    pub(in crate::map) fn restored<I>(
        former: FormerVersions<I>,
        retention: &Retention,
    ) -> Option<Self>
    where
        I: Iterator<Item = (V, i64)>,
    {
        let superseded = Anchors::new();
        let mut written_at = i64::MIN;
        let mut newest = None;
        let mut sequence = 0;
        for (value, written) in former.versions {
            let previous = newest;
            if let Some(previous) = &previous
                && retention.is_anchor(sequence)
            {
                superseded.add_restored(Clone::clone(previous), retention);
            }
            // As when they were written: no version is older than the one before.
            written_at = written_at.max(written);
            let cut = former.cut && sequence == 0;
            sequence += 1;
            newest = Some(Version::restored(
                value, sequence, cut, written_at, previous,
            ));
        }
        Some(Self {
            mirror: Mirror::of(sequence, former.words),
            head: AtomicShared::from(newest?),
            revision_base: AtomicU64::new(former.numbers.into()),
            superseded,
        })
    }
}
