//! How a snapshot lies in memory.

use std::num::NonZeroU8;

use smol_str::SmolStr;

use super::Source;
use super::axes::{Axes, INLINE_BYTES, PackedAxes};

/// What a snapshot consists of.
// The id is the first, for it is what a store needs first of a new snapshot, and its
// first byte has more values to spare than any other. So whether a snapshot's data is
// here or elsewhere is told by that byte, too.
#[derive(Clone)]
#[repr(C)]
pub(super) struct SnapshotData {
    pub(super) user_id: SmolStr,
    pub(super) updated_at_unix_ms: i64,
    state: State,
}

/// The axes, and what fits in beside them without taking room.
#[derive(Clone)]
enum State {
    Inline(InlineState),
    Allocated(AllocatedState),
}

/// A state whose axes need no allocation of their own.
// In this order the axes begin at a word, and all else is in the word before.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct InlineState {
    pub(super) len: InlineLen,
    /// See [`Source::code`].
    pub(super) source: u8,
    pub(super) confidence: f32,
    pub(super) axes: [u8; INLINE_BYTES],
}

/// A state whose axes are in an allocation of their own.
struct AllocatedState {
    /// See [`Source::code`].
    source: u8,
    confidence: f32,
    axes: Box<[u8]>,
}

impl Clone for AllocatedState {
    // Apart, so that it is not in the way of snapshots that are cloned without allocating.
    #[cold]
    fn clone(&self) -> Self {
        Self {
            axes: self.axes.clone(),
            ..*self
        }
    }
}

/// How many of [`INLINE_BYTES`] are packed axes. The number in it is twice as many and
/// one, and so never zero: that is left for [`State::Allocated`], which needs no tag.
#[derive(Clone, Copy)]
pub(super) struct InlineLen(NonZeroU8);

impl InlineLen {
    fn new(len: u8) -> Self {
        Self::of_code(len << 1)
    }

    fn get(self) -> usize {
        usize::from(self.0.get() >> 1)
    }

    pub(super) fn code(self) -> u8 {
        self.0.get()
    }

    /// Of a number that [`code`](Self::code) has given.
    pub(super) fn of_code(code: u8) -> Self {
        Self(NonZeroU8::MIN | code)
    }
}

const _: () = assert!(INLINE_BYTES << 1 <= u8::MAX as usize);

impl SnapshotData {
    pub(super) fn new(
        user_id: SmolStr,
        updated_at_unix_ms: i64,
        source: Source,
        confidence: f32,
        axes: PackedAxes,
    ) -> Self {
        let source = source.code();
        let state = match axes {
            PackedAxes::Inline(len, axes) => State::Inline(InlineState {
                len: InlineLen::new(len),
                source,
                confidence,
                axes,
            }),
            PackedAxes::Allocated(axes) => State::Allocated(AllocatedState {
                source,
                confidence,
                axes,
            }),
        };
        Self {
            user_id,
            updated_at_unix_ms,
            state,
        }
    }

    #[inline]
    pub(super) fn inline(user_id: SmolStr, updated_at_unix_ms: i64, state: InlineState) -> Self {
        Self {
            user_id,
            updated_at_unix_ms,
            state: State::Inline(state),
        }
    }

    /// All but the user and the time, unless the axes are in an allocation.
    pub(super) fn inline_state(&self) -> Option<&InlineState> {
        match &self.state {
            State::Inline(state) => Some(state),
            State::Allocated(_) => None,
        }
    }

    pub(super) fn source(&self) -> Source {
        Source::of_code(match &self.state {
            State::Inline(state) => state.source,
            State::Allocated(state) => state.source,
        })
    }

    #[inline]
    pub(super) fn confidence(&self) -> f32 {
        match &self.state {
            State::Inline(state) => state.confidence,
            State::Allocated(state) => state.confidence,
        }
    }

    pub(super) fn axes(&self) -> Axes<'_> {
        Axes::of_packed(match &self.state {
            // All of the bytes are never meant: the length is at most theirs.
            State::Inline(state) => state.axes.get(..state.len.get()).unwrap_or(&state.axes),
            State::Allocated(state) => &state.axes,
        })
    }
}
