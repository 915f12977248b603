//! Timelines that come from a checkpoint.

use super::*;
use crate::map::revisions::{FormerBase, FormerRevisions};

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
