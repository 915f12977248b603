//! Walks along the chain that are overtaken by writers, and walks that have an end.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::*;

impl Key {
    /// The sequences of a walk down to this one, with something done before each step.
    fn walk_to(&self, end: u64, limit: usize, mut step: impl FnMut(u64)) -> Vec<u64> {
        let guard = epochs::enter();
        let ends = |version: &Version<Value>| version.sequence() <= end;
        let extent = Extent { limit, room: 1 };
        let take = |version: &Version<Value>| {
            step(version.sequence());
            version.sequence()
        };
        let walked = self
            .timeline
            .walk(extent, &self.retention, None, &guard, ends, take);
        walked.into_vec()
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
    // So many that more are shown than are kept beyond, so that some writers cut off the
    // tail, and others leave much of what was taken in the window.
    const RETENTION: usize = 40;
    const START: u64 = 100;
    let mut repeated = 0;
    for more in 1..=2 * RETENTION as u64 {
        let key = Key::of(START, RETENTION);
        let mut taken = Vec::new();
        let history = key.walk(usize::MAX, |version| {
            let number = version.value().number;
            taken.push(number);
            // Before the last one, which a writer then cuts off, or does not.
            if number == START - RETENTION as u64 + 2 {
                for number in START + 1..=START + more {
                    key.publish(number);
                }
            }
            number
        });
        repeated += usize::from(history[0] > START && more < RETENTION as u64);
        let expected: Vec<u64> = (1..=history[0]).rev().take(RETENTION).collect();
        assert_eq!(history, expected);
        let distinct: BTreeSet<u64> = taken.iter().copied().collect();
        assert_eq!(distinct.len(), taken.len(), "{taken:?}");
    }
    assert!(
        repeated > 10,
        "{repeated} walks went on with what they had taken"
    );
}

/// It looks at nothing beyond: what it costs is in proportion to what it gives.
#[test]
fn a_walk_stops_at_its_end_at_the_limit_or_where_the_window_ends() {
    for retention in retentions() {
        for len in (1..=4).chain([retention as u64, 3 * retention as u64 + 8]) {
            let key = Key::of(len, retention);
            let window: Vec<u64> = (1..=len).rev().take(retention).collect();
            for end in 0..=len + 1 {
                for limit in [0, 1, 2, usize::MAX] {
                    let mut looked_at = Vec::new();
                    let walk = key.walk_to(end, limit, |sequence| looked_at.push(sequence));
                    let below = window.iter().filter(|&&sequence| sequence <= end);
                    let beyond = below.count().saturating_sub(1);
                    let expected: Vec<u64> = window[..window.len() - beyond]
                        .iter()
                        .copied()
                        .take(limit)
                        .collect();
                    assert_eq!(walk, expected, "{len} versions, to {end}, at most {limit}");
                    assert_eq!(looked_at, expected);
                }
            }
        }
    }
}

/// Writers cut off all that is beyond the end, and the walk does not care.
#[test]
fn a_walk_that_has_come_to_its_end_needs_nothing_beyond() {
    const RETENTION: usize = 6;
    for end in 25..=30 {
        let key = Key::of(30, RETENTION);
        let mut looked_at = 0;
        let walk = key.walk_to(end, usize::MAX, |sequence| {
            looked_at += 1;
            if sequence == end {
                for number in 31..=60 {
                    key.publish(number);
                }
            }
        });
        assert!(walk.into_iter().eq((end..=30).rev()));
        assert_eq!(looked_at, 30 - end + 1);
    }
}

/// The tail is cut off before the walk comes to its end, which has left the window by then.
/// The repeated walk gives the whole window of the newer head.
#[test]
fn a_walk_that_is_cut_off_before_its_end_is_repeated_over_the_whole_window() {
    const RETENTION: usize = 6;
    for more in 1..=4 * RETENTION as u64 {
        for at in 26..=30 {
            let key = Key::of(30, RETENTION);
            let mut looked_at = Vec::new();
            let walk = key.walk_to(25, usize::MAX, |sequence| {
                looked_at.push(sequence);
                if sequence == at && looked_at.len() as u64 == 31 - at {
                    for number in 31..=30 + more {
                        key.publish(number);
                    }
                }
            });
            let head = walk[0];
            assert!(head == 30 || head == 30 + more);
            let window: Vec<u64> = (1..=head).rev().take(RETENTION).collect();
            assert_eq!(walk, window, "{more} writes at {at}");
            let distinct: BTreeSet<u64> = looked_at.iter().copied().collect();
            assert_eq!(distinct.len(), looked_at.len(), "{looked_at:?}");
        }
    }
}
