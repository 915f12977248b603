//! The concurrency kernel: one key's latest version and bounded history.
//!
//! **The chain orders and owns, the queue bounds, epochs reclaim.** Every [`Version`]
//! owns the one it superseded, so the newest version leads to the whole history, in
//! the order in which the versions took effect. A bounded queue ([`Anchors`]) decides
//! how far back: when it is full, the writer that needs room cuts the chain behind the
//! window and lets go of what it has cut off. What nobody owns any more stays in memory
//! until every reader that may have met it has left its guard. And a [`Mirror`] says which
//! version is the newest, and has a copy of its value, if that is small, for quick reading.
//!
//! Terms of the arguments below:
//! - The *head* is the newest version, or the end of the timeline. It is swapped
//!   atomically, and that decides which write or removal comes next.
//! - What is at the head *takes effect* when it is *announced*: when the number in the
//!   mirror reaches its sequence. Writers announce what they have put there, and so
//!   does every thread that meets something there, before it acts on it. One exception: a
//!   writer that puts the next version on top of what it met announces that one.
//! - A version's *sequence* is its position in the timeline, counted from 1
//!   without gaps, because each is placed after the very version it replaced.
//! - The *window* is the newest `retention` sequences, judged from the head: what
//!   a history may show.
//!
//! **The order in which things take effect** is the order of the head. The number in the
//! mirror only rises, and a thread announces only what is, or was, at the head.
//! If the number goes up by more than one, what it passes takes effect at that step, too,
//! one after the other.
//!
//! *A reader of the mirror* gets the version whose sequence is that number, at the
//! step at which it reads it ([`Mirror::look`] has the argument). Between the swap
//! of a head and its announcement the reader gets the version before, and that is right:
//! the write has not returned, and no thread that has met it has returned or decided
//! anything.
//!
//! *A thread that loads the head* and finds the version `n` announces it before it goes
//! on. While `n` was the head, nothing greater can have been announced. So the number
//! reaches `n`, or passes it, at the load or between the load and the end of the
//! announcement; and there `n` is the newest. The end of a timeline is announced in the
//! same way, as greater than any version.
//!
//! *A thread that finds that something else was announced already* has come later: the
//! swap of a head precedes its announcement, so a head loaded then is no older.
//!
//! **What a thread may touch.** A thread reaches versions under a guard only, from the
//! head along the links. A link owns what it leads to until it is cut, so a version that
//! is reached was owned at that moment, and the guard keeps it in memory from then on.
//! No address can come to be that of another version meanwhile: a compare-and-swap of the
//! head that succeeds replaces the very version that was loaded.
//!
//! **Expiry** has an argument of its own, in [`expiry`].
//!
//! Nothing here blocks or waits for another thread, with the exception that
//! [`Anchors::add`] names.

mod expiry;
#[cfg(any(all(test, not(attuned_loom)), feature = "checkpoint"))]
mod restored;
mod revision;
mod walk;

use std::mem;

use super::eviction::Anchors;
use super::retention::Retention;
use super::revisions::RevisionFloor;
use super::small_value::{WORDS, Words};
use super::version::{Unpublished, Version, let_go};
use crate::sync::{
    AtomicShared, AtomicU64, Guard, Mirror, Ordering, Ptr, Shared, Tag, epochs, fence,
};

pub(super) use self::expiry::is_sealed;
#[cfg(any(all(test, not(attuned_loom)), feature = "checkpoint"))]
pub(super) use self::restored::FormerVersions;
pub(super) use self::walk::Extent;

/// The newest version as it was found at the head; null if the timeline was closed. What
/// leaves this module has taken effect.
pub(super) type Head<'g, V> = Ptr<'g, Version<V>>;

/// What a write knows beside its value.
#[derive(Clone, Copy)]
pub(super) struct Facts<'w> {
    /// Those from which the value can be told.
    pub(super) words: &'w Option<Words>,
    /// The time by the map's clock, in milliseconds since the Unix epoch.
    pub(super) now: i64,
}

/// A write that has taken effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    pub(super) sequence: u64,
    pub(super) written_at: i64,
    /// Whether somebody watches, whom the writer is to tell.
    pub(super) watched: bool,
}

/// A write that was not made, because something else than expected was found in the place
/// of the newest version.
pub(super) struct Refused<'g, V> {
    pub(super) unpublished: Unpublished<V>,
    pub(super) found: Head<'g, V>,
}

/// What a closed timeline had. [`Timeline::release`] takes it.
#[must_use]
pub(super) struct Closed<V> {
    /// From this one on.
    last: Option<Shared<Version<V>>>,
    /// Whether somebody watches, whom the thread that closed it is to tell.
    pub(super) watched: bool,
}

impl<V> Closed<V> {
    /// How many versions the timeline has had.
    pub(super) fn sequence(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.sequence())
    }
}

/// One key's versions, from the first until the timeline is closed.
///
/// Every method takes effect at one step, named in its comment.
pub(super) struct Timeline<V> {
    /// What has taken effect, and a copy of its value for quick reading.
    mirror: Mirror<WORDS>,
    /// The newest version, [tagged](expiry) if somebody found it expired; null once the
    /// timeline is closed, which is final.
    head: AtomicShared<Version<V>>,
    /// What a sequence needs to be a revision; 0 until somebody asks for one.
    revision_base: AtomicU64,
    superseded: Anchors<V>,
}

impl<V: 'static> Timeline<V> {
    /// `words` are those from which the value can be told.
    pub(super) fn starting_with(
        first: Unpublished<V>,
        words: Option<Words>,
        written_at: i64,
    ) -> Self {
        Self {
            mirror: Mirror::of_first(words),
            head: AtomicShared::from(first.placed(1, written_at, None)),
            revision_base: AtomicU64::new(0),
            superseded: Anchors::new(),
        }
    }

    /// The first version of a timeline that no other thread has seen, to be published
    /// elsewhere.
    pub(super) fn into_unpublished(self) -> Unpublished<V> {
        match self.head.swap((None, Tag::None), Ordering::Relaxed) {
            (Some(first), _) => Unpublished::again(first),
            (None, _) => unreachable!("nobody can have closed it"),
        }
    }

    /// The newest version, or null if the timeline is closed. Takes effect at the load of
    /// the head or, if what it finds has yet to be announced, at that.
    pub(super) fn latest<'g>(&self, guard: &'g Guard) -> Head<'g, V> {
        self.settled(self.head.load(Ordering::Acquire, guard))
    }

    /// What was found at the head, once it has taken effect.
    fn settled<'g>(&self, head: Head<'g, V>) -> Head<'g, V> {
        match head.as_ref() {
            // The thread that has put it there tells those who watch.
            Some(version) => {
                self.mirror.announce(version.sequence());
            }
            None => self.mirror.announce_closed(),
        }
        head
    }

    /// Asks each thread that changes the timeline from now on to tell those who watch. What is
    /// at the head afterwards includes all that nobody tells of: [`Mirror::watch`] has the
    /// argument.
    pub(super) fn watch(&self) {
        self.mirror.watch();
    }

    #[cfg(all(test, not(attuned_loom)))]
    pub(super) fn is_watched(&self) -> bool {
        self.mirror.is_watched()
    }

    /// Takes that back, under the conditions of [`Mirror::unwatch`].
    pub(super) fn unwatch(&self) {
        self.mirror.unwatch();
    }

    /// The newest version's sequence and the words of its value, if the mirror has
    /// them. Takes effect where the mirror is asked for the sequence.
    #[inline]
    pub(super) fn mirrored(&self) -> Option<(u64, Words)> {
        self.mirror.look()
    }

    /// The same for a reader that was given nothing: if a writer is just changing the
    /// words, they will be there in a moment, and that is sooner than the version is.
    pub(super) fn mirrored_again(&self) -> Option<(u64, Words)> {
        self.mirror.look_again()
    }

    /// Whether the closing of the timeline has taken effect.
    pub(super) fn is_closed(&self) -> bool {
        self.mirror.is_closed()
    }

    /// Makes the value the newest version, or gives it back if the timeline is closed.
    ///
    /// Takes effect like [`replace`](Self::replace). That another writer replaces the
    /// version in between is no failure: the loop goes on with what that writer
    /// left. Some writer made progress.
    #[inline]
    pub(super) fn publish(
        &self,
        mut unpublished: Unpublished<V>,
        facts: Facts<'_>,
        retention: &Retention,
        guard: &Guard,
    ) -> Result<Published, Unpublished<V>> {
        // Nothing depends on what it is, so it need not have taken effect.
        let mut head = self.head.load(Ordering::Acquire, guard);
        loop {
            match self.replace(head, unpublished, facts, retention, guard) {
                Ok(published) => return Ok(published),
                Err(refused) if refused.found.is_null() => return Err(refused.unpublished),
                Err(refused) => {
                    unpublished = refused.unpublished;
                    head = refused.found;
                }
            }
        }
    }

    /// Makes the value the newest version if `head` still is.
    ///
    /// A success is decided at the compare-and-swap of the head. Whatever else
    /// happened since `head` was loaded, the version replaced is the one that
    /// the new one was placed after, so no sequence repeats or is skipped:
    /// - another writer published first: the swap fails and finds its version.
    /// - the timeline was closed: the swap fails and finds null, or is not even tried.
    /// - `head` was superseded, and what superseded it was let go of, so that nobody
    ///   owns it: then the new version cannot own it either, and no swap is tried.
    ///
    /// It takes effect at the announcement of the new version, which follows, or of a
    /// later one by a thread that has met that at the head. In the second case nothing
    /// comes between this version and the next; in the first, what comes between the
    /// one replaced and this one is reads alone, since all else needs the head. So
    /// what a caller decided on the version in `head` is still true.
    ///
    /// A reader that walks from the new version needs nothing that happens after the swap:
    /// the version replaced is owned by the link from the new one since before it.
    #[inline]
    pub(super) fn replace<'g>(
        &self,
        head: Head<'g, V>,
        unpublished: Unpublished<V>,
        facts: Facts<'_>,
        retention: &Retention,
        guard: &'g Guard,
    ) -> Result<Published, Refused<'g, V>> {
        let Some(current) = head.as_ref() else {
            let found = self.settled(head);
            return Err(Refused { unpublished, found });
        };
        let previous = if retention.keeps_superseded() {
            let Some(current) = head.get_shared() else {
                let found = self.latest(guard);
                return Err(Refused { unpublished, found });
            };
            Some(current)
        } else {
            None
        };
        let sequence = current.sequence() + 1;
        let written_at = facts.now.max(current.written_at());
        let version = unpublished.placed(sequence, written_at, previous);
        // `SeqCst` for the second look at the head in `hand_over`.
        let swapped = self.head.compare_exchange(
            head,
            (Some(version), Tag::None),
            Ordering::SeqCst,
            Ordering::Acquire,
            guard,
        );
        match swapped {
            Ok((replaced, _)) => {
                let watched = match facts.words {
                    Some(words) => self.mirror.show(sequence, *words),
                    None => self.mirror.announce(sequence),
                };
                if let Some(replaced) = replaced {
                    self.hand_over(replaced, sequence, retention, guard);
                }
                Ok(Published {
                    sequence,
                    written_at,
                    watched,
                })
            }
            Err((Some(version), found)) => Err(Refused {
                unpublished: Unpublished::again(version),
                found: self.settled(found),
            }),
            Err((None, _)) => unreachable!("a failed swap hands back what it was given"),
        }
    }

    /// Hands the version that was replaced, which the head owned, over to the queue or,
    /// if it is not to be an anchor, leaves it to the link from its successor.
    ///
    /// A removal may have emptied the queue before an anchor is put into it. Then the
    /// writer empties it once more, so that nothing of a removed key stays in a
    /// timeline that readers still hold. One of the two sees the other: the swap that
    /// closes the timeline and the push into the queue are sequentially consistent, and
    /// so are the look at the head after the push and at the queue after the closing. The
    /// first push may also make the queue; for that there is a fence behind the making of it
    /// and one in [`release`](Self::release).
    #[inline]
    fn hand_over(
        &self,
        replaced: Shared<Version<V>>,
        published: u64,
        retention: &Retention,
        guard: &Guard,
    ) {
        if !retention.keeps_superseded() {
            drop(replaced);
            epochs::retired(1, guard);
        } else if retention.is_anchor(published - 1) {
            let newest = || {
                let head = self.head.load(Ordering::Acquire, guard);
                head.as_ref().map(Version::sequence)
            };
            self.superseded
                .add(replaced, published, newest, retention, guard);
            if self.head.is_null(Ordering::SeqCst) {
                epochs::retired(self.superseded.clear(), guard);
            }
        }
    }

    /// Closes the timeline for good if `head` is still its newest version, and
    /// returns what it had; otherwise what is there instead.
    ///
    /// A success is decided at the compare-and-swap of the head, and takes effect at
    /// the announcement of the end, which follows, by this removal or by a thread that
    /// meets the end at the head: latest and history end together. What a caller decided
    /// on the version in `head` is still true then, as nothing was written since. A
    /// writer that comes later finds null and starts a new timeline, not before it has
    /// announced the end of this one: the map lets go only of what
    /// [is closed](Self::is_closed).
    ///
    /// The floor is raised before: a thread that sees the timeline closed must find
    /// no revision of it above the floor. Raising it in vain, or too high, as for a version
    /// that was restored, does no harm.
    pub(super) fn close_at<'g>(
        &self,
        head: Head<'g, V>,
        floor: &RevisionFloor,
        guard: &'g Guard,
    ) -> Result<Closed<V>, Head<'g, V>> {
        let Some(last) = head.as_ref() else {
            return Err(self.settled(head));
        };
        let revision = self.revision(last.sequence(), floor);
        floor.raise_to(revision);
        let swapped = self.head.compare_exchange(
            head,
            (None, Tag::None),
            Ordering::SeqCst,
            Ordering::Acquire,
            guard,
        );
        match swapped {
            Ok((last, _)) => {
                let watched = self.mirror.close();
                Ok(Closed { last, watched })
            }
            Err((_, found)) => Err(self.settled(found)),
        }
    }

    /// Lets go of all that a closed timeline had.
    ///
    /// Apart from the closing, because a writer that is inside a slot of the queue holds
    /// it up, and a caller of [`close_at`](Self::close_at) may hold a lock. A writer that
    /// published before the closing and hands over after it [empties the queue
    /// itself](Self::hand_over).
    pub(super) fn release(&self, closed: Closed<V>, guard: &Guard) {
        let versions = let_go(closed.last);
        // To look whether there is a queue is a mere load. It must not come before the
        // closing: a writer could just make the queue, push, and find the timeline open.
        fence(Ordering::SeqCst);
        epochs::retired(versions + self.superseded.clear(), guard);
    }
}

impl<V> Drop for Timeline<V> {
    /// A closed timeline has nothing left, so the map can drop it in any thread, at any
    /// time. An open one is dropped with its map, or because another thread was first
    /// to insert its key.
    fn drop(&mut self) {
        let (last, _) = self.head.swap((None, Tag::None), Ordering::Relaxed);
        if last.is_some() && !epochs::is_running() {
            // sdd cannot take anything in a thread that is about to end. The map sees
            // to it that only a thread comes here that could not have another one do it.
            mem::forget(last);
            self.superseded.leak();
            return;
        }
        let_go(last);
        self.superseded.clear();
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests;
