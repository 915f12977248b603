use super::*;

const LONG: Duration = Duration::from_secs(60);

/// A follower that has caught up with a log of so many messages.
fn caught_up(messages: u64) -> (Gaps, Instant) {
    let now = Instant::now();
    let mut gaps = Gaps::new(LONG);
    let begun = gaps.begin(now);
    gaps.acknowledge(begun, messages).unwrap();
    for sequence in 1..=messages {
        assert_eq!(gaps.deliver(sequence, now), Delivery::Apply);
    }
    assert!(gaps.has_caught_up() && !gaps.is_open());
    (gaps, now)
}

fn barrier(gaps: &mut Gaps, now: Instant, sequence: u64) -> Barrier {
    let begun = gaps.begin(now);
    gaps.acknowledge(begun, sequence).unwrap()
}

#[test]
fn nothing_is_answered_before_the_log_of_the_start_is_applied() {
    let now = Instant::now();
    let mut gaps = Gaps::new(LONG);
    gaps.deliver(1, now);
    let unknown = Barrier {
        epoch: 1,
        sequence: 1,
    };
    assert_eq!(gaps.answer(unknown), Answer::WaitFor(u64::MAX));
    let first = barrier(&mut gaps, now, 4);
    assert_eq!(gaps.answer(first), Answer::WaitFor(3));
    assert_eq!(gaps.answer(unknown), Answer::WaitFor(3));
    gaps.deliver(2, now);
    assert_eq!(gaps.answer(first), Answer::WaitFor(3));
    gaps.deliver(3, now);
    assert_eq!(gaps.answer(first), Answer::All);
}

/// The barrier itself holds nothing. What comes directly before it may.
#[test]
fn a_read_waits_for_all_that_comes_before_its_barrier_and_not_for_the_barrier() {
    let (mut gaps, now) = caught_up(5);
    let next = barrier(&mut gaps, now, 6);
    assert_eq!(gaps.answer(next), Answer::All);
    let read = barrier(&mut gaps, now, 9);
    for sequence in 6..8 {
        assert_eq!(gaps.answer(read), Answer::WaitFor(8));
        gaps.deliver(sequence, now);
    }
    assert_eq!(gaps.answer(read), Answer::WaitFor(8), "of {}", gaps.applied);
    gaps.deliver(8, now);
    assert_eq!(gaps.answer(read), Answer::All);
}

#[test]
fn an_empty_log_is_caught_up_with_at_once() {
    let now = Instant::now();
    let mut gaps = Gaps::new(LONG);
    let first = barrier(&mut gaps, now, 1);
    assert!(gaps.has_caught_up());
    assert_eq!(gaps.answer(first), Answer::All);
    // It is known that it was abreast then.
    assert_eq!(gaps.deliver(3, now), Delivery::Apply);
    assert_eq!(gaps.answer(first), Answer::Since(3));
}

#[test]
fn a_message_is_applied_once() {
    let (mut gaps, now) = caught_up(5);
    for again in 1..=5 {
        assert_eq!(gaps.deliver(again, now), Delivery::Ignore);
    }
    assert_eq!((gaps.applied(), gaps.found()), (5, 0));
}

#[test]
fn a_log_that_begins_later_begins_with_a_gap() {
    let now = Instant::now();
    let mut gaps = Gaps::new(LONG);
    gaps.deliver(7, now);
    assert_eq!((gaps.found(), gaps.missed()), (1, 6));
    let first = barrier(&mut gaps, now, 8);
    gaps.deliver(8, now);
    assert_eq!(gaps.answer(first), Answer::All);
}

#[test]
fn a_gap_is_closed_by_a_barrier_that_was_begun_after_it_was_found() {
    let (mut gaps, now) = caught_up(5);
    // Begun before, although acknowledged after.
    let early = gaps.begin(now);
    gaps.deliver(9, now);
    let read = gaps.acknowledge(early, 10).unwrap();
    gaps.deliver(10, now);
    assert_eq!(gaps.answer(read), Answer::Since(9));
    assert_eq!(gaps.closed_from(), None);

    barrier(&mut gaps, now, 13);
    assert_eq!(gaps.closed_from(), Some(12));
    gaps.deliver(11, now);
    assert_eq!(gaps.answer(read), Answer::Since(9));
    gaps.deliver(12, now);
    assert_eq!(gaps.answer(read), Answer::All);
}

/// The message at 11 may tell what the gap has hidden.
#[test]
fn a_gap_is_open_until_all_is_applied_that_comes_before_the_barrier() {
    let (mut gaps, now) = caught_up(5);
    gaps.deliver(10, now);
    let read = barrier(&mut gaps, now, 12);
    assert!(gaps.is_open());
    assert_eq!(gaps.answer(read), Answer::WaitFor(11));
    gaps.deliver(11, now);
    assert!(!gaps.is_open());
    assert_eq!(gaps.answer(read), Answer::All);
}

#[test]
fn a_gap_found_meanwhile_needs_a_barrier_of_its_own() {
    let (mut gaps, now) = caught_up(5);
    gaps.deliver(7, now);
    let read = barrier(&mut gaps, now, 9);
    // The barrier itself was removed before it was delivered.
    gaps.deliver(10, now);
    assert_eq!(gaps.answer(read), Answer::Since(10));
    barrier(&mut gaps, now, 11);
    gaps.deliver(11, now);
    assert_eq!(gaps.answer(read), Answer::All);
}

#[test]
fn a_later_barrier_does_not_put_off_what_an_earlier_one_closes() {
    let (mut gaps, now) = caught_up(5);
    gaps.deliver(7, now);
    let read = barrier(&mut gaps, now, 9);
    barrier(&mut gaps, now, 10);
    gaps.deliver(8, now);
    assert_eq!(gaps.answer(read), Answer::All);
}

#[test]
fn acknowledgements_may_come_in_any_order() {
    let (mut gaps, now) = caught_up(5);
    let before = gaps.begin(now);
    gaps.deliver(7, now);
    let after = gaps.begin(now);
    gaps.acknowledge(after, 9).unwrap();
    gaps.acknowledge(before, 8).unwrap();
    assert_eq!(gaps.closed_from(), Some(8));
}

#[test]
fn a_sequence_given_twice_is_another_stream() {
    let (mut gaps, now) = caught_up(5);
    let begun = gaps.begin(now);
    assert_eq!(gaps.acknowledge(begun, 5), Err(Replaced));
    let begun = gaps.begin(now);
    gaps.deliver(6, now);
    // The barrier may have been delivered before it was acknowledged.
    assert!(gaps.acknowledge(begun, 6).is_ok());
}

#[test]
fn a_start_over_outdates_barriers_and_waits_for_another() {
    let (mut gaps, now) = caught_up(5);
    let read = barrier(&mut gaps, now, 6);
    let begun = gaps.begin(now);
    gaps.start_over();
    assert_eq!(gaps.answer(read), Answer::Outdated);
    // Not mistaken for one of the new start, nor for another stream.
    let late = gaps.acknowledge(begun, 2).unwrap();
    assert_eq!(gaps.answer(late), Answer::Outdated);

    gaps.deliver(3, now);
    let read = barrier(&mut gaps, now, 5);
    assert!(!gaps.has_caught_up());
    gaps.deliver(4, now);
    assert!(gaps.has_caught_up());
    assert_eq!(gaps.answer(read), Answer::All);
}

#[test]
fn who_was_away_too_long_starts_over_at_a_gap() {
    let (mut gaps, now) = caught_up(5);
    let late = now + LONG + Duration::from_millis(1);
    // Without a gap nothing was missed, however long it took.
    assert_eq!(gaps.deliver(6, late), Delivery::Apply);
    assert_eq!(gaps.deliver(8, late), Delivery::StartOver);
    assert_eq!(gaps.applied(), 6);

    // A barrier that is acknowledged says nothing before it is applied.
    barrier(&mut gaps, late, 9);
    assert_eq!(gaps.deliver(8, late), Delivery::StartOver);
    gaps.deliver(7, late);
    gaps.deliver(8, late);
    gaps.deliver(9, late);
    assert_eq!(gaps.deliver(11, late), Delivery::Apply);
}

#[test]
fn it_counts_from_the_beginning_of_a_barrier() {
    let (mut gaps, now) = caught_up(5);
    let begun = gaps.begin(now);
    gaps.acknowledge(begun, 6).unwrap();
    gaps.deliver(6, now + LONG);
    let late = now + LONG + Duration::from_millis(1);
    assert_eq!(gaps.deliver(8, late), Delivery::StartOver);
}

#[test]
fn of_many_barriers_ahead_the_newest_is_remembered() {
    let (mut gaps, now) = caught_up(5);
    for sequence in 6..1_000 {
        barrier(&mut gaps, now + Duration::from_millis(sequence), sequence);
    }
    assert_eq!(gaps.ahead.len(), REMEMBERED);
    gaps.deliver(999, now);
    assert_eq!(gaps.abreast_at, Some(now + Duration::from_millis(999)));
}
