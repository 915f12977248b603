//! The kernel, with values that can be counted.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::iter;
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::sync::{slack, stride};

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
            .publish(value, &words(number), 0, &self.retention, &guard)
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
        self.timeline.history(limit, &self.retention, &guard, take)
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
        let published = timeline.publish(value, &None, now, &key.retention, &guard);
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
            .replace(head, value, &words(9), 0, &key.retention, &guard)
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
                .replace(head, value, &words(21), 0, &key.retention, &guard)
                .expect_err("it is not the newest one");
            assert_eq!(refused.found.as_ref().unwrap().sequence(), 20);
            // The value is as good as new.
            let published = key.timeline.replace(
                refused.found,
                refused.unpublished,
                &words(21),
                0,
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
            .publish(again, &words(3), 0, &key.retention, &guard);
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

/// Writers overtake the walk at each of its first steps, so far that what it heads for is
/// gone.
#[test]
fn a_walk_that_is_overtaken_is_repeated_and_ends() {
    for retention in (2..=6).chain(17..=20) {
        for start in 2..=retention as u64 + 1 {
            for times in 1..=2 {
                let key = Key::of(start, retention);
                let newest = Cell::new(start);
                let overtaken = Cell::new(0);
                let history = key.walk(usize::MAX, |version| {
                    if overtaken.get() < times {
                        overtaken.set(overtaken.get() + 1);
                        for _ in 0..3 * retention + 8 {
                            newest.set(newest.get() + 1);
                            key.publish(newest.get());
                        }
                    }
                    version.value().number
                });
                // Complete as of the head that it begins with.
                let head = history[0];
                assert!(head == start || head > start + 8);
                let expected: Vec<u64> = (1..=head).rev().take(retention).collect();
                assert_eq!(history, expected);
            }
        }
    }
}

/// The walk is overtaken by few writers, so that it continues with what it has already
/// taken.
#[test]
fn a_repeated_walk_takes_what_it_has_taken_already_once() {
    const RETENTION: usize = 6;
    for more in 1..=2 * RETENTION as u64 {
        let key = Key::of(30, RETENTION);
        let mut taken = Vec::new();
        let history = key.walk(usize::MAX, |version| {
            let number = version.value().number;
            taken.push(number);
            // Before the last one, which a writer then cuts off, or does not.
            if number == 30 - RETENTION as u64 + 2 {
                for number in 31..=30 + more {
                    key.publish(number);
                }
            }
            number
        });
        let expected: Vec<u64> = (1..=history[0]).rev().take(RETENTION).collect();
        assert_eq!(history, expected);
        let distinct: BTreeSet<u64> = taken.iter().copied().collect();
        assert_eq!(distinct.len(), taken.len(), "{taken:?}");
    }
}

/// Other writers fill the room that one has just made, who has anchors of the
/// window in hand, and what that one takes out next has left the window.
#[test]
fn what_is_in_hand_is_not_let_go_with_what_is_taken_out_later() {
    const RETENTION: usize = 9;
    let key = Key::of(1, RETENTION);
    let mut superseded: Vec<_> = (2..=41).map(|number| key.swap_head(number)).collect();
    let mut take = |sequences: RangeInclusive<u64>| -> Vec<Superseded> {
        let is_taken = |version: &mut Superseded| sequences.contains(&version.sequence());
        superseded.extract_if(.., is_taken).collect()
    };
    assert_eq!((key.retention.anchors(), key.retention.together()), (16, 4));

    // Four of the window are first.
    for anchor in take(34..=37).into_iter().chain(take(2..=13)) {
        key.hand_over(anchor);
    }
    let (late, own) = (RefCell::new(take(38..=39)), take(40..=40).remove(0));
    late.borrow_mut().extend(take(14..=15));
    let guard = epochs::enter();
    let add = |anchor: Superseded, newest: &dyn Fn() -> Option<u64>| {
        let anchors = &key.timeline.superseded;
        anchors.add(anchor, 41, newest, &key.retention, &guard);
    };
    let newest = || {
        for anchor in late.take() {
            add(anchor, &|| unreachable!("there is room"));
        }
        Some(41)
    };
    add(own, &newest);
    drop(guard);

    let mut queued = key.queued();
    queued.retain(|&sequence| sequence > 33);
    queued.sort_unstable();
    assert_eq!(queued, [34, 35, 36, 37, 38, 39, 40]);
    assert!(
        key.reachable()
            .starts_with(&[41, 40, 39, 38, 37, 36, 35, 34, 33])
    );
}

/// One step of writers that can be stalled between the halves of `publish`.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The next writer swaps the head and from then on has in hand what it superseded.
    Swap,
    /// The writer that superseded this version, counted from 1, hands it over.
    HandOver(u64),
}

/// Every order of `writes` swaps and their hand-overs in which a version is
/// handed over after it was superseded: each as late, and each as much out of
/// order, as it can be.
fn schedules(writes: u64) -> Vec<Vec<Step>> {
    fn extend(
        schedule: &[Step],
        swapped: u64,
        stalled: &[u64],
        writes: u64,
        all: &mut Vec<Vec<Step>>,
    ) {
        if swapped == writes && stalled.is_empty() {
            all.push(schedule.to_vec());
        }
        if swapped < writes {
            let superseded = swapped + 1;
            extend(
                &[schedule, &[Step::Swap]].concat(),
                swapped + 1,
                &[stalled, &[superseded]].concat(),
                writes,
                all,
            );
        }
        for &number in stalled {
            let others: Vec<u64> = stalled
                .iter()
                .copied()
                .filter(|&other| other != number)
                .collect();
            extend(
                &[schedule, &[Step::HandOver(number)]].concat(),
                swapped,
                &others,
                writes,
                all,
            );
        }
    }
    let mut all = Vec::new();
    extend(&[], 0, &[], writes, &mut all);
    all
}

/// From a timeline of that many versions on. After each step the window is there, and in
/// the end no more than is said.
fn run(schedule: &[Step], retention: usize, start: u64) {
    let context = || format!("retention {retention}, from {start} on, {schedule:?}");
    let key = Key::of(start, retention);
    let mut len = start;
    let mut stalled: Vec<Superseded> = Vec::new();
    for &step in schedule {
        match step {
            Step::Swap => {
                len += 1;
                stalled.push(key.swap_head(len));
            }
            Step::HandOver(number) => {
                let sequence = start + number - 1;
                let writer = stalled
                    .iter()
                    .position(|version| version.sequence() == sequence)
                    .unwrap();
                key.hand_over(stalled.swap_remove(writer));
            }
        }
        let window: Vec<u64> = (1..=len).rev().take(retention).collect();
        // A reader would not get to the end of the window otherwise.
        assert!(key.reachable().starts_with(&window), "{}", context());
        assert_eq!(key.history(usize::MAX), window, "{}", context());
    }
    let alive = key.alive();
    let all = usize::try_from(len).unwrap();
    assert!(alive >= retention.min(all), "{}", context());
    assert!(alive <= kept_at_most(retention).min(all), "{}", context());
    assert_eq!(key.alive_after_its_end(), 0, "{}", context());
}

#[test]
fn the_window_is_reachable_and_the_rest_released_whenever_writers_hand_over() {
    const WRITES: u64 = 5;
    let schedules = schedules(WRITES);
    assert_eq!(schedules.len(), 9 * 7 * 5 * 3);

    for schedule in &schedules {
        for retention in 1..=4 {
            run(schedule, retention, 1);
            // The queue is full.
            run(schedule, retention, kept_at_most(retention) as u64);
        }
    }
}

/// Where one in four is an anchor, more writers have to be late for it to matter.
#[test]
fn the_same_of_long_histories_if_writers_are_stalled_in_any_order() {
    // Any, but the same in each run.
    let mut random = 1_u64;
    let mut below = |bound: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % bound
    };
    for round in 0..600 {
        let retention = 17 + round % 8;
        let mut schedule = Vec::new();
        let mut stalled = Vec::new();
        let mut swapped = 0;
        let stalled_at_most = 1 + below(30);
        while swapped < 60 || !stalled.is_empty() {
            if swapped < 60 && stalled.len() < stalled_at_most && below(2) == 0 {
                swapped += 1;
                schedule.push(Step::Swap);
                stalled.push(swapped);
            } else if !stalled.is_empty() {
                let number = stalled.swap_remove(below(stalled.len()));
                schedule.push(Step::HandOver(number));
            }
        }
        run(&schedule, retention, 1 + below(40) as u64);
    }
}

/// Writers who were overtaken once must not be what later ones pay for. In a
/// queue that is as long as the window, what is taken out from then on is in the
/// window at nearly every write, and goes in again.
#[test]
fn after_late_hand_overs_in_the_wrong_order_later_writes_take_out_nothing_in_vain() {
    // With two, what a writer brings has left the window already.
    for retention in 3..=40 {
        let stride = stride(retention - 1);
        let slack = slack(retention - 1).div_ceil(stride as usize);
        let numbers = Retention::new(retention);
        let (anchors, together) = (numbers.anchors(), numbers.together());
        for late in 2..=slack - together + 2 {
            let key = Key::of(3 * retention as u64, retention);
            let len = key.publish(0).sequence;
            let stalled: Vec<_> = (1..=late as u64 * stride)
                .map(|more| key.swap_head(len + more))
                .collect();
            for superseded in stalled.into_iter().rev() {
                key.hand_over(superseded);
            }

            let mut queue = key.queued();
            let superseded = len + late as u64 * stride..;
            for superseded in superseded.take(5 * retention) {
                key.publish(superseded + 1);
                if key.retention.is_anchor(superseded) {
                    // Whatever goes in again would be at the end.
                    if queue.len() == anchors {
                        queue.drain(..together);
                    }
                    queue.push(superseded);
                }
                assert_eq!(key.queued(), queue, "retention {retention}, {late} late");
            }
        }
    }
}

#[test]
fn racing_writers_leave_whole_histories_and_no_more_alive_than_is_said() {
    const WRITERS: u64 = 3;
    const WRITES: u64 = 4_000;

    for retention in [1, 2, 3, 8, 17, 18] {
        let key = Key::of(1, retention);
        let start = Barrier::new(WRITERS as usize + 1);
        let writing = AtomicUsize::new(WRITERS as usize);

        thread::scope(|scope| {
            let writers = [(); WRITERS as usize].map(|()| {
                scope.spawn(|| {
                    assert!(epochs::usable(|| ()));
                    start.wait();
                    for number in 0..WRITES {
                        key.publish(number);
                    }
                    writing.fetch_sub(1, Ordering::Relaxed);
                })
            });
            let reader = scope.spawn(|| {
                start.wait();
                while writing.load(Ordering::Relaxed) > 0 {
                    let sequences = key.walk(usize::MAX, Version::sequence);
                    let newest = sequences[0];
                    let whole: Vec<u64> = (1..=newest).rev().take(retention).collect();
                    // At the moment of the newest version, these and no others
                    // were the history. Fewer were never all there was, and
                    // others would not have been linked one to the next.
                    assert_eq!(sequences, whole, "retention {retention}");
                }
            });
            // Until they have ended: what they leave behind is handed on by then.
            for thread in writers.into_iter().chain([reader]) {
                thread.join().unwrap();
            }
        });

        // Every publish took a sequence of its own, or the last would be less.
        let sequences = key.walk(usize::MAX, Version::sequence);
        assert_eq!(sequences[0], 1 + WRITERS * WRITES, "retention {retention}");
        assert_eq!(sequences.len(), retention);
        // With all writers gone, the chain was cut by the one that found an anchor at
        // the end of the window: more alive were leaked, fewer lost.
        key.values.wait_for(retention..=kept_at_most(retention));
        assert_eq!(key.alive_after_its_end(), 0, "retention {retention}");
    }
}

#[test]
fn closing_among_racing_writers_refuses_the_later_ones_and_leaves_nothing() {
    const WRITERS: usize = 2;
    const WRITES: u64 = 64;

    for round in 0..400 {
        let key = Key::of(1, [3, 17][round % 2]);
        let start = Barrier::new(WRITERS + 1);
        let close_at = 1 + round as u64 % (WRITERS as u64 * WRITES);

        thread::scope(|scope| {
            let writers = [(); WRITERS].map(|()| {
                scope.spawn(|| {
                    assert!(epochs::usable(|| ()));
                    start.wait();
                    let refused = (0..WRITES).any(|number| key.try_publish(number).is_err());
                    if refused {
                        // Closing is final, so a write after a refused one cannot
                        // find the timeline open again.
                        assert!(key.try_publish(0).is_err());
                        assert_eq!(key.latest(), None);
                    }
                })
            });
            let closer = scope.spawn(|| {
                assert!(epochs::usable(|| ()));
                start.wait();
                // Ends, because the writers take the sequence at least so far.
                while key.walk(1, Version::sequence)[0] < close_at {
                    thread::yield_now();
                }
                // Nobody else closes it, so it was open.
                assert!(key.close().is_some());
            });
            for thread in writers.into_iter().chain([closer]) {
                thread.join().unwrap();
            }
        });

        assert!(key.history(usize::MAX).is_empty());
        // Not even in the queue: a writer that came to it late has emptied it again.
        assert!(key.queued().is_empty());
        key.values.wait_for(0..=0);
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
