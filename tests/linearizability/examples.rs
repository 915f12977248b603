//! Histories made by hand: what the checker must refuse and what it must accept.

use crate::history::{Observed, UserHistory};
use crate::program::{Operation, User, Value};
use crate::specification::{Outcome, Performed};

/// A thread, a bar from call to return, and what was done meanwhile.
type Line = (usize, &'static str, (Operation, Outcome));

/// Reads a history off a drawing like those that are printed.
fn history(retention: usize, lines: &[Line]) -> UserHistory {
    let ends = |bar: &str| (bar.find('|').unwrap(), bar.rfind('|').unwrap());
    let returned_before = |column: usize| {
        let earlier = lines.iter().filter(|(_, bar, _)| ends(bar).1 < column);
        earlier.count()
    };
    let user = User::ALL[0];
    let observed: Vec<_> = lines
        .iter()
        .map(|(thread, bar, (operation, outcome))| {
            let (call, ret) = ends(bar);
            Observed {
                thread: *thread,
                user,
                performed: Performed {
                    operation: *operation,
                    outcome: outcome.clone(),
                },
                called: returned_before(call),
                returned: returned_before(ret),
            }
        })
        .collect();
    UserHistory::new(retention, user, &observed)
}

fn upsert(value: Value) -> (Operation, Outcome) {
    (Operation::Upsert(value), Outcome::Upserted)
}

fn latest(value: impl Into<Option<Value>>) -> (Operation, Outcome) {
    (Operation::GetLatest, Outcome::Latest(value.into()))
}

fn all<const N: usize>(values: [Value; N]) -> (Operation, Outcome) {
    newest(usize::MAX, values)
}

fn newest<const N: usize>(limit: usize, values: [Value; N]) -> (Operation, Outcome) {
    let outcome = Outcome::History(values.to_vec());
    (Operation::GetHistory { limit }, outcome)
}

fn delete(deleted: impl Into<Option<bool>>) -> (Operation, Outcome) {
    (Operation::Delete, Outcome::Deleted(deleted.into()))
}

fn versioned(value: impl Into<Option<Value>>) -> (Operation, Outcome) {
    (Operation::GetVersioned, Outcome::Latest(value.into()))
}

fn upsert_if(value: Value, expected: impl Into<Option<Value>>, done: bool) -> (Operation, Outcome) {
    let expected = expected.into();
    (Operation::UpsertIf(value), Outcome::If { expected, done })
}

fn update(value: Value, found: impl Into<Option<Value>>, done: bool) -> (Operation, Outcome) {
    let expected = found.into();
    (Operation::Update(value), Outcome::If { expected, done })
}

fn delete_if(expected: impl Into<Option<Value>>, done: bool) -> (Operation, Outcome) {
    let expected = expected.into();
    (Operation::DeleteIf, Outcome::If { expected, done })
}

#[track_caller]
fn accepts(retention: usize, lines: &[Line]) {
    let history = history(retention, lines);
    assert!(history.is_linearizable(), "refused:\n{history}");
}

#[track_caller]
fn refuses(retention: usize, lines: &[Line]) {
    let history = history(retention, lines);
    assert!(!history.is_linearizable(), "accepted:\n{history}");
    assert!(
        !history.clone().reduced().is_linearizable(),
        "reduced to an innocent one:\n{history}"
    );
}

#[test]
fn nothing_is_linearizable() {
    accepts(1, &[]);
}

#[test]
fn an_overlapping_read_may_miss_an_upsert() {
    accepts(
        1,
        &[
            (0, "|--------|", upsert(1)),
            (1, " |--|", latest(None)),
            (1, "      |-----|", latest(1)),
        ],
    );
}

#[test]
fn a_later_read_may_not() {
    refuses(
        1,
        &[
            (0, "|--|", upsert(1)),
            (1, "     |--|", latest(None)), //
        ],
    );
}

#[test]
fn what_one_read_has_seen_the_next_one_sees() {
    refuses(
        1,
        &[
            (0, "|-----------|", upsert(1)),
            (1, "  |--|", latest(1)),
            (2, "       |--|", latest(None)),
        ],
    );
}

#[test]
fn concurrent_upserts_take_effect_in_either_order_but_in_one() {
    let upserts = [(0, "|---|", upsert(1)), (1, " |---|", upsert(2))];
    let with = |reads: &[Line]| [&upserts, reads].concat();
    accepts(
        2,
        &with(&[
            (0, "       |-|", all([1, 2])),
            (1, "       |-|", latest(1)), //
        ]),
    );
    accepts(
        2,
        &with(&[
            (0, "       |-|", all([2, 1])),
            (1, "       |-|", latest(2)), //
        ]),
    );
    refuses(
        2,
        &with(&[
            (0, "       |-|", all([2, 1])),
            (1, "       |-|", latest(1)), //
        ]),
    );
    refuses(2, &with(&[(0, "       |-|", all([2]))]));
}

#[test]
fn history_is_the_newest_of_what_was_written() {
    let written = |retention: usize, read: (Operation, Outcome)| {
        history(
            retention,
            &[
                (0, "||", upsert(1)),
                (0, "   ||", upsert(2)),
                (0, "      ||", upsert(3)),
                (0, "         ||", read),
            ],
        )
        .is_linearizable()
    };
    assert!(written(1, all([3])));
    assert!(written(2, all([3, 2])));
    assert!(written(3, all([3, 2, 1])));
    assert!(written(3, newest(1, [3])));
    assert!(written(3, newest(2, [3, 2])));

    assert!(!written(2, all([3, 2, 1])), "evicted");
    assert!(!written(3, all([3, 2])), "short");
    assert!(!written(3, all([3, 1])), "a gap");
    assert!(!written(3, all([1, 2, 3])), "oldest first");
    assert!(!written(3, newest(1, [3, 2])), "beyond the limit");
    assert!(!written(3, newest(2, [3])), "below the limit");
}

#[test]
fn a_deletion_happens_once() {
    let twice = |first: bool, second: bool| {
        history(
            1,
            &[
                (0, "||", upsert(1)),
                (0, "   |--|", delete(first)),
                (1, "    |--|", delete(second)),
                (2, "         ||", latest(None)),
            ],
        )
        .is_linearizable()
    };
    assert!(twice(true, false));
    assert!(twice(false, true));
    assert!(!twice(true, true));
    assert!(!twice(false, false));
}

#[test]
fn a_deletion_takes_latest_and_history_together() {
    let read = |reads: [(Operation, Outcome); 2]| {
        let [first, second] = reads;
        history(
            2,
            &[
                (0, "||", upsert(1)),
                (0, "   |---------|", delete(None)),
                (1, "     ||", first),
                (1, "        ||", second),
            ],
        )
        .is_linearizable()
    };
    assert!(read([latest(1), all([1])]));
    assert!(read([latest(1), all([])]));
    assert!(read([latest(None), all([])]));
    assert!(!read([latest(None), all([1])]));
    assert!(!read([all([]), latest(1)]));
}

#[test]
fn what_was_deleted_stays_away() {
    let rewritten = |read: (Operation, Outcome)| {
        history(
            3,
            &[
                (0, "||", upsert(1)),
                (0, "   ||", delete(true)),
                (0, "      ||", upsert(2)),
                (1, "         ||", read),
            ],
        )
        .is_linearizable()
    };
    assert!(rewritten(all([2])));
    assert!(!rewritten(all([2, 1])));
}

#[test]
fn an_upsert_between_two_steps_of_a_deletion_is_not_halved() {
    refuses(
        1,
        &[
            (0, "|---------|", delete(false)),
            (1, " |--|", upsert(1)),
            (1, "            ||", latest(1)),
            (1, "               ||", all([])),
        ],
    );
}

#[test]
fn a_condition_is_about_the_moment_of_the_write() {
    let after_two = |conditional: (Operation, Outcome)| {
        history(
            3,
            &[
                (0, "||", upsert(1)),
                (1, "   ||", versioned(1)),
                (0, "      ||", upsert(2)),
                (1, "         ||", conditional),
            ],
        )
        .is_linearizable()
    };
    assert!(after_two(upsert_if(3, 1, false)));
    assert!(after_two(upsert_if(3, 2, true)));
    assert!(after_two(upsert_if(3, None, false)));
    assert!(after_two(delete_if(1, false)));
    assert!(after_two(delete_if(2, true)));
    assert!(after_two(delete_if(None, false)));

    assert!(!after_two(upsert_if(3, 1, true)), "overwrites the second");
    assert!(!after_two(upsert_if(3, 2, false)), "nothing was in the way");
    assert!(!after_two(upsert_if(3, None, true)), "is not absent");
    assert!(!after_two(delete_if(1, true)), "loses the second");
    assert!(!after_two(delete_if(2, false)), "nothing was in the way");
    assert!(!after_two(delete_if(None, true)), "expected nothing");

    assert!(after_two(update(3, 2, true)));
    assert!(!after_two(update(3, 1, true)), "overwrites the second");
    assert!(!after_two(update(3, 2, false)), "nothing was in the way");
}

#[test]
fn a_condition_that_fails_changes_nothing_and_one_that_holds_does() {
    let then = |conditional: (Operation, Outcome), read: (Operation, Outcome)| {
        history(
            2,
            &[
                (0, "||", upsert(1)),
                (0, "   ||", conditional),
                (0, "      ||", read),
            ],
        )
        .is_linearizable()
    };
    assert!(then(upsert_if(2, 1, true), all([2, 1])));
    assert!(then(upsert_if(2, None, false), all([1])));
    assert!(then(delete_if(1, true), all([])));
    assert!(then(delete_if(9, false), all([1])));
    assert!(!then(upsert_if(2, 1, true), all([1])));
    assert!(!then(upsert_if(2, None, false), all([2, 1])));
    assert!(!then(delete_if(1, true), all([1])));
    assert!(!then(delete_if(9, false), all([])));
    assert!(then(update(2, 1, true), all([2, 1])));
    assert!(!then(update(2, 1, true), all([1])));
}

#[test]
fn to_expect_nothing_holds_where_nothing_is() {
    accepts(1, &[(0, "||", delete_if(None, true))]);
    refuses(1, &[(0, "||", delete_if(None, false))]);
    accepts(1, &[(0, "||", update(1, None, true))]);
    refuses(1, &[(0, "||", update(1, 2, true))]);
}

#[test]
fn of_two_conditional_upserts_from_the_same_state_one_is_written() {
    let both = |first: bool, second: bool| {
        history(
            2,
            &[
                (0, "|--|", upsert_if(1, None, first)),
                (1, " |--|", upsert_if(2, None, second)),
            ],
        )
        .is_linearizable()
    };
    assert!(both(true, false));
    assert!(both(false, true));
    assert!(!both(true, true));
    assert!(!both(false, false));
}

#[test]
fn overlaps_are_counted() {
    let history = history(
        1,
        &[
            (0, "|----|", upsert(1)),
            (1, "  |-----|", upsert(2)),
            (0, "      ||", latest(1)),
            (0, "           ||", latest(1)),
        ],
    );
    assert!(history.is_linearizable());
    assert_eq!(history.len(), 4);
    assert_eq!(history.overlapping(), 3);
}

#[test]
fn overtaking_shows_in_results() {
    let read = |value| {
        history(
            1,
            &[
                (0, "|-----|", upsert(1)),
                (1, " |---|", upsert(2)),
                (0, "        ||", latest(value)),
            ],
        )
    };
    assert!(!read(1).shows_overtaking());
    assert!(read(2).is_linearizable());
    assert!(read(2).shows_overtaking());
}

#[test]
fn a_reduced_history_has_what_matters() {
    let reduced = history(
        1,
        &[
            (0, "||", upsert(1)),
            (1, "   ||", latest(1)),
            (0, "      ||", upsert(2)),
            (1, "         ||", latest(1)),
            (1, "            ||", delete(true)),
        ],
    )
    .reduced();
    let expected = "  thread 0: upsert 1        ||\
                  \n  thread 0: upsert 2          ||\
                  \n  thread 1: get_latest = 1      ||\n";
    assert_eq!(reduced.to_string(), expected);
}
