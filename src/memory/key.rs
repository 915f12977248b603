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
    #[inline]
    fn equivalent(&self, key: &UserKey) -> bool {
        same_bytes(self.0.as_bytes(), key.as_str().as_bytes())
    }
}

/// Equality, without the call that the comparison of slices makes, for the lengths
/// that nearly all ids have: every operation pays for it.
#[inline]
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && match a.len() {
            8..=16 => same_ends::<8>(a, b),
            17..=32 => same_ends::<16>(a, b),
            33..=64 => same_ends::<32>(a, b),
            _ => a == b,
        }
}

/// Whether the first and the last `N` bytes are the same. The two may overlap.
#[inline]
fn same_ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    a.first_chunk::<N>() == b.first_chunk() && a.last_chunk::<N>() == b.last_chunk()
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_if_each_of_them_is() {
        for len in 0..80 {
            let a: Vec<u8> = (0..len).collect();
            assert!(same_bytes(&a, &a.clone()), "{len} bytes");
            for other in 0..80 {
                let b: Vec<u8> = (0..other).collect();
                assert_eq!(same_bytes(&a, &b), len == other, "{len} and {other} bytes");
            }
            for at in 0..a.len() {
                let mut b = a.clone();
                b[at] ^= 1;
                assert!(!same_bytes(&a, &b), "byte {at} of {len} differs");
                assert!(!same_bytes(&b, &a), "byte {at} of {len} differs");
            }
        }
    }
}
