//! Who is to be told of changes.
//!
//! **A watcher looks, a writer only notifies.** A watcher has a [`Signal`] here. A thread that
//! has changed a watched key sets it; the watcher then goes to the map and sees for itself
//! what is the latest. So a signal holds no value, however often it is set, and what a
//! watcher is given is the newest at that moment, and never goes back.
//!
//! **No change is missed.** A watcher first subscribes here. Then, at every look, it marks the
//! timeline that it finds ([`Timeline::watch`]), and after that it reads the head. Take any
//! change:
//! - *A write or a removal in a timeline that the watcher has looked at.* The thread that made
//!   it meets the mark and notifies, or the watcher's read comes after it: [`Mirror::watch`]
//!   has the argument.
//! - *A timeline that has come since.* The thread that brought it asks after the insertion
//!   whether anybody is here, and notifies. If that thread finds nobody, the watcher
//!   subscribed after the insertion, and its look, which comes later still, finds the
//!   timeline. For that there is a fence between insertion and question, and one between
//!   subscription and look.
//! - *A change of such a timeline before the watcher's first look at it.* Its thread may have
//!   met no mark. That look is still to come: the thread that brought the timeline asks for
//!   it, or the watcher's subscription does. It finds what the change has left.
//!
//! A thread may be held up between its change and its notification. Until it goes on, the
//! watcher may not know of the change; nor has that thread's call returned.
//!
//! **The mark stays as long as anybody is here** who needs it. A thread that comes to notify
//! and finds nobody takes it back, under the lock under which watchers subscribe.
//!
//! **A removal leaves word.** It leaves its revision and its cause with the signal, because
//! the timeline is gone when the watcher looks. If a watcher finds nothing and was last given
//! a version, it had marked that version's timeline before it read it; so the thread that
//! closed the timeline has left word, or is about to.
//!
//! **Nobody notifies at a deadline.** A key that has expired is not found any more, but its
//! timeline stays open until a sweep, a write or a removal takes it out. A watcher that looks
//! in between finds nothing and no word, and gives nothing. Its mark is still there, so the
//! thread that closes the timeline meets it, and leaves word like any other.
//!
//! [`Timeline::watch`]: super::timeline::Timeline::watch
//! [`Mirror::watch`]: crate::sync::Mirror::watch

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher as _;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::task::Waker;
use std::{array, mem, thread};

use smallvec::SmallVec;
use smol_str::SmolStr;

use super::hasher::DefaultHashBuilder;
use super::signals::{Backlog, Removal, Signal, locked};
use crate::sync::{AtomicU64, Mutex, OnceBox, Ordering, SHARDS, fence};

/// The watchers of a map.
pub(super) struct Watchers(
    /// Made when the first one comes.
    OnceBox<Arc<Registry>>,
);

impl Watchers {
    pub(super) fn new() -> Self {
        Self(OnceBox::new())
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        let Self(registry) = self;
        Arc::clone(registry.get_or_init(|| Box::new(Arc::new(Registry::new()))))
    }

    /// For a thread that has inserted a timeline: whether it is to
    /// [notify](Self::notify).
    #[inline]
    pub(super) fn any(&self) -> bool {
        fence(Ordering::SeqCst);
        let Self(registry) = self;
        registry
            .get()
            .is_some_and(|registry| registry.watchers.load(Ordering::Acquire) > 0)
    }

    /// Tells all who watch a key that it has come or, with a removal, that it is gone.
    #[cold]
    pub(super) fn notify(&self, key: &str, removal: Option<Removal>) {
        let Self(registry) = self;
        if let Some(registry) = registry.get() {
            registry.notify(key, removal, None::<fn()>);
        }
    }

    /// Tells all who watch a key that it has changed. If nobody does, calls `unwatch`, which
    /// is to take the mark back that this thread has met.
    pub(super) fn notify_or(&self, key: &str, unwatch: impl FnOnce()) {
        let Self(registry) = self;
        if let Some(registry) = registry.get() {
            registry.notify(key, None, Some(unwatch));
        }
    }

    /// Wakes all watchers, because the map is about to go.
    pub(super) fn end(&self) {
        let Self(registry) = self;
        if let Some(registry) = registry.get() {
            registry.end();
        }
    }
}

/// Who watches which key.
pub(super) struct Registry {
    watchers: AtomicU64,
    /// How many of them watch all keys.
    watchers_of_all: AtomicU64,
    of_key: [Mutex<Signals>; SHARDS],
    of_all: Mutex<Vec<Arc<Backlog>>>,
    hasher: DefaultHashBuilder,
}

type Signals = HashMap<SmolStr, Vec<Arc<Signal>>, DefaultHashBuilder>;

impl Registry {
    fn new() -> Self {
        let hasher = DefaultHashBuilder::default();
        Self {
            watchers: AtomicU64::new(0),
            watchers_of_all: AtomicU64::new(0),
            of_key: array::from_fn(|_| Mutex::new(HashMap::with_hasher(hasher.clone()))),
            of_all: Mutex::new(Vec::new()),
            hasher,
        }
    }

    /// A watcher of one key. It is to look after this.
    pub(super) fn subscribe(&self, key: &SmolStr) -> Arc<Signal> {
        let signal = Arc::new(Signal::set());
        locked(self.shard(key))
            .entry(key.clone())
            .or_default()
            .push(Arc::clone(&signal));
        self.watchers.fetch_add(1, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        signal
    }

    /// A watcher of all keys. It is to look after this.
    pub(super) fn subscribe_to_all(&self) -> Arc<Backlog> {
        let backlog = Arc::new(Backlog::default());
        locked(&self.of_all).push(Arc::clone(&backlog));
        self.watchers_of_all.fetch_add(1, Ordering::AcqRel);
        self.watchers.fetch_add(1, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        backlog
    }

    pub(super) fn unsubscribe(&self, key: &SmolStr, signal: &Arc<Signal>) {
        {
            let mut shard = locked(self.shard(key));
            let Entry::Occupied(mut signals) = shard.entry(key.clone()) else {
                return;
            };
            take_out(signals.get_mut(), signal);
            if signals.get().is_empty() {
                signals.remove();
            }
            // Otherwise it would keep the room for the most watchers that it ever had.
            if shard.len() < shard.capacity() / 4 {
                shard.shrink_to_fit();
            }
        }
        self.watchers.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn unsubscribe_from_all(&self, backlog: &Arc<Backlog>) {
        take_out(&mut locked(&self.of_all), backlog);
        self.watchers_of_all.fetch_sub(1, Ordering::AcqRel);
        self.watchers.fetch_sub(1, Ordering::AcqRel);
    }

    fn notify(&self, key: &str, removal: Option<Removal>, unwatch: Option<impl FnOnce()>) {
        let mut wakers = SmallVec::<[Waker; 8]>::new();
        {
            let shard = locked(self.shard(key));
            let signals = shard.get(key);
            for signal in signals.into_iter().flatten() {
                wakers.extend(signal.notify(removal));
            }
            // Not under the lock of all if nobody watches all. One who does not see a watcher of
            // all here made the change before that watcher looks: there is a fence here,
            // behind the change, and one between that watcher's subscription and its look.
            fence(Ordering::SeqCst);
            let watched = self.watchers_of_all.load(Ordering::Acquire) > 0;
            let unwatch = unwatch.filter(|_| signals.is_none());
            if watched || unwatch.is_some() {
                let of_all = locked(&self.of_all);
                for backlog in of_all.iter() {
                    wakers.extend(backlog.notify(SmolStr::new(key), removal));
                }
                if let Some(unwatch) = unwatch.filter(|_| of_all.is_empty()) {
                    unwatch();
                }
            }
        }
        wake_all(wakers);
    }

    fn end(&self) {
        let mut wakers = Vec::new();
        for shard in &self.of_key {
            let signals = mem::take(&mut *locked(shard));
            let signals = signals.values().flatten();
            wakers.extend(signals.filter_map(|signal| signal.end()));
        }
        let of_all = mem::take(&mut *locked(&self.of_all));
        wakers.extend(of_all.iter().filter_map(|backlog| backlog.end()));
        wake_all(wakers);
    }

    #[cfg(all(test, not(attuned_loom)))]
    pub(super) fn is_empty(&self) -> bool {
        let no_signals = self.of_key.iter().all(|shard| locked(shard).is_empty());
        let no_watchers = self.watchers.load(Ordering::Acquire) == 0;
        let nobody_of_all = self.watchers_of_all.load(Ordering::Acquire) == 0;
        no_signals && no_watchers && nobody_of_all && locked(&self.of_all).is_empty()
    }

    fn shard(&self, key: &str) -> &Mutex<Signals> {
        // The map in a shard has the same hasher, and goes by other bits of the hash.
        let hash = self.hasher.hash_one(key).rotate_left(20);
        &self.of_key[hash as usize % self.of_key.len()]
    }
}

fn take_out<T>(all: &mut Vec<Arc<T>>, one: &Arc<T>) {
    if let Some(place) = all.iter().position(|other| Arc::ptr_eq(other, one)) {
        all.swap_remove(place);
    }
}

/// Calls wakers, which run code that is not ours: not under a lock, and all of them even if
/// one panics. Its panic goes on afterwards, unless this thread is panicking already.
fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut panicked = None;
    for waker in wakers {
        let woken = panic::catch_unwind(AssertUnwindSafe(|| waker.wake()));
        panicked = panicked.or(woken.err());
    }
    if let Some(panicked) = panicked
        && !thread::panicking()
    {
        panic::resume_unwind(panicked);
    }
}
