//! Keys as the map keeps them and is asked for them.
//!
//! They hash as their bytes and nothing else. A `str` adds a byte that keeps
//! several texts in one hash apart, which a key that is a single text does not
//! need.

use std::hash::{Hash, Hasher};

use smol_str::SmolStr;

use crate::sync::Equivalent;

/// A key as the map keeps it: in the entry itself, up to 23 bytes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct OwnedKey(SmolStr);

/// A key as the map is asked for it.
pub(super) struct BorrowedKey<'a>(pub(super) &'a str);

impl OwnedKey {
    pub(super) fn new(key: SmolStr) -> Self {
        Self(key)
    }

    pub(super) fn text(&self) -> &SmolStr {
        &self.0
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Hash for OwnedKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        BorrowedKey(&self.0).hash(state);
    }
}

impl Hash for BorrowedKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.as_bytes());
    }
}

impl Equivalent<OwnedKey> for BorrowedKey<'_> {
    #[inline]
    fn equivalent(&self, key: &OwnedKey) -> bool {
        same_bytes(self.0.as_bytes(), key.as_str().as_bytes())
    }
}

/// Equality, without the call that the comparison of slices makes, for the lengths
/// that nearly all keys have: every operation pays for it.
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
