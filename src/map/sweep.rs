//! Taking out what has expired, and what is too old: a portion of the keys at a time.

use std::hash::BuildHasher;
use std::time::Duration;

use super::HistoryMap;
use super::expiry::whole_ms_above;
use super::small_value::Mirroring;
use super::timeline::Head;
use super::version::Version;
use crate::removal::RemovalCause;
use crate::sync::epochs;

/// The keys that are looked at under one pin: one in [`PORTIONS`] of all, and no fewer than
/// [`SMALL_PORTION`].
///
/// Each portion goes past those before it, which takes some nanoseconds a key; to look at a
/// key takes some hundred. So with this number of portions the way costs about as much as
/// the looking.
const PORTIONS: usize = 64;
const SMALL_PORTION: usize = 1_024;

/// How far a walk over all keys in portions has come.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// How many keys it has looked at and left in the map.
    passed: usize,
    is_over: bool,
}

impl<V, M, S> HistoryMap<V, M, S>
where
    V: Clone + Send + Sync + 'static,
    M: Mirroring<V>,
    S: BuildHasher + Send + Sync,
{
    /// Takes every key out whose [time to live](crate::HistoryMapBuilder::time_to_live) is
    /// over, with its history, and returns how many those were: 0 if the map has none.
    ///
    /// It changes nothing that a read could find, since a key that has expired is gone
    /// already. It frees the memory, and the places in a map with
    /// [`max_keys`](crate::HistoryMapBuilder::max_keys). A key that is written meanwhile
    /// stays.
    ///
    /// The keys are looked at in up to 64 portions, and nothing of this map's memory is held
    /// up for longer than one of them takes. Keys that come or go meanwhile can move others,
    /// so that one is missed: the next sweep finds it. Never blocks, unless a removal would.
    /// A sweep takes some 0.1 microseconds per key, which is 0.1 seconds with a million.
    ///
    /// ```
    /// use std::time::Duration;
    /// use attuned_store::HistoryMap;
    ///
    /// let sessions = HistoryMap::builder().time_to_live(Duration::from_millis(1)).build()?;
    /// sessions.insert("ada", "at the door")?;
    /// while sessions.contains("ada") {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(sessions.len(), 1, "it still takes memory");
    /// assert_eq!(sessions.sweep(), 1);
    /// assert_eq!(sessions.len(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sweep(&self) -> usize {
        if self.expiry.is_none() {
            return 0;
        }
        if !self.usable() {
            return epochs::elsewhere(|| self.sweep()).unwrap_or_default();
        }
        let mut walk = Walk::default();
        let mut swept = 0;
        while let Some(more) = self.sweep_portion(&mut walk) {
            swept += more;
        }
        swept
    }

    /// Removes each key whose latest value was written `age` ago or longer, with its
    /// history, and returns how many those were. Works in a map with or without a
    /// [time to live](crate::HistoryMapBuilder::time_to_live).
    ///
    /// By the map's own clock: [`Versioned::written_at`](crate::Versioned::written_at),
    /// compared with the time of the call. A fraction of a millisecond counts as a whole one.
    ///
    /// A key is removed only if the value that was looked at is still the latest, so what is
    /// written meanwhile is never lost. Takes as long as a [`sweep`](Self::sweep), and may
    /// miss a key like that, if keys come or go meanwhile.
    ///
    /// ```
    /// use std::time::Duration;
    /// use attuned_store::HistoryMap;
    ///
    /// let quotes = HistoryMap::builder().build()?;
    /// quotes.insert("ACME", 10.5)?;
    /// assert_eq!(quotes.expire_older_than(Duration::from_secs(3600)), 0);
    /// assert_eq!(quotes.expire_older_than(Duration::ZERO), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expire_older_than(&self, age: Duration) -> usize {
        if !self.usable() {
            return epochs::elsewhere(|| self.expire_older_than(age)).unwrap_or_default();
        }
        let youngest = self.clock.now().saturating_sub(whole_ms_above(age));
        let mut walk = Walk::default();
        let mut expired = 0;
        let is_old = |_: Head<'_, V>, version: &Version<V>| version.written_at() <= youngest;
        while let Some(more) = self.expire_portion(&mut walk, is_old) {
            expired += more;
        }
        expired
    }

    /// One portion of a [`sweep`](Self::sweep): how many it has taken out; `None` if there
    /// is no other portion.
    pub(crate) fn sweep_portion(&self, walk: &mut Walk) -> Option<usize> {
        let expiry = self.expiry.as_deref()?;
        let now = expiry.now();
        self.expire_portion(walk, |head, _| expiry.is_over(head, now))
    }

    /// Sweeps, if a newcomer that has found no room is to have that done.
    pub(super) fn sweep_for_newcomer(&self) -> bool {
        let expiry = self.expiry.as_deref();
        let sweeps = expiry.is_some_and(|expiry| expiry.sweeps_for_newcomer());
        if sweeps {
            self.sweep();
        }
        sweeps
    }

    fn expire_portion(
        &self,
        walk: &mut Walk,
        is_old: impl Fn(Head<'_, V>, &Version<V>) -> bool,
    ) -> Option<usize> {
        if walk.is_over {
            return None;
        }
        let portion = (self.len() / PORTIONS).max(SMALL_PORTION);
        let (mut seen, mut expired) = (0, 0);
        let pinned = self.timelines.pin();
        for (key, timeline) in pinned.iter().skip(walk.passed).take(portion) {
            let judge = |head: Head<'_, V>, version: &Version<V>| {
                is_old(head, version).then_some(RemovalCause::Expired)
            };
            let removed = self.close_one(&pinned, key.as_str(), timeline, judge);
            if removed.is_some() {
                expired += 1;
            }
            seen += 1;
        }
        drop(pinned);
        if expired > 0 {
            self.reclaim();
        }
        walk.passed += seen - expired;
        walk.is_over = seen < portion;
        Some(expired)
    }
}
