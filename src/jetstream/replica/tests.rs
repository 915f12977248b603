use std::time::Duration;

use super::*;
use crate::jetstream::own::Ends;
use crate::jetstream::seen::Seen;
use crate::snapshot::State;

fn replica(history: usize) -> Replica {
    let lifetime = Duration::from_secs(60);
    let (gaps, removed) = (Gaps::new(lifetime / 2), Removed::new(lifetime));
    let own_writes = Arc::new(OwnWrites::new());
    Replica::new(
        Some(history),
        0,
        gaps,
        removed,
        Arc::new(LogClock::new(None)),
        own_writes,
    )
    .unwrap()
}

fn state(value: i64) -> State {
    State::builder().updated_at(value).build_state().unwrap()
}

fn message(sequence: u64, of_user: Option<(&str, Content)>) -> Delivered {
    Delivered {
        sequence,
        written_at: sequence as i64,
        of_user: of_user.map(|(user_id, content)| (user_id.into(), content)),
        own: None,
        pending: 0,
    }
}

fn write(sequence: u64, user_id: &str) -> Delivered {
    message(
        sequence,
        Some((user_id, Content::State(state(sequence as i64)))),
    )
}

fn removal(sequence: u64, user_id: &str) -> Delivered {
    message(
        sequence,
        Some((user_id, Content::Removal(RemovalCause::Deleted))),
    )
}

fn barrier(replica: &Replica, sequence: u64) -> Barrier {
    let begun = replica.begin_barrier();
    replica.acknowledge(begun, sequence).unwrap()
}

/// The revisions that a look shows, or why it shows none.
fn look(
    replica: &Replica,
    barrier: Barrier,
    user_id: &str,
    n: usize,
) -> Result<Vec<u64>, &'static str> {
    match replica.look(barrier, Some(&[user_id]), n, |seen| seen(user_id)) {
        Look::Answer(seen) => Ok(seen.entries.iter().map(|entry| entry.revision).collect()),
        Look::Behind(_) => Err("behind"),
        Look::Gap(_) => Err("gap"),
        Look::AskAnew => Err("ask anew"),
    }
}

#[test]
fn messages_make_histories_and_removals_end_them() {
    let replica = replica(3);
    let read = barrier(&replica, 8);
    let messages = [1, 2, 3, 4].map(|sequence| write(sequence, "ada"));
    replica.apply(messages).unwrap();
    replica
        .apply([write(5, "grace"), removal(6, "grace")])
        .unwrap();
    assert_eq!(look(&replica, read, "ada", 3), Err("behind"));
    replica.apply([write(7, "alan")]).unwrap();
    assert_eq!(look(&replica, read, "ada", 3), Ok(vec![4, 3, 2]));
    assert_eq!(look(&replica, read, "ada", 1), Ok(vec![4]));
    assert_eq!(look(&replica, read, "grace", 1), Ok(vec![]));
    let grace = replica.glance("grace");
    assert_eq!((grace.last, grace.entries.len()), (6, 0));
    let ada = replica.glance("ada");
    assert_eq!((ada.last, ada.entries[0].written_at), (4, 4));
    assert_eq!(ada.entries[0].state, Some(state(4)));
    assert_eq!(replica.glance("nobody"), Seen::default());
}

#[test]
fn an_open_gap_hides_all_but_what_came_after_it() {
    let replica = replica(3);
    let read = barrier(&replica, 4);
    replica
        .apply([
            write(1, "ada"),
            write(2, "grace"),
            removal(3, "alan"),
            message(4, None),
        ])
        .unwrap();
    assert_eq!(look(&replica, read, "ada", 1), Ok(vec![1]));

    replica
        .apply([write(6, "grace"), removal(7, "alan"), write(8, "alan")])
        .unwrap();
    assert_eq!(look(&replica, read, "ada", 1), Err("ask anew"));
    assert_eq!(look(&replica, read, "grace", 1), Ok(vec![6]));
    assert_eq!(look(&replica, read, "grace", 2), Err("ask anew"));
    // All of it came after the gap.
    assert_eq!(look(&replica, read, "alan", 3), Ok(vec![8]));

    barrier(&replica, 10);
    assert_eq!(look(&replica, read, "ada", 1), Err("gap"));
    replica.apply([message(9, None)]).unwrap();
    assert_eq!(look(&replica, read, "ada", 1), Ok(vec![1]));
}

#[test]
fn who_waits_is_told() {
    let replica = replica(1);
    let read = barrier(&replica, 3);
    let Look::Behind(mut told) = replica.look(read, Some(&["ada"]), 1, |_| ()) else {
        panic!("answered too early");
    };
    let mut later = replica.when_applied(3).unwrap();
    replica.apply([write(1, "ada")]).unwrap();
    assert!(told.try_recv().is_err());
    replica.apply([message(2, None)]).unwrap();
    assert_eq!(told.try_recv(), Ok(()));
    assert!(later.try_recv().is_err());
    replica.start_over(true);
    assert_eq!(later.try_recv(), Ok(()));
    assert!(replica.when_applied(0).is_none());
}

#[test]
fn a_start_over_keeps_users_readable_and_then_drops_those_who_are_gone() {
    let replica = replica(3);
    let before = barrier(&replica, 4);
    replica
        .apply([
            write(1, "ada"),
            write(2, "ada"),
            write(3, "grace"),
            message(4, None),
        ])
        .unwrap();
    replica.start_over(false);
    assert_eq!(look(&replica, before, "ada", 1), Err("ask anew"));
    // Without a barrier.
    assert_eq!(replica.users().len(), 2);

    // Meanwhile grace and her marker are gone, and the first entry of ada is evicted.
    replica.apply([write(2, "ada"), write(5, "alan")]).unwrap();
    assert_eq!(replica.users().history("ada", 9).len(), 1);
    let read = barrier(&replica, 7);
    assert!(replica.users().contains("grace"));
    replica.apply([message(6, None)]).unwrap();
    assert!(!replica.users().contains("grace"));
    assert_eq!(look(&replica, read, "ada", 3), Ok(vec![2]));
    assert_eq!(replica.figures().starts_over, 1);
}

/// Of the same stream: what was there and is there still is not shown as it was before.
#[test]
fn a_start_over_does_not_go_back() {
    let replica = replica(3);
    barrier(&replica, 5);
    let before = [
        write(1, "ada"),
        write(2, "ada"),
        write(3, "grace"),
        write(4, "alan"),
        message(5, None),
    ];
    replica.apply(before).unwrap();
    replica.start_over(true);

    // Meanwhile grace was deleted and has come back, alan was written.
    replica.apply([write(1, "ada")]).unwrap();
    assert_eq!(replica.glance("ada").last, 2);
    let since = [
        write(2, "ada"),
        write(4, "alan"),
        write(7, "grace"),
        write(8, "alan"),
        write(9, "ada"),
    ];
    replica.apply(since).unwrap();
    let read = barrier(&replica, 10);
    replica.apply([message(10, None)]).unwrap();
    assert_eq!(look(&replica, read, "ada", 3), Ok(vec![9, 2, 1]));
    assert_eq!(look(&replica, read, "grace", 3), Ok(vec![7]));
    assert_eq!(look(&replica, read, "alan", 3), Ok(vec![8, 4]));
}

/// Then what it shows may be wrong.
#[test]
fn a_start_over_with_a_gap_open_trusts_nothing() {
    let replica = replica(3);
    barrier(&replica, 3);
    replica
        .apply([write(1, "ada"), write(2, "grace"), message(3, None)])
        .unwrap();
    // Between these, ada was deleted.
    replica.apply([write(7, "ada")]).unwrap();
    replica.start_over(true);
    replica.apply([write(2, "grace"), write(7, "ada")]).unwrap();
    let read = barrier(&replica, 8);
    replica.apply([message(8, None)]).unwrap();
    assert_eq!(look(&replica, read, "ada", 3), Ok(vec![7]));
}

#[test]
fn a_removal_is_known_unless_the_user_is_back() {
    let replica = replica(1);
    replica
        .apply([write(1, "ada"), removal(2, "ada"), message(3, None)])
        .unwrap();
    let cause = RemovalCause::Deleted;
    let removal_of = |user_id| replica.removal_of(user_id);
    assert_eq!(removal_of("ada"), Some(Removal { sequence: 2, cause }));
    assert_eq!(removal_of("grace"), Some(Removal { sequence: 3, cause }));
    replica.apply([write(4, "ada")]).unwrap();
    assert_eq!(removal_of("ada"), None);
}

#[test]
fn an_unreadable_message_is_counted_and_is_the_latest() {
    let replica = replica(2);
    let read = barrier(&replica, 3);
    let unreadable = message(2, Some(("ada", Content::Unreadable)));
    replica
        .apply([write(1, "ada"), unreadable, message(3, None)])
        .unwrap();
    assert_eq!(replica.figures().unreadable, 1);
    assert_eq!(look(&replica, read, "ada", 2), Ok(vec![2, 1]));
    assert_eq!(replica.glance("ada").entries[0].state, None);
}

#[test]
fn who_sees_that_a_write_is_applied_has_been_told() {
    let replica = replica(1);
    let own_writes = Arc::clone(&replica.own_writes);
    let written = own_writes.begin(None, Ends::Applied);
    let own = own_writes.number(&written.id());
    replica
        .apply([Delivered {
            own,
            ..write(1, "ada")
        }])
        .unwrap();
    assert!(replica.when_applied(1).is_none());
    assert_eq!(written.was_seen(), Some(1));
}
