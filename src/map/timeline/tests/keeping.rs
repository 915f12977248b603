//! How many versions are kept.

use std::collections::VecDeque;

use super::*;

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
