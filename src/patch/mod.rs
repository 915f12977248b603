//! Changes to some of the axes of a user's state.

mod rule;

use crate::revision::{Expected, Revision};
use crate::snapshot::{
    AxisList, AxisName, SnapshotError, Source, validate_axis_value, validate_confidence,
};

pub(crate) use self::rule::CheckedPatch;

/// Changes to some of the axes of a user's state: values to set, and axes to remove.
///
/// [`MemoryStore::patch`](crate::MemoryStore::patch) and
/// [`StateStoreExt::patch_latest`](crate::StateStoreExt::patch_latest) make them, atomically,
/// and leave the other axes as they are. A patch is a value: it can be made once and used for
/// many users. It is checked where it is used, so the order of the calls does not matter. Of
/// several calls for the same axis the last one counts.
///
/// ```
/// use attuned_store::{MemoryStore, Patch, Patched, Source};
///
/// let store = MemoryStore::default();
/// store.patch("ada", &Patch::new(Source::SelfReport).axis("warmth", 0.9))?;
///
/// let inferred = Patch::new(Source::Inferred)
///     .confidence(0.6)
///     .axes([("warmth", 0.2), ("formality", 0.3)]);
/// let Patched::Written { value, .. } = store.patch("ada", &inferred)? else {
///     panic!("formality is new");
/// };
/// assert!(value.axes().eq([("formality", 0.3), ("warmth", 0.9)]));
/// assert_eq!((value.source(), value.confidence()), (Source::Mixed, 0.6));
/// # Ok::<(), attuned_store::StoreError>(())
/// ```
///
/// # Explicit values win
///
/// A patch of source [`SelfReport`](Source::SelfReport) sets and removes whatever it names.
/// Patches of other sources set and remove freely only in an [`Inferred`](Source::Inferred)
/// state. In a state that is, or may be, the user's own word they remove nothing, and only add
/// axes that it does not have. (A mixed state does not say which of its axes the user reported,
/// so none of them is overridden or removed.) The rule is that of attuned-core 1.0.1, whose
/// `translator` module promises not to "correct" what a user has set.
///
/// # What comes out
///
/// The time is that of the call. Source and confidence are those of the parts of which the
/// new state consists:
///
/// | what is left of the former state | what the patch has set | source and confidence |
/// |---|---|---|
/// | some axes | none: it has only removed | those of the former state |
/// | some axes | some | the common source, or [`Mixed`](Source::Mixed); the lower confidence |
/// | none | some or none | those of the patch |
///
/// A value that is set anew to what it was is a change, too: it was observed again.
#[derive(Clone, Debug)]
#[must_use = "a patch does nothing until a store makes its changes"]
pub struct Patch {
    source: Source,
    confidence: f32,
    /// `None` for an axis that is to be removed.
    changes: AxisList<Option<f32>>,
    expected: Expected,
}

impl Patch {
    /// Starts a patch that changes nothing, with values from this source, full confidence
    /// and no condition.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            confidence: 1.0,
            changes: AxisList::default(),
            expected: Expected::Any,
        }
    }

    /// Sets how far the values are to be trusted, from 0 to 1; 1 by default.
    pub fn confidence(mut self, confidence: f32) -> Self {
        self.confidence = confidence;
        self
    }

    /// Sets the value of an axis, by the rules of
    /// [`StateSnapshotBuilder::axis`](crate::StateSnapshotBuilder::axis).
    pub fn axis(self, name: impl AsRef<str>, value: f32) -> Self {
        self.change(name, Some(value))
    }

    /// Sets the values of several axes, each like [`axis`](Self::axis).
    ///
    /// Takes no more from the iterator once it has counted more than
    /// [`MAX_AXES`](crate::MAX_AXES) names, like
    /// [`StateSnapshotBuilder::axes`](crate::StateSnapshotBuilder::axes).
    pub fn axes<I, N>(mut self, axes: I) -> Self
    where
        I: IntoIterator<Item = (N, f32)>,
        N: AsRef<str>,
    {
        let axes = axes.into_iter().map(|(name, value)| (name, Some(value)));
        self.changes.extend(axes);
        self
    }

    /// Removes an axis. It is no mistake if the state does not have it.
    ///
    /// ```
    /// use attuned_store::{MemoryStore, Patch, Patched, Source, StateSnapshot};
    ///
    /// let store = MemoryStore::default();
    /// let ada = StateSnapshot::builder().user_id("ada").axes([("warmth", 0.9), ("zeal", 0.1)]);
    /// store.insert(ada.build()?)?;
    ///
    /// // What the user has reported, only the user takes back.
    /// let inferred = store.patch("ada", &Patch::new(Source::Inferred).remove("zeal"))?;
    /// assert!(matches!(inferred, Patched::Unchanged { .. }));
    /// store.patch("ada", &Patch::new(Source::SelfReport).remove("zeal"))?;
    /// assert_eq!(store.with("ada", |state| state.get_axis_opt("zeal")), Some(None));
    /// # Ok::<(), attuned_store::StoreError>(())
    /// ```
    pub fn remove(self, name: impl AsRef<str>) -> Self {
        self.change(name, None)
    }

    /// Makes the patch conditional: if something else is there, it is refused with
    /// [`Conflict`](crate::StoreError::Conflict), even if it would change nothing.
    /// [`Expected::Any`], the default, is no condition.
    ///
    /// ```
    /// use attuned_store::{Expected, MemoryStore, Patch, Source, StoreError};
    ///
    /// let store = MemoryStore::default();
    /// let first = Patch::new(Source::Inferred).axis("warmth", 0.5).expecting(Expected::Absent);
    /// store.patch("ada", &first)?;
    /// let again = store.patch("ada", &first);
    /// assert!(matches!(again, Err(StoreError::Conflict { .. })));
    /// # Ok::<(), StoreError>(())
    /// ```
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    fn change(mut self, name: impl AsRef<str>, value: Option<f32>) -> Self {
        // What uses the patch tells if there is no room.
        let _ = self.changes.push(AxisName::new(name.as_ref()), value);
        self
    }

    /// Everything is checked here, so that no invalid value goes unnoticed
    /// because the rule leaves it out.
    pub(crate) fn checked(&self) -> Result<CheckedPatch, SnapshotError> {
        validate_confidence(self.confidence)?;
        let changes = self.changes.clone().sorted()?;
        for (name, value) in changes.iter() {
            name.validate()?;
            if let Some(value) = value {
                validate_axis_value(name.as_str(), *value)?;
            }
        }
        Ok(CheckedPatch {
            source: self.source,
            confidence: self.confidence,
            changes,
            expected: self.expected,
        })
    }
}

/// What became of a [`Patch`]; `V` is a [`State`](crate::State) or a
/// [`StateSnapshot`](crate::StateSnapshot).
///
/// ```
/// use attuned_store::{MemoryStore, Patch, Patched, Source};
///
/// let store = MemoryStore::default();
/// let empty = Patch::new(Source::SelfReport);
/// assert_eq!(store.patch("ada", &empty)?, Patched::Nobody);
/// store.patch("ada", &empty.clone().axis("warmth", 0.7))?;
/// assert!(matches!(store.patch("ada", &empty)?, Patched::Unchanged { .. }));
/// # Ok::<(), attuned_store::StoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patched<V> {
    /// The changes were made.
    Written {
        /// What was written.
        value: V,
        /// Which write that was.
        revision: Revision,
    },
    /// The rule, or the patch itself, left nothing to change; nothing was written.
    Unchanged {
        /// What is there.
        value: V,
        /// Which write stored it.
        revision: Revision,
    },
    /// There is nobody, and the patch sets no value of which to make a state.
    Nobody,
}
