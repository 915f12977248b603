//! The ids of all users, a part at a time.
//!
//! An iteration over the map lives under a pin, and a pin must not be held while a consumer
//! awaits something else. A place in the iteration cannot be kept without the pin, either:
//! the map may be copied into a larger one. So a listing divides the users by a hash of
//! their ids, which stays the same whatever the map does. For each part it passes over the
//! whole map, collects the ids of the part, and gives them out without a pin.
//!
//! **Everyone is given once.** The parts are intervals of the hash space that follow each
//! other: they cover it and do not overlap. So each id is in one part. A pass meets every
//! user who is there during all of it, once. So one who is there during the whole listing is
//! given by the pass of their part, and by no other.

use std::hash::{BuildHasher, Hasher};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use futures_core::Stream;
use smol_str::SmolStr;

use super::{MemoryStore, spans};
use crate::map::DefaultHashBuilder;
use crate::store::{Result, StoreError};

/// How many ids a part should have. What is collected at once is 24 bytes for each, 6 MiB,
/// and up to as much again, since the vector grows.
pub(crate) const PART: usize = 1 << 18;
/// There are no more parts than this, so that the time grows with the users and not with
/// their square. Above 8 million users the parts grow instead: by less than a byte a user, who
/// takes hundreds.
const MOST_PARTS: usize = 32;

/// See [`StateStore::list`](crate::StateStore::list).
pub(super) struct Listing<'s, S: BuildHasher + Send + Sync> {
    store: &'s MemoryStore<S>,
    /// Not that of the map, which can be the caller's own, and not a good one. Its seeds are
    /// random, so nobody can choose ids that are all in one part.
    hasher: DefaultHashBuilder,
    part: usize,
    /// Where the next part begins; `None` behind the last one.
    next: Option<u64>,
    /// What is to be given out of the last part.
    ids: vec::IntoIter<SmolStr>,
    has_paused: bool,
}

impl<'s, S: BuildHasher + Send + Sync> Listing<'s, S> {
    pub(super) fn of(store: &'s MemoryStore<S>) -> Self {
        Self::in_parts_of(store, PART)
    }

    fn in_parts_of(store: &'s MemoryStore<S>, part: usize) -> Self {
        Self {
            store,
            hasher: DefaultHashBuilder::default(),
            part,
            next: Some(0),
            ids: Vec::new().into_iter(),
            // The first pass is the answer to the first poll.
            has_paused: true,
        }
    }

    /// One pass over the map: the ids whose hashes are in this interval.
    fn collect(&self, hashes: RangeInclusive<u64>) -> Result<Vec<SmolStr>> {
        let hash = |id: &str| {
            let mut hasher = self.hasher.build_hasher();
            hasher.write(id.as_bytes());
            hasher.finish()
        };
        spans::observe(
            hashes,
            |_| spans::list(),
            |hashes| {
                let ids = self
                    .store
                    .users()
                    .keys_where(|id| hashes.contains(&hash(id)));
                ids.map_err(StoreError::internal)
            },
            |span, ids: &Vec<_>| {
                span.record("users", ids.len());
            },
        )
    }
}

/// The interval from `start` that should have as many of `users` as a part may have, if
/// their hashes are spread evenly.
///
/// It is asked anew for each part, so that the later ones are smaller if users have come.
pub(crate) fn part_from(start: u64, users: usize, part: usize) -> RangeInclusive<u64> {
    let parts = users.div_ceil(part).clamp(1, MOST_PARTS) as u64;
    start..=start.saturating_add(u64::MAX / parts)
}

impl<S: BuildHasher + Send + Sync> Stream for Listing<'_, S> {
    type Item = Result<String>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<String>>> {
        let this = self.get_mut();
        loop {
            if let Some(id) = this.ids.next() {
                return Poll::Ready(Some(Ok(id.into())));
            }
            let Some(start) = this.next else {
                return Poll::Ready(None);
            };
            // A pass takes long enough to let other tasks go first.
            if !this.has_paused {
                this.has_paused = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            this.has_paused = false;
            // Given out; its buffer would stay beside the next one.
            this.ids = Vec::new().into_iter();
            let hashes = part_from(start, this.store.len(), this.part);
            this.next = hashes.end().checked_add(1);
            match this.collect(hashes) {
                Ok(ids) => this.ids = ids.into_iter(),
                Err(error) => {
                    this.next = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use std::collections::BTreeSet;
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::task::Waker;
    use std::thread;

    use super::*;
    use crate::snapshot::StateSnapshot;

    fn insert(store: &MemoryStore, id: &str) {
        let snapshot = StateSnapshot::builder().user_id(id).build();
        store.insert(snapshot.unwrap()).unwrap();
    }

    /// A store of the users 0 to `users`.
    fn store_of(users: usize) -> MemoryStore {
        let store = MemoryStore::default();
        for number in 0..users {
            insert(&store, &number.to_string());
        }
        store
    }

    /// What a listing in parts of this size gives, with something done after each poll.
    fn listed(store: &MemoryStore, part: usize, mut between: impl FnMut()) -> Vec<String> {
        let mut listing = pin!(Listing::in_parts_of(store, part));
        let mut context = Context::from_waker(Waker::noop());
        let mut ids = Vec::new();
        loop {
            match listing.as_mut().poll_next(&mut context) {
                Poll::Ready(Some(id)) => ids.push(id.unwrap()),
                Poll::Ready(None) => {
                    let again = listing.as_mut().poll_next(&mut context);
                    assert_eq!(again.map(|item| item.is_none()), Poll::Ready(true));
                    return ids;
                }
                Poll::Pending => {}
            }
            between();
        }
    }

    #[track_caller]
    fn assert_each_once(ids: &[String], expected: impl IntoIterator<Item = usize>) {
        let distinct: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "an id was given twice");
        for number in expected {
            let id = number.to_string();
            assert!(distinct.contains(&id), "{id} was not given");
        }
    }

    #[test]
    fn parts_follow_each_other_to_the_end_of_the_space() {
        for (users, part, parts) in [
            (0, 4, 1),
            (4, 4, 1),
            (5, 4, 2),
            (12, 4, 3),
            (32, 1, 32),
            (1_000, 1, MOST_PARTS),
            (usize::MAX, usize::MAX, 1),
            (usize::MAX, usize::MAX / 3, 3),
            (usize::MAX, PART, MOST_PARTS),
        ] {
            let mut next = Some(0);
            let mut count = 0;
            while let Some(start) = next {
                let hashes = part_from(start, users, part);
                assert_eq!(*hashes.start(), start);
                next = hashes.end().checked_add(1);
                count += 1;
            }
            assert_eq!(count, parts, "{users} users");
        }
    }

    #[test]
    fn users_are_given_once_whatever_the_size_of_the_parts() {
        for users in [0, 1, 2, 100, 1_000] {
            let store = store_of(users);
            for part in [1, 7, 100, 1_000, PART] {
                let ids = listed(&store, part, || {});
                assert_each_once(&ids, 0..users);
                assert_eq!(ids.len(), users);
            }
        }
    }

    /// Far more than the place of an iteration would survive: the map is copied into larger
    /// ones between the parts.
    #[test]
    fn who_stays_is_given_once_while_the_map_grows_between_the_parts() {
        let store = store_of(500);
        let mut newcomers = 500..20_000;
        let ids = listed(&store, 50, || {
            for number in newcomers.by_ref().take(40) {
                insert(&store, &number.to_string());
            }
        });
        assert_eq!(store.len(), 20_000);
        assert_each_once(&ids, 0..500);
    }

    /// The later parts take account of those who came.
    #[test]
    fn the_memory_is_bounded_though_users_come() {
        const PART: usize = 64;
        let store = store_of(4 * PART);
        let mut listing = Listing::in_parts_of(&store, PART);
        let poll = |listing: &mut Listing<'_, _>| {
            let mut context = Context::from_waker(Waker::noop());
            let _ = Pin::new(listing).poll_next(&mut context);
        };
        poll(&mut listing);
        for number in 4 * PART..16 * PART {
            insert(&store, &number.to_string());
        }

        let (mut passes, mut most) = (1, 0);
        while listing.next.is_some() {
            let before = listing.next;
            poll(&mut listing);
            if listing.next != before {
                passes += 1;
                most = most.max(listing.ids.len());
            }
        }
        // A quarter of the space, and then 16ths.
        assert_eq!(passes, 1 + 12);
        assert!(most < 3 * PART, "{most}");
    }

    #[test]
    fn removed_users_are_not_given_by_later_parts() {
        let store = store_of(1_000);
        let mut first = true;
        let ids = listed(&store, 100, || {
            if std::mem::take(&mut first) {
                store.retain(|id, _| id.len() == 1);
            }
        });
        assert_each_once(&ids, 0..10);
        // The first part was collected before, and should have a tenth.
        assert!(ids.len() < 500, "{}", ids.len());
    }

    #[test]
    fn who_stays_is_given_once_while_others_come_and_go_on_other_threads() {
        const STAYING: usize = 400;
        let store = store_of(STAYING);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for coming in 0..2 {
                let (store, done) = (&store, &done);
                scope.spawn(move || {
                    let mut round = 0;
                    while !done.load(SeqCst) {
                        for number in 0..100 {
                            insert(store, &format!("coming-{coming}-{round}-{number}"));
                        }
                        store.retain(|id, _| !id.starts_with(&format!("coming-{coming}-")));
                        round += 1;
                    }
                });
            }
            for _ in 0..10 {
                let ids = listed(&store, 32, || {});
                let staying: Vec<_> = ids
                    .into_iter()
                    .filter(|id| !id.starts_with("coming"))
                    .collect();
                assert_each_once(&staying, 0..STAYING);
                assert_eq!(staying.len(), STAYING);
            }
            done.store(true, SeqCst);
        });
    }

    /// So that it can be spawned.
    #[test]
    fn a_listing_can_be_sent() {
        fn sendable(_: impl Send) {}
        sendable(Listing::of(&MemoryStore::default()));
    }
}
