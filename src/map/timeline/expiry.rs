//! How a key expires without anybody doing anything.
//!
//! The *deadline* of a version is the time of its writing and the time to live. When the
//! clock reaches the deadline of the latest version, the key is not there any more. Nobody
//! swaps a head at that moment. What follows shows that all operations agree on it all the
//! same, if the clock never goes back.
//!
//! **The trace.** The danger is a thread that has read the clock, sleeps, and puts a version
//! on top of one that others have found expired meanwhile. So a thread that is about to tell that
//! a key has expired first leaves a trace at the head: it *seals* the head, which is a tag
//! at the pointer, or closes the timeline. Both are compare-and-swaps, and a writer's
//! compare-and-swap fails after them. The one that replaces a sealed head is the closing.
//! Who finds a head sealed needs no clock.
//!
//! Every operation finds the head first and reads the clock then. In a map with a time to
//! live nothing is read from the mirror, so a swap of the head can count as taking effect
//! at once.
//!
//! *A read that gives a version* has found it at the head, not sealed, and then the clock
//! had not reached its deadline. So it had not when the head was found. The read takes
//! effect there.
//!
//! *An answer that the key has expired* takes effect where the head is sealed, or is found
//! sealed. The clock had reached the deadline before, and the version was the latest.
//!
//! *A write on top of a version, or its removal*, has found it at the head, then the clock
//! had not reached the deadline, and then the swap succeeded. If the clock reached the
//! deadline before the swap, the write takes effect at the last moment before the deadline,
//! and not at the swap. That is within its call, since it has read the clock after it
//! began, and after the version it replaces took effect. And it is before nothing that has
//! seen otherwise. From that moment to the swap the head did not change, or the swap would
//! have failed. So nobody has sealed it, which is to say that nobody has told that the key
//! had expired; and all that has given the version, or told of a conflict with it, took
//! effect before the deadline.
//!
//! *A write that finds the key expired* closes the timeline, has it unlinked, and begins
//! a new one, as after a removal. So nothing of the old one shows again, and conditions
//! are judged in a state where nobody is there. The closing changes nothing for anybody:
//! it comes after the deadline, and while nobody is there.
//!
//! *A first version* may come into the map when its deadline is over: its writer has read
//! the clock and then slept for as long as the time to live. It takes effect at the insertion
//! and is expired at once. That a version replaces another one only if its writer has read
//! the clock after it found that one is what keeps such a version from having a successor.
//!
//! *Those who watch* read like all others. The thread that closes the timeline tells them.
//! The one that seals the head does not: it may be a reader, and readers call no wakers.
//!
//! *A clock that is set back* makes keys live longer, by as much as it was set back; one that
//! is set forward makes them go sooner. Operations on a key still have one order, that of
//! the head, and a key that somebody was told has expired does not come back: the seal stays.

use super::{Head, Timeline};
use crate::map::expiry::Expiry;
use crate::sync::{Guard, Ordering, Ptr, Tag};

/// At a head that leads to a version: the key has expired, and somebody was told so.
const SEALED: Tag = Tag::First;

/// Whether a head that leads to a version is sealed.
pub(in crate::map) fn is_sealed<V>(head: Head<'_, V>) -> bool {
    head.tag() == SEALED
}

impl<V: 'static> Timeline<V> {
    /// The newest version, or null if the timeline is closed or the key has expired.
    ///
    /// Takes effect like [`latest`](Self::latest), or where the head is found sealed, or is
    /// sealed.
    #[inline]
    pub(in crate::map) fn present<'g>(
        &self,
        expiry: Option<&Expiry>,
        guard: &'g Guard,
    ) -> Head<'g, V> {
        let head = self.latest(guard);
        match expiry {
            None => head,
            Some(expiry) => self.unless_expired(head, expiry, guard),
        }
    }

    /// The loop goes round only when another thread has, in between, swapped or sealed the
    /// head.
    // Apart, so that it is not in the way of maps without a time to live.
    #[inline(never)]
    fn unless_expired<'g>(
        &self,
        mut head: Head<'g, V>,
        expiry: &Expiry,
        guard: &'g Guard,
    ) -> Head<'g, V> {
        loop {
            if head.is_null() {
                return head;
            }
            if is_sealed(head) {
                return Ptr::null();
            }
            if !expiry.is_over(head, expiry.now()) {
                return head;
            }
            if self.seal(head) {
                return Ptr::null();
            }
            head = self.latest(guard);
        }
    }

    /// Seals the head if it still is this one.
    pub(super) fn seal(&self, head: Head<'_, V>) -> bool {
        let is_still_there = |found: Head<'_, V>| found == head;
        self.head
            .update_tag_if(SEALED, is_still_there, Ordering::AcqRel, Ordering::Acquire)
    }
}
