//! A copy of a few words for quick reading, which is either known to be of the
//! newest version or not given at all.
//!
//! Reading it takes loads alone: no store, no locked instruction, nothing that a
//! reader would have to undo. So readers do not disturb each other, and the
//! processor can begin the next read while it waits for the memory of this one.
//!
//! It is a seqlock in which nobody waits. A reader who comes while the words are
//! being changed looks again a few times and then gets nothing; a writer who comes
//! then leaves the words as they are. So it suits what can also be had elsewhere,
//! at a price.
//!
//! It also says *which* version is the newest: one number, which only rises, and in
//! one place with what tells whether the words can be used. A version takes effect
//! at the step at which the number reaches its sequence.

#[cfg(not(attuned_loom))]
use std::sync::atomic::{AtomicU64, AtomicU64 as Word, Ordering, fence};
use std::{cmp, hint};

#[cfg(attuned_loom)]
use super::stand_in::{AtomicU64, Ordering};
// Nobody loads a word and then stores one, which is what the stand-in is for.
#[cfg(attuned_loom)]
use loom::sync::atomic::{AtomicU64 as Word, fence};

/// How often a reader looks, if it finds the words being changed: that takes some
/// tens of nanoseconds, unless the writer has lost its processor.
#[cfg(not(attuned_loom))]
const LOOKS: usize = 16;
#[cfg(attuned_loom)]
const LOOKS: usize = 2;

/// A copy of `N` words, stamped with the sequence of the version that they are of.
#[derive(Debug)]
pub struct Mirror<const N: usize> {
    /// A [`State`].
    state: AtomicU64,
    words: [Word; N],
}

/// The sequence of the newest version, above three marks.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

impl State {
    /// The words are not of the newest version.
    const STALE: u64 = 1;
    /// A writer is inside, and no other may change the words.
    const CLAIMED: u64 = 2;
    /// Somebody watches: a thread that has put something at the head is to tell them.
    const WATCHED: u64 = 4;
    const MARKS: u32 = 3;

    /// In the place of a sequence: there is no version any more. A timeline would
    /// take centuries to get there.
    const CLOSED: u64 = u64::MAX >> Self::MARKS;

    fn new(sequence: u64, marks: u64) -> Self {
        Self(sequence << Self::MARKS | marks)
    }

    fn sequence(self) -> u64 {
        self.0 >> Self::MARKS
    }

    fn is_claimed(self) -> bool {
        self.0 & Self::CLAIMED != 0
    }

    /// Whether the words are those of the newest version.
    fn is_shown(self) -> bool {
        self.0 & (Self::CLAIMED | Self::STALE) == 0
    }

    fn is_watched(self) -> bool {
        self.0 & Self::WATCHED != 0
    }
}

impl<const N: usize> Mirror<N> {
    /// A mirror of the version with the sequence 1, if it has such words.
    pub fn of_first(words: Option<[u64; N]>) -> Self {
        Self::of(1, words)
    }

    /// A mirror of the version with that sequence, if it has such words: what the mirror of the
    /// first one has come to be when each version up to that one was shown or announced.
    #[inline]
    pub fn of(sequence: u64, words: Option<[u64; N]>) -> Self {
        let state = State::new(sequence, words.map_or(State::STALE, |_| 0));
        Self {
            state: AtomicU64::new(state.0),
            words: words.unwrap_or([0; N]).map(Word::new),
        }
    }

    /// Has the version with that sequence take effect, without its words. Nothing
    /// changes if it has done so already. Returns whether somebody [watches](Self::watch),
    /// whom the caller is to tell if it has put that version at the head.
    #[inline]
    pub fn announce(&self, sequence: u64) -> bool {
        let (Ok(met) | Err(met)) = self.raise(sequence, 0);
        met.is_watched()
    }

    /// Has the version with that sequence take effect, and shows its words. Returns what
    /// [`announce`](Self::announce) does.
    ///
    /// Until the last of the words is there, nobody gets any. They are ignored if a
    /// newer version has taken effect, or if another writer is just changing them;
    /// in the second case nobody gets any until there is another version.
    #[inline]
    pub fn show(&self, sequence: u64, words: [u64; N]) -> bool {
        match self.raise(sequence, State::CLAIMED) {
            // Where nobody watches, this costs nothing: to meet the mark is one of the ways in
            // which `fill` does not find what it expects.
            Ok(before) if !before.is_claimed() => {
                let filled = self.fill(sequence, words);
                filled.is_err_and(State::is_watched)
            }
            Ok(met) | Err(met) => met.is_watched(),
        }
    }

    /// Has the end of all versions take effect, and overwrites the words. Returns whether
    /// somebody [watches](Self::watch), whom the caller is to tell if it has put the end at
    /// the head.
    pub fn close(&self) -> bool {
        match self.raise(State::CLOSED, State::CLAIMED) {
            Ok(before) => {
                // Otherwise by the writer who is inside, when it is done.
                if !before.is_claimed() {
                    self.wipe();
                }
                before.is_watched()
            }
            // No number is greater, and closing always claims.
            Err(_) => unreachable!("a timeline is closed once"),
        }
    }

    /// Asks to be told of what takes effect from now on. The caller then goes to the head to
    /// see what is there already.
    ///
    /// *Nothing falls between the two.* All updates of the state have one order. Take a thread
    /// that has put a version, or the end, at the head. Announcing it, the thread exchanges
    /// the state, or meets one whose number has reached it; showing the words, it exchanges
    /// the state once more, as it gives up its claim. Of these states the last one decides.
    /// If that one has the mark, the thread tells those who watch. If it has not, then the
    /// mark comes later in that order, so this call has acquired what raised the number, and
    /// with it the swap of the head: the caller finds that version there, or a later one. (A
    /// mark that was there at the raise and is gone at the end was taken back because nobody
    /// watched.)
    ///
    /// *A mark that is there already* serves, since it stays while anybody watches: what was
    /// announced without it came before it, and a load that acquires it acquires that, too.
    pub fn watch(&self) {
        if !State(self.state.load(Ordering::Acquire)).is_watched() {
            self.state.fetch_or(State::WATCHED, Ordering::AcqRel);
        }
    }

    /// Takes the mark back. Only if nobody watches, and under a lock that each newcomer takes
    /// before it [marks](Self::watch): otherwise the newcomer's mark could be the one that
    /// goes.
    pub fn unwatch(&self) {
        self.state.fetch_and(!State::WATCHED, Ordering::AcqRel);
    }

    /// Has the end of all versions take effect, if somebody else is to
    /// [close](Self::close) the mirror.
    pub fn announce_closed(&self) {
        let _ = self.raise(State::CLOSED, 0);
    }

    /// Takes effect at the load.
    #[inline]
    pub fn is_closed(&self) -> bool {
        State(self.state.load(Ordering::Acquire)).sequence() == State::CLOSED
    }

    /// The words of the newest version with its sequence, if they are here.
    ///
    /// *That version is the newest at the first load of the state*, since the state
    /// says both that it is and that the words are its own.
    ///
    /// *They are of one version.* The state is the same before and after they are
    /// read. One that lets the words be read is there only once, apart from the mark of
    /// those who watch, which may come and go: the number only rises, and only the writer of
    /// a version shows it, once. If one of the words were of a later writer, the fence here
    /// would meet the one behind that writer's claim, and the second load of the state would
    /// find that claim, or what came after it.
    #[inline]
    pub fn look(&self) -> Option<(u64, [u64; N])> {
        let state = State(self.state.load(Ordering::Acquire));
        if !state.is_shown() {
            return None;
        }
        let words = std::array::from_fn(|at| self.words[at].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        (self.state.load(Ordering::Relaxed) == state.0).then_some((state.sequence(), words))
    }

    /// For one who has looked in vain: [looks](Self::look) again, a few times, as long as
    /// the words are being changed.
    // Apart, so that it is not in the way of those who see something at once.
    #[cold]
    pub fn look_again(&self) -> Option<(u64, [u64; N])> {
        for _ in 0..LOOKS {
            let state = State(self.state.load(Ordering::Relaxed));
            if state.is_claimed() {
                hint::spin_loop();
            } else if !state.is_shown() {
                break;
            }
            let shown = self.look();
            if shown.is_some() {
                return shown;
            }
        }
        None
    }

    /// Raises the number to `sequence` and adds `mark`; returns the state before. If there
    /// was nothing to raise and nothing to claim, returns the state that said so as an error.
    ///
    /// This is the step at which a version takes effect. A thread that comes from it,
    /// or from a state that it led to, finds at least this one: the number only
    /// rises. It releases the swap of the head before it, for those who have read
    /// here that it took effect and go to the head next; and it acquires what
    /// a former writer has stored, so that it comes before what this one stores.
    #[inline]
    fn raise(&self, sequence: u64, mark: u64) -> Result<State, State> {
        let mut state = State(self.state.load(Ordering::Relaxed));
        loop {
            let nothing_to_do = match state.sequence().cmp(&sequence) {
                cmp::Ordering::Less => false,
                cmp::Ordering::Equal => mark == 0,
                cmp::Ordering::Greater => true,
            };
            if nothing_to_do {
                return Err(state);
            }
            let kept = state.0 & (State::CLAIMED | State::WATCHED);
            let raised = State::new(sequence, kept | mark | State::STALE);
            match self.state.compare_exchange(
                state.0,
                raised.0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(state),
                Err(found) => state = State(found),
            }
        }
    }

    /// Stores the words, in the writer's claim, and gives it up. Returns the state that was
    /// there if it was not just what the claim had made of it.
    #[inline]
    fn fill(&self, sequence: u64, words: [u64; N]) -> Result<(), State> {
        // A reader that sees one of the words then sees the claim, too.
        fence(Ordering::Release);
        for (place, word) in self.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        let claimed = State::new(sequence, State::CLAIMED | State::STALE);
        let shown = State::new(sequence, 0);
        match self
            .state
            .compare_exchange(claimed.0, shown.0, Ordering::Release, Ordering::Relaxed)
        {
            Ok(_) => Ok(()),
            Err(found) => Err(self.fill_again(claimed, State(found))),
        }
    }

    /// The end of [`fill`](Self::fill) where another state was found: the same with the mark
    /// of those who watch, or that of a later version. Returns the state in whose place the
    /// claim was given up.
    ///
    /// The mark stays until nobody watches, so if the writer that fills met it when it raised
    /// the number, it is found here, or somebody has since found that nobody watches.
    #[cold]
    fn fill_again(&self, claimed: State, mut found: State) -> State {
        // Watchers come and go, so the mark can change more than once.
        while found.0 & !State::WATCHED == claimed.0 {
            let shown = found.0 & !(State::CLAIMED | State::STALE);
            match self
                .state
                .compare_exchange(found.0, shown, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return found,
                Err(other) => found = State(other),
            }
        }
        // Another version has taken effect meanwhile, and its words are not here.
        let found = State(self.state.fetch_and(!State::CLAIMED, Ordering::Release));
        if found.sequence() == State::CLOSED {
            self.wipe();
        }
        found
    }

    /// Once nothing is going to be shown any more.
    fn wipe(&self) {
        // As in `fill`: a reader who sees one of the zeros finds the end.
        fence(Ordering::Release);
        for place in &self.words {
            place.store(0, Ordering::Relaxed);
        }
    }

    #[cfg(all(test, not(attuned_loom)))]
    pub fn is_watched(&self) -> bool {
        State(self.state.load(Ordering::Acquire)).is_watched()
    }

    /// What is in the words, whether or not a reader would get it.
    #[cfg(attuned_loom)]
    pub fn raw_words(&self) -> [u64; N] {
        std::array::from_fn(|at| self.words[at].load(Ordering::Relaxed))
    }
}
