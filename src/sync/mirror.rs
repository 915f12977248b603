//! A copy of a few words for quick reading, which is either known to be of the
//! newest version or not given at all.
//!
//! Reading it takes loads alone: no store, no locked instruction, nothing that a
//! reader would have to undo. So readers do not disturb each other, and the
//! processor can begin the next read while it waits for the memory of this one.
//!
//! It is a seqlock in which nobody waits. A reader who comes while the words are
//! being changed gets nothing; a writer who comes then leaves things as they are.
//! So it suits what can also be had elsewhere, at a price.

#[cfg(attuned_loom)]
use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(attuned_loom))]
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// A copy of `N` words, stamped with the sequence of the version that they are of.
#[derive(Debug)]
pub struct Mirror<const N: usize> {
    /// Twice a sequence than which no version has a greater one. It only rises.
    announced: AtomicU64,
    /// Twice the stamp of the words, and one more while they are being changed.
    /// No stamp comes back.
    state: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> Mirror<N> {
    /// A mirror of the version with the sequence 1, if it has such words.
    pub fn of_first(words: Option<[u64; N]>) -> Self {
        Self {
            announced: AtomicU64::new(2),
            state: AtomicU64::new(words.map_or(0, |_| 2)),
            words: words.unwrap_or([0; N]).map(AtomicU64::new),
        }
    }

    /// To be called before a version can become the newest: from now on, nobody
    /// gets the words of an older one.
    pub fn announce(&self, sequence: u64) {
        self.announced.fetch_max(2 * sequence, Ordering::AcqRel);
    }

    /// To be called after a version has become the newest, with its words.
    ///
    /// They take effect at the last store, which releases all of them. They are
    /// ignored if there are newer ones, or if another writer is just changing
    /// them. The latter's may be older; then nobody gets anything until there is
    /// another version.
    pub fn show(&self, sequence: u64, words: [u64; N]) {
        let state = self.state.load(Ordering::Relaxed);
        let is_being_changed = !state.is_multiple_of(2);
        if is_being_changed || state > 2 * sequence {
            return;
        }
        // Acquire: what the former writer stored comes before what this one stores.
        let claim = self.state.compare_exchange(
            state,
            2 * sequence + 1,
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        if claim.is_err() {
            return;
        }
        // Whoever sees one of the words then sees the claim, too.
        fence(Ordering::Release);
        for (place, word) in self.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        self.state.store(2 * sequence, Ordering::Release);
    }

    /// To be called when something greater than all versions was announced, so that
    /// nothing is ever shown again: overwrites the words, unless another writer is
    /// changing them at this moment.
    pub fn wipe(&self) {
        let state = self.state.load(Ordering::Relaxed);
        let is_being_changed = !state.is_multiple_of(2);
        // Left claimed, so that no late writer fills in anything.
        let claim =
            self.state
                .compare_exchange(state, state | 1, Ordering::Acquire, Ordering::Relaxed);
        if is_being_changed || claim.is_err() {
            return;
        }
        // As in `show`: a reader who sees one of the zeros finds the claim.
        fence(Ordering::Release);
        for place in &self.words {
            place.store(0, Ordering::Relaxed);
        }
    }

    /// The words of the newest version with its sequence, if they are here.
    ///
    /// *They are of one version.* The state is the same before and after they are
    /// read, and such a state is there only once. If one of them were of a later writer, the
    /// fence here would meet the one behind that writer's claim, and the second
    /// load of the state would find that claim, or what came after it.
    ///
    /// *That version is the newest at some moment of this call.* Nothing greater
    /// was announced when it began, so no later version had become the newest by
    /// then; and it had become so itself before its words were shown here. So it
    /// is the newest either when the call begins or when it becomes so, whichever
    /// is later.
    #[inline]
    pub fn look(&self) -> Option<(u64, [u64; N])> {
        let announced = self.announced.load(Ordering::Acquire);
        let state = self.state.load(Ordering::Acquire);
        if state != announced {
            return None;
        }
        let words = std::array::from_fn(|at| self.words[at].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        (self.state.load(Ordering::Relaxed) == state).then_some((state / 2, words))
    }
}
