//! The users whom a store that follows nobody remembers: those who were used lately.
//!
//! What is remembered of a user was right at one place in the log, its *as of*: the user's
//! last message there was this one. Of two such pieces of knowledge the later one is kept,
//! so what is remembered of a user never goes back. It can be old. So only a read that is
//! content with that answers from here alone; all others have the log confirm it first,
//! which [`validated`](super::validated) does.
//!
//! **The bound.** When there is no room, somebody else is forgotten: the *clock* algorithm.
//! The users stand in a circle, each with a mark that a use sets. A hand goes round, takes
//! marks away, and stops at the first user who has none. So who was used since the hand last
//! came by stays, a use costs no more than the mark, and users who are read once each do not
//! push out those who are read again and again.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use smol_str::SmolStr;
use tokio::time;

use super::gaps::{Barrier, Replaced};
use super::link::Link;
use super::seen::Seen;
use super::stream;
use crate::map::DefaultHashBuilder;

/// The circle is divided, so that threads do not wait for each other: into so many at most…
const MOST_PARTS: usize = 16;

/// …each with room for so many at least, or hashes would decide who has room.
const LEAST_IN_PART: usize = 64;

/// How long it takes at most to notice that the stream was deleted and made anew.
const BETWEEN_COMPARISONS: Duration = Duration::from_secs(5);

pub(super) struct HotUsers {
    parts: Box<[Mutex<Part>]>,
    in_part: usize,
    hasher: DefaultHashBuilder,
    /// Counts the streams that were met under this name.
    epoch: AtomicU64,
    log: Mutex<Log>,
}

/// What was heard of the log.
struct Log {
    /// No sequence that was heard of is greater.
    highest: u64,
    heard_at: Instant,
}

/// What was right of a user at one place in the log.
#[derive(Debug)]
pub(super) struct Known {
    /// A sequence. It grows when the log confirms that all is as it was.
    as_of: AtomicU64,
    pub seen: Seen,
    /// Whether the time of the latest state is that of the server: an acknowledgement
    /// does not tell it.
    pub is_timed: bool,
}

impl Known {
    /// As a server told it.
    pub fn told(as_of: u64, seen: Seen) -> Self {
        Self {
            as_of: AtomicU64::new(as_of),
            seen,
            is_timed: true,
        }
    }

    /// As this process has written it.
    pub fn written(seen: Seen) -> Self {
        Self {
            as_of: AtomicU64::new(seen.last),
            is_timed: seen.entries.is_empty(),
            seen,
        }
    }

    pub fn as_of(&self) -> u64 {
        self.as_of.load(Ordering::Acquire)
    }

    /// The log has confirmed it at this place.
    pub fn confirm(&self, as_of: u64) {
        self.as_of.fetch_max(as_of, Ordering::AcqRel);
    }

    fn is_later_than(&self, other: &Self) -> bool {
        (self.as_of(), self.is_timed) > (other.as_of(), other.is_timed)
    }
}

#[derive(Default)]
struct Part {
    places: HashMap<SmolStr, usize, DefaultHashBuilder>,
    circle: Vec<Place>,
    hand: usize,
}

struct Place {
    user_id: SmolStr,
    known: Arc<Known>,
    was_used: bool,
}

impl Part {
    fn get(&mut self, user_id: &str) -> Option<Arc<Known>> {
        let place = self.circle.get_mut(*self.places.get(user_id)?)?;
        place.was_used = true;
        Some(Arc::clone(&place.known))
    }

    fn put(&mut self, user_id: &str, known: Known, room: usize) {
        if let Some(&place) = self.places.get(user_id) {
            if let Some(place) = self.circle.get_mut(place)
                && known.is_later_than(&place.known)
            {
                place.known = Arc::new(known);
            }
            return;
        }
        let place = Place {
            user_id: SmolStr::new(user_id),
            known: Arc::new(known),
            was_used: false,
        };
        let at = if self.circle.len() < room {
            self.circle.len()
        } else {
            self.make_room()
        };
        self.places.insert(place.user_id.clone(), at);
        match self.circle.get_mut(at) {
            Some(of_another) => {
                self.places.remove(&of_another.user_id);
                *of_another = place;
            }
            None => self.circle.push(place),
        }
    }

    /// The place of the first user who was not used since the hand last came by.
    fn make_room(&mut self) -> usize {
        loop {
            let at = self.hand;
            self.hand = (at + 1) % self.circle.len().max(1);
            match self.circle.get_mut(at) {
                Some(place) if place.was_used => place.was_used = false,
                _ => return at,
            }
        }
    }
}

impl HotUsers {
    /// With room for so many users.
    pub fn new(room: usize) -> Self {
        let parts = (room / LEAST_IN_PART).clamp(1, MOST_PARTS);
        Self {
            parts: (0..parts).map(|_| Mutex::default()).collect(),
            in_part: room / parts,
            hasher: DefaultHashBuilder::default(),
            epoch: AtomicU64::new(0),
            log: Mutex::new(Log {
                highest: 0,
                heard_at: Instant::now(),
            }),
        }
    }

    fn part(&self, user_id: &str) -> MutexGuard<'_, Part> {
        let hash = self.hasher.hash_one(user_id);
        // The upper half: the part's own table goes by another hash, but costs nothing less.
        let index = (hash >> 32) as usize % self.parts.len();
        lock(&self.parts[index])
    }

    /// What is remembered of a user. Counts as a use.
    pub fn get(&self, user_id: &str) -> Option<Arc<Known>> {
        self.part(user_id).get(user_id)
    }

    /// Which stream this is. Ask before the servers are asked for what is put later.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Remembers it, unless what is remembered is later, or it is of another stream.
    pub fn put(&self, epoch: u64, user_id: &str, known: Known) {
        let mut part = self.part(user_id);
        // Under the lock, which `start_over` takes after it has changed the epoch: what it
        // does not find here is not put here any more.
        if self.epoch() == epoch {
            part.put(user_id, known, self.in_part);
        }
    }

    /// Calls `visit` with all that is remembered, in no order, and without a lock.
    pub fn for_each(&self, mut visit: impl FnMut(&str, &Known)) {
        for part in &self.parts {
            let known = |place: &Place| (place.user_id.clone(), Arc::clone(&place.known));
            let of_part: Vec<_> = lock(part).circle.iter().map(known).collect();
            for (user_id, known) in of_part {
                visit(&user_id, &known);
            }
        }
    }

    /// Of how many users something is remembered, those included who are known to be gone.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).circle.len()).sum()
    }

    /// The greatest sequence that was heard of.
    pub fn highest(&self) -> u64 {
        lock(&self.log).highest
    }

    pub fn heard_at(&self) -> Instant {
        lock(&self.log).heard_at
    }

    /// A message has this sequence that was published when none was greater than `before`.
    pub fn acknowledge(&self, before: u64, sequence: u64) -> Result<Barrier, Replaced> {
        if sequence <= before {
            self.start_over();
            return Err(Replaced);
        }
        let mut log = lock(&self.log);
        log.highest = log.highest.max(sequence);
        log.heard_at = Instant::now();
        let epoch = self.epoch();
        Ok(Barrier { epoch, sequence })
    }

    /// Looks now and then whether there is another stream under the same name. Its sequences
    /// tell that only until it has come as far as the one before it had.
    pub async fn compare_streams(self: Arc<Self>, link: Arc<Link>) {
        let mut created: Option<String> = None;
        loop {
            if let Ok(info) = stream::info(&link, link.request_timeout()).await {
                let before = created.replace(info.created.clone());
                if before.is_some_and(|before| before != info.created) {
                    tracing::warn!("the stream was made anew, and what was cached is forgotten");
                    self.start_over();
                }
            }
            time::sleep(BETWEEN_COMPARISONS).await;
        }
    }

    /// There is another stream under the same name: nothing of what is remembered is right.
    pub fn start_over(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        for part in &self.parts {
            *lock(part) = Part::default();
        }
        lock(&self.log).highest = 0;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(last: u64) -> Seen {
        let entries = Vec::new();
        Seen { last, entries }
    }

    fn last(hot: &HotUsers, user_id: &str) -> Option<u64> {
        hot.get(user_id).map(|known| known.seen.last)
    }

    #[test]
    fn the_bound_holds() {
        for room in [1, 2, 63, 64, 100, 1_000, 5_000] {
            let hot = HotUsers::new(room);
            for user in 0..3 * room as u64 + 7 {
                hot.put(0, &format!("u{user}"), Known::told(user, seen(user)));
                assert!(hot.len() <= room, "{} of {room}", hot.len());
            }
            let mut visited = 0;
            hot.for_each(|_, _| visited += 1);
            assert_eq!(visited, hot.len());
            // Hashes do not fill all parts alike.
            assert!(visited > room / 2, "{visited} of {room}");
        }
    }

    #[test]
    fn each_part_knows_whom_it_has() {
        let hot = HotUsers::new(200);
        for user in 0..1_000 {
            hot.put(
                0,
                &format!("u{}", user % 300),
                Known::told(user, seen(user)),
            );
            let part = hot.part(&format!("u{user}"));
            assert_eq!(part.places.len(), part.circle.len());
            for (at, place) in part.circle.iter().enumerate() {
                assert_eq!(part.places.get(&place.user_id), Some(&at));
            }
        }
    }

    #[test]
    fn who_is_used_stays() {
        let hot = HotUsers::new(10);
        hot.put(0, "ada", Known::told(1, seen(1)));
        for user in 0..1_000 {
            assert_eq!(last(&hot, "ada"), Some(1), "after {user}");
            hot.put(0, &format!("u{user}"), Known::told(user, seen(user)));
        }
        for user in 0..10 {
            hot.put(0, &format!("v{user}"), Known::told(user, seen(user)));
        }
        assert_eq!(last(&hot, "ada"), None, "nobody has used it");
    }

    #[test]
    fn what_is_known_does_not_go_back() {
        let hot = HotUsers::new(10);
        hot.put(0, "ada", Known::told(5, seen(5)));
        hot.put(0, "ada", Known::told(4, seen(4)));
        assert_eq!(last(&hot, "ada"), Some(5));
        hot.get("ada").unwrap().confirm(9);
        hot.put(0, "ada", Known::told(8, seen(8)));
        assert_eq!(last(&hot, "ada"), Some(5), "right until 9");
        // The marker of a deletion has expired.
        hot.put(0, "ada", Known::told(12, seen(0)));
        assert_eq!(last(&hot, "ada"), Some(0));
    }

    #[test]
    fn another_stream_is_noticed() {
        let hot = HotUsers::new(10);
        assert!(hot.acknowledge(0, 5).is_ok());
        hot.put(0, "ada", Known::told(5, seen(5)));
        let before = hot.highest();
        assert_eq!(hot.acknowledge(before, 5), Err(Replaced));
        assert_eq!((hot.len(), hot.highest(), hot.epoch()), (0, 0, 1));
        hot.put(0, "ada", Known::told(6, seen(6)));
        assert_eq!(last(&hot, "ada"), None, "it was on its way meanwhile");
        assert!(hot.acknowledge(hot.highest(), 1).is_ok());
    }
}
