//! When a version takes effect, and the closing.

use super::*;

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
