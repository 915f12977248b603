//! A state without its user, and how it lies in memory.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::axes::{Axes, INLINE_BYTES, PackedAxes};
use super::source::PackedSource;
use super::{Source, StateSnapshot, StateSnapshotBuilder, UserIdError, validate_user_id};
use crate::timestamp::Timestamp;

/// Values from 0 to 1 on named axes, with their source, confidence and time, but
/// without a user.
///
/// A [`StateSnapshot`] is a state together with the id of its user. A state is
/// immutable and always valid: it comes from a [builder](Self::builder), out of a
/// snapshot or from deserialization, and all of them check it. It has at most
/// [`MAX_AXES`](crate::MAX_AXES) axes.
///
/// ```
/// use attuned_store::{Source, State};
///
/// let state = State::builder()
///     .updated_at(1_700_000_000_000)
///     .source(Source::Inferred)
///     .confidence(0.8)
///     .axis("warmth", 0.7)
///     .build_state()?;
///
/// assert_eq!(state.get_axis("warmth"), 0.7);
/// assert_eq!(state.get_axis("formality"), State::NEUTRAL);
/// assert_eq!(state.clone().into_snapshot("dev_42")?.user_id(), "dev_42");
/// # Ok::<(), attuned_store::SnapshotError>(())
/// ```
///
/// # Memory
///
/// On a 64-bit platform a state takes 56 bytes, with room for 40 bytes of axes.
/// An axis with one of the 23 canonical names of Attuned needs five bytes. Any
/// other axis needs five bytes and the length of its name. A state that needs
/// more than 40 bytes keeps its axes in an allocation of so many bytes and 16
/// more, and its clones share that.
///
/// A clone never allocates. It copies the 56 bytes, and it counts a reference
/// if the axes are in an allocation.
///
/// # Comparison
///
/// Two states are equal if all their parts are equal by value. It makes no
/// difference whether they share an allocation.
///
/// # Serialization
///
/// With the feature `serde`, a state has the form of a
/// [snapshot](StateSnapshot#serialization) without `user_id`. Reading a state ignores
/// unknown fields, and so reads the JSON of a snapshot, too.
#[cfg_attr(feature = "serde", doc = "```")]
#[cfg_attr(not(feature = "serde"), doc = "```ignore")]
/// use attuned_store::State;
///
/// let json = r#"{"updated_at_unix_ms":0,"source":"mixed","confidence":0.5,"axes":{"warmth":0.7}}"#;
/// let state: State = serde_json::from_str(json)?;
/// assert_eq!(serde_json::to_string(&state)?, json);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct State {
    updated_at_unix_ms: i64,
    rest: Rest,
}

// A store can keep a state in seven words, and `Option` takes no more.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<State>() == 56 && size_of::<Option<State>>() == 56);

impl Clone for State {
    // Not derived: one path for both kinds goes through a place on the stack, in pieces that
    // overlap, and each such piece makes the processor wait.
    #[inline]
    fn clone(&self) -> Self {
        match &self.rest {
            Rest::Inline(rest) => Self {
                updated_at_unix_ms: self.updated_at_unix_ms,
                rest: Rest::Inline(*rest),
            },
            Rest::Allocated(rest) => Self::sharing(self.updated_at_unix_ms, rest),
        }
    }
}

/// The axes, and the parts that fit in beside them without taking room.
enum Rest {
    Inline(InlineRest),
    Allocated(AllocatedRest),
}

#[derive(Clone)]
struct AllocatedRest {
    axes: Arc<[u8]>,
    confidence: f32,
    source: PackedSource,
}

/// The rest of a state whose axes need no allocation.
// In this order the axes begin at a word, and all else is in the word before.
// A source has many values to spare: one of them tells that the axes are in an
// allocation, and `Option` uses another.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct InlineRest {
    pub(super) source: PackedSource,
    /// How many of the bytes are packed axes.
    pub(super) len: u8,
    pub(super) confidence: f32,
    pub(super) axes: [u8; INLINE_BYTES],
}

const _: () = assert!(std::mem::offset_of!(InlineRest, axes) == size_of::<u64>());

impl State {
    /// The value that stands for "neither low nor high".
    /// [`get_axis`](Self::get_axis) returns it for an axis that is absent.
    pub const NEUTRAL: f32 = 0.5;

    /// Starts a new state, which [`build_state`](StateSnapshotBuilder::build_state)
    /// makes of the builder.
    ///
    /// The same builder makes snapshots. A state needs no user id.
    pub fn builder() -> StateSnapshotBuilder {
        StateSnapshotBuilder::default()
    }

    /// Starts a changed copy of the state, without a user id.
    ///
    /// The copy keeps the source, the confidence and the axes that are not set anew. It is an
    /// observation of its own: its time is that of building, unless
    /// [`updated_at`](StateSnapshotBuilder::updated_at) says otherwise. The cost grows
    /// linearly with the number of axes.
    ///
    /// ```
    /// use attuned_store::State;
    ///
    /// let before = State::builder()
    ///     .updated_at(1_000)
    ///     .axes([("warmth", 0.7), ("formality", 0.2)])
    ///     .build_state()?;
    /// let after = before.to_builder().axis("warmth", 0.9).build_state()?;
    ///
    /// assert!(after.axes().eq([("formality", 0.2), ("warmth", 0.9)]));
    /// assert!(after.updated_at_unix_ms() > 1_000);
    ///
    /// // A copy that is no observation of its own.
    /// let same = before.to_builder().updated_at(before.updated_at_unix_ms()).build_state()?;
    /// assert_eq!(same, before);
    /// # Ok::<(), attuned_store::SnapshotError>(())
    /// ```
    pub fn to_builder(&self) -> StateSnapshotBuilder {
        Self::builder()
            .source(self.source())
            .confidence(self.confidence())
            .axes(self.axes())
    }

    /// When the state was observed, in milliseconds since the Unix epoch;
    /// negative before it.
    ///
    /// The maker of the state said so. Stores do not order states by it.
    pub fn updated_at_unix_ms(&self) -> i64 {
        self.updated_at_unix_ms
    }

    /// When the state was observed, as the standard library has times. A time that the
    /// platform cannot represent becomes the nearest that it can.
    pub fn updated_at_time(&self) -> SystemTime {
        Timestamp::from(self.updated_at_unix_ms).to_system_time()
    }

    /// How the state was obtained.
    pub fn source(&self) -> Source {
        match &self.rest {
            Rest::Inline(rest) => rest.source.into(),
            Rest::Allocated(rest) => rest.source.into(),
        }
    }

    /// How far the state is to be trusted, from 0 to 1.
    #[inline]
    pub fn confidence(&self) -> f32 {
        match &self.rest {
            Rest::Inline(rest) => rest.confidence,
            Rest::Allocated(rest) => rest.confidence,
        }
    }

    /// The axes with their values from 0 to 1, in the order of their names.
    ///
    /// Allocates nothing.
    pub fn axes(&self) -> Axes<'_> {
        Axes::of_packed(match &self.rest {
            // All of the bytes are never meant: the length is at most theirs.
            Rest::Inline(rest) => rest.axes.get(..usize::from(rest.len)).unwrap_or(&rest.axes),
            Rest::Allocated(rest) => &rest.axes,
        })
    }

    /// The value of an axis, from 0 to 1; `None` if the state does not have the
    /// axis.
    ///
    /// Walks over the axes, so the cost grows with their number. Allocates
    /// nothing.
    pub fn get_axis_opt(&self, name: &str) -> Option<f32> {
        self.axes()
            .find(|&(present, _)| present == name)
            .map(|(_, value)| value)
    }

    /// The value of an axis, from 0 to 1; [`NEUTRAL`](Self::NEUTRAL) if the
    /// state does not have the axis.
    ///
    /// The cost is that of [`get_axis_opt`](Self::get_axis_opt).
    pub fn get_axis(&self, name: &str) -> f32 {
        self.get_axis_opt(name).unwrap_or(Self::NEUTRAL)
    }

    /// Says whose state it is.
    ///
    /// Copies the id: an id of at most 23 bytes takes no allocation, and a longer
    /// one takes one. The axes are not copied.
    ///
    /// ```
    /// use attuned_store::{State, UserIdError};
    ///
    /// let state = State::builder().axis("warmth", 0.7).build_state()?;
    /// let snapshot = state.clone().into_snapshot("dev_42")?;
    ///
    /// assert_eq!(snapshot.user_id(), "dev_42");
    /// assert_eq!(snapshot.state(), &state);
    /// assert_eq!(state.into_snapshot(""), Err(UserIdError::Empty));
    /// # Ok::<(), attuned_store::SnapshotError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first rule for user ids that the id breaks, as from
    /// [`validate_user_id`].
    pub fn into_snapshot(self, user_id: impl AsRef<str>) -> Result<StateSnapshot, UserIdError> {
        let user_id = user_id.as_ref();
        validate_user_id(user_id)?;
        Ok(StateSnapshot::from_parts(user_id.into(), self))
    }

    pub(super) fn new(
        updated_at_unix_ms: i64,
        source: Source,
        confidence: f32,
        axes: PackedAxes,
    ) -> Self {
        let source = source.into();
        let rest = match axes {
            PackedAxes::Inline(len, axes) => Rest::Inline(InlineRest {
                source,
                len,
                confidence,
                axes,
            }),
            PackedAxes::Allocated(axes) => Rest::Allocated(AllocatedRest {
                axes,
                confidence,
                source,
            }),
        };
        Self {
            updated_at_unix_ms,
            rest,
        }
    }

    /// A state with the same allocation.
    // Apart, so that copying the other kind is nothing but copying.
    #[inline(never)]
    fn sharing(updated_at_unix_ms: i64, rest: &AllocatedRest) -> Self {
        Self {
            updated_at_unix_ms,
            rest: Rest::Allocated(rest.clone()),
        }
    }

    #[inline]
    pub(super) fn of_inline(updated_at_unix_ms: i64, rest: InlineRest) -> Self {
        Self {
            updated_at_unix_ms,
            rest: Rest::Inline(rest),
        }
    }

    /// All parts except the time; `None` if the axes are in an allocation.
    pub(super) fn inline_rest(&self) -> Option<&InlineRest> {
        match &self.rest {
            Rest::Inline(rest) => Some(rest),
            Rest::Allocated(_) => None,
        }
    }

    /// Adds the parts to what is shown of a state or a snapshot.
    pub(super) fn debug_fields(&self, shown: &mut fmt::DebugStruct<'_, '_>) {
        shown
            .field("updated_at_unix_ms", &self.updated_at_unix_ms)
            .field("source", &self.source())
            .field("confidence", &self.confidence())
            .field("axes", &self.axes());
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        // The packed axes are not compared as bytes, in which 0.0 and -0.0 differ.
        self.updated_at_unix_ms == other.updated_at_unix_ms
            && self.source() == other.source()
            && self.confidence() == other.confidence()
            && self.axes().eq(other.axes())
    }
}

/// Reflexive, because no number in a state can be NaN.
impl Eq for State {}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("State");
        self.debug_fields(&mut shown);
        shown.finish()
    }
}
