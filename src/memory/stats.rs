//! What a store has done, and what is in it.

// Not through `sync`: these are not part of any protocol, and would only add
// steps to the models.
use std::sync::atomic::{AtomicU64, Ordering};

/// Figures of a [`MemoryStore`](crate::MemoryStore), from
/// [`MemoryStore::stats`](crate::MemoryStore::stats).
///
/// `users` and `versions` are what is there; the others count from the making
/// of the store, and never go down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Users that have a snapshot.
    pub users: u64,
    /// Snapshots that can be read: the latest ones and, with history, those in
    /// the histories behind them.
    pub versions: u64,
    /// Snapshots that were stored, by whichever operation.
    pub upserts: u64,
    /// Snapshots that were superseded and have left the history, or were never
    /// in one because the store keeps none. Those of deleted users do not count.
    pub evictions: u64,
    /// Users that were removed, by whichever operation.
    pub deletes: u64,
    /// Conditional writes that found something else than they expected.
    /// What [`MemoryStore::update`](crate::MemoryStore::update) repeats does not
    /// count; what [`StateStoreExt::update`](crate::StateStoreExt::update)
    /// repeats does, since it makes conditional writes.
    pub conflicts: u64,
}

#[cfg(feature = "metrics")]
impl Stats {
    /// Reports the figures to the recorder of the [metrics](https://docs.rs/metrics)
    /// facade: the gauges `attuned.store.users` and `.versions`, and the counters
    /// `attuned.store.upserts`, `.evictions`, `.deletes` and `.conflicts`.
    ///
    /// Call it as often as figures are wanted, for one each time that they are
    /// collected. Without a recorder nothing happens.
    ///
    /// ```
    /// # use attuned_store::MemoryStore;
    /// # let store = MemoryStore::default();
    /// store.stats().record();
    /// ```
    pub fn record(&self) {
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point")]
        let gauge = |figure: u64| figure as f64;
        metrics::gauge!("attuned.store.users").set(gauge(self.users));
        metrics::gauge!("attuned.store.versions").set(gauge(self.versions));
        metrics::counter!("attuned.store.upserts").absolute(self.upserts);
        metrics::counter!("attuned.store.evictions").absolute(self.evictions);
        metrics::counter!("attuned.store.deletes").absolute(self.deletes);
        metrics::counter!("attuned.store.conflicts").absolute(self.conflicts);
    }
}

/// The part of the figures that cannot be told from the users who are there.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Of users who were removed.
    upserts: AtomicU64,
    /// Of users who were removed.
    evictions: AtomicU64,
    deletes: AtomicU64,
    conflicts: AtomicU64,
    /// The greatest counts that were told to anyone.
    told_upserts: AtomicU64,
    told_evictions: AtomicU64,
}

impl Tally {
    /// A user was removed, whose last version had this sequence.
    pub(super) fn removed(&self, last: u64, retention: usize) {
        self.upserts.fetch_add(last, Ordering::Relaxed);
        // After the upserts, and read before them: never more than those.
        self.evictions
            .fetch_add(last.saturating_sub(retention as u64), Ordering::Release);
        self.deletes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn conflict(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures of a store in which these are the newest sequences of the
    /// users who are there.
    pub(super) fn stats(&self, newest: impl Iterator<Item = u64>, retention: usize) -> Stats {
        // Before the walk: a user who is removed during it is rather missed than
        // counted twice.
        let mut stats = Stats {
            evictions: self.evictions.load(Ordering::Acquire),
            upserts: self.upserts.load(Ordering::Relaxed),
            deletes: self.deletes.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            ..Stats::default()
        };
        for sequence in newest {
            let evicted = sequence.saturating_sub(retention as u64);
            stats.users += 1;
            stats.versions += sequence - evicted;
            stats.upserts += sequence;
            stats.evictions += evicted;
        }
        // What was missed must not make a count go down. The order is the same
        // as above: who sees the evictions that another was told sees the upserts.
        self.told_upserts
            .fetch_max(stats.upserts, Ordering::Relaxed);
        let told = self
            .told_evictions
            .fetch_max(stats.evictions, Ordering::AcqRel);
        stats.evictions = told.max(stats.evictions);
        stats.upserts = self.told_upserts.load(Ordering::Relaxed);
        stats
    }
}
