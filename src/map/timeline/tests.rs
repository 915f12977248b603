//! The kernel, with values that can be counted.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{iter, thread};

use super::*;
use crate::sync::stride;

mod announcing;
mod closing;
mod expiry;
mod handing_over;
mod keeping;
mod restored;
mod walks;

/// A value that counts among the living until it is dropped.
#[derive(Clone, Debug)]
struct Value {
    number: u64,
    _living: Arc<()>,
}

/// Of all but the multiples of 4.
fn words(number: u64) -> Option<Words> {
    (!number.is_multiple_of(4)).then_some([number; WORDS])
}

fn facts(words: &Option<Words>, now: i64) -> Facts<'_> {
    Facts { words, now }
}

/// Makes values and knows how many of them, copies included, are alive. A leak
/// makes the count too high, a second drop makes it too low.
struct Values(Arc<()>);

impl Values {
    fn new() -> Self {
        assert!(epochs::usable(|| ()), "this thread is not about to end");
        Self(Arc::new(()))
    }

    fn unpublished(&self, number: u64) -> Unpublished<Value> {
        Unpublished::Value(Value {
            number,
            _living: Arc::clone(&self.0),
        })
    }

    fn starting_with(&self, number: u64) -> Timeline<Value> {
        Timeline::starting_with(self.unpublished(number), words(number), 0)
    }

    /// Once everything is dropped that this thread has let go of.
    fn alive(&self) -> usize {
        drive();
        Arc::strong_count(&self.0) - 1
    }

    /// The same where other threads have let go of something, and have ended. Any thread of
    /// the process takes over what such a one leaves, and drops it when it goes on, or
    /// leaves it to another one. So it can take a while until that many are alive.
    fn wait_for(&self, alive: RangeInclusive<usize>) {
        let give_up = Instant::now() + Duration::from_secs(60);
        while !alive.contains(&self.alive()) {
            assert!(Instant::now() < give_up, "{} alive", self.alive());
            thread::yield_now();
        }
    }
}

/// Until it has worked: other tests may be inside guards.
fn drive() {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !epochs::drive() {
        assert!(Instant::now() < give_up, "somebody stays inside a guard");
        thread::yield_now();
    }
}

/// A timeline of values that have the numbers of their sequences, unless a test wants it
/// otherwise.
struct Key {
    timeline: Timeline<Value>,
    retention: Retention,
    floor: RevisionFloor,
    values: Values,
}

/// What a writer has in hand between the two halves of [`Timeline::publish`].
type Superseded = Shared<Version<Value>>;

impl Key {
    /// With the values 1 to `len`.
    fn of(len: u64, retention: usize) -> Self {
        let values = Values::new();
        let key = Self {
            timeline: values.starting_with(1),
            retention: Retention::new(retention),
            floor: RevisionFloor::default(),
            values,
        };
        for number in 2..=len {
            key.publish(number);
        }
        key
    }

    #[track_caller]
    fn publish(&self, number: u64) -> Published {
        match self.try_publish(number) {
            Ok(published) => published,
            Err(_) => panic!("the timeline is closed"),
        }
    }

    fn try_publish(&self, number: u64) -> Result<Published, Unpublished<Value>> {
        let value = self.values.unpublished(number);
        let guard = epochs::enter();
        self.timeline
            .publish(value, facts(&words(number), 0), &self.retention, &guard)
    }

    /// The first half of `publish`, by a writer that is then stalled: it has the
    /// superseded version in hand, the queue does not have it yet, and nothing is announced.
    fn swap_head(&self, number: u64) -> Superseded {
        let guard = epochs::enter();
        let head = self.timeline.head.load(Ordering::Acquire, &guard);
        let sequence = head.as_ref().expect("it is open").sequence() + 1;
        let previous = self.retention.keeps_superseded().then(|| head.get_shared());
        let version = self
            .values
            .unpublished(number)
            .placed(sequence, 0, previous.flatten());
        let new = (Some(version), Tag::None);
        let head = &self.timeline.head;
        head.swap(new, Ordering::SeqCst).0.expect("it was there")
    }

    /// The second half, by that same writer.
    fn hand_over(&self, superseded: Superseded) {
        let published = superseded.sequence() + 1;
        let guard = epochs::enter();
        self.timeline
            .hand_over(superseded, published, &self.retention, &guard);
    }

    fn close(&self) -> Option<u64> {
        let guard = epochs::enter();
        let mut head = self.timeline.latest(&guard);
        while !head.is_null() {
            match self.timeline.close_at(head, &self.floor, &guard) {
                Ok(closed) => {
                    let last = closed.sequence();
                    self.timeline.release(closed, &guard);
                    return Some(last);
                }
                Err(found) => head = found,
            }
        }
        None
    }

    fn latest(&self) -> Option<u64> {
        let guard = epochs::enter();
        let latest = self.timeline.latest(&guard);
        latest.as_ref().map(|version| version.value().number)
    }

    /// While nobody is at work on the timeline. If the walk could not be completed, it would
    /// be repeated for ever.
    fn history(&self, limit: usize) -> Vec<u64> {
        let reachable = self.reachable();
        let newest = reachable.first().map_or(0, |&newest| newest as usize);
        let complete = newest.min(self.retention.versions() as usize).min(limit);
        assert!(reachable.len() >= complete, "{reachable:?}");
        self.walk(limit, |version| version.value().number)
    }

    fn walk<T>(&self, limit: usize, take: impl FnMut(&Version<Value>) -> T) -> Vec<T> {
        let guard = epochs::enter();
        let history = self
            .timeline
            .history(limit, &self.retention, None, &guard, take);
        history.into_vec()
    }

    /// The sequences of the versions that the links lead to: what a reader meets in a
    /// single walk.
    fn reachable(&self) -> Vec<u64> {
        let guard = epochs::enter();
        let head = self.timeline.head.load(Ordering::Acquire, &guard);
        iter::successors(head.as_ref(), |version| version.previous(&guard))
            .map(Version::sequence)
            .collect()
    }

    /// The sequences of the anchors in the queue, the next to be taken out first.
    fn queued(&self) -> Vec<u64> {
        self.timeline.superseded.sequences().unwrap_or_default()
    }

    fn alive(&self) -> usize {
        self.values.alive()
    }

    fn alive_after_its_end(self) -> usize {
        let Self {
            timeline, values, ..
        } = self;
        drop(timeline);
        values.alive()
    }
}

/// How many versions a timeline keeps at the most while nobody is at work on it.
fn kept_at_most(retention: usize) -> usize {
    let superseded = retention - 1;
    let stride = stride(superseded) as usize;
    match Retention::new(retention).anchors() {
        0 => 1,
        anchors => (anchors + 1) * stride + 1,
    }
}

/// Short histories, of which every version is an anchor, and those in which one in four
/// is, with each remainder.
fn retentions() -> impl Iterator<Item = usize> {
    (1..=6).chain([15, 16]).chain(17..=21)
}

#[test]
fn history_is_the_newest_versions_for_every_limit_retention_and_length() {
    for retention in retentions() {
        for len in (1..=8).chain([15, 16, 17, 18, 24, 33, 34, 35, 36, 37]) {
            let key = Key::of(len, retention);
            for limit in (0..=9).chain([16, 17, 18, usize::MAX]) {
                let expected: Vec<u64> = (1..=len).rev().take(limit.min(retention)).collect();
                assert_eq!(
                    key.history(limit),
                    expected,
                    "limit {limit}, retention {retention}, length {len}"
                );
            }
        }
    }
}

#[test]
fn sequences_count_from_one_without_gaps() {
    let key = Key::of(1, 4);
    for sequence in 2..=7 {
        assert_eq!(key.publish(100).sequence, sequence);
    }
    assert_eq!(key.walk(usize::MAX, Version::sequence), [7, 6, 5, 4]);
}

#[test]
fn the_time_of_writing_never_goes_back() {
    let key = Key::of(1, 9);
    let mut latest = 0;
    for now in [5, 3, 3, 9, i64::MIN, i64::MAX, 0] {
        let value = key.values.unpublished(1);
        let guard = epochs::enter();
        let timeline = &key.timeline;
        let published = timeline.publish(value, facts(&None, now), &key.retention, &guard);
        latest = now.max(latest);
        assert_eq!(published.ok().unwrap().written_at, latest);
    }
    let times = key.walk(usize::MAX, Version::written_at);
    assert_eq!(times, [i64::MAX, i64::MAX, 9, 9, 5, 5, 5, 0]);
}

#[test]
fn revisions_rise_with_each_version_and_from_one_timeline_to_the_next() {
    let mut floor = RevisionFloor::default();
    let mut last = 0;
    for len in 1..=5 {
        let key = Key {
            floor,
            ..Key::of(len, 3)
        };
        for sequence in key.walk(usize::MAX, Version::sequence).into_iter().rev() {
            let revision = key.timeline.revision(sequence, &key.floor);
            assert!(revision > last, "{revision} after {last}");
            assert_eq!(key.timeline.revision(sequence, &key.floor), revision);
            last = revision;
        }
        assert_eq!(key.close(), Some(len));
        Key { floor, .. } = key;
    }
}

/// Nobody asks for a revision of the timeline before it is closed, but somebody
/// may still: a reader that has its latest version in hand.
#[test]
fn a_revision_that_is_asked_for_after_the_closing_is_below_those_of_the_next_timeline() {
    let former = Key::of(4, 2);
    assert_eq!(former.close(), Some(4));

    let next = Key::of(1, 2);
    let next_revision = next.timeline.revision(1, &former.floor);
    let former_revision = former.timeline.revision(4, &former.floor);
    assert!(former_revision < next_revision);
}
