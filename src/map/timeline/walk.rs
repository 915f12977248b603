//! How a history is read.

use std::iter;

use smallvec::SmallVec;

use super::Timeline;
use crate::map::expiry::Expiry;
use crate::map::retention::Retention;
use crate::map::version::Version;
use crate::sync::Guard;

/// How far a walk over versions goes.
#[derive(Clone, Copy)]
pub(in crate::map) struct Extent {
    /// At most over so many.
    pub(in crate::map) limit: usize,
    /// For how many of them there is to be room at once.
    pub(in crate::map) room: usize,
}

impl Extent {
    /// For a walk that nothing else is to end.
    fn exactly(limit: usize) -> Self {
        let room = limit;
        Self { limit, room }
    }
}

/// What a walk has taken. Short ones need no allocation.
pub(in crate::map) type Walked<T> = SmallVec<[T; 16]>;

fn as_length(versions: u64) -> usize {
    usize::try_from(versions).unwrap_or(usize::MAX)
}

impl<V: 'static> Timeline<V> {
    /// The newest versions, newest first, as `take` makes them: as many as there are, at
    /// most `limit` and at most as many as are kept. Empty if the timeline is closed or the
    /// key has expired.
    ///
    /// A [walk](Self::walk) without an end of its own.
    #[inline]
    pub(in crate::map) fn history<'g, T>(
        &self,
        limit: usize,
        retention: &Retention,
        expiry: Option<&Expiry>,
        guard: &'g Guard,
        take: impl FnMut(&'g Version<V>) -> T,
    ) -> Walked<T> {
        let extent = Extent::exactly(limit);
        self.walk(extent, retention, expiry, guard, |_| false, take)
    }

    /// The newest versions like [`history`](Self::history), down to the first one of which
    /// `ends` is true, that one included.
    ///
    /// `ends` must be true of every version that is older than one of which it is true.
    ///
    /// Takes effect like [`present`](Self::present), at the last load of the head: a link
    /// leads to the same version until it is cut, so what the walk meets is the history
    /// that ends with the version found there, or its newer part.
    ///
    /// The one thing that can go wrong is that writers cut off the tail that the
    /// walk is heading for. A history shorter than its head's sequence implies
    /// was never true at any moment, so it is not returned: the walk starts
    /// again at the present head. It goes only as far as the version that the
    /// earlier walk began with, and continues with what that one took. If the earlier
    /// walk failed at sequence `n`, then `n` had left the window, so a head loaded
    /// after that needs nothing as old as `n`, and what was taken suffices.
    /// A repeated walk is thus as long as the number of writes that came in
    /// between, and a reader that takes a step faster than a writer a write
    /// catches up.
    ///
    /// A walk that comes to its end needs nothing beyond, cut off or not: it is complete
    /// whatever its length. One that failed has met no version of which `ends` is true, so
    /// none is true of the versions that are newer, either. The repeated walk therefore
    /// comes to no end of its own, and is complete with its whole window.
    #[inline]
    pub(in crate::map) fn walk<'g, T>(
        &self,
        extent: Extent,
        retention: &Retention,
        expiry: Option<&Expiry>,
        guard: &'g Guard,
        ends: impl Fn(&Version<V>) -> bool,
        mut take: impl FnMut(&'g Version<V>) -> T,
    ) -> Walked<T> {
        let mut taken = Walked::new();
        let mut newest_taken = 0;
        loop {
            let head = self.present(expiry, guard);
            let Some(newest) = head.as_ref() else {
                return Walked::new();
            };
            let shown = newest.sequence().min(retention.versions());
            let complete = extent.limit.min(as_length(shown));
            // Sequences have no gaps: so many come before the first that was taken.
            let steps = complete.min(as_length(newest.sequence() - newest_taken));

            let mut walk = Walked::with_capacity(steps.min(extent.room));
            let mut has_ended = false;
            let mut next = Some(newest);
            let step = || {
                let version = next?;
                let taken = take(version);
                has_ended = ends(version);
                next = if has_ended {
                    None
                } else {
                    version.previous(guard)
                };
                Some(taken)
            };
            walk.extend(iter::from_fn(step).take(steps));
            if has_ended {
                return walk;
            }
            if walk.len() == steps {
                walk.extend(taken.drain(..).take(complete - steps));
            }
            if walk.len() == complete {
                return walk;
            }
            taken = walk;
            newest_taken = newest.sequence();
        }
    }
}
