//! The kernel, with values that can be counted.

use std::collections::VecDeque;
use std::iter;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

mod expiry;

use super::*;
use crate::map::revisions::{FormerBase, FormerRevisions};
use crate::sync::{slack, stride};

mod handing_over;
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
fn the_mirror_shows_the_newest_version_if_it_has_words() {
    let key = Key::of(1, 3);
    for number in 2..=9_u64 {
        let newest = number - 1;
        let shown = words(newest).map(|words| (newest, words));
        assert_eq!(key.timeline.mirrored(), shown);
        key.publish(number);
    }
    key.close();
    assert_eq!(key.timeline.mirrored(), None);
}

/// A thread that meets it at the head has it take effect, and from then on nobody is shown
/// the one before.
#[test]
fn a_version_takes_effect_when_its_writer_or_a_reader_of_the_head_announces_it() {
    let shown = |sequence| Some((sequence, [sequence; WORDS]));
    let meet: [fn(&Key); 2] = [
        |key| assert_eq!(key.latest(), Some(2)),
        |key| assert_eq!(key.history(1), [2]),
    ];
    for meet in meet {
        let key = Key::of(1, 3);
        let superseded = key.swap_head(2);
        assert_eq!(key.timeline.mirrored(), shown(1), "not announced yet");
        meet(&key);
        assert_eq!(
            key.timeline.mirrored(),
            None,
            "announced, without its words"
        );

        // Its writer goes on.
        key.timeline.mirror.show(2, [2; WORDS]);
        assert_eq!(key.timeline.mirrored(), shown(2));
        key.hand_over(superseded);

        // One who comes late does not undo what others have done.
        key.publish(3);
        key.timeline.mirror.show(2, [2; WORDS]);
        key.timeline.mirror.announce(2);
        assert_eq!(key.timeline.mirrored(), shown(3));
    }
}

/// What a failed attempt found is acted on, so it has to have taken effect.
#[test]
fn what_is_found_instead_of_what_was_expected_is_announced() {
    let key = Key::of(2, 3);
    let guard = epochs::enter();
    let replace = |head| {
        let value = key.values.unpublished(9);
        key.timeline
            .replace(head, value, facts(&words(9), 0), &key.retention, &guard)
    };

    let head = key.timeline.latest(&guard);
    let first = key.swap_head(3);
    assert_eq!(key.timeline.mirrored(), Some((2, [2; WORDS])));
    let refused = replace(head).expect_err("there is a newer one");
    assert_eq!(refused.found.as_ref().unwrap().sequence(), 3);
    assert_eq!(key.timeline.mirrored(), None);

    let head = key.timeline.latest(&guard);
    key.publish(5);
    let second = key.swap_head(6);
    assert_eq!(key.timeline.mirrored(), Some((4, [5; WORDS])));
    let found = key.timeline.close_at(head, &key.floor, &guard).err();
    let found = found.expect("there is a newer one");
    assert_eq!(found.as_ref().unwrap().sequence(), 5);
    assert_eq!(key.timeline.mirrored(), None);

    for superseded in [first, second] {
        key.hand_over(superseded);
    }
}

/// Only a thread that holds a version under its guard meets this: nobody owns it any more.
#[test]
fn a_version_that_was_let_go_of_is_not_replaced() {
    for retention in 2..=4 {
        let key = Key::of(1, retention);
        {
            let guard = epochs::enter();
            let head = key.timeline.latest(&guard);
            for number in 2..=20 {
                key.publish(number);
            }
            assert!(head.get_shared().is_none(), "it was let go of");
            let value = key.values.unpublished(21);
            let refused = key
                .timeline
                .replace(head, value, facts(&words(21), 0), &key.retention, &guard)
                .expect_err("it is not the newest one");
            assert_eq!(refused.found.as_ref().unwrap().sequence(), 20);
            // The value is as good as new.
            let published = key.timeline.replace(
                refused.found,
                refused.unpublished,
                facts(&words(21), 0),
                &key.retention,
                &guard,
            );
            assert_eq!(published.ok().unwrap().sequence, 21);
        }
        assert_eq!(key.history(2), [21, 20]);
        assert_eq!(key.alive_after_its_end(), 0, "retention {retention}");
    }
}

#[test]
fn a_closing_takes_effect_when_it_is_met() {
    let meet: [fn(&Key); 4] = [
        |key| assert_eq!(key.latest(), None),
        |key| assert_eq!(key.close(), None),
        |key| assert!(key.history(1).is_empty()),
        |key| assert!(key.try_publish(2).is_err()),
    ];
    for meet in meet {
        let key = Key::of(1, 3);
        key.timeline.head.swap((None, Tag::None), Ordering::SeqCst);
        assert!(!key.timeline.is_closed(), "not announced yet");
        assert_eq!(key.timeline.mirrored(), Some((1, [1; WORDS])));
        meet(&key);
        assert!(key.timeline.is_closed());
        assert_eq!(key.timeline.mirrored(), None);
    }
}

/// How many versions are alive after each write, if all are handed over in order.
fn kept(retention: &Retention) -> impl Iterator<Item = usize> {
    let mut queue = VecDeque::new();
    let mut cut_at = 1;
    (2..).map(move |newest| {
        let superseded = newest - 1;
        if !retention.keeps_superseded() {
            return 1;
        }
        if retention.is_anchor(superseded) {
            queue.push_back(superseded);
            if queue.len() > retention.anchors() {
                let taken_out: Vec<u64> = queue.drain(..retention.together()).collect();
                // The writer has its own in hand, too.
                let own = queue.pop_back().unwrap();
                let ends = |anchor: u64| retention.is_at_the_end(anchor, newest);
                assert!(taken_out.iter().all(|&anchor| ends(anchor)));
                cut_at = *taken_out.last().unwrap();
                if ends(own) {
                    cut_at = own;
                } else {
                    queue.push_back(own);
                }
            }
        }
        let spent = queue.iter().filter(|&&anchor| anchor < cut_at).count();
        (newest - cut_at + 1) as usize + spent
    })
}

/// For every length of a history that anybody is likely to want.
#[test]
fn histories_are_complete_and_no_more_is_kept_than_is_said() {
    for retention in 1..=300 {
        let key = Key::of(1, retention);
        let most = kept_at_most(retention);
        let mut most_alive = 1;
        for (len, kept) in (2..=2 * most as u64 + 8).zip(kept(&key.retention)) {
            key.publish(len);
            let alive = key.alive();
            most_alive = alive.max(most_alive);
            assert_eq!(alive, kept, "retention {retention}, length {len}");
            let history = key.history(usize::MAX);
            let window = (1..=len).rev().take(retention);
            assert!(history.into_iter().eq(window), "{retention}, length {len}");
        }
        assert_eq!(most_alive, most, "retention {retention}");
        assert_eq!(key.alive_after_its_end(), 0, "retention {retention}");
    }
}

/// As the documentation of `HistoryMap` tells it.
#[test]
fn so_many_more_are_kept_than_a_history_shows() {
    for retention in 2..=16 {
        let more = kept_at_most(retention) - retention;
        assert_eq!(more, retention.min(9));
    }
    for retention in 17..=1_000 {
        let more = kept_at_most(retention) - retention;
        assert!((12..=15).contains(&more), "retention {retention}: {more}");
    }
}

#[test]
fn the_queue_is_made_when_the_first_anchor_is_superseded() {
    let key = Key::of(1, 5);
    assert_eq!(key.timeline.superseded.sequences(), None);
    key.publish(2);
    assert_eq!(key.queued(), [1]);

    let key = Key::of(4, 20);
    assert_eq!(key.timeline.superseded.sequences(), None);
    key.publish(5);
    assert_eq!(key.queued(), [4]);
}

#[test]
fn a_retention_of_one_never_makes_a_queue_or_a_link() {
    let key = Key::of(10, 1);
    assert_eq!(key.timeline.superseded.sequences(), None);
    assert_eq!(key.reachable(), [10]);
    assert_eq!(key.alive(), 1);
}

#[test]
fn closing_ends_latest_and_history_and_releases_everything() {
    for retention in retentions() {
        for len in [1, 2, 3, 4, 5, 6, 17, 40] {
            let key = Key::of(len, retention);
            assert!(!key.timeline.is_closed());

            assert_eq!(key.close(), Some(len));
            assert!(key.timeline.is_closed());
            assert_eq!(key.latest(), None);
            assert!(key.history(usize::MAX).is_empty());
            // Although the timeline itself is still there.
            assert_eq!(key.alive(), 0, "retention {retention}, length {len}");

            assert_eq!(key.close(), None, "it was closed already");
        }
    }
}

#[test]
fn a_timeline_that_is_dropped_open_releases_everything() {
    for retention in retentions() {
        for len in [1, 2, 3, 4, 5, 6, 17, 40] {
            let key = Key::of(len, retention);
            assert_eq!(key.alive_after_its_end(), 0, "{retention}, length {len}");
        }
    }
}

#[test]
fn what_is_closed_or_dropped_stays_readable_under_a_guard() {
    let key = Key::of(20, 17);
    let guard = epochs::enter();
    let head = key.timeline.latest(&guard).as_ref().unwrap();
    let previous = head.previous(&guard).unwrap();
    key.close();
    drop(key);
    assert_eq!((head.value().number, previous.value().number), (20, 19));
    assert!(head.previous(&guard).is_none(), "the link is cut");
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

/// A timeline that came with these revisions, and then was written twice, in a map that counts
/// from the origin.
fn restored(revisions: &[u64], origin: u64, cut: bool) -> (Timeline<Value>, RevisionFloor) {
    let values = Values::new();
    let retention = Retention::new(8);
    let (mut floor, mut former) = (RevisionFloor::default(), FormerRevisions::default());
    // Others were restored before.
    former.keep([2, 9].into_iter());
    let revisions_of_all = revisions.iter().copied();
    let numbers = FormerBase::without_gaps(revisions_of_all.clone())
        .unwrap_or_else(|| former.keep(revisions_of_all));
    floor.go_on_above(origin, former);
    let len = revisions.len() as u64;
    let value = |number| match values.unpublished(number) {
        Unpublished::Value(value) => value,
        Unpublished::Allocated(_) => unreachable!("it is a value"),
    };
    let former = FormerVersions {
        versions: (1..=len).map(|number| (value(number), 0)),
        cut,
        words: words(len),
        numbers,
    };
    let timeline = Timeline::restored(former, &retention).unwrap();
    let guard = epochs::enter();
    for number in len + 1..=len + 2 {
        let next = values.unpublished(number);
        let published = timeline.publish(next, facts(&words(number), 0), &retention, &guard);
        assert!(published.is_ok_and(|published| published.sequence == number));
    }
    drop(guard);
    (timeline, floor)
}

#[test]
fn restored_versions_keep_their_revisions_and_later_ones_are_above_the_origin() {
    for revisions in [&[7][..], &[2, 3, 4], &[5, 6, 20], &[2, 8, 9, 11]] {
        let origin = 1 << 32;
        let (timeline, floor) = restored(revisions, origin, false);
        let guard = epochs::enter();
        let base = timeline.revision_base(&floor);
        let revision = |version: &Version<Value>| base.revision(version);
        let retention = Retention::new(8);
        let mut found = timeline.history(usize::MAX, &retention, None, &guard, revision);
        found.reverse();
        let (former, written) = found.split_at(revisions.len());
        assert_eq!(former, revisions);
        let next = origin + revisions.len() as u64 + 1;
        assert_eq!(written, [next, next + 1]);
        assert_eq!(timeline.revision(revisions.len() as u64 + 1, &floor), next);

        // And those of the next timeline of the key are above all of them.
        let head = timeline.latest(&guard);
        let closed = timeline.close_at(head, &floor, &guard);
        let closed = closed.unwrap_or_else(|_| panic!("nobody else is here"));
        timeline.release(closed, &guard);
        assert!(Key::of(1, 8).timeline.revision(1, &floor) > next + 1);
    }
}

#[test]
fn a_restored_timeline_is_the_one_that_as_many_writes_lead_to() {
    for retention in [1, 2, 3, 16, 17, 40] {
        for len in 1..=retention as u64 {
            let written = Key::of(len, retention);
            let values = Values::new();
            let value = |number| match values.unpublished(number) {
                Unpublished::Value(value) => (value, 0),
                Unpublished::Allocated(_) => unreachable!("it is a value"),
            };
            let former = FormerVersions {
                versions: (1..=len).map(value),
                cut: false,
                words: words(len),
                numbers: FormerBase::without_gaps([2].into_iter()).unwrap(),
            };
            let timeline = Timeline::restored(former, &Retention::new(retention)).unwrap();
            let restored = Key {
                timeline,
                retention: Retention::new(retention),
                floor: RevisionFloor::default(),
                values,
            };
            // At once, and while all of it is evicted.
            for number in len..len + 3 * retention as u64 {
                if number > len {
                    assert_eq!(
                        restored.publish(number).sequence,
                        written.publish(number).sequence
                    );
                }
                let numbers = |key: &Key| key.walk(usize::MAX, |version| version.value().number);
                assert_eq!(numbers(&restored), numbers(&written));
                let queue = |key: &Key| key.timeline.superseded.sequences();
                assert_eq!(queue(&restored), queue(&written), "{number} of {retention}");
                assert_eq!(restored.timeline.mirrored(), written.timeline.mirrored());
                assert_eq!(restored.values.alive(), written.values.alive());
            }
            assert_eq!(restored.close(), written.close());
            assert_eq!(restored.values.alive(), 0);
        }
    }
}

#[test]
fn the_first_version_is_known_unless_others_were_cut_off() {
    for cut in [false, true] {
        let (timeline, _) = restored(&[7, 8], 1 << 32, cut);
        let guard = epochs::enter();
        let retention = Retention::new(8);
        let firsts = timeline.history(9, &retention, None, &guard, Version::is_the_first);
        assert_eq!(firsts.as_slice(), [false, false, false, !cut]);
    }
    let key = Key::of(3, 3);
    assert_eq!(key.walk(9, Version::is_the_first), [false, false, true]);
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

#[test]
fn publishing_on_a_closed_timeline_gives_the_value_back() {
    let key = Key::of(3, 2);
    key.close();
    let returned = key.try_publish(5).expect_err("it is closed");
    assert!(key.timeline.is_closed());
    assert_eq!(key.alive(), 1);

    // What comes back is as good as new for the next timeline.
    let next = Key {
        timeline: Timeline::starting_with(returned, words(5), 0),
        ..key
    };
    assert_eq!(next.history(usize::MAX), [5]);
    assert_eq!(next.timeline.mirrored(), Some((1, [5; WORDS])));
    assert_eq!(next.alive(), 1);
    assert_eq!(next.alive_after_its_end(), 0);
}

/// It was made for a map that had the key by then.
#[test]
fn the_value_of_a_timeline_that_nobody_needs_goes_into_another() {
    let key = Key::of(2, 3);
    let unneeded = key.values.starting_with(3);
    let again = unneeded.into_unpublished();
    assert!(matches!(again, Unpublished::Allocated(_)));
    {
        let guard = epochs::enter();
        let published = key
            .timeline
            .publish(again, facts(&words(3), 0), &key.retention, &guard);
        assert_eq!(published.ok().unwrap().sequence, 3);
    }
    assert_eq!(key.history(usize::MAX), [3, 2, 1]);
    assert_eq!(key.alive(), 3);
}

/// Writers that published before the closing and come to the queue after it. Each
/// empties it again.
#[test]
fn late_hand_overs_to_a_closed_timeline_leave_nothing_in_it() {
    for reversed in [false, true] {
        for retention in retentions() {
            let key = Key::of(3, retention);
            let mut stalled: Vec<_> = (4..=40).map(|number| key.swap_head(number)).collect();
            key.close();
            assert_eq!(key.alive(), stalled.len(), "those in the writers' hands");
            if reversed {
                stalled.reverse();
            }
            while let Some(superseded) = stalled.pop() {
                key.hand_over(superseded);
                assert!(key.queued().is_empty());
                assert_eq!(key.alive(), stalled.len(), "retention {retention}");
            }
            assert!(key.history(usize::MAX).is_empty());
            assert_eq!(key.alive_after_its_end(), 0, "retention {retention}");
        }
    }
}

/// One after the other in as many rounds of epochs as there are versions, if a version
/// that is let go of still owned the one before.
#[test]
fn a_long_chain_is_dropped_in_one_go() {
    const LEN: u64 = 1_000;
    let ends: [fn(Key) -> usize; 2] = [
        |key| {
            assert_eq!(key.close(), Some(LEN));
            key.alive()
        },
        Key::alive_after_its_end,
    ];
    for end in ends {
        // Not when somebody was inside a guard, which made for more rounds.
        let in_one_go = (0..100).any(|_| {
            let key = Key::of(LEN, LEN as usize);
            drive();
            let driven = epochs::drive();
            let alive = end(key);
            driven && alive == 0
        });
        assert!(in_one_go);
    }
}
