//! The bounded queue that decides how long superseded versions are kept.
//!
//! The chain owns every version; the queue owns each [`stride`](Retention::is_anchor)-th
//! of the superseded ones, the *anchors*, a second time. It is never read. When it is
//! full, the writer that wants to add an anchor takes the oldest out, cuts its link, and
//! lets go of all behind it.

use std::{iter, mem};

use smallvec::SmallVec;

use super::retention::Retention;
use super::version::{Version, let_go};
use crate::sync::{ArrayQueue, Guard, OnceBox, Ordering, Shared, epochs, fence};

/// A timeline's queue of anchors. It is made when the first one is superseded, because
/// most keys of most maps have one version, and a queue is large.
pub(super) struct Anchors<V>(OnceBox<ArrayQueue<Shared<Version<V>>>>);

impl<V> Anchors<V> {
    pub(super) fn new() -> Self {
        Self(OnceBox::new())
    }

    /// Adds an anchor. If the queue is full, makes room first. `published` is the
    /// sequence of the version that the caller has just put into the place of `anchor`,
    /// and `newest` tells that of the newest one, or `None` if the timeline is closed.
    ///
    /// Writers may come here late and out of order, so what a writer takes out need not
    /// be the oldest. What is not at the end of the window goes back in.
    ///
    /// *It cuts nothing that a history may show.* Behind an anchor at the end of the
    /// window there is only what has left it, and the window never moves back.
    ///
    /// *It ends.* Of the anchors that are not at the end, fewer than the window has
    /// places, the queue has room for all. If it is full and a writer has one more of
    /// them in hand, one in the queue is at the end, and each turn of the loop brings
    /// it nearer to the front. For the same reason the newest version is asked for again
    /// in a turn that finds none: with an older one, all that other writers have added
    /// meanwhile would seem to be inside the window, and nothing could leave.
    ///
    /// *It may wait* for another writer, in one place: inside a slot of the queue that
    /// the other one has begun to use. crossbeam's `ArrayQueue` spins there.
    pub(super) fn add(
        &self,
        anchor: Shared<Version<V>>,
        published: u64,
        newest: impl Fn() -> Option<u64>,
        retention: &Retention,
        guard: &Guard,
    ) {
        let Self(queue) = self;
        let queue = match queue.get() {
            Some(queue) => queue,
            None => {
                let queue = queue.get_or_init(|| Box::new(ArrayQueue::new(retention.anchors())));
                // So that the caller's second look at the head comes after the making of the
                // queue, for a removal that has not seen it: that one has a fence, too.
                fence(Ordering::SeqCst);
                queue
            }
        };
        if let Err(anchor) = queue.push(anchor) {
            make_room(queue, anchor, published, newest, retention, guard);
        }
    }

    /// Adds an anchor, in a timeline that no other thread has seen. All those before it have been
    /// added, and none of them is at the end of the window, so there is room for it.
    #[cfg(any(all(test, not(attuned_loom)), feature = "checkpoint"))]
    pub(super) fn add_restored(&self, anchor: Shared<Version<V>>, retention: &Retention) {
        let Self(queue) = self;
        let queue = queue.get_or_init(|| Box::new(ArrayQueue::new(retention.anchors())));
        let added = queue.push(anchor);
        debug_assert!(
            added.is_ok(),
            "the queue has room for the anchors of a window"
        );
    }

    /// Leaves what is in the queue in memory for good.
    #[cold]
    pub(super) fn leak(&self) {
        let Self(queue) = self;
        if let Some(queue) = queue.get() {
            iter::from_fn(|| queue.pop()).for_each(mem::forget);
        }
    }

    /// Lets go of all that is in the queue, and returns how many versions those were.
    pub(super) fn clear(&self) -> usize {
        let Self(queue) = self;
        let anchors = queue.get().into_iter();
        anchors
            .flat_map(|queue| iter::from_fn(|| queue.pop()))
            .map(|anchor| let_go(Some(anchor)))
            .sum()
    }
}

#[cfg(all(test, not(attuned_loom)))]
impl<V> Anchors<V> {
    /// The sequences of what is in the queue, the next to be taken out first; `None` if
    /// there is no queue yet.
    pub(super) fn sequences(&self) -> Option<Vec<u64>> {
        let Self(queue) = self;
        let queue = queue.get()?;
        let anchors: Vec<_> = iter::from_fn(|| queue.pop()).collect();
        let sequence = |anchor: Shared<Version<V>>| {
            let sequence = anchor.sequence();
            assert!(queue.push(anchor).is_ok(), "there was room for it");
            sequence
        };
        Some(anchors.into_iter().map(sequence).collect())
    }
}

/// The second half of [`Anchors::add`], for a full queue.
#[inline(never)]
fn make_room<V>(
    queue: &ArrayQueue<Shared<Version<V>>>,
    anchor: Shared<Version<V>>,
    published: u64,
    newest: impl Fn() -> Option<u64>,
    retention: &Retention,
    guard: &Guard,
) {
    let mut in_hand = SmallVec::<[_; 8]>::new();
    in_hand.push(anchor);
    while let Some(anchor) = in_hand.pop() {
        let Err(anchor) = queue.push(anchor) else {
            continue;
        };
        in_hand.push(anchor);
        in_hand.extend(iter::from_fn(|| queue.pop()).take(retention.together()));
        let mut window_end = Some(published);
        let is_at_the_end = |anchor: &Shared<Version<V>>, newest: Option<u64>| {
            newest.is_none_or(|newest| retention.is_at_the_end(anchor.sequence(), newest))
        };
        if !in_hand
            .iter()
            .any(|anchor| is_at_the_end(anchor, window_end))
        {
            window_end = newest();
        }
        let mut versions = 0;
        in_hand.retain(|anchor| {
            let ends = is_at_the_end(anchor, window_end);
            if ends {
                versions += let_go(anchor.cut());
            }
            !ends
        });
        epochs::retired(versions, guard);
    }
}
