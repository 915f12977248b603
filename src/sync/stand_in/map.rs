//! The map.

use std::marker::PhantomData;
use std::sync::Arc;

use super::kept::Kept;
use super::{Step, Unseen, lock};

/// For `papaya::Equivalent`.
pub trait Equivalent<K> {
    fn equivalent(&self, key: &K) -> bool;
}

/// For `papaya::HashMap`. Neither hashes nor resizes; the entries are in the
/// order of insertion, so that a model does the same in every execution.
pub struct HashMap<K, V, S> {
    step: Step,
    entries: Unseen<Vec<Entry<K, V>>>,
    hasher: PhantomData<S>,
}

type Entry<K, V> = Arc<(K, V)>;

pub struct HashMapBuilder<S>(PhantomData<S>);

pub enum ResizeMode {
    Blocking,
}

impl<S> HashMapBuilder<S> {
    pub fn capacity(self, _: usize) -> Self {
        self
    }

    pub fn hasher<H>(self, _: H) -> HashMapBuilder<H> {
        HashMapBuilder(PhantomData)
    }

    pub fn resize_mode(self, _: ResizeMode) -> Self {
        self
    }

    pub fn build<K, V>(self) -> HashMap<K, V, S> {
        HashMap {
            step: Step::new(),
            entries: Unseen::new(Vec::new()),
            hasher: PhantomData,
        }
    }
}

impl HashMap<(), (), ()> {
    pub fn builder() -> HashMapBuilder<()> {
        HashMapBuilder(PhantomData)
    }
}

impl<K, V, S> HashMap<K, V, S> {
    pub fn pin(&self) -> HashMapRef<'_, K, V, S, LocalGuard<'_>> {
        self.pinned_by(self.guard())
    }

    pub fn pin_owned(&self) -> HashMapRef<'_, K, V, S, OwnedGuard<'_>> {
        self.pinned_by(OwnedGuard(PhantomData))
    }

    fn pinned_by<G>(&self, guard: G) -> HashMapRef<'_, K, V, S, G> {
        HashMapRef {
            map: self,
            kept: Kept::new(),
            _guard: guard,
        }
    }

    pub fn guard(&self) -> LocalGuard<'_> {
        LocalGuard(PhantomData)
    }

    pub fn len(&self) -> usize {
        self.step.take();
        lock(&self.entries).len()
    }
}

/// For `papaya::HashMapRef`. It keeps what it has lent out, as a pin does.
pub struct HashMapRef<'a, K, V, S, G> {
    map: &'a HashMap<K, V, S>,
    kept: Kept<Entry<K, V>>,
    _guard: G,
}

/// For `papaya::OccupiedError`.
pub struct OccupiedError<'a, V> {
    pub current: &'a V,
    pub not_inserted: V,
}

impl<K: Eq, V, S, G> HashMapRef<'_, K, V, S, G> {
    pub fn get<Q: Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    pub fn get_key_value<Q: Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<(&K, &V)> {
        self.find(key).map(|entry| self.lend(entry))
    }

    fn find<Q: Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<Entry<K, V>> {
        self.map.step.take();
        lock(&self.map.entries)
            .iter()
            .find(|entry| key.equivalent(&entry.0))
            .cloned()
    }

    fn lend(&self, entry: Entry<K, V>) -> (&K, &V) {
        let (key, value) = &**self.kept.keep(entry);
        (key, value)
    }

    pub fn try_insert(&self, key: K, value: V) -> Result<&V, OccupiedError<'_, V>> {
        self.map.step.take();
        let mut entries = lock(&self.map.entries);
        if let Some(present) = entries.iter().find(|entry| entry.0 == key) {
            return Err(OccupiedError {
                current: self.lend(Arc::clone(present)).1,
                not_inserted: value,
            });
        }
        let entry = Arc::new((key, value));
        entries.push(Arc::clone(&entry));
        Ok(self.lend(entry).1)
    }

    /// Two steps, as in the real one: the predicate sees the value that was
    /// there, and the removal succeeds only if it still is.
    pub fn remove_if<Q: Equivalent<K> + ?Sized>(
        &self,
        key: &Q,
        mut should_remove: impl FnMut(&K, &V) -> bool,
    ) -> Result<Option<(&K, &V)>, (&K, &V)> {
        loop {
            let Some(found) = self.find(key) else {
                return Ok(None);
            };
            if !should_remove(&found.0, &found.1) {
                return Err(self.lend(found));
            }
            self.map.step.take();
            let mut entries = lock(&self.map.entries);
            let place = entries
                .iter()
                .position(|present| Arc::ptr_eq(present, &found));
            if let Some(place) = place {
                let removed = entries.remove(place);
                return Ok(Some(self.lend(removed)));
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.step.take();
        let entries = lock(&self.map.entries).clone();
        entries.into_iter().map(|entry| self.lend(entry))
    }
}

/// For `papaya::LocalGuard`.
pub struct LocalGuard<'a>(PhantomData<&'a ()>);

/// For `papaya::OwnedGuard`.
pub struct OwnedGuard<'a>(PhantomData<&'a ()>);

/// For the reclamation part of papaya's guards. Here, what is unlinked is freed
/// when the last reader lets go, so there is nothing to flush.
pub trait Reclaim {
    fn flush(&self);
}

impl Reclaim for LocalGuard<'_> {
    fn flush(&self) {}
}

impl Reclaim for OwnedGuard<'_> {
    fn flush(&self) {}
}
