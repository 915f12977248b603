//! The values that stores keep: a state, and a snapshot, which also says whose
//! state it is.
//!
//! Both are plain values. They are validated where they are made and never
//! change afterwards, so no other part of the crate checks them again.

mod axes;
mod builder;
#[cfg(feature = "checkpoint")]
mod names;
mod source;
mod state;
mod validate;
#[cfg(feature = "serde")]
mod wire;
mod words;

use std::fmt;
use std::time::SystemTime;

use smol_str::SmolStr;

use crate::redacted::Redacted;

pub use self::axes::Axes;
pub use self::builder::StateSnapshotBuilder;
#[cfg(feature = "checkpoint")]
pub(crate) use self::names::{AxisNames, ValuesInPlace};
pub use self::source::{ParseSourceError, Source};
pub use self::state::State;
#[cfg(feature = "checkpoint")]
pub(crate) use self::validate::MAX_AXIS_NAME_BYTES;
pub use self::validate::{
    MAX_AXES, MAX_USER_ID_BYTES, SnapshotError, UserIdError, validate_user_id,
};

pub(crate) use self::axes::{AxisList, AxisName};
pub(crate) use self::validate::{validate_axis_value, validate_confidence};

/// The state of a user at a point in time: values from 0 to 1 on named axes,
/// with their source, confidence and time.
///
/// A snapshot is the id of a user and a [`State`]. It is immutable and always
/// valid: a [builder](Self::builder), [`State::into_snapshot`] and
/// deserialization make snapshots, and all of them refuse what breaks the rules.
///
/// ```
/// use attuned_store::StateSnapshot;
///
/// let snapshot = StateSnapshot::builder()
///     .user_id("dev_42")
///     .updated_at(1_700_000_000_000)
///     .axis("warmth", 0.7)
///     .build()?;
///
/// assert_eq!(snapshot.user_id(), "dev_42");
/// assert_eq!(snapshot.get_axis("warmth"), 0.7);
/// assert_eq!(snapshot.get_axis("formality"), StateSnapshot::NEUTRAL);
/// # Ok::<(), attuned_store::SnapshotError>(())
/// ```
///
/// # Memory
///
/// On a 64-bit platform a snapshot takes 80 bytes: 24 for the user id and 56 for
/// the [state](State#memory). An id of more than 23 bytes is in an allocation,
/// and axes that need more than 40 bytes are in another one. Clones share both.
///
/// A clone never allocates. It copies the 80 bytes, and it counts a reference
/// for each allocation that it shares.
///
/// # Comparison
///
/// Two snapshots are equal if all their parts are equal by value. It makes no
/// difference whether they share an allocation.
///
/// # Serialization
///
/// With the feature `serde`, which is on by default, a snapshot has the
/// published form of Attuned. All five fields are required, and unknown ones are
/// ignored. Of several axes with one name the last one counts. Reading stops at an invalid
/// user id or axis name. It counts the names of axes whenever it has collected 2,048 entries,
/// which is the most that it collects, and stops if they are more than [`MAX_AXES`].
///
/// The user id must be a string; in YAML, one that reads as a number needs quotes. An error
/// about a number in the place of the id does not show the number.
///
/// An error about a missing, repeated or wrong field names that field. The
/// parser of a format words its own errors, and does not name the field. In JSON
/// these errors are about malformed text, about a number too large for an `f64`,
/// such as `1e400`, and about half a surrogate pair, such as `"\ud800"`.
#[cfg_attr(feature = "serde", doc = "```")]
#[cfg_attr(not(feature = "serde"), doc = "```ignore")]
/// use attuned_store::StateSnapshot;
///
/// let json = r#"{"user_id":"dev_42","updated_at_unix_ms":0,"source":"mixed","confidence":0.5,"axes":{"warmth":0.7}}"#;
/// let snapshot: StateSnapshot = serde_json::from_str(json)?;
/// assert_eq!(serde_json::to_string(&snapshot)?, json);
///
/// let error = serde_json::from_str::<StateSnapshot>(&json.replace("0.5", "1.5")).unwrap_err();
/// assert!(error.to_string().starts_with("confidence is 1.5, but must be from 0 to 1"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StateSnapshot {
    user_id: SmolStr,
    state: State,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<StateSnapshot>() == 80 && size_of::<Option<StateSnapshot>>() == 80);

impl StateSnapshot {
    /// The value that stands for "neither low nor high".
    /// [`get_axis`](Self::get_axis) returns it for an axis that is absent.
    pub const NEUTRAL: f32 = State::NEUTRAL;

    /// Starts a new snapshot.
    pub fn builder() -> StateSnapshotBuilder {
        StateSnapshotBuilder::default()
    }

    /// Starts a changed copy of the snapshot.
    ///
    /// The copy keeps the user id, the source, the confidence and the axes that are not set
    /// anew. It is an observation of its own: its time is that of building, unless
    /// [`updated_at`](StateSnapshotBuilder::updated_at) says otherwise. The cost grows
    /// linearly with the number of axes.
    ///
    /// ```
    /// use attuned_store::StateSnapshot;
    ///
    /// let before = StateSnapshot::builder()
    ///     .user_id("dev_42")
    ///     .updated_at(1_000)
    ///     .axes([("warmth", 0.7), ("formality", 0.2)])
    ///     .build()?;
    /// let after = before.to_builder().axis("warmth", 0.9).build()?;
    ///
    /// assert!(after.axes().eq([("formality", 0.2), ("warmth", 0.9)]));
    /// assert!(after.updated_at_unix_ms() > 1_000);
    ///
    /// // A copy that is no observation of its own.
    /// let same = before.to_builder().updated_at(before.updated_at_unix_ms()).build()?;
    /// assert_eq!(same, before);
    /// # Ok::<(), attuned_store::SnapshotError>(())
    /// ```
    pub fn to_builder(&self) -> StateSnapshotBuilder {
        StateSnapshotBuilder {
            user_id: Some(self.user_id.clone()),
            ..self.state.to_builder()
        }
    }

    /// The user that the state is of.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// What the snapshot says of the user.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Drops the user id and gives the rest out. Allocates nothing.
    ///
    /// ```
    /// use attuned_store::StateSnapshot;
    ///
    /// let ada = StateSnapshot::builder().user_id("ada").axis("warmth", 0.7).build()?;
    /// let bob = ada.clone().into_state().into_snapshot("bob")?;
    ///
    /// assert_eq!(bob.user_id(), "bob");
    /// assert_eq!(bob.state(), ada.state());
    /// # Ok::<(), attuned_store::SnapshotError>(())
    /// ```
    pub fn into_state(self) -> State {
        self.state
    }

    /// When the state was observed, in milliseconds since the Unix epoch;
    /// negative before it.
    ///
    /// The maker of the snapshot said so. Stores do not order snapshots by it.
    pub fn updated_at_unix_ms(&self) -> i64 {
        self.state.updated_at_unix_ms()
    }

    /// When the state was observed, as the standard library has times. A time that the
    /// platform cannot represent becomes the nearest that it can.
    pub fn updated_at_time(&self) -> SystemTime {
        self.state.updated_at_time()
    }

    /// How the state was obtained.
    pub fn source(&self) -> Source {
        self.state.source()
    }

    /// How far the state is to be trusted, from 0 to 1.
    pub fn confidence(&self) -> f32 {
        self.state.confidence()
    }

    /// The axes with their values from 0 to 1, in the order of their names.
    ///
    /// Allocates nothing.
    pub fn axes(&self) -> Axes<'_> {
        self.state.axes()
    }

    /// The value of an axis, from 0 to 1; `None` if the snapshot does not have
    /// the axis.
    ///
    /// Walks over the axes, so the cost grows with their number. Allocates
    /// nothing.
    pub fn get_axis_opt(&self, name: &str) -> Option<f32> {
        self.state.get_axis_opt(name)
    }

    /// The value of an axis, from 0 to 1; [`NEUTRAL`](Self::NEUTRAL) if the
    /// snapshot does not have the axis.
    ///
    /// The cost is that of [`get_axis_opt`](Self::get_axis_opt).
    pub fn get_axis(&self, name: &str) -> f32 {
        self.state.get_axis(name)
    }

    /// Of an id that is known to be valid.
    pub(crate) fn from_parts(user_id: SmolStr, state: State) -> Self {
        Self { user_id, state }
    }

    pub(crate) fn into_parts(self) -> (SmolStr, State) {
        (self.user_id, self.state)
    }
}

/// Shows at most the first four characters of the user id, and none of an id
/// that has no more than four, since user ids can be personal data.
///
/// ```
/// use attuned_store::StateSnapshot;
///
/// let snapshot = StateSnapshot::builder().user_id("dev_42").build()?;
/// let shown = format!("{snapshot:?}");
/// assert!(shown.starts_with(r#"StateSnapshot { user_id: "dev_...""#));
/// # Ok::<(), attuned_store::SnapshotError>(())
/// ```
impl fmt::Debug for StateSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StateSnapshot");
        shown.field("user_id", &Redacted(&self.user_id));
        self.state.debug_fields(&mut shown);
        shown.finish()
    }
}
