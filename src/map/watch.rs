//! Watching: what a watcher sees when it looks.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use smol_str::SmolStr;

use super::key::BorrowedKey;
use super::signals::{Backlog, Next, Removal, Signal};
use super::small_value::Mirroring;
use super::timeline::Timeline;
use super::watchers::Registry;
use super::{DefaultHashBuilder, HistoryMap, MapError, read};
use crate::revision::Revision;
use crate::versioned::Versioned;
use crate::watch::{AnyEvent, Event, Watch};

impl<V, M, S> HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V> + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    /// Watches a key, whether or not it is there.
    ///
    /// The watch begins with what is there now, and then gives what is the latest after each
    /// change. Several changes can be given as one, the last; a watch never goes back, and it
    /// never ends with less than the newest. An event comes at the latest when all writes and
    /// removals that had begun before the change returned have returned, too. The watch holds
    /// the map weakly, and ends when the map is dropped.
    ///
    /// Nothing happens at the moment at which a key
    /// [expires](crate::HistoryMapBuilder::time_to_live). The watch tells it as
    /// [`Expired`](crate::RemovalCause::Expired) when a [`sweep`](Self::sweep), a write or a
    /// removal takes the key out; so as late as the next sweep, if nobody writes the key.
    ///
    /// A watch takes two small allocations and a place in a table, and holds its key until it
    /// is dropped. A write or a removal of a watched key takes a lock for a moment that it
    /// shares with one in 16 of the other watched keys, and wakes each watch of the key; so
    /// does a write that brings a *new* key to a map that is watched. Other writes pay some
    /// instructions. The event is read when it is asked for, as by
    /// [`get_versioned`](Self::get_versioned). Wakers are called by the thread that writes,
    /// after its write has taken effect; if one panics, all others are called, and then the
    /// panic goes on out of that write.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use attuned_store::{Event, HistoryMap};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let map = Arc::new(HistoryMap::builder().build()?);
    /// let mut watch = map.watch("ada");
    /// let writer = std::thread::spawn({
    ///     let map = Arc::clone(&map);
    ///     move || map.insert("ada", 1)
    /// });
    /// assert!(matches!(watch.next().await, Some(Event::Put(found)) if found.value == 1));
    /// # writer.join().map_err(|_| "panicked")??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(self: &Arc<Self>, key: &str) -> Watch<Event<V>> {
        let map = Arc::downgrade(self);
        self.watch_with(key, move |key| Some(map.upgrade()?.look(key)))
    }

    /// Watches all keys, those that are there and those to come.
    ///
    /// The watch begins with all that is there, in no order, then says
    /// [`CaughtUp`](AnyEvent::CaughtUp), and goes on with what changes. Of each key it gives
    /// events as [`watch`](Self::watch) does, in the order of their revisions; between keys
    /// there is no order. What has changed and was not yet given waits in a queue, each key
    /// once, so a slow consumer costs memory in the number of keys.
    ///
    /// To begin takes as long as a [`for_each`](Self::for_each), and the queue then has all
    /// keys. The watch remembers each key that it has given, with its revision, and forgets it
    /// when it gives its removal: until then, a removed key is in the memory of the watch.
    /// While there is one, a write of a key that the watch has given, or of a new one, takes a
    /// lock for a moment that all share.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use attuned_store::{AnyEvent, HistoryMap};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let map = Arc::new(HistoryMap::builder().build()?);
    /// map.insert("ada", 1)?;
    /// let mut watch = map.watch_all();
    /// map.insert("grace", 2)?;
    ///
    /// let mut keys = Vec::new();
    /// while keys.len() < 2 {
    ///     if let Some(AnyEvent::Of { key, .. }) = watch.next().await {
    ///         keys.push(key);
    ///     }
    /// }
    /// assert_eq!(keys, ["ada", "grace"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch_all(self: &Arc<Self>) -> Watch<AnyEvent<V>> {
        let map = Arc::downgrade(self);
        self.watch_all_with(move |key| Some(map.upgrade()?.look(key)))
    }
}

impl<V, M, S> HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// A watch of a key that goes to the map by `look`, which is to call
    /// [`look`](Self::look), and returns `None` once the map is gone.
    pub(crate) fn watch_with<T: 'static>(
        &self,
        key: &str,
        look: impl Fn(&SmolStr) -> Option<Look<T>> + Send + Unpin + 'static,
    ) -> Watch<Event<T>> {
        let registry = self.watchers.registry();
        let key = SmolStr::new(key);
        Watch::new(WatchOfKey {
            signal: registry.subscribe(&key),
            registry,
            key,
            given: None,
            look,
            value: PhantomData,
        })
    }

    /// The same of all keys.
    pub(crate) fn watch_all_with<T: 'static>(
        &self,
        look: impl Fn(&SmolStr) -> Option<Look<T>> + Send + Unpin + 'static,
    ) -> Watch<AnyEvent<T>> {
        let registry = self.watchers.registry();
        let watch = WatchOfAll {
            backlog: registry.subscribe_to_all(),
            registry,
            given: HashMap::default(),
            look,
            value: PhantomData,
        };
        let backlog = &watch.backlog;
        let visited = self.wherever(|| {
            // A key that comes while these are visited brings itself.
            let pinned = self.timelines.pin();
            for (key, _) in pinned.iter().filter(|(_, there)| !there.is_closed()) {
                backlog.notify(key.text().clone(), None);
            }
            Ok(())
        });
        if visited.is_ok() {
            backlog.caught_up();
        }
        Watch::new(watch)
    }

    /// What a watcher finds: the latest value, in a timeline that it has marked before. An
    /// error if this thread cannot look.
    pub(crate) fn look(&self, key: &str) -> Result<Option<Versioned<V>>, MapError> {
        self.wherever(|| {
            let pinned = self.timelines.pin();
            let Some(timeline) = pinned.get(&BorrowedKey(key)) else {
                return Ok(None);
            };
            timeline.watch();
            let expiry = self.expiry.as_deref();
            Ok(read::versioned(timeline, expiry, &self.revision_floor))
        })
    }

    /// Tells those who watch of a change in a timeline that has their mark.
    #[cold]
    pub(super) fn notify_of_change(&self, key: &str, timeline: &Timeline<V>) {
        self.watchers.notify_or(key, || timeline.unwatch());
    }
}

/// What a watcher has found.
pub(crate) type Look<T> = Result<Option<Versioned<T>>, MapError>;

/// How many looks without an event one poll makes, before it lets other tasks go first.
const LOOKS: usize = 128;

/// The stream of one key's events. `look` goes to the map; it returns `None` once the map is
/// gone.
struct WatchOfKey<T, L> {
    registry: Arc<Registry>,
    key: SmolStr,
    signal: Arc<Signal>,
    /// The revision of the version that was given last, unless its removal was given after it.
    given: Option<Revision>,
    look: L,
    value: PhantomData<fn() -> T>,
}

impl<T, L> Stream for WatchOfKey<T, L>
where
    L: Fn(&SmolStr) -> Option<Look<T>> + Unpin,
{
    type Item = Event<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event<T>>> {
        for _ in 0..LOOKS {
            if ready!(self.signal.poll(context)).is_none() {
                return Poll::Ready(None);
            }
            // If the value's `Clone` panics, or this thread cannot look, the next poll looks.
            let again = OnDrop(|| self.signal.put_back());
            let Some(found) = (self.look)(&self.key) else {
                return Poll::Ready(None);
            };
            let Ok(found) = found else {
                return Poll::Pending;
            };
            again.forget();
            let removal = self.signal.removal();
            if let Some(event) = next_event(&mut self.given, found, removal) {
                return Poll::Ready(Some(event));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T, L> Drop for WatchOfKey<T, L> {
    fn drop(&mut self) {
        self.registry.unsubscribe(&self.key, &self.signal);
    }
}

/// The stream of all keys' events.
struct WatchOfAll<T, L> {
    registry: Arc<Registry>,
    backlog: Arc<Backlog>,
    /// Of each key whose last event was no removal, the revision of that event.
    given: HashMap<SmolStr, Revision, DefaultHashBuilder>,
    look: L,
    value: PhantomData<fn() -> T>,
}

impl<T, L> Stream for WatchOfAll<T, L>
where
    L: Fn(&SmolStr) -> Option<Look<T>> + Unpin,
{
    type Item = AnyEvent<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<AnyEvent<T>>> {
        for _ in 0..LOOKS {
            let (key, removal) = match ready!(self.backlog.poll(context)) {
                Some(Next::Look(key, removal)) => (key, removal),
                Some(Next::SayCaughtUp) => return Poll::Ready(Some(AnyEvent::CaughtUp)),
                None => return Poll::Ready(None),
            };
            // As for one key. It goes to the front, since it may have been there when the
            // watch began.
            let again = OnDrop(|| self.backlog.put_back(key.clone(), removal));
            let Some(found) = (self.look)(&key) else {
                return Poll::Ready(None);
            };
            let Ok(found) = found else {
                return Poll::Pending;
            };
            again.forget();
            let mut given = self.given.remove(&key);
            let event = next_event(&mut given, found, removal);
            if let Some(revision) = given {
                self.given.insert(key.clone(), revision);
            }
            if let Some(event) = event {
                let key = String::from(key);
                return Poll::Ready(Some(AnyEvent::Of { key, event }));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T, L> Drop for WatchOfAll<T, L> {
    fn drop(&mut self) {
        self.registry.unsubscribe_from_all(&self.backlog);
    }
}

/// What is to be given after what was `given`, now that this was found and `removal` is the
/// last one that has left word.
///
/// If the version that was given is gone and nobody has left word of it, nothing: the thread
/// that has closed its timeline is about to notify again, or, if the key has expired, the one
/// that is going to close it.
fn next_event<T>(
    given: &mut Option<Revision>,
    found: Option<Versioned<T>>,
    removal: Option<Removal>,
) -> Option<Event<T>> {
    match found {
        Some(found) if given.is_none_or(|given| found.revision > given) => {
            *given = Some(found.revision);
            Some(Event::Put(found))
        }
        Some(_) => None,
        None => {
            let Removal { revision, cause } = removal?;
            if given.is_none_or(|given| revision < given) {
                return None;
            }
            *given = None;
            Some(Event::Removed { revision, cause })
        }
    }
}

/// Does something when it goes, unless it is forgotten.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> OnDrop<F> {
    fn forget(self) {
        std::mem::forget(self);
    }
}

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;

    fn is_marked(map: &HistoryMap<u64>, key: &str) -> bool {
        let pinned = map.timelines.pin();
        let timeline = pinned.get(&BorrowedKey(key));
        timeline.is_some_and(Timeline::is_watched)
    }

    fn look<E>(watch: &mut Watch<E>) {
        let waker = std::task::Waker::noop();
        let mut context = Context::from_waker(waker);
        while Pin::new(&mut *watch).poll_next(&mut context).is_ready() {}
    }

    /// Otherwise each write of a key that was watched once would take a lock for ever, and a
    /// map would keep the keys of all watches that it ever had.
    #[test]
    fn nothing_is_left_of_watches_that_are_gone() {
        let map = Arc::new(HistoryMap::<u64>::default());
        for key in ["ada", "grace"] {
            map.insert(key, 1).unwrap();
        }
        let mut of_key = map.watch("ada");
        let mut also_of_key = map.watch("ada");
        let mut of_all = map.watch_all();
        look(&mut of_key);
        look(&mut also_of_key);
        look(&mut of_all);
        assert!(is_marked(&map, "ada") && is_marked(&map, "grace"));

        drop(of_key);
        drop(of_all);
        map.insert("ada", 2).unwrap();
        map.insert("grace", 2).unwrap();
        assert!(is_marked(&map, "ada"), "somebody watches still");
        assert!(!is_marked(&map, "grace"));

        drop(also_of_key);
        assert!(map.watchers.registry().is_empty());
        map.insert("ada", 3).unwrap();
        assert!(!is_marked(&map, "ada"));
        assert!(!map.watchers.any());
    }
}
