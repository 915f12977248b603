//! Which versions of a key are asked for, and what was the latest at some time.

use std::ops::{Bound, RangeBounds};

use crate::revision::Revision;
use crate::timestamp::Timestamp;
use crate::versioned::Versioned;

/// Which of the kept versions of a key, or of a user, a read is to give.
///
/// Bounds of different kinds hold together; of several calls for the same bound the last one
/// counts. [`all`](Self::all) has no bound, and [`at`](Self::at) sets
/// [`after`](Self::after) and [`before`](Self::before).
///
/// ```
/// use attuned_store::{HistoryMap, VersionRange};
///
/// let quotes = HistoryMap::builder().history(100).build()?;
/// let first = quotes.insert("ACME", 10.0)?;
/// quotes.insert("ACME", 10.5)?;
/// quotes.insert("ACME", 10.2)?;
///
/// // What has changed since `first`, in the order in which it happened.
/// let changes = VersionRange::all().after(first).oldest_first();
/// let prices: Vec<f64> = quotes.versions("ACME", changes).iter().map(|v| v.value).collect();
/// assert_eq!(prices, [10.5, 10.2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A range that contradicts itself, such as one that ends before it begins, has nothing in
/// it ([`is_empty`](Self::is_empty)). To go through a long history in pages, give each next
/// page the revision of the last version seen: [`before`](Self::before) it when reading newest
/// first, [`after`](Self::after) it when reading [oldest first](Self::oldest_first).
///
/// # What is missing
///
/// A range gives what is kept. Versions that have left the history are left out without a
/// sign, and a gap between two revisions does not show one, since revisions can skip. To find
/// out whether anything is missing after the last revision that was seen, read the range, and
/// *then* the version [`at`](Self::at) that revision: if it is still kept, so are all after it,
/// and the range was complete. If it is not, versions may be missing, or the key may have been
/// removed meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a range does nothing until it is read"]
pub struct VersionRange {
    after: Option<Revision>,
    before: Option<Revision>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: Option<usize>,
    oldest_first: bool,
}

impl VersionRange {
    /// All versions that are kept, newest first.
    pub fn all() -> Self {
        Self::default()
    }

    /// The version of this revision alone: [`after`](Self::after) the revision before it, and
    /// [`before`](Self::before) the one behind it.
    ///
    /// ```
    /// use attuned_store::{HistoryMap, VersionRange};
    ///
    /// let map = HistoryMap::builder().history(10).build()?;
    /// let first = map.insert("ada", "a")?;
    /// map.insert("ada", "b")?;
    /// assert_eq!(map.versions("ada", VersionRange::at(first))[0].value, "a");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn at(revision: Revision) -> Self {
        let number = u64::from(revision);
        Self {
            after: number.checked_sub(1).map(Revision::from),
            before: number.checked_add(1).map(Revision::from),
            ..Self::all()
        }
    }

    /// Only versions with a greater revision.
    pub fn after(mut self, revision: Revision) -> Self {
        self.after = Some(revision);
        self
    }

    /// Only versions with a smaller revision.
    pub fn before(mut self, revision: Revision) -> Self {
        self.before = Some(revision);
        self
    }

    /// Only versions that were written at this time or later, by
    /// [`written_at`](Versioned::written_at).
    pub fn since(mut self, time: impl Into<Timestamp>) -> Self {
        self.since = Some(time.into());
        self
    }

    /// Only versions that were written at this time or earlier, by
    /// [`written_at`](Versioned::written_at).
    pub fn until(mut self, time: impl Into<Timestamp>) -> Self {
        self.until = Some(time.into());
        self
    }

    /// At most so many versions: those that come first in the order of the range.
    pub fn limit(mut self, versions: usize) -> Self {
        self.limit = Some(versions);
        self
    }

    /// The other way round: without this call the newest version comes first.
    pub fn oldest_first(mut self) -> Self {
        self.oldest_first = true;
        self
    }

    /// Whether the bounds alone leave no version that the range could have: they contradict
    /// each other, or the limit is 0.
    ///
    /// ```
    /// use attuned_store::{Revision, VersionRange};
    ///
    /// let (four, five) = (Revision::from(4), Revision::from(5));
    /// assert!(VersionRange::all().after(five).before(four).is_empty());
    /// assert!(VersionRange::all().after(four).before(five).is_empty());
    /// assert!(VersionRange::all().since(9).until(8).is_empty());
    /// assert!(VersionRange::all().limit(0).is_empty());
    /// assert!(!VersionRange::at(four).is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let first = self
            .after
            .map_or(Some(0), |after| u64::from(after).checked_add(1));
        let last = self
            .before
            .map_or(Some(u64::MAX), |before| u64::from(before).checked_sub(1));
        let has_no_revision = first.zip(last).is_none_or(|(first, last)| first > last);
        let has_no_time =
            matches!((self.since, self.until), (Some(since), Some(until)) if since > until);
        self.limit == Some(0) || has_no_revision || has_no_time
    }

    /// For backends: the revisions between which the range is.
    ///
    /// If the bounds contradict each other, so do these: then `BTreeMap::range` panics on
    /// them. Ask [`is_empty`](Self::is_empty) first.
    #[must_use]
    pub fn revisions(&self) -> (Bound<Revision>, Bound<Revision>) {
        let excluded = |end: Option<Revision>| end.map_or(Bound::Unbounded, Bound::Excluded);
        (excluded(self.after), excluded(self.before))
    }

    /// For backends: the times between which the range is. Ask [`is_empty`](Self::is_empty)
    /// first, for the same reason.
    #[must_use]
    pub fn times(&self) -> (Bound<Timestamp>, Bound<Timestamp>) {
        let included = |end: Option<Timestamp>| end.map_or(Bound::Unbounded, Bound::Included);
        (included(self.since), included(self.until))
    }

    /// For backends: how many versions the range has at the most; `usize::MAX` without a
    /// limit.
    #[must_use]
    pub fn max_versions(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }

    /// For backends: whether the oldest version comes first.
    #[must_use]
    pub fn is_oldest_first(&self) -> bool {
        self.oldest_first
    }

    /// For backends: whether a version with this revision, written at this time, is inside
    /// the bounds.
    #[must_use]
    pub fn contains(&self, revision: Revision, written_at: impl Into<Timestamp>) -> bool {
        self.revisions().contains(&revision) && self.times().contains(&written_at.into())
    }

    /// For backends: copies what the range has of a history, which is given newest first.
    ///
    /// Clones what it returns and nothing else. Stops at the first version that is too old.
    ///
    /// ```
    /// use attuned_store::{Revision, VersionRange, Versioned};
    ///
    /// let version = |number: u64| Versioned::new(number, Revision::from(number), 0);
    /// let newest_first = [9, 7, 4, 2].map(version);
    /// let range = VersionRange::all().before(Revision::from(9)).limit(2);
    /// let selected = range.select(&newest_first);
    /// assert_eq!(selected, [7, 4].map(version));
    /// assert_eq!(range.oldest_first().select(&newest_first), [2, 4].map(version));
    /// ```
    #[must_use]
    pub fn select<'v, V: Clone + 'v>(
        &self,
        newest_first: impl IntoIterator<Item = &'v Versioned<V>>,
    ) -> Vec<Versioned<V>> {
        let known = |version: &&Versioned<V>| (version.revision, version.written_at);
        let selected = self.pick(newest_first, known);
        selected.into_iter().cloned().collect()
    }

    /// What the range has of versions that are given newest first, in its order. `known`
    /// tells the revision and the time of a version.
    pub(crate) fn pick<T>(
        &self,
        newest_first: impl IntoIterator<Item = T>,
        known: impl Fn(&T) -> (Revision, i64),
    ) -> Vec<T> {
        if self.is_empty() {
            return Vec::new();
        }
        let is_too_new = |version: &T| {
            let (revision, written_at) = known(version);
            self.before.is_some_and(|before| revision >= before)
                || self
                    .until
                    .is_some_and(|until| written_at > until.as_unix_ms())
        };
        let is_new_enough = |version: &T| {
            let (revision, written_at) = known(version);
            !self.is_too_old(revision, written_at)
        };
        let within = newest_first
            .into_iter()
            .skip_while(is_too_new)
            .take_while(is_new_enough);
        if self.oldest_first {
            let mut within: Vec<T> = within.collect();
            within.reverse();
            within.truncate(self.max_versions());
            within
        } else {
            within.take(self.max_versions()).collect()
        }
    }

    /// Whether a version is below the bounds. Then so is every earlier one.
    pub(crate) fn is_too_old(&self, revision: Revision, written_at: i64) -> bool {
        self.after.is_some_and(|after| revision <= after)
            || self
                .since
                .is_some_and(|since| written_at < since.as_unix_ms())
    }

    /// How many of the newest versions can be looked at without missing one that the range
    /// has: its limit, if it begins with the newest of all.
    pub(crate) fn newest_needed(&self) -> usize {
        let begins_with_the_newest =
            self.before.is_none() && self.until.is_none() && !self.oldest_first;
        if begins_with_the_newest {
            self.max_versions()
        } else {
            usize::MAX
        }
    }
}

/// What was the latest value of a key, or of a user, at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf<V> {
    /// This version: the last one that was written at that time or earlier.
    Was(Versioned<V>),
    /// As far as is known, the key was not there at that time: its first write, or the first
    /// since its last removal, is later. It is also the answer for a key that is not there now,
    /// since nothing is kept of a removed key.
    NotThere,
    /// It is not known any more: all kept versions are of a later time, and earlier ones
    /// have left the history.
    Evicted,
}

impl<V> AsOf<V> {
    /// The version, if it is known.
    ///
    /// ```
    /// use attuned_store::HistoryMap;
    ///
    /// let map = HistoryMap::builder().history(10).build()?;
    /// map.insert("ada", "a")?;
    /// let written = map.get_versioned("ada").expect("it was written");
    /// assert_eq!(map.as_of("ada", written.written_at).version(), Some(written));
    /// assert_eq!(map.as_of("ada", written.written_at - 1).version(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn version(self) -> Option<Versioned<V>> {
        match self {
            Self::Was(version) => Some(version),
            Self::NotThere | Self::Evicted => None,
        }
    }

    /// The same with another form of the value.
    ///
    /// ```
    /// use attuned_store::{AsOf, Revision, Versioned};
    ///
    /// let was = AsOf::Was(Versioned::new("four", Revision::from(1), 0));
    /// assert_eq!(was.map(str::len), AsOf::Was(Versioned::new(4, Revision::from(1), 0)));
    /// ```
    pub fn map<W>(self, change: impl FnOnce(V) -> W) -> AsOf<W> {
        match self {
            Self::Was(version) => AsOf::Was(version.map(change)),
            Self::NotThere => AsOf::NotThere,
            Self::Evicted => AsOf::Evicted,
        }
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends() -> impl Strategy<Value = Option<u64>> {
        prop::option::of(prop_oneof![0_u64..12, Just(u64::MAX)])
    }

    /// Ranges of all kinds, most of which have something of the revisions 1 to 10.
    fn ranges() -> impl Strategy<Value = VersionRange> {
        let limit = prop::option::of(0_usize..12);
        let parts = (ends(), ends(), ends(), ends(), limit, any::<bool>());
        parts.prop_map(
            |(after, before, since, until, limit, oldest_first)| VersionRange {
                after: after.map(Revision::from),
                before: before.map(Revision::from),
                since: since.map(|ms| Timestamp::from(ms as i64)),
                until: until.map(|ms| Timestamp::from(ms as i64)),
                limit,
                oldest_first,
            },
        )
    }

    /// Newest first. Revisions can skip, and several versions can have one time.
    fn histories() -> impl Strategy<Value = Vec<Versioned<u64>>> {
        prop::collection::vec((1_u64..3, 0_i64..3), 0..8).prop_map(|steps| {
            let mut history: Vec<_> = steps
                .into_iter()
                .scan((0, 0), |(revision, time), (more, later)| {
                    *revision += more;
                    *time += later;
                    Some(Versioned::new(*revision, Revision::from(*revision), *time))
                })
                .collect();
            history.reverse();
            history
        })
    }

    proptest! {
        #[test]
        fn a_selection_is_what_each_bound_leaves_in_the_order_of_the_range(
            range in ranges(),
            history in histories(),
        ) {
            let mut expected: Vec<_> = history
                .iter()
                .copied()
                .filter(|v| range.after.is_none_or(|after| v.revision > after))
                .filter(|v| range.before.is_none_or(|before| v.revision < before))
                .filter(|v| range.since.is_none_or(|since| Timestamp::from(v.written_at) >= since))
                .filter(|v| range.until.is_none_or(|until| Timestamp::from(v.written_at) <= until))
                .collect();
            for version in &history {
                let (revision, written_at) = (version.revision, version.written_at);
                prop_assert_eq!(
                    range.contains(revision, written_at),
                    expected.contains(version)
                );
            }
            if range.oldest_first {
                expected.reverse();
            }
            expected.truncate(range.limit.unwrap_or(usize::MAX));
            prop_assert_eq!(range.select(&history), expected);
        }

        #[test]
        fn a_range_is_empty_if_no_version_can_be_in_it(range in ranges()) {
            let revisions = || (0..=12).chain([u64::MAX - 1, u64::MAX]);
            let possible = (-1..=12)
                .flat_map(|time| revisions().map(move |number| (Revision::from(number), time)))
                .any(|(revision, time)| range.contains(revision, time));
            prop_assert_eq!(range.is_empty(), !possible || range.limit == Some(0));
        }
    }

    #[test]
    fn at_the_ends_of_the_numbers_there_is_a_range_of_one_revision_too() {
        for number in [0, 1, u64::MAX - 1, u64::MAX] {
            let range = VersionRange::at(Revision::from(number));
            assert!(!range.is_empty(), "{number}");
            for other in [0, 1, 2, u64::MAX - 2, u64::MAX - 1, u64::MAX] {
                let contains = range.contains(Revision::from(other), 0);
                assert_eq!(contains, other == number, "{other} at {number}");
            }
        }
    }
}
