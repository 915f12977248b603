//! User ids as keys of the map.
//!
//! They hash as their bytes and nothing else. A `str` adds a byte that keeps
//! several texts in one hash apart, which a key that is a single text does not
//! need.

use std::hash::{Hash, Hasher};

use smol_str::SmolStr;

use crate::sync::Equivalent;

/// A user id as the map keeps it: in the entry itself, up to 23 bytes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct UserKey(SmolStr);

/// A user id as the map is asked for it.
pub(super) struct UserId<'a>(pub(super) &'a str);

impl UserKey {
    pub(super) fn new(user_id: SmolStr) -> Self {
        Self(user_id)
    }

    pub(super) fn text(&self) -> &SmolStr {
        &self.0
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Hash for UserKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        UserId(&self.0).hash(state);
    }
}

impl Hash for UserId<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.as_bytes());
    }
}

impl Equivalent<UserKey> for UserId<'_> {
    fn equivalent(&self, key: &UserKey) -> bool {
        self.0 == key.as_str()
    }
}
