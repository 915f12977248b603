//! How the versions of a key get revisions that never repeat, across removals.

use super::Timeline;
use crate::sync::{AtomicU64, Ordering};

impl<V: 'static> Timeline<V> {
    /// The revision of this timeline's version with that sequence: the same to
    /// every caller, greater for a later version, and greater than every
    /// revision of a timeline that this key had before.
    ///
    /// A revision is the version's sequence on top of the timeline's base. The
    /// base is not known when a timeline is made, since a former one of the
    /// same key may still come and go before this one gets into the map. So the
    /// first caller fixes it, and that is late enough: to have found
    /// this timeline, the caller came after it was put into the map, hence after the
    /// former one was taken out, hence after it was closed, hence after `floor`
    /// was raised to the last revision that it ever had.
    #[inline]
    pub(in crate::map) fn revision(&self, sequence: u64, floor: &RevisionFloor) -> u64 {
        self.revision_base(floor) + sequence
    }

    /// What a sequence needs to be a revision.
    #[inline]
    pub(in crate::map) fn revision_base(&self, floor: &RevisionFloor) -> u64 {
        match self.revision_base.load(Ordering::Acquire) {
            0 => self.fix_revision_base(floor),
            base => base,
        }
    }

    #[cold]
    fn fix_revision_base(&self, floor: &RevisionFloor) -> u64 {
        let base = floor.0.load(Ordering::Acquire) + 1;
        self.revision_base
            .compare_exchange(0, base, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|fixed_by_another| fixed_by_another, |_| base)
    }
}

/// At least the greatest revision of any timeline that has been closed: what
/// the timelines of a map have in common, so that revisions do not repeat
/// when a key comes back. Only removals write to it.
#[derive(Debug, Default)]
pub(in crate::map) struct RevisionFloor(AtomicU64);

impl RevisionFloor {
    pub(super) fn raise_to(&self, revision: u64) {
        let Self(floor) = self;
        floor.fetch_max(revision, Ordering::AcqRel);
    }
}
