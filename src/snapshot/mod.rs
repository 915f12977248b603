//! The value that stores keep: one user's state at one time.
//!
//! A snapshot is validated where it is made and never changes afterwards, so no
//! other part of the crate checks one.

mod axes;
mod builder;
mod data;
mod source;
mod validate;
#[cfg(feature = "serde")]
mod wire;
mod words;

use std::fmt;

use smol_str::SmolStr;

pub use self::axes::Axes;
pub use self::builder::StateSnapshotBuilder;
pub use self::source::Source;
pub use self::validate::{MAX_USER_ID_BYTES, SnapshotError, UserIdError, validate_user_id};

use self::data::SnapshotData;
use crate::sync::Arc;
use crate::timeline::Version;

/// The state of a user at a point in time: values from 0 to 1 on named axes,
/// with their source, confidence and time.
///
/// A snapshot is immutable and always valid: it is made by a
/// [builder](Self::builder), or by deserializing it, and both refuse what
/// breaks the rules. A clone allocates nothing, with one exception: inside the
/// closures of a [`MemoryStore`](crate::MemoryStore), a snapshot with a long id or many
/// axes (see [Memory](#memory)) is seen where it is stored, and a clone copies them.
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
/// On a 64-bit platform a snapshot takes 80 bytes where it is. One that was built
/// or deserialized, or comes out of a history, has its data elsewhere, and shares
/// it with its clones: a single allocation of 112 bytes, if its user id has at most
/// 23 bytes and its axes need at most 40: five bytes each for an axis that bears one
/// of the 23 canonical names of Attuned, and one byte plus the name plus four for
/// any other. Longer ids and more axes take an allocation of their own each.
///
/// The latest snapshot that a [`MemoryStore`](crate::MemoryStore) gives to a reader
/// has its data in the 80 bytes, if no allocation of its own is needed, so that
/// readers of one user do not count references in the same place. A clone copies it.
///
/// # Comparison
///
/// Two snapshots are equal if all their parts are, by value. It makes no
/// difference whether they share their data.
///
/// # Serialization
///
/// With the feature `serde`, which is on by default, a snapshot has the
/// published form of Attuned: all five fields are required, unknown ones are
/// ignored, and of several axes with one name the last one counts. Errors name
/// the field.
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
#[derive(Clone)]
pub struct StateSnapshot(Form);

/// Where the data of a snapshot is.
#[derive(Clone)]
enum Form {
    /// Here. So it is with what a store copies out for its readers, and inside
    /// of a version.
    Inline(SnapshotData),
    /// In an allocation that clones share. It is a version, unpublished, so that
    /// a store can link the snapshot into a user's history without another one.
    Shared(Arc<Version<StateSnapshot>>),
}

impl StateSnapshot {
    /// The value that stands for "neither low nor high": what
    /// [`get_axis`](Self::get_axis) takes an absent axis for.
    pub const NEUTRAL: f32 = 0.5;

    /// Starts a new snapshot.
    pub fn builder() -> StateSnapshotBuilder {
        StateSnapshotBuilder::default()
    }

    /// Starts a changed copy of the snapshot.
    ///
    /// The copy keeps all that is not set anew, the timestamp included: set
    /// [`updated_at`](StateSnapshotBuilder::updated_at) where the change is an
    /// observation of its own.
    ///
    /// ```
    /// use attuned_store::StateSnapshot;
    ///
    /// let before = StateSnapshot::builder()
    ///     .user_id("dev_42")
    ///     .updated_at(1_000)
    ///     .axes([("warmth", 0.7), ("formality", 0.2)])
    ///     .build()?;
    /// let after = before.to_builder().updated_at(2_000).axis("warmth", 0.9).build()?;
    ///
    /// assert_eq!(after.get_axis("warmth"), 0.9);
    /// assert_eq!(after.get_axis("formality"), 0.2);
    /// assert_eq!(before.get_axis("warmth"), 0.7);
    /// # Ok::<(), attuned_store::SnapshotError>(())
    /// ```
    pub fn to_builder(&self) -> StateSnapshotBuilder {
        let data = self.data();
        StateSnapshotBuilder {
            user_id: Some(data.user_id.clone()),
            updated_at_unix_ms: Some(data.updated_at_unix_ms),
            source: data.source(),
            confidence: data.confidence(),
            axes: Vec::new(),
        }
        .axes(data.axes())
    }

    /// The user that the state is of.
    pub fn user_id(&self) -> &str {
        &self.data().user_id
    }

    /// When the state was observed, in milliseconds since the Unix epoch.
    ///
    /// It is what the maker of the snapshot said and need not follow the order
    /// in which a store received snapshots.
    pub fn updated_at_unix_ms(&self) -> i64 {
        self.data().updated_at_unix_ms
    }

    /// How the state was obtained.
    pub fn source(&self) -> Source {
        self.data().source()
    }

    /// How far the state is to be trusted, from 0 to 1.
    pub fn confidence(&self) -> f32 {
        self.data().confidence()
    }

    /// The axes with their values from 0 to 1, in the order of their names.
    pub fn axes(&self) -> Axes<'_> {
        self.data().axes()
    }

    /// The value of an axis, from 0 to 1, if the snapshot has it.
    ///
    /// Walks over the axes, so the cost grows with their number.
    pub fn get_axis_opt(&self, name: &str) -> Option<f32> {
        self.axes()
            .find(|&(present, _)| present == name)
            .map(|(_, value)| value)
    }

    /// The value of an axis, from 0 to 1: [`NEUTRAL`](Self::NEUTRAL) if the
    /// snapshot does not have it.
    ///
    /// The cost is that of [`get_axis_opt`](Self::get_axis_opt).
    pub fn get_axis(&self, name: &str) -> f32 {
        self.get_axis_opt(name).unwrap_or(Self::NEUTRAL)
    }

    fn new(data: SnapshotData) -> Self {
        let version = Version::unpublished(Self(Form::Inline(data)));
        Self::shared(Arc::new(version))
    }

    pub(crate) fn shared(version: Arc<Version<Self>>) -> Self {
        Self(Form::Shared(version))
    }

    /// As something that a store can publish: allocates if the data is here.
    pub(crate) fn into_version(self) -> Arc<Version<Self>> {
        match self.0 {
            Form::Inline(_) => Arc::new(Version::unpublished(self)),
            Form::Shared(version) => version,
        }
    }

    pub(crate) fn user_id_text(&self) -> &SmolStr {
        &self.data().user_id
    }

    #[inline]
    fn data(&self) -> &SnapshotData {
        let mut snapshot = self;
        loop {
            match &snapshot.0 {
                Form::Inline(data) => return data,
                // Whose value is inline.
                Form::Shared(version) => snapshot = version.value(),
            }
        }
    }
}

impl PartialEq for StateSnapshot {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.data(), other.data());
        // The packed axes are not compared as bytes, in which 0.0 and -0.0 differ.
        a.user_id == b.user_id
            && a.updated_at_unix_ms == b.updated_at_unix_ms
            && a.source() == b.source()
            && a.confidence() == b.confidence()
            && a.axes().eq(b.axes())
    }
}

/// Reflexive, because no number in a snapshot can be NaN.
impl Eq for StateSnapshot {}

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
        f.debug_struct("StateSnapshot")
            .field("user_id", &Redacted(self.user_id()))
            .field("updated_at_unix_ms", &self.updated_at_unix_ms())
            .field("source", &self.source())
            .field("confidence", &self.confidence())
            .field("axes", &self.axes())
            .finish()
    }
}

/// Shows just enough of a user id to tell log lines apart.
struct Redacted<'a>(&'a str);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By characters: a byte index can fall inside one.
        let shown = self
            .0
            .char_indices()
            .nth(4)
            .and_then(|(end, _)| self.0.get(..end));
        match shown {
            Some(shown) => write!(f, "\"{}...\"", shown.escape_debug()),
            None => f.write_str("\"[redacted]\""),
        }
    }
}
