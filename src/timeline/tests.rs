//! The kernel, with values that can be counted.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

/// A value that counts among the living until it is dropped.
#[derive(Clone, Debug)]
struct Value {
    number: u64,
    _living: Arc<()>,
}

impl Mirrored for Value {
    /// Of all but the multiples of 4.
    fn to_words(&self) -> Option<[u64; MIRRORED_WORDS]> {
        (!self.number.is_multiple_of(4)).then_some([self.number; MIRRORED_WORDS])
    }
}

/// Makes values and knows how many of them, copies included, are alive. A leak
/// makes the count too high, a second drop makes it too low.
struct Values(Arc<()>);

impl Values {
    fn new() -> Self {
        Self(Arc::new(()))
    }

    fn version(&self, number: u64) -> Arc<Version<Value>> {
        Arc::new(Version::unpublished(Value {
            number,
            _living: Arc::clone(&self.0),
        }))
    }

    fn alive(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    /// A timeline of the values 1 to `len`.
    fn timeline(&self, len: u64, retention: usize) -> Timeline<Value> {
        let timeline = Timeline::starting_with(&mut self.version(1));
        for number in 2..=len {
            timeline.publish(self.version(number), retention).unwrap();
        }
        timeline
    }
}

fn numbers(history: &[Arc<Version<Value>>]) -> Vec<u64> {
    history
        .iter()
        .map(|version| version.value().number)
        .collect()
}

/// For timelines whose revisions nobody asks for.
fn floor() -> RevisionFloor {
    RevisionFloor::default()
}

/// How many versions a timeline keeps at the most: the newest one and a full
/// queue, which has some room to spare beyond the window.
fn kept_at_most(retention: usize) -> usize {
    retention + slack(retention)
}

fn slack(retention: usize) -> usize {
    crate::sync::slack(retention - 1)
}

/// How many leave a full queue together.
fn evicted_together(retention: usize) -> usize {
    slack(retention).div_ceil(2)
}

/// How many of so many versions are alive, if all were handed over in order.
fn kept(versions: usize, retention: usize) -> usize {
    let mut alive = 1;
    for _ in 1..versions {
        if alive == kept_at_most(retention) {
            alive -= evicted_together(retention).max(1);
        }
        alive += 1;
    }
    alive
}

/// The first half of `publish`, by a writer that is then stalled: it holds the
/// superseded version, the queue does not have it yet, and nothing is announced.
fn swap_head(timeline: &Timeline<Value>, mut version: Arc<Version<Value>>) -> Arc<Version<Value>> {
    let superseded = timeline.head.load_full().unwrap();
    Version::place(
        &mut version,
        superseded.sequence + 1,
        Arc::downgrade(&superseded),
    );
    timeline.head.store(Some(version));
    superseded
}

/// The second half, by that same writer.
fn hand_over(timeline: &Timeline<Value>, superseded: Arc<Version<Value>>, retention: usize) {
    let published = superseded.sequence + 1;
    timeline.retain(superseded, published, retention);
}

#[test]
fn history_is_the_newest_versions_for_every_limit_retention_and_length() {
    for retention in 1..=5 {
        for len in 1..=8 {
            let values = Values::new();
            let timeline = values.timeline(len, retention);
            for limit in (0..=9).chain([usize::MAX]) {
                let expected: Vec<u64> = (1..=len).rev().take(limit.min(retention)).collect();
                assert_eq!(
                    numbers(&timeline.history(limit, retention, |version| version)),
                    expected,
                    "limit {limit}, retention {retention}, length {len}"
                );
            }
        }
    }
}

#[test]
fn sequences_count_from_one_without_gaps() {
    let values = Values::new();
    let timeline = values.timeline(7, 4);
    let sequences: Vec<u64> = timeline
        .history(usize::MAX, 4, |version| version)
        .iter()
        .map(|version| version.sequence)
        .collect();
    assert_eq!(sequences, [7, 6, 5, 4]);
}

#[test]
fn the_mirror_shows_the_newest_version_if_it_has_words() {
    let values = Values::new();
    let timeline = values.timeline(1, 3);
    for number in 2..=9_u64 {
        let newest = number - 1;
        let shown = (!newest.is_multiple_of(4)).then_some((newest, [newest; MIRRORED_WORDS]));
        assert_eq!(timeline.mirrored(), shown);
        timeline.publish(values.version(number), 3).unwrap();
    }
    timeline.close(&floor());
    assert_eq!(timeline.mirrored(), None);
}

/// Who meets it at the head has it take effect, and from then on nobody is shown
/// the one before.
#[test]
fn a_version_takes_effect_when_its_writer_or_a_reader_of_the_head_announces_it() {
    let shown = |sequence| Some((sequence, [sequence; MIRRORED_WORDS]));
    let meet: [fn(&Timeline<Value>); 3] = [
        |timeline| {
            let latest = timeline.latest();
            assert_eq!(latest.as_ref().unwrap().value().number, 2);
        },
        |timeline| assert_eq!(timeline.head_version().unwrap().value().number, 2),
        |timeline| {
            let history = timeline.history(1, 3, |version| version);
            assert_eq!(history[0].value().number, 2);
        },
    ];
    for meet in meet {
        let values = Values::new();
        let timeline = values.timeline(1, 3);
        swap_head(&timeline, values.version(2));
        assert_eq!(timeline.mirrored(), shown(1), "not announced yet");
        meet(&timeline);
        assert_eq!(timeline.mirrored(), None, "announced, without its words");

        // Its writer goes on.
        timeline.mirror.show(2, [2; MIRRORED_WORDS]);
        assert_eq!(timeline.mirrored(), shown(2));

        // One who comes late does not undo what others have done.
        timeline.publish(values.version(3), 3).unwrap();
        timeline.mirror.show(2, [2; MIRRORED_WORDS]);
        timeline.mirror.announce(2);
        assert_eq!(timeline.mirrored(), shown(3));
    }
}

/// What a failed attempt found is acted on, so it has to have taken effect.
#[test]
fn what_is_found_instead_of_what_was_expected_is_announced() {
    let values = Values::new();
    let timeline = values.timeline(2, 3);
    let stale = || timeline.latest();

    let head = stale();
    swap_head(&timeline, values.version(3));
    assert_eq!(timeline.mirrored(), Some((2, [2; MIRRORED_WORDS])));
    assert!(timeline.replace(head, values.version(3), 3).is_err());
    assert_eq!(timeline.mirrored(), None);

    let head = stale();
    timeline.publish(values.version(5), 3).unwrap();
    swap_head(&timeline, values.version(5));
    assert_eq!(timeline.mirrored(), Some((4, [5; MIRRORED_WORDS])));
    assert!(timeline.close_at(head, &floor()).is_err());
    assert_eq!(timeline.mirrored(), None);
}

#[test]
fn a_closing_takes_effect_when_it_is_met() {
    let meet: [fn(&Timeline<Value>, &Values); 4] = [
        |timeline, _| assert!(timeline.latest().is_none()),
        |timeline, _| assert!(timeline.close(&floor()).is_none()),
        |timeline, _| assert!(timeline.history(1, 3, |version| version).is_empty()),
        |timeline, values| assert!(timeline.publish(values.version(2), 3).is_err()),
    ];
    for meet in meet {
        let values = Values::new();
        let timeline = values.timeline(1, 3);
        timeline.head.store(None);
        assert!(!timeline.is_closed(), "not announced yet");
        assert_eq!(timeline.mirrored(), Some((1, [1; MIRRORED_WORDS])));
        meet(&timeline, &values);
        assert!(timeline.is_closed());
        assert_eq!(timeline.mirrored(), None);
    }
}

#[test]
fn the_window_and_what_waits_to_leave_together_are_alive_after_each_publish() {
    for retention in 1..=9 {
        let values = Values::new();
        let timeline = values.timeline(1, retention);
        for len in 2..=30 {
            timeline
                .publish(values.version(len as u64), retention)
                .unwrap();
            assert_eq!(
                values.alive(),
                kept(len, retention),
                "retention {retention}"
            );
        }
        drop(timeline);
        assert_eq!(values.alive(), 0, "retention {retention}");
    }
}

#[test]
fn the_queue_is_made_when_the_first_version_is_superseded() {
    let values = Values::new();
    let timeline = values.timeline(1, 5);
    assert!(timeline.superseded.get().is_none());
    timeline.publish(values.version(2), 5).unwrap();
    assert_eq!(
        timeline.superseded.get().unwrap().capacity(),
        kept_at_most(5) - 1
    );
}

#[test]
fn a_retention_of_one_never_makes_a_queue() {
    let values = Values::new();
    let timeline = values.timeline(10, 1);
    assert!(timeline.superseded.get().is_none());
    assert_eq!(values.alive(), 1);
}

#[test]
fn closing_ends_latest_and_history_and_releases_everything() {
    for retention in 1..=4 {
        for len in 1..=6 {
            let values = Values::new();
            let timeline = values.timeline(len, retention);
            assert!(!timeline.is_closed());

            assert_eq!(timeline.close(&floor()), Some(len));
            assert!(timeline.is_closed());
            assert!(timeline.latest().is_none());
            assert!(
                timeline
                    .history(usize::MAX, retention, |version| version)
                    .is_empty()
            );
            // Although the timeline itself is still there.
            assert_eq!(values.alive(), 0, "retention {retention}, length {len}");

            assert!(timeline.close(&floor()).is_none(), "it was closed already");
        }
    }
}

#[test]
fn revisions_rise_with_each_version_and_from_one_timeline_to_the_next() {
    let values = Values::new();
    let floor = RevisionFloor::default();
    let mut last = 0;
    for len in 1..=5 {
        let timeline = values.timeline(len, 3);
        for version in timeline
            .history(usize::MAX, 3, |version| version)
            .iter()
            .rev()
        {
            let revision = timeline.revision(version.sequence(), &floor);
            assert!(revision > last, "{revision} after {last}");
            assert_eq!(timeline.revision(version.sequence(), &floor), revision);
            last = revision;
        }
        assert!(timeline.close(&floor).is_some());
    }
}

/// Nobody asks for a revision of the timeline before it is closed, but somebody
/// may still: a reader that has its latest version in hand.
#[test]
fn a_revision_that_is_asked_for_after_the_closing_is_below_those_of_the_next_timeline() {
    let values = Values::new();
    let floor = RevisionFloor::default();
    let former = values.timeline(4, 2);
    let latest = former.latest();
    assert_eq!(former.close(&floor), Some(4));

    let next = values.timeline(1, 2);
    let next_revision = next.revision(next.latest().as_ref().unwrap().sequence(), &floor);
    let former_revision = former.revision(latest.as_ref().unwrap().sequence(), &floor);
    assert!(former_revision < next_revision);
}

#[test]
fn publishing_on_a_closed_timeline_gives_the_version_back() {
    let values = Values::new();
    let timeline = values.timeline(3, 2);
    timeline.close(&floor());

    let version = values.version(4);
    let address = Arc::as_ptr(&version);
    let returned = timeline.publish(version, 2).unwrap_err();
    assert_eq!(Arc::as_ptr(&returned), address);
    assert!(timeline.is_closed());
    assert_eq!(values.alive(), 1);

    // What comes back is as good as new for the next timeline.
    let mut returned = returned;
    let next = Timeline::starting_with(&mut returned);
    drop(returned);
    assert_eq!(
        numbers(&next.history(usize::MAX, 2, |version| version)),
        [4]
    );
    assert_eq!(values.alive(), 1);
}

/// More of them than fit into the queue, which has nobody any more who would
/// take something out.
#[test]
fn late_hand_overs_to_a_closed_timeline_end_with_the_timeline() {
    for retention in 1..=5 {
        let values = Values::new();
        let timeline = values.timeline(3, retention);
        let stalled: Vec<_> = (4..=14)
            .map(|number| swap_head(&timeline, values.version(number)))
            .collect();
        timeline.close(&floor());
        for superseded in stalled {
            hand_over(&timeline, superseded, retention);
        }

        assert!(
            timeline
                .history(usize::MAX, retention, |version| version)
                .is_empty()
        );
        assert_eq!(values.alive(), kept(12, retention) - 1);
        drop(timeline);
        assert_eq!(values.alive(), 0);
    }
}

#[test]
fn handles_outlive_eviction_closing_and_the_timeline() {
    let values = Values::new();
    let timeline = values.timeline(3, 3);
    let held = timeline.history(usize::MAX, 3, |version| version);
    for number in 4..=6 {
        timeline.publish(values.version(number), 3).unwrap();
    }
    assert_eq!(values.alive(), 6);
    timeline.close(&floor());
    drop(timeline);
    assert_eq!(numbers(&held), [3, 2, 1]);
    assert_eq!(values.alive(), 3);
    drop(held);
    assert_eq!(values.alive(), 0);
}

#[test]
fn a_fresh_version_is_linked_in_place() {
    let values = Values::new();
    let mut first = values.version(1);
    let second = values.version(2);
    let addresses = [Arc::as_ptr(&second), Arc::as_ptr(&first)];

    let timeline = Timeline::starting_with(&mut first);
    drop(first);
    timeline.publish(second, 2).unwrap();

    let history = timeline.history(usize::MAX, 2, |version| version);
    assert_eq!(numbers(&history), [2, 1]);
    assert!(history.iter().map(Arc::as_ptr).eq(addresses));
}

#[test]
fn a_shared_version_is_copied_and_stays_as_it_is() {
    let values = Values::new();
    let timeline = values.timeline(2, 3);
    let shared = values.version(3);
    timeline.publish(Arc::clone(&shared), 3).unwrap();

    assert_eq!(
        numbers(&timeline.history(usize::MAX, 3, |version| version)),
        [3, 2, 1]
    );
    assert!(!Arc::ptr_eq(timeline.latest().as_ref().unwrap(), &shared));
    assert_eq!((shared.sequence, shared.previous.strong_count()), (0, 0));
}

/// Each entry of a history is published once more, onto the very timeline that
/// it is part of: linked in place, it would come before itself.
#[test]
fn a_version_that_is_in_a_timeline_can_be_published_on_it_again() {
    for again in 0..4 {
        let values = Values::new();
        let timeline = values.timeline(4, 8);
        let handle = timeline
            .history(usize::MAX, 8, |version| version)
            .swap_remove(again);
        let number = handle.value().number;
        timeline.publish(handle, 8).unwrap();
        assert_eq!(
            numbers(&timeline.history(usize::MAX, 8, |version| version)),
            [number, 4, 3, 2, 1]
        );
        assert_eq!(values.alive(), 5);
    }
}

/// The handle is the last one, so the value can move, but a successor in the
/// timeline still points at the place that it moves away from.
#[test]
fn an_evicted_version_can_be_published_again_by_its_last_handle() {
    let values = Values::new();
    let timeline = values.timeline(1, 2);
    let evicted = timeline.history(1, 2, |version| version).remove(0);
    for number in 2..=4 {
        timeline.publish(values.version(number), 2).unwrap();
    }
    assert_eq!(Arc::strong_count(&evicted), 1);

    timeline.publish(evicted, 2).unwrap();
    assert_eq!(
        numbers(&timeline.history(usize::MAX, 2, |version| version)),
        [1, 4]
    );
    timeline.publish(values.version(5), 2).unwrap();
    assert_eq!(
        numbers(&timeline.history(usize::MAX, 2, |version| version)),
        [5, 1]
    );
    assert!((2..=kept_at_most(2)).contains(&values.alive()));
}

#[test]
fn a_version_in_one_timeline_can_be_published_on_another() {
    let values = Values::new();
    let one = values.timeline(3, 4);
    let other = Timeline::starting_with(&mut values.version(10));
    for version in one.history(usize::MAX, 4, |version| version) {
        other.publish(version, 4).unwrap();
    }
    assert_eq!(
        numbers(&one.history(usize::MAX, 4, |version| version)),
        [3, 2, 1]
    );
    assert_eq!(
        numbers(&other.history(usize::MAX, 4, |version| version)),
        [1, 2, 3, 10]
    );
}

/// The versions that the links lead to, as far as they are owned by anybody: what
/// a reader meets in a single walk.
fn reachable(timeline: &Timeline<Value>) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut next = timeline.head.load_full();
    while let Some(version) = next {
        numbers.push(version.value().number);
        next = version.previous.upgrade();
    }
    numbers
}

/// One step of writers that can be stalled between the halves of `publish`.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The next writer swaps the head and from then on holds what it superseded.
    Swap,
    /// The writer that superseded this number hands it over.
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

#[test]
fn the_window_is_reachable_and_the_rest_released_whenever_writers_hand_over() {
    const WRITES: u64 = 5;
    let schedules = schedules(WRITES);
    assert_eq!(schedules.len(), 9 * 7 * 5 * 3);

    for retention in 1..=6 {
        for schedule in &schedules {
            let values = Values::new();
            let timeline = values.timeline(1, retention);
            let mut len = 1;
            let mut stalled: Vec<Arc<Version<Value>>> = Vec::new();
            for &step in schedule {
                match step {
                    Step::Swap => {
                        len += 1;
                        stalled.push(swap_head(&timeline, values.version(len)));
                    }
                    Step::HandOver(number) => {
                        let writer = stalled
                            .iter()
                            .position(|version| version.value().number == number)
                            .unwrap();
                        hand_over(&timeline, stalled.swap_remove(writer), retention);
                    }
                }
                let window: Vec<u64> = (1..=len).rev().take(retention).collect();
                // A reader would not get to the end of the window, because there
                // is a version in it that neither a stalled writer nor the queue
                // owns.
                assert!(
                    reachable(&timeline).starts_with(&window),
                    "retention {retention}, {schedule:?}, after {step:?}"
                );
                assert_eq!(
                    numbers(&timeline.history(usize::MAX, retention, |version| version)),
                    window,
                    "retention {retention}, {schedule:?}, after {step:?}"
                );
            }
            let all = 1 + WRITES as usize;
            assert!(
                (retention.min(all)..=kept_at_most(retention)).contains(&values.alive()),
                "retention {retention}, {schedule:?}"
            );
            drop(timeline);
            assert_eq!(values.alive(), 0, "retention {retention}, {schedule:?}");
        }
    }
}

/// The sequences of what the queue owns, the next to fall out first.
fn queued(timeline: &Timeline<Value>) -> Vec<u64> {
    let queue = timeline.superseded.get().unwrap();
    let owned: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    let sequences = owned.iter().map(|version| version.sequence).collect();
    for version in owned {
        queue.push(version).unwrap();
    }
    sequences
}

/// Writers who were overtaken once must not be what later ones pay for. In a
/// queue that is as long as the window, what is taken out from then on is in the
/// window at nearly every write, and goes in again.
#[test]
fn after_late_hand_overs_in_the_wrong_order_later_writes_take_out_nothing_in_vain() {
    for retention in 2..=20 {
        let together = evicted_together(retention);
        for late in 2..=slack(retention) - together + 2 {
            let values = Values::new();
            let len = 3 * retention as u64;
            let timeline = values.timeline(len, retention);
            let stalled: Vec<_> = (1..=late as u64)
                .map(|more| swap_head(&timeline, values.version(len + more)))
                .collect();
            for superseded in stalled.into_iter().rev() {
                hand_over(&timeline, superseded, retention);
            }

            let mut queue = queued(&timeline);
            for number in (len + late as u64..).take(5 * retention) {
                timeline
                    .publish(values.version(number + 1), retention)
                    .unwrap();
                // Whatever goes in again would be at the end.
                if queue.len() == kept_at_most(retention) - 1 {
                    queue.drain(..together);
                }
                queue.push(number);
                assert_eq!(
                    queued(&timeline),
                    queue,
                    "retention {retention}, {late} late"
                );
            }
        }
    }
}

#[test]
fn racing_writers_leave_whole_histories_and_at_most_a_full_queue_alive() {
    const WRITERS: u64 = 3;
    const WRITES: u64 = 4_000;

    for retention in [1, 2, 3, 8] {
        let values = Values::new();
        let timeline = values.timeline(1, retention);
        let start = Barrier::new(WRITERS as usize + 1);
        let writing = AtomicUsize::new(WRITERS as usize);

        thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    start.wait();
                    for number in 0..WRITES {
                        timeline.publish(values.version(number), retention).unwrap();
                    }
                    writing.fetch_sub(1, Ordering::Relaxed);
                });
            }
            scope.spawn(|| {
                start.wait();
                while writing.load(Ordering::Relaxed) > 0 {
                    let history = timeline.history(usize::MAX, retention, |version| version);
                    let sequences: Vec<u64> =
                        history.iter().map(|version| version.sequence).collect();
                    let newest = sequences[0];
                    let whole: Vec<u64> = (1..=newest).rev().take(retention).collect();
                    // At the moment of the newest version, these and no others
                    // were the history. Fewer were never all there was, and
                    // others would not have been linked one to the next.
                    assert_eq!(sequences, whole, "retention {retention}");
                }
            });
        });

        // Every publish took a sequence of its own, or the last would be less.
        let latest = timeline.latest().as_ref().unwrap().sequence;
        assert_eq!(latest, 1 + WRITERS * WRITES, "retention {retention}");
        // With all writers gone, each version was dropped by the one that found
        // it outside the window: more alive were leaked, fewer lost.
        assert!(
            (retention..=kept_at_most(retention)).contains(&values.alive()),
            "retention {retention}"
        );
        assert_eq!(
            timeline
                .history(usize::MAX, retention, |version| version)
                .len(),
            retention,
            "retention {retention}"
        );
        drop(timeline);
        assert_eq!(values.alive(), 0, "retention {retention}");
    }
}

#[test]
fn closing_among_racing_writers_refuses_the_later_ones_and_leaks_nothing() {
    const WRITERS: usize = 2;
    const WRITES: u64 = 64;
    const RETENTION: usize = 3;

    for round in 0..400 {
        let values = Values::new();
        let timeline = values.timeline(1, RETENTION);
        let start = Barrier::new(WRITERS + 1);
        let close_at = 1 + round % (WRITERS as u64 * WRITES);

        thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    start.wait();
                    let refused = (0..WRITES)
                        .any(|number| timeline.publish(values.version(number), RETENTION).is_err());
                    if refused {
                        // Closing is final, so a write after a refused one cannot
                        // find the timeline open again.
                        assert!(timeline.publish(values.version(0), RETENTION).is_err());
                        assert!(timeline.latest().is_none());
                    }
                });
            }
            scope.spawn(|| {
                start.wait();
                // Ends, because the writers take the sequence at least so far.
                while timeline.latest().as_ref().unwrap().sequence < close_at {
                    thread::yield_now();
                }
                // Nobody else closes it, so it was open.
                assert!(timeline.close(&floor()).is_some());
            });
        });

        assert!(
            timeline
                .history(usize::MAX, RETENTION, |version| version)
                .is_empty()
        );
        // What is alive was handed over after the queue had been emptied: one
        // version at most by each writer, since its next write was refused.
        assert!(values.alive() <= WRITERS, "{} alive", values.alive());
        drop(timeline);
        assert_eq!(values.alive(), 0);
    }
}
