//! How the versions of a key get revisions that never repeat, across removals.

use super::Timeline;
use crate::map::revisions::{RevisionBase, RevisionFloor};
use crate::sync::Ordering;

impl<V: 'static> Timeline<V> {
    /// The revision of the version with that sequence, which was written here: the same to
    /// every caller, greater for a later version, and greater than every
    /// revision of a timeline that this key had before.
    ///
    /// A revision is the version's sequence on top of the timeline's [base](RevisionBase).
    /// The base is not known when a timeline is made, since a former one of the same key may
    /// still come and go before this one gets into the map. So the first caller fixes it, and
    /// that is late enough: to have found
    /// this timeline, the caller came after it was put into the map, hence after the
    /// former one was taken out, hence after it was closed, hence after `floor`
    /// was raised to the last revision that it ever had.
    #[inline]
    pub(in crate::map) fn revision(&self, sequence: u64, floor: &RevisionFloor) -> u64 {
        self.revision_base(floor).revision_written(sequence)
    }

    /// What a sequence needs to be a revision.
    #[inline]
    pub(in crate::map) fn revision_base<'f>(&self, floor: &'f RevisionFloor) -> RevisionBase<'f> {
        let number = self.revision_base.load(Ordering::Acquire);
        RevisionBase::new(number, floor).unwrap_or_else(|| self.fix_revision_base(floor))
    }

    #[cold]
    fn fix_revision_base<'f>(&self, floor: &'f RevisionFloor) -> RevisionBase<'f> {
        let base = floor.greatest() + 1;
        let fixed = self
            .revision_base
            .compare_exchange(0, base, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|fixed_by_another| fixed_by_another, |_| base);
        RevisionBase::of_own_timeline(fixed, floor)
    }
}
