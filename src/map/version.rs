//! One version of a value, on its own and in a chain.

use std::fmt;
// Not through `sync`: they are written before anybody else sees the version, and the swap
// that shows it to others orders them.
use std::sync::atomic::{AtomicI64, AtomicU64};

use crate::sync::{AtomicShared, Guard, Ordering, Shared, Tag};

/// A value, its place in a timeline, and the way to the version that it superseded.
///
/// **Invariant of the chain.** *A version that nobody owns any more owns nothing
/// either.* A thread that takes a link out of a version therefore takes the link out of
/// the version that it led to, as well, before it lets go of it ([`let_go`]). Otherwise
/// dropping one version would drop the next, one round of epochs later, and so on: a
/// chain of a thousand versions would take a thousand rounds.
// In this order, what the kernel needs of a version lies beside the count of its
// owners, which sdd keeps behind the value.
#[repr(C)]
pub(super) struct Version<V> {
    value: V,
    written_at: AtomicI64,
    /// Its place in its timeline, below two marks.
    sequence: AtomicU64,
    /// Owns the version before, until it is cut.
    previous: AtomicShared<Version<V>>,
}

/// The mark of a version that was written in another map, of which this one was restored.
const RESTORED: u64 = 1 << 63;
/// The mark of the oldest version that was restored, if there were others before it.
const CUT: u64 = 1 << 62;
/// A timeline would take centuries to get to the marks.
const SEQUENCE: u64 = !(RESTORED | CUT);

impl<V> Version<V> {
    pub(super) fn value(&self) -> &V {
        &self.value
    }

    /// When the map took it: milliseconds since the Unix epoch, and never less than of
    /// the version before.
    pub(super) fn written_at(&self) -> i64 {
        self.written_at.load(Ordering::Relaxed)
    }

    /// Its place in its timeline, from 1.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed) & SEQUENCE
    }

    /// Whether it was written in another map, of which this one was restored. Then its
    /// revision is that of the write there.
    #[inline]
    pub(super) fn is_restored(&self) -> bool {
        self.sequence.load(Ordering::Relaxed) & RESTORED != 0
    }

    /// Whether it is the first since its key came: nothing was there before it, neither
    /// here nor in the map of which this one was restored.
    pub(super) fn is_the_first(&self) -> bool {
        self.sequence.load(Ordering::Relaxed) & !RESTORED == 1
    }

    /// The version before, unless the link to it was cut.
    pub(super) fn previous<'g>(&self, guard: &'g Guard) -> Option<&'g Self> {
        self.previous.load(Ordering::Acquire, guard).as_ref()
    }

    /// Takes out the link to the version before. Of several threads that do so, one
    /// gets it.
    pub(super) fn cut(&self) -> Option<Shared<Self>> {
        self.previous.swap((None, Tag::None), Ordering::AcqRel).0
    }
}

impl<V: 'static> Version<V> {
    /// `place` is the sequence with its marks.
    #[inline]
    fn new(value: V, place: u64, written_at: i64, previous: Option<Shared<Self>>) -> Shared<Self> {
        Shared::new(Self {
            value,
            written_at: AtomicI64::new(written_at),
            sequence: AtomicU64::new(place),
            previous: previous.map_or_else(AtomicShared::null, AtomicShared::from),
        })
    }

    /// A version that was written in another map. `cut` is whether it is the oldest one that
    /// is restored, and others came before it.
    #[cfg(any(all(test, not(attuned_loom)), feature = "checkpoint"))]
    pub(super) fn restored(
        value: V,
        sequence: u64,
        cut: bool,
        written_at: i64,
        previous: Option<Shared<Self>>,
    ) -> Shared<Self> {
        let marks = RESTORED | if cut { CUT } else { 0 };
        Self::new(value, sequence | marks, written_at, previous)
    }
}

impl<V: fmt::Debug> fmt::Debug for Version<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version")
            .field("sequence", &self.sequence())
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

/// Lets go of a version and of all behind it, one after the other, and returns how many
/// those were. Others may still own some of them, and let go of those later.
pub(super) fn let_go<V>(newest: Option<Shared<Version<V>>>) -> usize {
    let mut versions = 0;
    let mut next = newest;
    while let Some(version) = next {
        next = version.cut();
        versions += 1;
    }
    versions
}

/// A value that is to be published.
///
/// It is allocated at the first attempt to publish it, and stays allocated if that
/// fails. While it is not published it links to nothing.
pub(super) enum Unpublished<V> {
    Value(V),
    Allocated(Shared<Version<V>>),
}

impl<V: 'static> Unpublished<V> {
    /// A version that was to be published, and whose place another one has taken.
    #[cold]
    pub(super) fn again(version: Shared<Version<V>>) -> Self {
        // The chain owns what it links to, or did so until a thread cut that out. Such a
        // thread cuts its link, too, before it lets go of it. So the last to let go of it,
        // be it this thread, lets go of what owns nothing any more.
        drop(version.cut());
        Self::Allocated(version)
    }

    /// The version with this place in a timeline.
    #[inline]
    pub(super) fn placed(
        self,
        sequence: u64,
        written_at: i64,
        previous: Option<Shared<Version<V>>>,
    ) -> Shared<Version<V>> {
        match self {
            Self::Value(value) => Version::new(value, sequence, written_at, previous),
            Self::Allocated(version) => {
                version.written_at.store(written_at, Ordering::Relaxed);
                version.sequence.store(sequence, Ordering::Relaxed);
                // In its place there is nothing.
                version
                    .previous
                    .swap((previous, Tag::None), Ordering::Relaxed);
                version
            }
        }
    }
}
