//! The mirror.

use super::{Step, Unseen, lock};

/// For `mirror::Mirror`, which has models of its own.
#[derive(Debug)]
pub struct Mirror<const N: usize> {
    step: Step,
    /// Whether the first version has words. If it has none, none may have any: see
    /// [`look`](Self::look).
    has_words: bool,
    content: Unseen<Mirrored<N>>,
}

#[derive(Clone, Debug)]
struct Mirrored<const N: usize> {
    newest: u64,
    shown: bool,
    claimed: bool,
    watched: bool,
    words: [u64; N],
}

impl<const N: usize> Mirrored<N> {
    const CLOSED: u64 = u64::MAX;

    /// Whether there was something to raise.
    fn raise(&mut self, sequence: u64) -> bool {
        let raised = sequence > self.newest;
        if raised {
            self.newest = sequence;
            self.shown = false;
        }
        raised
    }
}

impl<const N: usize> Mirror<N> {
    pub fn of_first(words: Option<[u64; N]>) -> Self {
        Self {
            step: Step::new(),
            has_words: words.is_some(),
            content: Unseen::new(Mirrored {
                newest: 1,
                shown: words.is_some(),
                claimed: false,
                watched: false,
                words: words.unwrap_or([0; N]),
            }),
        }
    }

    pub fn announce(&self, sequence: u64) -> bool {
        self.step.take();
        let mut content = lock(&self.content);
        content.raise(sequence);
        content.watched
    }

    pub fn watch(&self) {
        self.step.take();
        lock(&self.content).watched = true;
    }

    pub fn unwatch(&self) {
        self.step.take();
        lock(&self.content).watched = false;
    }

    /// Two steps: the claim and the change, between which readers get nothing
    /// and other writers leave.
    ///
    /// # Panics
    ///
    /// If the first version had no words.
    pub fn show(&self, sequence: u64, words: [u64; N]) -> bool {
        assert!(self.has_words, "only some versions of the model have words");
        self.step.take();
        let mut content = lock(&self.content);
        if content.newest > sequence {
            return content.watched;
        }
        content.raise(sequence);
        if content.claimed {
            return content.watched;
        }
        content.claimed = true;
        drop(content);
        self.step.take();
        let mut content = lock(&self.content);
        content.claimed = false;
        if content.newest == Mirrored::<N>::CLOSED {
            content.words = [0; N];
        } else {
            content.words = words;
            content.shown = content.newest == sequence;
        }
        content.watched
    }

    pub fn close(&self) -> bool {
        self.step.take();
        let mut content = lock(&self.content);
        content.raise(Mirrored::<N>::CLOSED);
        if !content.claimed {
            content.words = [0; N];
        }
        content.watched
    }

    pub fn announce_closed(&self) {
        self.announce(Mirrored::<N>::CLOSED);
    }

    pub fn is_closed(&self) -> bool {
        self.step.take();
        lock(&self.content).newest == Mirrored::<N>::CLOSED
    }

    /// No step if there are never any words: then it is in vain whenever it happens. It
    /// must not depend on what is there at the moment. loom looks for other orders where
    /// two steps met; a step that is left out in one order hides the others.
    pub fn look(&self) -> Option<(u64, [u64; N])> {
        if !self.has_words {
            return None;
        }
        self.step.take();
        let content = lock(&self.content);
        content.shown.then_some((content.newest, content.words))
    }

    /// In vain: who looks again and finds something finds what they would have found by
    /// coming later, and the first look has left no trace.
    pub fn look_again(&self) -> Option<(u64, [u64; N])> {
        None
    }
}
