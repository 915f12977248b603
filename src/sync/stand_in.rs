//! Loom-visible stand-ins for the primitives.
//!
//! loom can interleave only what goes through its own types, so each operation
//! of a stand-in that other threads can notice is a [`Step`]: an access of a
//! loom atomic, at which loom may switch threads. The data itself is behind
//! locks that loom does not see and that are never held across a step; so an
//! operation happens as a whole at its step, which is what the real primitives
//! guarantee (they are linearizable), and no more of it is assumed.
//!
//! Nothing is dropped under such a lock, because dropping can be a step too.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Mutex as Unseen, MutexGuard, OnceLock, PoisonError};

/// loom's own.
pub use loom::sync::Mutex;
pub use loom::sync::atomic::Ordering;
use loom::sync::atomic::{self, AtomicUsize};

/// A point at which loom can interleave other threads.
#[derive(Debug)]
struct Step(AtomicUsize);

impl Step {
    fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    fn take(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// loom's own, with the orderings that the crate asks for, and each access preceded
/// by a store to a companion that nobody reads.
///
/// loom 0.7.3 misses interleavings if a thread loads an atomic and then writes to it:
/// for each write it only compares with the last access, and that is the thread's own
/// load (<https://github.com/tokio-rs/loom/issues/166>, and 392). Stores are compared
/// with every access. They are relaxed, so that they order nothing else.
#[derive(Debug, Default)]
pub struct AtomicU64 {
    companion: AtomicUsize,
    number: atomic::AtomicU64,
}

impl AtomicU64 {
    pub fn new(number: u64) -> Self {
        Self {
            companion: AtomicUsize::new(0),
            number: atomic::AtomicU64::new(number),
        }
    }

    fn number(&self) -> &atomic::AtomicU64 {
        self.companion.store(0, Ordering::Relaxed);
        &self.number
    }

    pub fn load(&self, order: Ordering) -> u64 {
        self.number().load(order)
    }

    pub fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.number()
            .compare_exchange(current, new, success, failure)
    }

    pub fn fetch_max(&self, number: u64, order: Ordering) -> u64 {
        self.number().fetch_max(number, order)
    }

    pub fn fetch_and(&self, number: u64, order: Ordering) -> u64 {
        self.number().fetch_and(number, order)
    }
}

fn lock<T>(data: &Unseen<T>) -> MutexGuard<'_, T> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// loom runs all threads of a model on one thread of the system.
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

/// How many values are in an [`Arc`] at this moment, in the model that runs on
/// this thread.
pub fn live_values() -> usize {
    LIVE.get()
}

/// A value that is counted as long as it lives.
#[derive(Debug)]
struct Live<T>(T);

impl<T> Live<T> {
    fn new(value: T) -> Self {
        LIVE.set(LIVE.get() + 1);
        Self(value)
    }
}

impl<T> Drop for Live<T> {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
    }
}

/// For `std::sync::Arc`. loom's own has no `Weak`.
///
/// Cloning is no step: whoever clones holds a count already, so it makes no
/// difference to any other thread whether that happens earlier or later.
pub struct Arc<T> {
    value: std::sync::Arc<Live<T>>,
    count: std::sync::Arc<Count>,
}

/// The number of `Arc`s. It is this one that decides whether a `Weak` can be
/// upgraded; the standard library's only manages the memory below.
#[derive(Debug)]
struct Count {
    step: Step,
    strong: Unseen<usize>,
}

impl<T> Arc<T> {
    pub fn new(value: T) -> Self {
        Self {
            value: std::sync::Arc::new(Live::new(value)),
            count: std::sync::Arc::new(Count {
                step: Step::new(),
                strong: Unseen::new(1),
            }),
        }
    }

    pub fn downgrade(this: &Self) -> Weak<T> {
        Weak(Some((
            std::sync::Arc::downgrade(&this.value),
            std::sync::Arc::clone(&this.count),
        )))
    }

    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&this.value, &other.value)
    }
}

impl<T: Clone> Arc<T> {
    /// Like the real one, it takes a value that only `Weak`s point at away from them.
    pub fn make_mut(this: &mut Self) -> &mut T {
        this.count.step.take();
        let unique = *lock(&this.count.strong) == 1;
        if !unique || std::sync::Arc::get_mut(&mut this.value).is_none() {
            *this = Self::new(T::clone(this));
        }
        match std::sync::Arc::get_mut(&mut this.value) {
            Some(live) => &mut live.0,
            None => unreachable!("just found or made unique"),
        }
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        *lock(&self.count.strong) += 1;
        Self {
            value: std::sync::Arc::clone(&self.value),
            count: std::sync::Arc::clone(&self.count),
        }
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        self.count.step.take();
        *lock(&self.count.strong) -= 1;
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// For `std::sync::Weak`.
pub struct Weak<T>(Option<(std::sync::Weak<Live<T>>, std::sync::Arc<Count>)>);

impl<T> Weak<T> {
    pub fn new() -> Self {
        Self(None)
    }

    pub fn upgrade(&self) -> Option<Arc<T>> {
        let (value, count) = self.0.as_ref()?;
        count.step.take();
        let mut strong = lock(&count.strong);
        if *strong == 0 {
            return None;
        }
        *strong += 1;
        Some(Arc {
            value: value
                .upgrade()
                .expect("there is an `Arc`, so there is a value"),
            count: std::sync::Arc::clone(count),
        })
    }
}

impl<T> Clone for Weak<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Weak<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(Weak)")
    }
}

/// For `arc_swap::ArcSwapOption`.
#[derive(Debug)]
pub struct ArcSwapOption<T> {
    step: Step,
    current: Unseen<Option<Arc<T>>>,
}

impl<T> ArcSwapOption<T> {
    pub fn new(initial: Option<Arc<T>>) -> Self {
        Self {
            step: Step::new(),
            current: Unseen::new(initial),
        }
    }

    pub fn load(&self) -> Guard<Option<Arc<T>>> {
        self.step.take();
        Guard(lock(&self.current).clone())
    }

    pub fn swap(&self, new: Option<Arc<T>>) -> Option<Arc<T>> {
        self.step.take();
        std::mem::replace(&mut *lock(&self.current), new)
    }

    pub fn compare_and_swap(
        &self,
        expected: &Option<Arc<T>>,
        new: Option<Arc<T>>,
    ) -> Guard<Option<Arc<T>>> {
        self.step.take();
        let mut current = lock(&self.current);
        let equal = match (&*current, expected) {
            (Some(current), Some(expected)) => Arc::ptr_eq(current, expected),
            (None, None) => true,
            _ => false,
        };
        if equal {
            Guard(std::mem::replace(&mut *current, new))
        } else {
            let found = current.clone();
            drop(current);
            Guard(found)
        }
    }
}

/// For `arc_swap::Guard`. It always holds a count, where the real one holds a
/// debt that a writer turns into a count when it replaces the value.
pub struct Guard<T>(T);

impl<T> Guard<T> {
    pub fn into_inner(guard: Self) -> T {
        guard.0
    }
}

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// For `mirror::Mirror`, which has models of its own.
#[derive(Debug)]
pub struct Mirror<const N: usize> {
    step: Step,
    content: Unseen<Mirrored<N>>,
}

#[derive(Clone, Debug)]
struct Mirrored<const N: usize> {
    newest: u64,
    has_had_words: bool,
    shown: bool,
    claimed: bool,
    words: [u64; N],
}

impl<const N: usize> Mirrored<N> {
    const CLOSED: u64 = u64::MAX;

    /// Whether there was something to raise.
    fn raise(&mut self, sequence: u64) -> bool {
        let raised = sequence > self.newest;
        if raised {
            self.newest = sequence;
            self.shown = false;
        }
        raised
    }
}

impl<const N: usize> Mirror<N> {
    pub fn of_first(words: Option<[u64; N]>) -> Self {
        Self {
            step: Step::new(),
            content: Unseen::new(Mirrored {
                newest: 1,
                has_had_words: words.is_some(),
                shown: words.is_some(),
                claimed: false,
                words: words.unwrap_or([0; N]),
            }),
        }
    }

    pub fn announce(&self, sequence: u64) {
        self.step.take();
        lock(&self.content).raise(sequence);
    }

    /// Two steps: the claim and the change, between which readers get nothing
    /// and other writers leave.
    pub fn show(&self, sequence: u64, words: [u64; N]) {
        self.step.take();
        let mut content = lock(&self.content);
        if content.newest > sequence {
            return;
        }
        content.raise(sequence);
        if content.claimed {
            return;
        }
        content.claimed = true;
        content.has_had_words = true;
        drop(content);
        self.step.take();
        let mut content = lock(&self.content);
        content.claimed = false;
        if content.newest == Mirrored::<N>::CLOSED {
            content.words = [0; N];
        } else {
            content.words = words;
            content.shown = content.newest == sequence;
        }
    }

    pub fn close(&self) {
        self.step.take();
        let mut content = lock(&self.content);
        content.raise(Mirrored::<N>::CLOSED);
        if !content.claimed {
            content.words = [0; N];
        }
    }

    pub fn announce_closed(&self) {
        self.announce(Mirrored::<N>::CLOSED);
    }

    pub fn is_closed(&self) -> bool {
        self.step.take();
        lock(&self.content).newest == Mirrored::<N>::CLOSED
    }

    /// No step if there have never been words: then it is in vain whenever it happens.
    pub fn look(&self) -> Option<(u64, [u64; N])> {
        if !lock(&self.content).has_had_words {
            return None;
        }
        self.step.take();
        let content = lock(&self.content);
        content.shown.then_some((content.newest, content.words))
    }

    /// In vain: who looks again and finds something finds what they would have found by
    /// coming later, and the first look has left no trace.
    pub fn look_again(&self) -> Option<(u64, [u64; N])> {
        None
    }
}

/// For `crossbeam_queue::ArrayQueue`.
#[derive(Debug)]
pub struct ArrayQueue<T> {
    step: Step,
    entries: Unseen<VecDeque<T>>,
    capacity: usize,
}

impl<T> ArrayQueue<T> {
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "capacity must be non-zero");
        Self {
            step: Step::new(),
            entries: Unseen::new(VecDeque::new()),
            capacity,
        }
    }

    pub fn push(&self, entry: T) -> Result<(), T> {
        self.step.take();
        let mut entries = lock(&self.entries);
        if entries.len() == self.capacity {
            return Err(entry);
        }
        entries.push_back(entry);
        Ok(())
    }

    pub fn pop(&self) -> Option<T> {
        self.step.take();
        lock(&self.entries).pop_front()
    }
}

/// For `once_cell::race::OnceBox`.
#[derive(Debug)]
pub struct OnceBox<T> {
    step: Step,
    value: OnceLock<Box<T>>,
}

impl<T> OnceBox<T> {
    pub fn new() -> Self {
        Self {
            step: Step::new(),
            value: OnceLock::new(),
        }
    }

    pub fn get(&self) -> Option<&T> {
        self.step.take();
        self.value.get().map(Box::as_ref)
    }

    pub fn get_or_init(&self, init: impl FnOnce() -> Box<T>) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        // The real one makes the value before it races to put it in.
        let value = init();
        self.step.take();
        self.value.get_or_init(|| value)
    }
}

/// For the function of that name. None, so that what the real one makes rare
/// happens in the models, with two writers and a small window.
pub fn slack(_in_window: usize) -> usize {
    0
}

/// For the function of that name. A hint has no effect that a model could see.
pub fn touch<T>(_: &OnceBox<ArrayQueue<T>>) {}

/// For `papaya::Equivalent`.
pub trait Equivalent<K> {
    fn equivalent(&self, key: &K) -> bool;
}

/// For `papaya::HashMap`. Neither hashes nor resizes; the entries are in the
/// order of insertion, so that a model does the same in every execution.
pub struct HashMap<K, V, S> {
    step: Step,
    entries: Unseen<Vec<(K, std::sync::Arc<V>)>>,
    hasher: PhantomData<S>,
}

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
        HashMapRef {
            map: self,
            guard: PhantomData,
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

/// For `papaya::HashMapRef`. What `get` returns keeps the value alive, as a pin does.
pub struct HashMapRef<'a, K, V, S, G> {
    map: &'a HashMap<K, V, S>,
    guard: PhantomData<G>,
}

impl<K: Eq + Clone, V, S, G> HashMapRef<'_, K, V, S, G> {
    pub fn get<Q: Equivalent<K>>(&self, key: &Q) -> Option<std::sync::Arc<V>> {
        self.entry(key).map(|(_, value)| value)
    }

    pub fn get_key_value<Q: Equivalent<K>>(&self, key: &Q) -> Option<(K, std::sync::Arc<V>)> {
        self.entry(key)
    }

    fn entry<Q: Equivalent<K>>(&self, key: &Q) -> Option<(K, std::sync::Arc<V>)> {
        self.map.step.take();
        lock(&self.map.entries)
            .iter()
            .find(|(present, _)| key.equivalent(present))
            .cloned()
    }

    pub fn try_insert(&self, key: K, value: V) -> Result<std::sync::Arc<V>, V> {
        self.map.step.take();
        let mut entries = lock(&self.map.entries);
        if entries.iter().any(|(present, _)| *present == key) {
            return Err(value);
        }
        let value = std::sync::Arc::new(value);
        entries.push((key, std::sync::Arc::clone(&value)));
        Ok(value)
    }

    /// Two steps, as in the real one: the predicate sees the value that was
    /// there, and the removal succeeds only if it still is.
    pub fn remove_if<Q: Equivalent<K>>(
        &self,
        key: &Q,
        mut should_remove: impl FnMut(&K, &V) -> bool,
    ) -> Result<Option<()>, ()> {
        loop {
            let Some((found_key, found)) = self.entry(key) else {
                return Ok(None);
            };
            if !should_remove(&found_key, &found) {
                return Err(());
            }
            self.map.step.take();
            let mut entries = lock(&self.map.entries);
            let place = entries
                .iter()
                .position(|(_, present)| std::sync::Arc::ptr_eq(present, &found));
            if let Some(place) = place {
                let removed = entries.remove(place);
                drop(entries);
                drop(removed);
                return Ok(Some(()));
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (K, std::sync::Arc<V>)> {
        self.map.step.take();
        let entries = lock(&self.map.entries).clone();
        entries.into_iter()
    }
}

/// For `papaya::LocalGuard`.
pub struct LocalGuard<'a>(PhantomData<&'a ()>);

/// For the reclamation part of papaya's guards. Here, what is unlinked is freed
/// when the last reader lets go, so there is nothing to flush.
pub trait Reclaim {
    fn flush(&self);
}

impl Reclaim for LocalGuard<'_> {
    fn flush(&self) {}
}
