//! Building snapshots.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use smol_str::SmolStr;

use super::axes::{AxisName, PackedAxes};
use super::data::SnapshotData;
use super::validate::{SnapshotError, validate_confidence, validate_user_id};
use super::{Redacted, Source, StateSnapshot};

/// Collects the parts of a [`StateSnapshot`].
///
/// Only the user id is required. Nothing is checked before
/// [`build`](Self::build), so the order of the calls does not matter; of
/// several calls for the same part the last one counts.
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
#[must_use = "a builder does nothing until `build` is called"]
pub struct StateSnapshotBuilder {
    pub(super) user_id: Option<SmolStr>,
    pub(super) updated_at_unix_ms: Option<i64>,
    pub(super) source: Source,
    pub(super) confidence: f32,
    /// In the order in which they were given.
    pub(super) axes: Vec<(AxisName, f32)>,
}

/// No user id, the time of building, [`Source::SelfReport`], full confidence
/// and no axes.
impl Default for StateSnapshotBuilder {
    fn default() -> Self {
        Self {
            user_id: None,
            updated_at_unix_ms: None,
            source: Source::default(),
            confidence: 1.0,
            axes: Vec::new(),
        }
    }
}

impl StateSnapshotBuilder {
    /// Sets the user that the state is of, by an id of 1 to
    /// [`MAX_USER_ID_BYTES`](crate::MAX_USER_ID_BYTES) bytes: letters and digits
    /// of any script, underscores and hyphens.
    ///
    /// Allocates nothing for an id of at most 23 bytes.
    pub fn user_id(mut self, user_id: impl AsRef<str>) -> Self {
        self.user_id = Some(SmolStr::new(user_id));
        self
    }

    /// Sets when the state was observed, in milliseconds since the Unix epoch;
    /// negative before it. By default it is the time of [`build`](Self::build).
    pub fn updated_at(mut self, unix_ms: i64) -> Self {
        self.updated_at_unix_ms = Some(unix_ms);
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
    pub fn axis(mut self, name: impl AsRef<str>, value: f32) -> Self {
        self.axes.push((AxisName::new(name.as_ref()), value));
        self
    }

    /// Sets the values of several axes, each like [`axis`](Self::axis).
    pub fn axes<I, N>(mut self, axes: I) -> Self
    where
        I: IntoIterator<Item = (N, f32)>,
        N: AsRef<str>,
    {
        self.axes.extend(
            axes.into_iter()
                .map(|(name, value)| (AxisName::new(name.as_ref()), value)),
        );
        self
    }

    /// Checks the parts and makes them a snapshot.
    ///
    /// The snapshot is one allocation. It takes a second one if the user id is
    /// longer than 23 bytes, and another if the axes need more than 40 bytes:
    /// five bytes each for those with canonical names, and the length of the
    /// name more for others.
    ///
    /// # Errors
    ///
    /// The first of these that is wrong: the user id, the confidence, the axes
    /// in the order of their names. Each error says what it must be.
    pub fn build(self) -> Result<StateSnapshot, SnapshotError> {
        let user_id = self.user_id.ok_or(SnapshotError::MissingUserId)?;
        validate_user_id(&user_id)?;
        validate_confidence(self.confidence)?;
        let updated_at_unix_ms = self
            .updated_at_unix_ms
            .unwrap_or_else(|| unix_ms(SystemTime::now()));
        Ok(StateSnapshot::new(SnapshotData::new(
            user_id,
            updated_at_unix_ms,
            self.source,
            self.confidence,
            PackedAxes::pack(self.axes)?,
        )))
    }
}

/// Shows at most the first four characters of the user id.
impl fmt::Debug for StateSnapshotBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<_> = self
            .axes
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        f.debug_struct("StateSnapshotBuilder")
            .field("user_id", &self.user_id.as_deref().map(Redacted))
            .field("updated_at_unix_ms", &self.updated_at_unix_ms)
            .field("source", &self.source)
            .field("confidence", &self.confidence)
            .field("axes", &axes)
            .finish()
    }
}

/// Milliseconds since the Unix epoch, at the nearest end of `i64` for a clock
/// that is set beyond it.
fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn any_setting_of_the_clock_gives_a_timestamp() {
        let ms = Duration::from_millis(1_500);
        assert_eq!(unix_ms(UNIX_EPOCH), 0);
        assert_eq!(unix_ms(UNIX_EPOCH + ms), 1_500);
        assert_eq!(unix_ms(UNIX_EPOCH - ms), -1_500);

        // More milliseconds than fit, where the platform's clock goes that far.
        let beyond = Duration::from_secs(i64::MAX as u64 / 1_000 + 1);
        if let Some(time) = UNIX_EPOCH.checked_add(beyond) {
            assert_eq!(unix_ms(time), i64::MAX);
        }
        if let Some(time) = UNIX_EPOCH.checked_sub(beyond) {
            assert_eq!(unix_ms(time), i64::MIN);
        }
    }
}
