//! How user ids are hashed unless the store is told otherwise.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::quality::{FoldHasher, SeedableRandomState};

/// How a [`MemoryStore`](crate::MemoryStore) hashes user ids by default: with
/// [foldhash] in its variant *quality*, seeded from the operating system's randomness,
/// for each store anew.
///
/// It is fast, and a caller that does not know the seeds cannot find ids that collide.
/// It does not stand up to one who can see hashes, or learn them from times
/// measured very exactly, as a cryptographic hash would. See
/// [`hasher`](crate::MemoryStoreBuilder::hasher) for another choice.
///
/// [foldhash]: https://docs.rs/foldhash
// Not the variant `fast`: it leaves ids that differ only in a number unevenly spread
// with some seeds, and a store keeps its seed. Of 2,000 stores with 1,000 such ids in
// 2,048 places, one in a hundred walked past 2.0 places or more to find a user, the
// worst past 5.6; with `quality`, as with SipHash, past 0.42, and past 0.6 at the most.
#[derive(Clone)]
pub struct DefaultHashBuilder(SeedableRandomState);

/// What a process draws once, since foldhash wants it to live as long.
static SHARED_SEED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(random()));

/// The keys of a `RandomState` come from the operating system.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Default for DefaultHashBuilder {
    fn default() -> Self {
        Self(SeedableRandomState::with_seed(random(), &SHARED_SEED))
    }
}

impl BuildHasher for DefaultHashBuilder {
    type Hasher = DefaultHasher;

    #[inline]
    fn build_hasher(&self) -> DefaultHasher {
        DefaultHasher(self.0.build_hasher())
    }
}

/// Without the seeds.
impl fmt::Debug for DefaultHashBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultHashBuilder").finish_non_exhaustive()
    }
}

/// The hasher of [`DefaultHashBuilder`].
#[derive(Clone)]
pub struct DefaultHasher(FoldHasher<'static>);

impl Hasher for DefaultHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// Without the seeds.
impl fmt::Debug for DefaultHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultHasher").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;

    #[test]
    fn stores_hash_differently_and_each_always_alike() {
        let [one, other] = [(); 2].map(|()| DefaultHashBuilder::default());
        assert_eq!(one.hash_one("ada"), one.clone().hash_one("ada"));
        // By chance once in 2^64.
        assert_ne!(one.hash_one("ada"), other.hash_one("ada"));
        assert_ne!(one.hash_one("ada"), one.hash_one("grace"));
    }

    #[test]
    fn seeds_are_not_shown() {
        let builder = DefaultHashBuilder::default();
        assert_eq!(format!("{builder:?}"), "DefaultHashBuilder { .. }");
        assert_eq!(
            format!("{:?}", builder.build_hasher()),
            "DefaultHasher { .. }"
        );
    }
}
