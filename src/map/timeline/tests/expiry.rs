//! Heads that are sealed.

use super::*;
use crate::clock::{Clock, SetClock};
use crate::map::expiry::Expiry;

const TIME_TO_LIVE: Duration = Duration::from_millis(10);
/// At which what was written at 0 has expired.
const DEADLINE: i64 = 10;

fn expiry(now: i64) -> Expiry {
    let clock = SetClock::default();
    clock.set(now);
    Expiry::new(TIME_TO_LIVE, Clock::set_by(clock)).unwrap()
}

impl Key {
    fn present(&self, now: i64) -> Option<u64> {
        let guard = epochs::enter();
        let present = self.timeline.present(Some(&expiry(now)), &guard);
        present.as_ref().map(|version| version.value().number)
    }
}

#[test]
fn a_version_that_somebody_found_expired_is_not_found_at_any_time() {
    let key = Key::of(3, 2);
    assert_eq!(key.present(DEADLINE - 1), Some(3));
    assert_eq!(key.present(DEADLINE), None);
    assert_eq!(key.present(0), None);
    let guard = epochs::enter();
    let retention = &key.retention;
    let history = key
        .timeline
        .history(9, retention, Some(&expiry(0)), &guard, |_| ());
    assert!(history.is_empty());
}

/// The writer and the remover have found the head before it was sealed.
#[test]
fn nothing_but_the_end_comes_after_a_seal() {
    let key = Key::of(3, 2);
    let guard = epochs::enter();
    let head = key.timeline.latest(&guard);
    assert_eq!(key.present(DEADLINE), None);

    let late = key.values.unpublished(4);
    let refused = key
        .timeline
        .replace(head, late, facts(&words(4), 0), &key.retention, &guard)
        .expect_err("somebody was told that it has expired");
    assert!(is_sealed(refused.found));
    let found = key
        .timeline
        .close_at(head, &key.floor, &guard)
        .err()
        .expect("it was not there to be removed");
    assert!(is_sealed(found));
    assert_eq!(key.reachable()[..2], [3, 2]);

    let closed = key.timeline.close_at(found, &key.floor, &guard);
    let closed = closed.expect("it is still the same");
    assert_eq!(closed.sequence(), 3);
    key.timeline.release(closed, &guard);
    assert!(key.timeline.is_closed());
    drop(refused.unpublished);
    drop(guard);
    assert_eq!(key.alive(), 0);
}

/// A reader that has found the head is overtaken by a writer before it seals.
#[test]
fn a_seal_is_of_the_version_that_was_found_expired_and_of_no_newer_one() {
    let key = Key::of(3, 2);
    let guard = epochs::enter();
    let head = key.timeline.latest(&guard);
    key.publish(4);
    assert!(!key.timeline.seal(head));
    assert_eq!(key.present(0), Some(4));
    assert!(key.timeline.seal(key.timeline.latest(&guard)));
    assert_eq!(key.present(0), None);
}

#[test]
fn a_sealed_timeline_drops_what_it_has() {
    let key = Key::of(20, 5);
    assert_eq!(key.present(DEADLINE), None);
    assert!(key.alive() >= 5);
    assert_eq!(key.alive_after_its_end(), 0);
}
