//! Writers that are stalled between the swap of the head and the queue, and that race.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;
use crate::sync::slack;

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
