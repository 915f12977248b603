//! Which revisions the versions of a timeline have.
//!
//! A revision is a version's sequence on top of a base. Mostly the timeline has one base for
//! all of its versions, fixed when somebody asks for it
//! ([`Timeline::revision_base`](super::timeline::Timeline::revision_base)).
//!
//! A timeline that was restored from a checkpoint has more than one. The versions that came
//! with it keep the revisions that they had. What is written here must not go on with the
//! numbers that follow those: they may have been given to writes after the checkpoint, which
//! are lost, and a caller who has seen one of these must not find its number at another value. So
//! it goes on above the map's *origin*, which is greater than any number that was given
//! before. If such a map is restored from a checkpoint in its turn, there is a gap between
//! two versions that came with it.

use super::version::Version;
use crate::sync::{AtomicU64, Ordering};

/// The mark of the base of a timeline that was restored. No base is so great.
const RESTORED: u64 = 1 << 63;
/// With that mark: in the place of a base is the number of an entry of
/// [`RevisionFloor::gaps`].
const HAS_GAPS: u64 = 1 << 62;

/// What the timelines of a map have in common, so that revisions do not repeat.
#[derive(Debug, Default)]
pub(super) struct RevisionFloor {
    /// At least the greatest revision of any timeline that has been closed, for keys that
    /// come back. Only removals write to it.
    greatest: AtomicU64,
    /// In a map that was restored: at least every revision that came with it, and less than
    /// every one that it gives. Otherwise 0.
    origin: u64,
    /// Of each timeline that came with gaps, its pieces, the oldest first.
    gaps: Vec<Box<[Piece]>>,
}

/// Versions of a restored timeline whose revisions follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// The sequence of the first of them.
    from: u64,
    base: u64,
}

impl RevisionFloor {
    /// At least the greatest revision of any timeline that was closed before.
    pub(super) fn greatest(&self) -> u64 {
        self.greatest.load(Ordering::Acquire)
    }

    /// Takes account of a revision of a timeline that is about to be closed.
    pub(super) fn raise_to(&self, revision: u64) {
        self.greatest.fetch_max(revision, Ordering::AcqRel);
    }
}

/// What a sequence of a timeline needs to be a revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct RevisionBase<'f> {
    /// Of the versions that were written here. Known beforehand, since a history asks for it
    /// at each version.
    of_written: u64,
    /// Of those that came with a restored timeline.
    of_restored: u64,
    floor: &'f RevisionFloor,
}

impl<'f> RevisionBase<'f> {
    /// Of the number that a timeline has in the place of a base; `None` if it has none yet.
    #[inline]
    pub(super) fn new(number: u64, floor: &'f RevisionFloor) -> Option<Self> {
        // One comparison for two questions: every write asks them.
        match number.cast_signed() {
            1.. => Some(Self::of_own_timeline(number, floor)),
            0 => None,
            _ => Some(Self::of_restored_timeline(number, floor)),
        }
    }

    /// Of a timeline all of whose versions were written here.
    #[inline]
    pub(super) fn of_own_timeline(base: u64, floor: &'f RevisionFloor) -> Self {
        Self {
            of_written: base,
            of_restored: base,
            floor,
        }
    }

    #[cold]
    fn of_restored_timeline(number: u64, floor: &'f RevisionFloor) -> Self {
        Self {
            of_written: floor.origin,
            of_restored: number & !RESTORED,
            floor,
        }
    }

    /// The revision of the version with this sequence, which was written here.
    #[inline]
    pub(super) fn revision_written(self, sequence: u64) -> u64 {
        self.of_written + sequence
    }

    /// The revision of any version of the timeline.
    #[inline]
    pub(super) fn revision<V>(self, version: &Version<V>) -> u64 {
        if version.is_restored() {
            self.revision_restored(version.sequence())
        } else {
            self.revision_written(version.sequence())
        }
    }

    #[cold]
    fn revision_restored(self, sequence: u64) -> u64 {
        if self.of_restored & HAS_GAPS == 0 {
            return self.of_restored + sequence;
        }
        let pieces = usize::try_from(self.of_restored & !HAS_GAPS)
            .ok()
            .and_then(|number| self.floor.gaps.get(number));
        let piece = pieces
            .into_iter()
            .flatten()
            .rfind(|piece| piece.from <= sequence);
        match piece {
            Some(piece) => piece.base + sequence,
            None => unreachable!("the first piece is from the first version on"),
        }
    }
}

/// What a restored timeline has in the place of a base.
#[cfg(any(all(test, not(attuned_loom)), feature = "checkpoint"))]
pub(super) struct FormerBase(u64);

#[cfg(any(all(test, not(attuned_loom)), feature = "checkpoint"))]
impl From<FormerBase> for u64 {
    fn from(FormerBase(base): FormerBase) -> Self {
        base
    }
}

#[cfg(any(all(test, not(attuned_loom)), feature = "checkpoint"))]
impl FormerBase {
    /// For a timeline with these revisions, the oldest first: each is greater than the one
    /// before, and the first is at least 2. `None` if there are gaps between them.
    pub(super) fn without_gaps<R>(revisions: R) -> Option<Self>
    where
        R: DoubleEndedIterator<Item = u64> + ExactSizeIterator,
    {
        let len = revisions.len() as u64;
        let mut ends = revisions;
        let oldest = ends.next()?;
        let newest = ends.next_back().unwrap_or(oldest);
        // They are in order, so this is the case only without gaps.
        (newest - oldest < len).then(|| Self(RESTORED | (oldest - 1)))
    }
}

/// The revisions of restored timelines that have gaps.
#[cfg(any(all(test, not(attuned_loom)), feature = "checkpoint"))]
#[derive(Debug, Default)]
pub(super) struct FormerRevisions(Vec<Box<[Piece]>>);

#[cfg(any(all(test, not(attuned_loom)), feature = "checkpoint"))]
impl FormerRevisions {
    /// For a timeline with these revisions, the oldest first: each is greater than the one
    /// before.
    pub(super) fn keep(&mut self, revisions: impl Iterator<Item = u64>) -> FormerBase {
        let mut pieces = Vec::new();
        for (sequence, revision) in (1..).zip(revisions) {
            let base = revision - sequence;
            if pieces.last().is_none_or(|piece: &Piece| piece.base != base) {
                pieces.push(Piece {
                    from: sequence,
                    base,
                });
            }
        }
        let Self(gaps) = self;
        gaps.push(pieces.into());
        FormerBase(RESTORED | HAS_GAPS | (gaps.len() as u64 - 1))
    }
}

#[cfg(any(all(test, not(attuned_loom)), feature = "checkpoint"))]
impl RevisionFloor {
    /// Has the map give only greater revisions than `origin` from now on, which is greater
    /// than the number of timelines that have gaps.
    pub(super) fn go_on_above(&mut self, origin: u64, former: FormerRevisions) {
        self.origin = origin;
        self.greatest = AtomicU64::new(origin);
        let FormerRevisions(gaps) = former;
        self.gaps = gaps;
    }
}
