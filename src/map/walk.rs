//! A walk over all keys with all that is kept of them, in portions.

use std::hash::BuildHasher;
use std::{ptr, thread};

use smallvec::SmallVec;
use smol_str::SmolStr;

use super::error::MapError;
use super::expiry::Expiry;
use super::key::BorrowedKey;
use super::retention::Retention;
use super::revisions::RevisionFloor;
use super::small_value::Mirroring;
use super::timeline::Timeline;
use super::version::Version;
use super::{HistoryMap, read};
use crate::sync::{Guard, epochs};
use crate::versioned::Versioned;

/// Each portion needs a look at every place of the map's table, which takes some 20 ms where
/// there are a million keys.
const MOST_PORTIONS: usize = 16;
/// About how many keys of a portion are visited one after the other because they lie near each
/// other in memory: as many as have their entries in a [neighbourhood](part_of).
const NEIGHBOURS: usize = 1 << 9;
/// Keys with more versions than this, on average, are sorted among their neighbours: to walk their
/// chains side by side saves more than that takes.
const LONG_CHAIN: usize = 4;
/// Of how many keys the chains are walked in step, at the most.
const MOST_KEYS_TOGETHER: usize = 32;
/// About how many versions are copied before they are visited, if a key has not more.
const VERSIONS_TOGETHER: u64 = 1 << 12;

/// What is kept of a key, as of one instant.
pub(crate) struct Kept<'a, V> {
    pub(crate) key: &'a str,
    /// Newest first, at least one.
    pub(crate) versions: &'a [Versioned<V>],
    /// Whether the oldest of them is the first since the key came.
    pub(crate) from_the_first: bool,
}

/// What is done with all that is kept of each key.
pub(crate) trait Visitor<V> {
    type Error: From<MapError>;

    /// Takes a key. It may run under a pin, so it must not wait for others. Returns whether
    /// there is room for more.
    fn visit(&mut self, kept: Kept<'_, V>) -> Result<bool, Self::Error>;

    /// Makes room, outside of any pin or guard. It may take its time.
    fn make_room(&mut self) -> Result<(), Self::Error>;
}

impl<V, M, S> HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// Shows every key, with all that is kept of it, to a visitor, until that fails.
    ///
    /// A key is visited as of one instant, and different keys as of different ones. One that
    /// is there all the while is visited once. One that is removed and comes back may
    /// be visited again, as of a later instant than before.
    ///
    /// The keys are visited in portions, of about `keys_at_a_time` if there are not very many.
    /// Of each of these, what the visitor has room for is visited under one pin, and the rest by
    /// lookups. The walk [gives way](Pace) to other threads, also under that pin. It holds
    /// references to a portion's entries and copies of the keys of those that are left: 18 and
    /// 24 bytes for each, or 3 bytes per key of the map if that is more; and copies of at most some
    /// thousand versions, or of one key's if these are more.
    pub(crate) fn walk<W: Visitor<V>>(
        &self,
        keys_at_a_time: usize,
        visitor: &mut W,
    ) -> Result<(), W::Error> {
        let portions = (self.len() / keys_at_a_time + 1).min(MOST_PORTIONS);
        self.walk_in(portions, visitor)
    }

    fn walk_in<W: Visitor<V>>(&self, portions: usize, visitor: &mut W) -> Result<(), W::Error> {
        if !self.usable() {
            return Err(MapError::ThreadEnding.into());
        }
        let together = VERSIONS_TOGETHER / self.retention.versions();
        let together = usize::try_from(together).unwrap_or(1);
        let mut copies: Vec<Copies<V>> = Vec::new();
        copies.resize_with(together.clamp(1, MOST_KEYS_TOGETHER), Copies::default);
        for portion in 0..portions {
            let rest = self.visit_pinned((portion, portions), &mut copies, visitor)?;
            visitor.make_room()?;
            let mut pace = Pace::default();
            for keys in rest.chunks(copies.len()) {
                {
                    let pinned = self.timelines.pin();
                    let timelines = keys.iter().map(|key| pinned.get(&BorrowedKey(key)));
                    self.copy_together(timelines, &mut copies);
                }
                for (key, copied) in keys.iter().zip(&copies) {
                    copied.show(key, visitor)?;
                    pace.step(STEPS_OF_VERSION * copied.versions.len());
                }
                visitor.make_room()?;
            }
        }
        Ok(())
    }

    /// Visits the keys of a portion for which there is room, and returns the others.
    fn visit_pinned<W: Visitor<V>>(
        &self,
        (portion, portions): (usize, usize),
        copies: &mut [Copies<V>],
        visitor: &mut W,
    ) -> Result<Vec<SmolStr>, W::Error> {
        let mut pace = Pace::default();
        let pinned = self.timelines.pin();
        // Nothing but memory depends on how many there are.
        let count = (self.len() / portions / NEIGHBOURS).max(1);
        let mut neighbourhoods = Vec::new();
        // An eighth more, as they are not quite the same.
        neighbourhoods.resize_with(count, || Vec::with_capacity(NEIGHBOURS + NEIGHBOURS / 8));
        for (key, timeline) in pinned.iter() {
            let part = part_of(timeline, portions * count);
            let here = part.checked_sub(portion * count);
            if let Some(neighbours) = here.and_then(|at| neighbourhoods.get_mut(at)) {
                neighbours.push((key, timeline));
            }
            pace.step(1);
        }
        let mut rest = Vec::new();
        let mut has_room = true;
        let (mut keys, mut versions) = (0, 0);
        for mut neighbours in neighbourhoods {
            if versions > LONG_CHAIN * keys {
                // What was made one after the other often lies side by side, version by version.
                neighbours.sort_unstable_by_key(|&(_, timeline)| ptr::from_ref(timeline));
            }
            let mut chunks = neighbours.chunks(copies.len());
            while has_room && let Some(entries) = chunks.next() {
                self.copy_together(entries.iter().map(|&(_, timeline)| Some(timeline)), copies);
                for ((key, _), copied) in entries.iter().zip(&*copies) {
                    has_room &= copied.show(key.text(), visitor)?;
                    pace.step(STEPS_OF_VERSION * copied.versions.len());
                    versions += copied.versions.len();
                }
                keys += entries.len();
            }
            rest.extend(chunks.flatten().map(|(key, _)| key.text().clone()));
        }
        Ok(rest)
    }

    /// Copies what is kept of each of these keys; nothing of one that is gone.
    ///
    /// Takes effect for each of them like [`history`](Self::history). The chains are walked
    /// in step, because nearly every step waits for memory: the processor waits for that
    /// of several keys at a time, as these do not depend on each other.
    fn copy_together<'t>(
        &self,
        timelines: impl Iterator<Item = Option<&'t Timeline<V>>>,
        copies: &mut [Copies<V>],
    ) {
        let guard = epochs::enter();
        let mut walks: SmallVec<[Walk<'_, V>; MOST_KEYS_TOGETHER]> = timelines
            .zip(copies.iter_mut())
            .filter_map(|(timeline, into)| {
                into.versions.clear();
                Some(Walk::new(timeline?, into))
            })
            .collect();
        for walk in &mut walks {
            walk.begin(&self.retention, self.expiry.as_deref(), &guard);
        }
        while walks.iter().any(|walk| walk.next.is_some()) {
            for walk in &mut walks {
                walk.step(&self.revision_floor, &guard);
            }
        }
        // A chain may have been cut by writers before its end was reached. Then the
        // timeline's own walk knows how to go on.
        for walk in &mut walks {
            if walk.left > 0 {
                walk.again(self, &guard);
            }
        }
    }

    /// At least the revision of anything that was removed before this was called.
    pub(crate) fn greatest_removed(&self) -> u64 {
        self.revision_floor.greatest()
    }
}

/// What was copied of a key.
struct Copies<V> {
    /// Newest first.
    versions: Vec<Versioned<V>>,
    from_the_first: bool,
}

impl<V> Default for Copies<V> {
    fn default() -> Self {
        Self {
            versions: Vec::new(),
            from_the_first: false,
        }
    }
}

impl<V> Copies<V> {
    fn show<W: Visitor<V>>(&self, key: &str, visitor: &mut W) -> Result<bool, W::Error> {
        if self.versions.is_empty() {
            return Ok(true);
        }
        visitor.visit(Kept {
            key,
            versions: &self.versions,
            from_the_first: self.from_the_first,
        })
    }
}

/// A walk along the chain of a key. If nothing is `left` in the end, it has met what the
/// history was when the head was found, as [`Timeline::history`] would.
struct Walk<'g, V> {
    timeline: &'g Timeline<V>,
    into: &'g mut Copies<V>,
    next: Option<&'g Version<V>>,
    /// How many versions are still to be met.
    left: u64,
}

impl<'g, V: Clone + Send + Sync + 'static> Walk<'g, V> {
    fn new(timeline: &'g Timeline<V>, into: &'g mut Copies<V>) -> Self {
        into.from_the_first = false;
        Self {
            timeline,
            into,
            next: None,
            left: 0,
        }
    }

    fn begin(&mut self, retention: &Retention, expiry: Option<&Expiry>, guard: &'g Guard) {
        self.next = self.timeline.present(expiry, guard).as_ref();
        let newest = self.next.map_or(0, Version::sequence);
        self.left = newest.min(retention.versions());
    }

    fn step(&mut self, floor: &RevisionFloor, guard: &'g Guard) {
        if let Some(version) = self.next {
            let base = self.timeline.revision_base(floor);
            self.into.from_the_first |= version.is_the_first();
            self.into.versions.push(read::copied(version, base));
            self.left -= 1;
            self.next = if self.left > 0 {
                version.previous(guard)
            } else {
                None
            };
        }
    }

    #[cold]
    fn again<M: Mirroring<V>, S: BuildHasher + Send + Sync>(
        &mut self,
        map: &HistoryMap<V, M, S>,
        guard: &'g Guard,
    ) {
        let base = self.timeline.revision_base(&map.revision_floor);
        self.into.from_the_first = false;
        // A walk that meets the first version is the last one: it has met all there are.
        let from_the_first = &mut self.into.from_the_first;
        let copy = |version: &Version<V>| {
            *from_the_first |= version.is_the_first();
            read::copied(version, base)
        };
        let (retention, expiry) = (&map.retention, map.expiry.as_deref());
        self.into.versions = self
            .timeline
            .history(usize::MAX, retention, expiry, guard, copy)
            .into_vec();
    }
}

/// Has a long walk give way to other threads, every 50 microseconds or so.
///
/// Where there are more busy threads than cores, a thread that does not give way keeps its core
/// for some milliseconds, and those who wait for it notice. Where there is a core for each, it
/// costs next to nothing.
#[derive(Default)]
struct Pace {
    steps: usize,
}

/// Of some 10 ns each.
const STEPS_AT_A_TIME: usize = 1 << 12;
const STEPS_OF_VERSION: usize = 8;

impl Pace {
    #[inline]
    fn step(&mut self, steps: usize) {
        self.steps += steps;
        if self.steps >= STEPS_AT_A_TIME {
            self.steps = 0;
            thread::yield_now();
        }
    }
}

/// Of so many parts the one that a key belongs to for as long as it is there: by the address of its
/// entry, which the map does not move. To tell it the entry need not be fetched from memory.
///
/// If each of some parts is divided into as many, every key stays in what was its part.
fn part_of<V>(timeline: &Timeline<V>, parts: usize) -> usize {
    /// Addresses that have all but so many bits in common stay together.
    const NEIGHBOURHOOD: u32 = 16;
    /// From the golden ratio: it spreads the others.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let address = ptr::from_ref(timeline).addr() as u64;
    let spread = (address >> NEIGHBOURHOOD).wrapping_mul(SPREAD);
    // Not truncated: the result is less than the number of parts.
    ((u128::from(spread) * parts as u128) >> u64::BITS) as usize
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Takes what it is shown, and has room for so many keys at a time.
    struct Taken {
        room: usize,
        left: usize,
        keys: HashMap<String, Vec<u64>>,
    }

    impl Visitor<u64> for Taken {
        type Error = MapError;

        fn visit(&mut self, kept: Kept<'_, u64>) -> Result<bool, MapError> {
            let values = kept.versions.iter().map(|version| version.value).collect();
            let before = self.keys.insert(kept.key.to_owned(), values);
            assert_eq!(before, None, "{}", kept.key);
            self.left = self.left.saturating_sub(1);
            Ok(self.left > 0)
        }

        fn make_room(&mut self) -> Result<(), MapError> {
            self.left = self.room;
            Ok(())
        }
    }

    #[test]
    fn each_key_is_in_one_portion_and_visited_with_or_without_room() {
        let map = HistoryMap::<u64>::builder().history(2).build().unwrap();
        for number in 0..3_000 {
            for value in 0..=number % 3 {
                map.insert(&number.to_string(), value).unwrap();
            }
        }
        for (portions, room) in [(1, 3_000), (7, 3_000), (1, 10), (7, 100), (3_001, 1)] {
            let mut taken = Taken {
                room,
                left: room,
                keys: HashMap::new(),
            };
            map.walk_in(portions, &mut taken).unwrap();
            assert_eq!(taken.keys.len(), 3_000);
            for (key, values) in taken.keys {
                let history = map.history(&key, 9);
                assert!(history.iter().map(|entry| entry.value).eq(values));
            }
        }
    }
}
