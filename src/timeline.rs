//! The history of one user.

use crate::sync::Weak;

#[allow(dead_code)] // Until there are timelines.
/// A value, its place in a timeline, and the way to the one it superseded.
#[derive(Clone, Debug)]
pub(crate) struct Version<V> {
    value: V,
    sequence: u64,
    previous: Weak<Version<V>>,
}

impl<V> Version<V> {
    /// A version that is in no timeline yet.
    pub(crate) fn unpublished(value: V) -> Self {
        Self {
            value,
            sequence: 0,
            previous: Weak::new(),
        }
    }

    pub(crate) fn value(&self) -> &V {
        &self.value
    }
}
