//! What is left of a timeline that was closed, or dropped.

use super::*;

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
