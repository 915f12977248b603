//! Building states and snapshots.

use std::fmt;

use smol_str::SmolStr;

use super::axes::{AxisList, AxisName, PackedAxes};
use super::validate::{SnapshotError, validate_confidence, validate_user_id};
use super::{Source, State, StateSnapshot};
use crate::redacted::Redacted;
use crate::timestamp::Timestamp;

/// Collects the parts of a [`StateSnapshot`] or of a [`State`].
///
/// A snapshot requires the user id, and a state requires nothing.
/// [`build`](Self::build) and [`build_state`](Self::build_state) check the parts,
/// so the order of the calls does not matter. Of several calls for the same part
/// the last one counts.
///
/// ```
/// use attuned_store::{Source, StateSnapshot};
///
/// let snapshot = StateSnapshot::builder()
///     .user_id("dev_42")
///     .source(Source::Inferred)
///     .confidence(0.8)
///     .axes([("warmth", 0.7), ("formality", 0.2)])
///     .axis("formality", 0.3)
///     .build()?;
///
/// assert!(snapshot.axes().eq([("formality", 0.3), ("warmth", 0.7)]));
/// # Ok::<(), attuned_store::SnapshotError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build` or `build_state` is called"]
pub struct StateSnapshotBuilder {
    pub(super) user_id: Option<SmolStr>,
    pub(super) updated_at: Option<Timestamp>,
    pub(super) source: Source,
    pub(super) confidence: f32,
    pub(super) axes: AxisList,
}

/// No user id, the time of building, [`Source::SelfReport`], full confidence
/// and no axes.
impl Default for StateSnapshotBuilder {
    fn default() -> Self {
        Self {
            user_id: None,
            updated_at: None,
            source: Source::default(),
            confidence: 1.0,
            axes: AxisList::default(),
        }
    }
}

impl StateSnapshotBuilder {
    /// Sets the user that the state is of, by an id of 1 to
    /// [`MAX_USER_ID_BYTES`](crate::MAX_USER_ID_BYTES) bytes: characters that
    /// [`char::is_alphanumeric`] accepts, underscores and hyphens.
    ///
    /// Those are the letters of all scripts and everything that counts, such as `①` and `½`.
    /// Accents, viramas and tone marks that are characters of their own are not among them,
    /// and so words such as `हिन्दी` and `น้ำ` are no ids, nor is `é` where it is decomposed
    /// (NFD). [`validate_user_id`] has examples.
    ///
    /// Allocates nothing for an id of at most 23 bytes, and once for a longer one.
    pub fn user_id(mut self, user_id: impl AsRef<str>) -> Self {
        self.user_id = Some(SmolStr::new(user_id));
        self
    }

    /// Sets when the state was observed: in milliseconds since the Unix epoch, negative
    /// before it, or as a [`SystemTime`](std::time::SystemTime). By default it is the time
    /// of building, by the system's clock; of a changed copy, too.
    pub fn updated_at(mut self, time: impl Into<Timestamp>) -> Self {
        self.updated_at = Some(time.into());
        self
    }

    /// Sets how the state was obtained; [`Source::SelfReport`] by default.
    pub fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// Sets how far the state is to be trusted, from 0 to 1; 1 by default.
    pub fn confidence(mut self, confidence: f32) -> Self {
        self.confidence = confidence;
        self
    }

    /// Sets the value of an axis, from 0 to 1, in place of an earlier one.
    ///
    /// A name has 1 to 64 bytes of ASCII lowercase letters, digits and
    /// underscores, and neither begins nor ends with an underscore.
    ///
    /// The builder has room for eight axes and keeps more in an allocation. A name
    /// of more than 23 bytes that is not canonical in Attuned takes another one,
    /// which building frees. There may be [`MAX_AXES`](crate::MAX_AXES) axes; what a builder
    /// has of more is bounded, and building refuses it.
    pub fn axis(mut self, name: impl AsRef<str>, value: f32) -> Self {
        // Building tells if there is no room.
        let _ = self.axes.push(AxisName::new(name.as_ref()), value);
        self
    }

    /// Sets the values of several axes, each like [`axis`](Self::axis).
    ///
    /// Counts the names whenever the builder has 2,048 entries, and takes no more from the
    /// iterator once there are more than [`MAX_AXES`](crate::MAX_AXES). So it ends on an
    /// iterator of ever new names, and does not end on one that repeats a few names forever.
    pub fn axes<I, N>(mut self, axes: I) -> Self
    where
        I: IntoIterator<Item = (N, f32)>,
        N: AsRef<str>,
    {
        self.axes.extend(axes);
        self
    }

    /// Checks the parts and makes a snapshot of them.
    ///
    /// It keeps the allocation that [`user_id`](Self::user_id) made for an id of
    /// more than 23 bytes. Otherwise it takes the time and the allocations of
    /// [`build_state`](Self::build_state).
    ///
    /// # Errors
    ///
    /// The first of these that is wrong: the user id, the confidence, the number of axes,
    /// the axes in the order of their names. Each error says what the part must be.
    pub fn build(mut self) -> Result<StateSnapshot, SnapshotError> {
        let user_id = self.user_id.take().ok_or(SnapshotError::MissingUserId)?;
        validate_user_id(&user_id)?;
        Ok(StateSnapshot::from_parts(user_id, self.build_state()?))
    }

    /// Checks the parts and makes a state of them. Leaves the user id out, if one
    /// was set, and does not check it.
    ///
    /// Allocates nothing if the axes need at most 40 bytes: five bytes for an axis
    /// with a canonical name, and the length of the name more for any other.
    /// Larger axes take one allocation that the state keeps, and one that is freed
    /// again. The time is linear in the number of axes if they were given in the
    /// order of their names; otherwise they are sorted.
    ///
    /// ```
    /// use attuned_store::{SnapshotError, State};
    ///
    /// let state = State::builder().axis("warmth", 0.7).build_state()?;
    /// assert_eq!(state.get_axis("warmth"), 0.7);
    ///
    /// let wrong = State::builder().confidence(7.0).build_state();
    /// assert_eq!(wrong, Err(SnapshotError::ConfidenceOutOfRange { value: 7.0 }));
    /// # Ok::<(), SnapshotError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first of these that is wrong: the confidence, the number of axes, the axes in the
    /// order of their names. Each error says what the part must be.
    pub fn build_state(self) -> Result<State, SnapshotError> {
        validate_confidence(self.confidence)?;
        let axes = PackedAxes::pack(self.axes)?;
        let updated_at = self.updated_at.unwrap_or_else(Timestamp::now);
        Ok(State::new(
            updated_at.as_unix_ms(),
            self.source,
            self.confidence,
            axes,
        ))
    }
}

/// Shows at most the first four characters of the user id.
impl fmt::Debug for StateSnapshotBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let updated_at_unix_ms = self.updated_at.map(Timestamp::as_unix_ms);
        f.debug_struct("StateSnapshotBuilder")
            .field("user_id", &self.user_id.as_deref().map(Redacted))
            .field("updated_at_unix_ms", &updated_at_unix_ms)
            .field("source", &self.source)
            .field("confidence", &self.confidence)
            .field("axes", &self.axes)
            .finish()
    }
}
