//! How a map comes to have what another one had.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;

use super::error::MapError;
use super::key::OwnedKey;
use super::revisions::{FormerBase, FormerRevisions};
use super::small_value::Mirroring;
use super::timeline::{FormerVersions, Timeline};
use super::{HistoryMap, Pinned};
use crate::revision::{Expected, Revision};
use crate::versioned::Versioned;

/// From here on counts the clock of [`origin`]: the beginning of 2025, in milliseconds since
/// the Unix epoch.
const CLOCK_START: i64 = 1_735_689_600_000;
/// How many revisions there are for a millisecond. Writes of one key one after the other
/// take longer than a 4,096th, on average.
const REVISIONS_PER_MS: u64 = 1 << 12;
/// No clock, however it is set, gives a lesser origin: there are fewer keys in any map.
const LEAST_ORIGIN: u64 = 1 << 32;
/// Nor a greater one. It leaves as many revisions above.
const GREATEST_BY_CLOCK: u64 = 1 << 61;

/// Puts keys back into a map, from several threads at a time. Nobody else uses the map yet.
///
/// A checkpoint may have a key twice, if it was removed and came back meanwhile. Then the
/// greater revisions are the later ones, in whichever order the two come here. That is
/// settled [in the end](HistoryMap::go_on).
pub(crate) struct Restorer<'m, V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    map: &'m HistoryMap<V, M, S>,
    /// By which is told whose time to live is over.
    now: i64,
    former: Mutex<Former<V>>,
}

/// Keys that are put back under one pin, so there should not be too many. A portion counts when
/// it has [ended](Self::end).
pub(crate) struct Portion<'r, V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    restorer: &'r Restorer<'r, V, M, S>,
    pinned: Pinned<'r, V, S>,
    /// How many keys are in the map because of it.
    came: usize,
}

/// What is to be done when all keys have been put back.
pub(crate) struct Former<V> {
    revisions: FormerRevisions,
    /// Of keys that were there already, with their newest revisions.
    again: Vec<(SmolStr, Timeline<V>, Revision)>,
    /// Keys whose time to live is over, with their newest revisions.
    expired: Vec<(SmolStr, Revision)>,
}

impl<'m, V, M, S> Restorer<'m, V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// How many values of a key are kept.
    pub(crate) fn history_len(&self) -> u64 {
        self.map.history_len()
    }

    /// Begins a portion of keys.
    pub(crate) fn portion(&self) -> Result<Portion<'_, V, M, S>, MapError> {
        let map = self.map;
        if !map.usable() {
            return Err(MapError::ThreadEnding);
        }
        Ok(Portion {
            restorer: self,
            pinned: map.timelines.pin(),
            came: 0,
        })
    }

    fn former(&self) -> MutexGuard<'_, Former<V>> {
        self.former.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The timeline of the newest of these versions, of which there is at least one.
    #[inline]
    fn timeline(&self, versions: &mut Vec<Versioned<V>>, cut: bool) -> Timeline<V> {
        let retention = &self.map.retention;
        let kept = usize::try_from(retention.versions()).unwrap_or(usize::MAX);
        let cut = cut || versions.len() > kept;
        versions.truncate(kept);
        let revisions = versions.iter().rev().map(|version| version.revision.into());
        let numbers = FormerBase::without_gaps(revisions.clone())
            .unwrap_or_else(|| self.former().revisions.keep(revisions));
        let newest = versions.first();
        let former = FormerVersions {
            cut,
            words: newest.and_then(|newest| M::to_words(&newest.value)),
            numbers,
            versions: versions
                .drain(..)
                .rev()
                .map(|version| (version.value, version.written_at)),
        };
        match Timeline::restored(former, retention) {
            Some(timeline) => timeline,
            None => unreachable!("a key has a version"),
        }
    }

    /// What is still to be done, by [`HistoryMap::go_on`].
    pub(crate) fn end(self) -> Former<V> {
        let former = self.former.into_inner();
        former.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V, M, S> Portion<'_, V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// Puts a key back with the newest versions that it had in another map. Takes them out of
    /// `versions`, where they are newest first.
    ///
    /// Their revisions are as they were there: at least 2, less than [`GREATEST_REVISION`],
    /// and greater than that of the next older one. A map that keeps fewer versions takes the
    /// newest. `cut` says whether versions came before these that are not among them.
    ///
    /// A key whose [time to live](crate::HistoryMapBuilder::time_to_live) is over is not put
    /// back. Returns whether it was.
    ///
    /// The timeline is like any other one with [so many writes](Timeline::restored).
    // Inlined with all it calls: otherwise a timeline is moved four times, which takes a twentieth of
    // the instructions of a restore.
    #[inline]
    pub(crate) fn put_back(
        &mut self,
        key: SmolStr,
        versions: &mut Vec<Versioned<V>>,
        cut: bool,
    ) -> bool {
        let restorer = self.restorer;
        let Some((newest, written_at)) = versions
            .first()
            .map(|newest| (newest.revision, newest.written_at))
        else {
            return false;
        };
        let expiry = restorer.map.expiry.as_deref();
        if expiry.is_some_and(|expiry| expiry.is_over_at(written_at, restorer.now)) {
            versions.clear();
            restorer.former().expired.push((key, newest));
            return false;
        }
        let timeline = restorer.timeline(versions, cut);
        self.enter(key, timeline, newest);
        true
    }

    /// Enters a timeline, or keeps it for later if the key is there.
    #[inline]
    fn enter(&mut self, key: SmolStr, timeline: Timeline<V>, newest: Revision) {
        let entered = self.pinned.try_insert(OwnedKey::new(key.clone()), timeline);
        match entered {
            Ok(_) => self.came += 1,
            Err(occupied) => {
                let again = (key, occupied.not_inserted, newest);
                self.restorer.former().again.push(again);
            }
        }
    }

    /// Counts the keys of this portion. If the map may not have so many, it is of no use any
    /// more.
    pub(crate) fn end(self) -> Result<(), MapError> {
        match &self.restorer.map.bound {
            Some(bound) if !bound.count_restored(self.came) => Err(MapError::Full {
                max_keys: bound.max_keys(),
            }),
            _ => Ok(()),
        }
    }
}

impl<V, M, S> HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// Puts keys back that another map had, into this one, which nobody uses yet. `now` is in
    /// milliseconds since the Unix epoch.
    pub(crate) fn restorer(&mut self, now: i64) -> Restorer<'_, V, M, S> {
        Restorer {
            map: self,
            now,
            former: Mutex::new(Former {
                revisions: FormerRevisions::default(),
                again: Vec::new(),
                expired: Vec::new(),
            }),
        }
    }

    /// Has all that is written from now on get revisions that no write before can have got.
    /// `greatest` is at least every revision that was put back, and that of anything that was
    /// removed from the former map.
    ///
    /// Of a key that came twice the greater revisions stay. If they are the same, either may.
    pub(crate) fn go_on(
        &mut self,
        former: Former<V>,
        greatest: u64,
        now: i64,
    ) -> Result<(), MapError> {
        let origin = origin(greatest, now);
        self.revision_floor.go_on_above(origin, former.revisions);
        let restorer = self.restorer(now);
        let map = restorer.map;
        for (key, timeline, newest) in former.again {
            if map.remove_before(&key, newest)? {
                // The key's former place is free, and nobody else has come for it.
                let mut portion = restorer.portion()?;
                portion.enter(key, timeline, newest);
                portion.end()?;
            }
        }
        for (key, newest) in former.expired {
            map.remove_before(&key, newest)?;
        }
        Ok(())
    }

    /// Removes a key unless it has this revision or a greater one. Returns whether it is not
    /// there now.
    fn remove_before(&self, key: &str, revision: Revision) -> Result<bool, MapError> {
        let latest = self.get_versioned(key).map(|latest| latest.revision);
        if latest.is_some_and(|latest| latest >= revision) {
            return Ok(false);
        }
        self.close(key, Expected::Any, |_, _| ())?;
        Ok(true)
    }
}

/// No revision in a checkpoint is so great: there is room for as many writes again.
pub(crate) const GREATEST_REVISION: u64 = 1 << 62;

/// What a map that is restored counts from.
///
/// The former map went on after its checkpoint, and gave revisions above all that are in it.
/// Nobody knows how many, and the same checkpoint may be restored several times. So each
/// map that is restored counts from the time at which that happens, on a clock that runs
/// faster than writes of one key can follow each other. The number is below 2^53, which
/// programs in JavaScript can tell apart, until the year 2094.
fn origin(greatest: u64, now: i64) -> u64 {
    let ms = u64::try_from(now.saturating_sub(CLOCK_START)).unwrap_or(0);
    let by_clock = ms
        .saturating_mul(REVISIONS_PER_MS)
        .clamp(LEAST_ORIGIN, GREATEST_BY_CLOCK);
    greatest.max(by_clock)
}

#[cfg(all(test, not(attuned_loom)))]
mod tests;
