//! What a map has done, and what is in it.

// Not through `sync`: these are not part of any protocol, and would only add
// steps to the models.
use std::sync::atomic::{AtomicU64, Ordering};

use super::retention::Retention;
use crate::removal::RemovalCause;

/// Figures of a [`HistoryMap`](crate::HistoryMap) or a [`MemoryStore`](crate::MemoryStore),
/// from their `stats`.
///
/// `keys` and `versions` are what is there; the others count from the making
/// of the map, and never go down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Keys that have a value; users, in a store. Those that have
    /// [expired](crate::HistoryMapBuilder::time_to_live) do not count, nor do their versions.
    pub keys: u64,
    /// Versions that can be read: the latest ones and, with history, those in
    /// the histories behind them.
    pub versions: u64,
    /// Versions that were written, by whichever operation.
    pub writes: u64,
    /// Versions that were superseded and have left the history, or were never
    /// in one because none is kept. Those of removed keys do not count. Never more than
    /// `writes`.
    pub evictions: u64,
    /// Keys that were removed, by whichever operation. Those that went because they were
    /// too old count as `expirations`.
    pub removals: u64,
    /// Keys that were taken out because they were too old: by a sweep, by
    /// [`expire_older_than`](crate::HistoryMap::expire_older_than), or by an operation on a
    /// key that had expired. Each counts when it is taken out, and not when it expires.
    pub expirations: u64,
    /// Conditional writes and removals that found something else than they expected.
    /// What an `update` repeats does not count; what
    /// [`update_latest`](crate::StateStoreExt::update_latest) repeats does, since it
    /// makes conditional writes.
    pub conflicts: u64,
}

#[cfg(feature = "metrics")]
impl Stats {
    /// Reports the figures to the recorder of the [metrics](https://docs.rs/metrics) facade:
    /// the gauges `attuned.store.keys` and `.versions`, and the counters
    /// `attuned.store.writes`, `.evictions`, `.removals`, `.expirations` and `.conflicts`, each
    /// with a description and with the label `store`, which tells the stores of a process
    /// apart.
    ///
    /// Call it as often as figures are wanted, for one each time that they are
    /// collected. Without a recorder nothing happens.
    ///
    /// ```
    /// use attuned_store::MemoryStore;
    ///
    /// let sessions = MemoryStore::default();
    /// sessions.stats().record_as("sessions");
    /// ```
    pub fn record_as(&self, store: &'static str) {
        describe();
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point")]
        let gauge = |figure: u64| figure as f64;
        metrics::gauge!("attuned.store.keys", "store" => store).set(gauge(self.keys));
        metrics::gauge!("attuned.store.versions", "store" => store).set(gauge(self.versions));
        metrics::counter!("attuned.store.writes", "store" => store).absolute(self.writes);
        metrics::counter!("attuned.store.evictions", "store" => store).absolute(self.evictions);
        metrics::counter!("attuned.store.removals", "store" => store).absolute(self.removals);
        metrics::counter!("attuned.store.expirations", "store" => store).absolute(self.expirations);
        metrics::counter!("attuned.store.conflicts", "store" => store).absolute(self.conflicts);
    }
}

#[cfg(feature = "metrics")]
fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge};

    describe_gauge!("attuned.store.keys", Unit::Count, "Keys that have a value.");
    describe_gauge!(
        "attuned.store.versions",
        Unit::Count,
        "Versions that can be read."
    );
    describe_counter!(
        "attuned.store.writes",
        Unit::Count,
        "Versions that were written."
    );
    describe_counter!(
        "attuned.store.evictions",
        Unit::Count,
        "Superseded versions that have left a history."
    );
    describe_counter!(
        "attuned.store.removals",
        Unit::Count,
        "Keys that were removed."
    );
    describe_counter!(
        "attuned.store.expirations",
        Unit::Count,
        "Keys that were taken out because they were too old."
    );
    describe_counter!(
        "attuned.store.conflicts",
        Unit::Count,
        "Conditional writes and removals that found something else."
    );
}

/// The part of the figures that cannot be told from the keys that are there.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Of keys that were removed.
    writes: AtomicU64,
    /// Of keys that were removed.
    evictions: AtomicU64,
    removals: AtomicU64,
    expirations: AtomicU64,
    conflicts: AtomicU64,
    /// The greatest counts that were told to anyone.
    told_writes: AtomicU64,
    told_evictions: AtomicU64,
}

impl Tally {
    /// A key went, for this cause, whose last version had this sequence.
    pub(super) fn removed(&self, cause: RemovalCause, last: u64, retention: &Retention) {
        self.writes.fetch_add(last, Ordering::Relaxed);
        self.evictions
            .fetch_add(retention.evicted(last), Ordering::Relaxed);
        let keys = match cause {
            RemovalCause::Deleted => &self.removals,
            RemovalCause::Expired => &self.expirations,
        };
        keys.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn conflict(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures of a map in which these are the newest sequences of the
    /// keys that it holds, and whether each has expired.
    pub(super) fn stats(
        &self,
        newest: impl Iterator<Item = (u64, bool)>,
        retention: &Retention,
    ) -> Stats {
        // Before the walk: a key that is removed during it is rather missed than
        // counted twice.
        let mut stats = Stats {
            evictions: self.evictions.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            removals: self.removals.load(Ordering::Relaxed),
            expirations: self.expirations.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            ..Stats::default()
        };
        for (sequence, has_expired) in newest {
            let evicted = retention.evicted(sequence);
            if !has_expired {
                stats.keys += 1;
                stats.versions += sequence - evicted;
            }
            stats.writes += sequence;
            stats.evictions += evicted;
        }
        // What was missed must not make a count go down.
        let greatest =
            |told: &AtomicU64, figure: u64| told.fetch_max(figure, Ordering::Relaxed).max(figure);
        stats.writes = greatest(&self.told_writes, stats.writes);
        // A removal may have counted its evictions, and not its writes. Neither number
        // goes down, so the lesser of the two does not, either.
        stats.evictions = greatest(&self.told_evictions, stats.evictions).min(stats.writes);
        stats
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;

    /// A removal counts one after the other, and figures may be asked for in between.
    #[test]
    fn evictions_are_never_told_above_writes() {
        let tally = Tally::default();
        let retention = &Retention::new(1);
        tally.evictions.fetch_add(9, Ordering::Relaxed);
        let early = tally.stats([(3, false)].into_iter(), retention);
        assert_eq!((early.writes, early.evictions), (3, 3));
        tally.writes.fetch_add(10, Ordering::Relaxed);
        let late = tally.stats([(3, false)].into_iter(), retention);
        assert_eq!((late.writes, late.evictions), (13, 11));
    }

    #[test]
    fn what_has_expired_was_written_and_is_not_there() {
        let tally = Tally::default();
        let retention = &Retention::new(2);
        let stats = tally.stats([(5, false), (7, true)].into_iter(), retention);
        assert_eq!((stats.keys, stats.versions), (1, 2));
        assert_eq!((stats.writes, stats.evictions), (12, 8));
        assert_eq!(stats.expirations, 0, "it was not taken out");
        tally.removed(RemovalCause::Expired, 7, retention);
        let stats = tally.stats([(5, false)].into_iter(), retention);
        assert_eq!((stats.writes, stats.evictions), (12, 8));
        assert_eq!((stats.removals, stats.expirations), (0, 1));
    }

    #[test]
    fn no_count_goes_down_when_a_key_is_missed() {
        let tally = Tally::default();
        let retention = &Retention::new(2);
        let before = tally.stats([(5, false), (7, false)].into_iter(), retention);
        assert_eq!((before.writes, before.evictions), (12, 8));
        let missed = tally.stats([(5, false)].into_iter(), retention);
        assert_eq!((missed.writes, missed.evictions), (12, 8));
        assert_eq!((missed.keys, missed.versions), (1, 2));
    }
}
