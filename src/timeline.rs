//! The concurrency kernel: one user's latest version and bounded history.
//!
//! **The chain orders, the queue owns.** Every [`Version`] points weakly at the
//! one it superseded, so the newest version leads to the whole history, in the
//! order in which the versions took effect. What keeps superseded versions
//! alive is a bounded queue, from which the oldest are evicted when it is full.
//! The queue is never read: its order does not matter to a reader, only what it
//! owns. And a [`Mirror`] says which version is the newest, and has a copy of its
//! value, if that is small, for quick reading.
//!
//! Terms of the arguments below:
//! - The *head* is the newest version, or the end of the timeline. It is swapped
//!   atomically, and that decides which write or removal comes next.
//! - What is at the head *takes effect* when it is *announced*: when the number in the
//!   mirror reaches its sequence. Writers announce what they have put there, and so
//!   does whoever meets something there, before acting on it; but for a writer who
//!   puts the next version on top whatever it met, and announces that.
//! - A version's *sequence* is its position in the timeline, counted from 1
//!   without gaps, because each is placed after the very version it replaced.
//! - The *window* is the newest `retention` sequences, judged from the head: what
//!   a history may show. The queue has room for a few more ([`slack`]).
//!
//! **Ownership.** A superseded version inside the window is owned, at each
//! moment, by the queue or by a writer that has it in hand: on its way into the
//! queue, or out of it and back. It follows that a weak link inside the window
//! can fail to upgrade only when the head has moved on so far that the link has
//! left the window, or the timeline is closed.
//!
//! **The order in which things take effect** is the order of the head. The number in the
//! mirror only rises, and nothing is announced that is not, or was not, at the head.
//! If it goes up by more than one, what it passes takes effect at that step, too, one
//! after the other.
//!
//! *A reader of the mirror* gets the version whose sequence is that number, at the
//! step at which it reads it ([`Mirror::look`] has the argument). Between the swap
//! of a head and its announcement it gets the version before, and that is right: the
//! write has not returned, and whoever has met it has neither returned nor decided
//! anything.
//!
//! *Who loads the head* and finds the version `n` announces it before going on. While
//! `n` was the head, nothing greater can have been announced. So the number reaches
//! `n`, or passes it, at the load or between the load and the end of the announcement;
//! and there `n` is the newest. The end of a timeline is announced in the same way, as
//! greater than any version.
//!
//! *Who finds that something else was announced already* has come later: the swap of
//! a head precedes its announcement, so a head loaded then is no older.
//!
//! Nothing here blocks or waits for another thread, with one exception:
//! `ArrayQueue` spins while another writer is inside the slot that it needs.

use std::iter;

use smallvec::SmallVec;

use crate::sync::{
    Arc, ArcSwapOption, ArrayQueue, AtomicU64, Guard, Mirror, OnceBox, Ordering, Weak, slack, touch,
};

/// What a mirror can hold. With its state these make 64 bytes, and with the key and
/// the rest of a timeline 112, which is an entry of the map.
pub(crate) const MIRRORED_WORDS: usize = 7;

/// A value that a timeline can keep.
pub(crate) trait Mirrored: Clone {
    /// The value as words from which it can be told, if so few are enough.
    fn to_words(&self) -> Option<[u64; MIRRORED_WORDS]>;
}

/// A value, its place in a timeline, and the way to the one it superseded.
// In this order, what the kernel needs of a version is in the cache line of its
// reference counts, wherever the value ends.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Version<V> {
    sequence: u64,
    previous: Weak<Version<V>>,
    value: V,
}

impl<V: Mirrored> Version<V> {
    /// A version that is in no timeline yet.
    pub(crate) fn unpublished(value: V) -> Self {
        Self {
            value,
            sequence: 0,
            previous: Weak::new(),
        }
    }

    pub(crate) fn value(&self) -> &V {
        &self.value
    }

    /// Its place in its timeline, from 1; 0 before it is in one.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Puts the version behind `previous`, in place if nobody else holds it:
    /// that is what makes publishing a fresh value free of allocation. A shared
    /// one may be part of a timeline already and is copied.
    fn place(version: &mut Arc<Self>, sequence: u64, previous: Weak<Self>) {
        let version = Arc::make_mut(version);
        version.sequence = sequence;
        version.previous = previous;
    }
}

/// The newest version as it was found at the head, `None` if the timeline was closed.
/// What leaves this module has taken effect.
pub(crate) type Head<V> = Guard<Option<Arc<Version<V>>>>;

/// A version that was not published, because something else than expected was
/// found in the place of the newest one.
pub(crate) struct Unpublished<V> {
    pub(crate) version: Arc<Version<V>>,
    pub(crate) found: Head<V>,
}

/// One user's versions, from the first until the timeline is closed.
///
/// Every method takes effect at one step, named in its comment.
#[derive(Debug)]
pub(crate) struct Timeline<V> {
    /// What has taken effect, and a copy of its value for quick reading.
    mirror: Mirror<MIRRORED_WORDS>,
    /// The newest version; `None` once the timeline is closed, which is final.
    head: ArcSwapOption<Version<V>>,
    /// What a sequence needs to be a revision; 0 until somebody asks for one.
    revision_base: AtomicU64,
    /// Owns superseded versions; made when the first one is superseded, since
    /// most users of most services have one snapshot and a queue is large.
    superseded: OnceBox<ArrayQueue<Arc<Version<V>>>>,
}

impl<V: Mirrored> Timeline<V> {
    pub(crate) fn starting_with(version: &mut Arc<Version<V>>) -> Self {
        Version::place(version, 1, Weak::new());
        Self {
            mirror: Mirror::of_first(version.value.to_words()),
            head: ArcSwapOption::new(Some(Arc::clone(version))),
            revision_base: AtomicU64::new(0),
            superseded: OnceBox::new(),
        }
    }

    /// The newest version, or `None` if the timeline is closed. Takes effect at
    /// the load of the head or, if what it finds has yet to be announced, at that.
    pub(crate) fn latest(&self) -> Head<V> {
        self.settled(self.head.load())
    }

    /// What was found at the head, once it has taken effect.
    fn settled(&self, head: Head<V>) -> Head<V> {
        match &*head {
            Some(version) => self.mirror.announce(version.sequence),
            None => self.mirror.announce_closed(),
        }
        head
    }

    /// The newest version, held; `None` if the timeline is closed.
    // Apart, so that it is not in the way of what is read from the mirror.
    #[inline(never)]
    pub(crate) fn head_version(&self) -> Option<Arc<Version<V>>> {
        Guard::into_inner(self.latest())
    }

    /// The newest version's sequence and the words of its value, if the mirror has
    /// them. Takes effect where the mirror is asked for the sequence.
    #[inline]
    pub(crate) fn mirrored(&self) -> Option<(u64, [u64; MIRRORED_WORDS])> {
        self.mirror.look()
    }

    /// The same for one who was given nothing: if the words are just being changed,
    /// they will be there in a moment, and that is sooner than the version is.
    pub(crate) fn mirrored_again(&self) -> Option<(u64, [u64; MIRRORED_WORDS])> {
        self.mirror.look_again()
    }

    /// Whether the closing of the timeline has taken effect.
    pub(crate) fn is_closed(&self) -> bool {
        self.mirror.is_closed()
    }

    /// Makes `version` the newest one, or gives it back if the timeline is closed.
    ///
    /// Takes effect like [`replace`](Self::replace). A version replaced by another
    /// writer in between is no failure: the loop goes on with what that writer
    /// left. Some writer made progress.
    pub(crate) fn publish(
        &self,
        mut version: Arc<Version<V>>,
        retention: usize,
    ) -> Result<Arc<Version<V>>, Arc<Version<V>>> {
        // Nothing depends on what it is, so it need not have taken effect.
        let mut head = self.head.load();
        loop {
            match self.replace(head, version, retention) {
                Ok(published) => return Ok(published),
                Err(Unpublished {
                    version: unpublished,
                    found,
                }) => {
                    if found.is_none() {
                        return Err(unpublished);
                    }
                    version = unpublished;
                    head = found;
                }
            }
        }
    }

    /// Makes `version` the newest one if `head` still is, and returns it as it
    /// was published.
    ///
    /// A success is decided at the compare-and-swap of the head. Whatever else
    /// happened since `head` was loaded, the version replaced is the one that
    /// `version` was placed after, so no sequence repeats or is skipped:
    /// - another writer published first: the swap fails and finds its version.
    /// - the timeline was closed: the swap fails and finds `None`, or is not
    ///   even tried.
    ///
    /// The pointer cannot have changed and changed back: `head` keeps the
    /// version alive, so no other can have its address.
    ///
    /// It takes effect at the announcement of `version`, which follows, or of a
    /// later one by somebody who has met that at the head. In the second case nothing
    /// comes between this version and the next; in the first, what comes between the
    /// one replaced and this one is reads alone, since all else needs the head. So
    /// what a caller decided on the version in `head` is still true.
    pub(crate) fn replace(
        &self,
        head: Head<V>,
        mut version: Arc<Version<V>>,
        retention: usize,
    ) -> Result<Arc<Version<V>>, Unpublished<V>> {
        let Some(current) = &*head else {
            return Err(Unpublished {
                version,
                found: self.settled(head),
            });
        };
        let sequence = current.sequence + 1;
        // On x86 each atomic update waits for all reads before it. So the queue's
        // cache lines, which are needed later, are asked for while the head's
        // arrive.
        touch(&self.superseded);
        // Held from here on, not only protected: the swap would have to pay off
        // the protection, which costs more than a reference count.
        let head = Guard::into_inner(head);
        let previous = match &head {
            Some(current) if retention > 1 => Arc::downgrade(current),
            // A link keeps the allocation of what it leads to, and with a
            // retention of one version nobody ever follows it.
            _ => Weak::new(),
        };
        Version::place(&mut version, sequence, previous);
        let found = self
            .head
            .compare_and_swap(&head, Some(Arc::clone(&version)));
        if !same(&found, &head) {
            return Err(Unpublished {
                version,
                found: self.settled(found),
            });
        }
        match version.value.to_words() {
            Some(words) => self.mirror.show(sequence, words),
            None => self.mirror.announce(sequence),
        }
        // The history is already right for every reader: the version replaced
        // is in the window and owned, by us.
        if let Some(replaced) = head {
            self.retain(replaced, sequence, retention);
        }
        Ok(version)
    }

    /// Hands a superseded version over to the queue. If the queue is full, makes
    /// room first: takes some of the oldest out and lets go of those that have
    /// left the window. `published` is the sequence of the version that the
    /// caller has just put in the place of `replaced`.
    ///
    /// Writers may arrive here late and out of order, so what is taken out need
    /// not be the oldest. What is still in the window goes back in.
    ///
    /// *It loses nothing.* Only a version that has left the window is dropped,
    /// and the window never moves back: what is outside the window that ended
    /// with `published` stays outside. What is taken out and is still inside is
    /// owned by the caller until it is in again.
    ///
    /// *It ends.* Of the window, the newest place is the head's, and the queue
    /// has room for all the others. So when it is full and one more is to go in,
    /// something that is not from the window is in the queue or in hand, and
    /// each turn of the loop brings it nearer to the front. What is inside the
    /// window of `published` is judged again by the head as it is at that turn:
    /// with an older head, all that other writers have put in meanwhile would
    /// seem to be inside, and nothing could leave.
    ///
    /// *It is cheap.* A version that is let go has not been in a cache since it
    /// was superseded, and neither has the one before it, whose allocation goes
    /// with the link to it. Of several that follow each other, the one is the
    /// other's predecessor; and their sequences are read before any of them is
    /// let go, so that all of them are fetched at the same time.
    fn retain(&self, replaced: Arc<Version<V>>, published: u64, retention: usize) {
        let in_window = retention.saturating_sub(1);
        if in_window == 0 {
            return;
        }
        let superseded = self
            .superseded
            .get_or_init(|| Box::new(ArrayQueue::new(in_window + slack(in_window))));
        if let Err(replaced) = superseded.push(replaced) {
            self.evict(superseded, replaced, published, retention);
        }
    }

    /// The second half of [`retain`](Self::retain), for a full queue.
    fn evict(
        &self,
        superseded: &ArrayQueue<Arc<Version<V>>>,
        replaced: Arc<Version<V>>,
        published: u64,
        retention: usize,
    ) {
        let has_left = |version: &Arc<Version<V>>| {
            published.saturating_sub(version.sequence) >= retention as u64
        };
        let together = slack(retention - 1).div_ceil(2).max(1);
        let mut in_hand = SmallVec::<[_; 8]>::new();
        in_hand.push(replaced);
        while let Some(handed_over) = in_hand.pop() {
            if let Err(handed_over) = superseded.push(handed_over) {
                let taken_out = in_hand.len();
                in_hand.extend(iter::from_fn(|| superseded.pop()).take(together));
                // Nearly always all of them: then the head is not needed again.
                if in_hand[taken_out..].iter().all(has_left) {
                    in_hand.truncate(taken_out);
                } else {
                    in_hand.retain(|version| self.in_window(version, retention));
                }
                in_hand.push(handed_over);
            }
        }
    }

    /// Whether a version is among the newest `retention` ones at this moment.
    fn in_window(&self, version: &Version<V>, retention: usize) -> bool {
        self.head
            .load()
            .as_ref()
            .is_some_and(|head| head.sequence - version.sequence < retention as u64)
    }

    /// The newest versions, newest first: as many as there are, at most `limit`
    /// and at most `retention`. Empty if the timeline is closed.
    ///
    /// Takes effect like [`latest`](Self::latest), at the last load of the head: the
    /// links are immutable, so what the walk meets is the history that ends with
    /// the version found there.
    ///
    /// The one thing that can go wrong is that writers evict the tail that the
    /// walk is heading for. A history shorter than its head's sequence implies
    /// was never true at any moment, so it is not returned: the walk starts
    /// again at the present head. It goes only as far as the versions that the
    /// earlier walk still holds and continues with those. If the earlier walk
    /// failed at sequence `n`, then `n` had left the window, so a head loaded
    /// after that needs nothing as old as `n`, and the versions held suffice.
    /// A repeated walk is thus as long as the number of writes that came in
    /// between, and a reader that takes a step faster than a writer a write
    /// catches up.
    pub(crate) fn history<T>(
        &self,
        limit: usize,
        retention: usize,
        hold: impl Fn(Arc<Version<V>>) -> T,
    ) -> Vec<T> {
        let mut held = Vec::new();
        let mut newest_held = 0;
        loop {
            let head = self.head_version();
            let Some(newest) = &head else {
                return Vec::new();
            };
            let complete = limit
                .min(retention)
                .min(usize::try_from(newest.sequence).unwrap_or(usize::MAX));

            let sequence = newest.sequence;
            let mut walk = Vec::with_capacity(complete);
            let mut next = head;
            while walk.len() < complete
                && let Some(version) = next
            {
                if version.sequence == newest_held {
                    walk.append(&mut held);
                    walk.truncate(complete);
                    break;
                }
                next = version.previous.upgrade();
                walk.push(hold(version));
            }
            if walk.len() == complete {
                return walk;
            }
            held = walk;
            newest_held = sequence;
        }
    }

    /// The revision of this timeline's version with that sequence: the same to
    /// everyone who asks, greater for a later version, and greater than every
    /// revision of a timeline that this user had before.
    ///
    /// A revision is the version's sequence on top of the timeline's base. The
    /// base is not known when a timeline is made, since a former one of the
    /// same user may still come and go before this one gets into the map. So it
    /// is fixed by the first who asks, and that is late enough: to have found
    /// this timeline, they came after it was put into the map, hence after the
    /// former one was taken out, hence after it was closed, hence after `floor`
    /// was raised to the last revision that it ever had.
    pub(crate) fn revision(&self, sequence: u64, floor: &RevisionFloor) -> u64 {
        self.revision_base(floor) + sequence
    }

    fn revision_base(&self, floor: &RevisionFloor) -> u64 {
        match self.revision_base.load(Ordering::Acquire) {
            0 => {
                let base = floor.0.load(Ordering::Acquire) + 1;
                self.revision_base
                    .compare_exchange(0, base, Ordering::AcqRel, Ordering::Acquire)
                    .map_or_else(|fixed_by_another| fixed_by_another, |_| base)
            }
            base => base,
        }
    }

    /// Closes the timeline for good and returns its last sequence; `None` if it
    /// was closed already.
    ///
    /// If a writer publishes first, it is tried again on what that writer left:
    /// the removal comes after the write.
    pub(crate) fn close(&self, floor: &RevisionFloor) -> Option<u64> {
        let mut head = self.latest();
        while head.is_some() {
            match self.close_at(head, floor) {
                Ok(last) => return Some(last),
                Err(found) => head = found,
            }
        }
        None
    }

    /// Closes the timeline for good if `head` is still its newest version, and
    /// returns its last sequence; otherwise what is there instead.
    ///
    /// A success is decided at the compare-and-swap of the head, and takes effect at
    /// the announcement of the end, which follows, by this removal or by whoever meets
    /// the end at the head: latest and history end together. What a caller decided on
    /// the version in `head` is still true then, as nothing was written since. A
    /// writer that comes later finds `None` and starts a new timeline, not before it has
    /// announced the end of this one: the map lets go only of what
    /// [is closed](Self::is_closed).
    ///
    /// The floor is raised before: whoever sees the timeline closed must find
    /// no revision of it above the floor. Raising it in vain does no harm.
    ///
    /// A writer that published before the swap and has not handed over yet may
    /// put its version into the queue after that was emptied here. No reader
    /// can get to it, and it goes with the timeline.
    pub(crate) fn close_at(&self, head: Head<V>, floor: &RevisionFloor) -> Result<u64, Head<V>> {
        let Some(last) = head.as_ref().map(|last| last.sequence) else {
            return Err(self.settled(head));
        };
        floor
            .0
            .fetch_max(self.revision(last, floor), Ordering::AcqRel);
        let found = self.head.compare_and_swap(&*head, None);
        if !same(&found, &head) {
            return Err(self.settled(found));
        }
        self.mirror.close();
        // Not left to the timeline's own end, which pinned readers delay.
        if let Some(superseded) = self.superseded.get() {
            while superseded.pop().is_some() {}
        }
        Ok(last)
    }
}

/// At least the greatest revision of any timeline that has been closed: what
/// the timelines of a store have in common, so that revisions do not repeat
/// when a user comes back. Only removals write to it.
#[derive(Debug, Default)]
pub(crate) struct RevisionFloor(AtomicU64);

/// Whether both are the same version, and there is one.
fn same<V>(a: &Option<Arc<Version<V>>>, b: &Option<Arc<Version<V>>>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if Arc::ptr_eq(a, b))
}

#[cfg(all(test, not(attuned_loom)))]
mod tests;
