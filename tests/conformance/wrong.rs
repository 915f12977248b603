//! That the suite finds what is wrong with a store, and names the clause.

use std::collections::HashSet;
use std::sync::Arc;

use attuned_store::conformance::{
    Capabilities, Failure, check_all, check_capacity, check_concurrent, check_delete, clauses,
};

use crate::faulty::{Eager, Fault, Fault::*, HISTORY, MAX_USERS, Wrong};
use crate::mutex_store::MutexStore;
use crate::spawning::Spawning;
use crate::watched::{self, Watched};

/// Each fault, with a clause that it breaks.
const FAULTS: &[(Fault, &str)] = &[
    (AbsentIsNeutral, "latest.absent_is_none"),
    (AbsentIsNeutral, "revisions.absent_is_none"),
    (AbsentIsNeutral, "many.get_absent"),
    (AbsentIsNeutral, "extensions.require_latest"),
    (LatestIsStale, "latest.read_your_write"),
    (LatestIsStale, "history.includes_latest"),
    (LatestIsStale, "concurrent.users_are_independent"),
    (LatestIsTaken, "latest.until_the_next_write"),
    (OlderTimestampIsIgnored, "latest.whatever_the_timestamp"),
    (IsUnhealthy, "latest.healthy"),
    (AxesAreRounded, "snapshots.axis_values"),
    (LongAxisNamesAreDropped, "snapshots.axis_names"),
    (TimestampsAreFloats, "snapshots.timestamps"),
    (MixedIsInferred, "snapshots.sources"),
    (MixedIsInferred, "extensions.patch"),
    (ConfidenceIsRounded, "snapshots.confidences"),
    (AxesAreMerged, "snapshots.replaced_whole"),
    (LongIdsFail, "user_ids.accepted"),
    (IdsIgnoreCase, "user_ids.told_apart"),
    (OneUserOnly, "user_ids.independent"),
    (OneUserOnly, "many.upsert_stores_each"),
    (
        InvalidIsAbsentIn("get_latest"),
        "user_ids.invalid_in_get_latest",
    ),
    (
        InvalidIsAbsentIn("get_latest_versioned"),
        "user_ids.invalid_in_get_latest_versioned",
    ),
    (
        InvalidIsAbsentIn("get_history"),
        "user_ids.invalid_in_get_history",
    ),
    (
        InvalidIsAbsentIn("get_many"),
        "user_ids.invalid_in_get_many",
    ),
    (InvalidIsAbsentIn("delete"), "user_ids.invalid_in_delete"),
    (
        InvalidIsAbsentIn("delete_if"),
        "user_ids.invalid_in_delete_if",
    ),
    (
        InvalidIsAbsentIn("get_versions"),
        "user_ids.invalid_in_get_versions",
    ),
    (
        InvalidIsAbsentIn("get_as_of"),
        "user_ids.invalid_in_get_as_of",
    ),
    (AbsentHasHistory, "history.empty_if_absent"),
    (OldestFirst, "history.newest_first"),
    (SortedByTime, "history.whatever_the_timestamps"),
    (HistoryWithoutLatest, "history.includes_latest"),
    (EqualWritesAreOne, "history.every_write"),
    (EqualWritesAreOne, "revisions.grow"),
    (LimitIsIgnored, "history.limit"),
    (LimitIsOneMore, "history.limit"),
    (ZeroIsNoLimit, "history.limit_zero"),
    (LimitHas32Bits, "history.limit_beyond"),
    (HistoryIsOneLonger, "history.bound"),
    (HistoryIsOneShorter, "history.bound"),
    (HistoryIsDrained, "history.reading_takes_nothing"),
    (DeleteDoesNothing, "delete.removes_latest"),
    (DeleteLeavesHistory, "delete.removes_history"),
    (DeleteLeavesHistory, "delete.starts_anew"),
    (DeleteIsAlwaysTrue, "delete.tells_whether"),
    (DeleteIsAlwaysFalse, "delete.tells_whether"),
    (DeleteTakesPrefixes, "delete.leaves_others"),
    (VersionedIsStale, "revisions.of_the_latest"),
    (ReadsCountAsWrites, "revisions.of_the_write"),
    (ReadsCountAsWrites, "extensions.update_of_nothing"),
    (RevisionIsTime, "revisions.grow"),
    (RevisionsBeginAnew, "revisions.never_repeat"),
    (RevisionsBeginAnew, "conditional_writes.deleted_conflicts"),
    (WrittenAtIsTheSnapshots, "revisions.time_never_goes_back"),
    (AnyIsAbsent, "conditional_writes.any_writes"),
    (RevisionBeforeIsReturned, "conditional_writes.any_writes"),
    (AbsentNeverHolds, "conditional_writes.absent_creates"),
    (AtNeverHolds, "conditional_writes.at_replaces"),
    (
        RevisionBeforeIsReturned,
        "conditional_writes.returns_its_revision",
    ),
    (RevisionBeforeIsReturned, "extensions.update"),
    (
        ConditionalWritesSkipHistory,
        "conditional_writes.enter_history",
    ),
    (AbsentIsNotChecked, "conditional_writes.absent_conflicts"),
    (AbsentIsNotChecked, "concurrent.one_creation_wins"),
    (
        AtIsNotCheckedIfAbsent,
        "conditional_writes.at_conflicts_if_absent",
    ),
    (RevisionIsNotCompared, "conditional_writes.stale_conflicts"),
    (
        RevisionIsNotCompared,
        "concurrent.one_conditional_write_wins",
    ),
    (
        SnapshotsAreCompared,
        "conditional_writes.equal_snapshot_conflicts",
    ),
    (TombstonesAreThere, "conditional_writes.absent_after_delete"),
    (
        ConflictNamesNothing,
        "conditional_writes.conflict_names_what_is_there",
    ),
    (
        ConflictNamesExpected,
        "conditional_writes.conflict_names_what_is_there",
    ),
    (
        ConflictWritesAnyway,
        "conditional_writes.conflict_changes_nothing",
    ),
    (DeleteIfAnyIsAbsent, "conditional_deletes.any_deletes"),
    (DeleteIfAtNeverHolds, "conditional_deletes.at_deletes"),
    (DeleteLeavesHistory, "conditional_deletes.at_deletes"),
    (
        DeleteIfAbsentIsTrue,
        "conditional_deletes.absent_removes_nothing",
    ),
    (
        DeleteIfComparesNothing,
        "conditional_deletes.absent_conflicts",
    ),
    (
        DeleteIfComparesNothing,
        "conditional_deletes.stale_conflicts",
    ),
    (
        DeleteIfNamesNothing,
        "conditional_deletes.conflict_names_what_is_there",
    ),
    (
        DeleteIfDeletesAnyway,
        "conditional_deletes.conflict_changes_nothing",
    ),
    (AbsentHasVersions, "versions.empty_if_absent"),
    (VersionsAreNumbered, "versions.are_the_history"),
    (AfterIsInclusive, "versions.revisions_are_exclusive"),
    (BeforeIsInclusive, "versions.revisions_are_exclusive"),
    (SinceIsExclusive, "versions.times_are_inclusive"),
    (UntilIsExclusive, "versions.times_are_inclusive"),
    (OrderIsIgnored, "versions.in_the_order_of_the_range"),
    (LimitComesFirst, "versions.limit"),
    (AsOfIsTheLatest, "versions.as_of_is_the_last_before"),
    (AsOfIsExclusive, "versions.as_of_is_the_last_before"),
    (AsOfIsTheOldest, "versions.as_of_not_there"),
    (AsOfForgetsEvictions, "versions.as_of_evicted"),
    (ListGivesTwice, "list.gives_each_once"),
    (ListKeepsTheDeleted, "list.leaves_out_the_deleted"),
    (ListIsByPlace, "list.while_others_come_and_go"),
    (ListTakesTurns, "list.can_be_dropped"),
    (GetManyIsReversed, "many.get_in_order"),
    (GetManySkipsAbsent, "many.get_absent"),
    (GetManyGivesOneEach, "many.get_duplicates"),
    (GetManyOfNoneFails, "many.get_none"),
    (UpsertManyDropsLast, "many.upsert_stores_each"),
    (UpsertManyTellsOneLess, "many.upsert_tells_of_each"),
    (UpsertManyIsReversed, "many.upsert_one_user_in_order"),
    (UpsertManyOfNoneTells, "many.upsert_none"),
    (CheckThenWrite, "concurrent.one_creation_wins"),
    (CheckThenWrite, "concurrent.one_conditional_write_wins"),
    (CheckThenWrite, "concurrent.updates_lose_none"),
    (HistoryIsReadThenWritten, "concurrent.writes_lose_none"),
    (HistoryThenLatest, "concurrent.latest_is_newest"),
    (HistoryThenLatest, "cancellation.write_never_in_part"),
    (RevisionThenSnapshot, "concurrent.revision_of_one_write"),
    (LookThenDelete, "concurrent.one_delete_removes"),
    (LookThenDeleteIf, "concurrent.one_conditional_delete_wins"),
    (DeleteLatestThenHistory, "concurrent.delete_is_whole"),
    (DeleteLatestThenHistory, "cancellation.delete_never_in_part"),
    (WritesShareABuffer, "concurrent.users_are_independent"),
];

/// The faults that only a store of limited capacity shows.
const FAULTS_OF_CAPACITY: &[(Fault, &str)] = &[
    (RoomForOneLess, "capacity.room_for_all"),
    (RoomForAll, "capacity.new_user_is_refused"),
    (
        RoomForAllByUpsertIf,
        "capacity.new_user_is_refused_by_upsert_if",
    ),
    (FullIsFullForAll, "capacity.known_user_is_written"),
    (UpsertManyStopsAtFirst, "capacity.upsert_many_goes_on"),
    (DeleteMakesNoRoom, "capacity.delete_makes_room"),
    (CountThenInsert, "capacity.never_exceeded"),
];

/// The faults of watches.
const FAULTS_OF_WATCHING: &[(watched::Fault, &str)] = &[
    (
        watched::Fault::BeginsWithOlder,
        "watch.begins_with_what_is_there",
    ),
    (watched::Fault::EndsAfterThree, "watch.gives_each_change"),
    (watched::Fault::EndsIfAbsent, "watch.of_one_who_comes"),
    (watched::Fault::GoesBack, "watch.gives_each_change"),
    (watched::Fault::LastIsStale, "watch.ends_with_the_newest"),
    (
        watched::Fault::RemovalHasRevisionZero,
        "watch.tells_of_removals",
    ),
    (watched::Fault::RemovalIsSilent, "watch.tells_of_removals"),
    (watched::Fault::IsOfEverybody, "watch.of_one_user"),
    (watched::Fault::TakesAnyId, "watch.user_ids"),
    (watched::Fault::CaughtUpAtOnce, "watch.all_that_is_there"),
    (watched::Fault::NewUsersAreMissed, "watch.all_that_changes"),
];

fn capabilities() -> Capabilities {
    let capabilities = Capabilities::new().history(HISTORY).conditional_writes();
    capabilities.conditional_deletes().versions().list()
}

fn broken(result: Result<impl Sized, Failure>) -> Vec<&'static str> {
    match result {
        Ok(_) => vec![],
        Err(failure) => failure.broken().map(|(clause, _)| clause.id()).collect(),
    }
}

async fn broken_by(fault: Fault) -> Vec<&'static str> {
    let store = Wrong::new(fault, usize::MAX);
    broken(check_all(&store, capabilities()).await)
}

/// What a [`Watched`] store can do beside being watched.
fn of_watched() -> Capabilities {
    let capabilities = Capabilities::new().history(HISTORY).delete();
    capabilities.conditional_writes()
}

async fn broken_by_watching(fault: watched::Fault) -> Vec<&'static str> {
    let store = Watched::new(fault, HISTORY);
    broken(check_all(&store, of_watched().watching()).await)
}

async fn broken_by_capacity(fault: Fault) -> Vec<&'static str> {
    let store = Wrong::new(fault, MAX_USERS);
    broken(check_capacity(&store, capabilities(), MAX_USERS).await)
}

/// Backends that can do more than they declare, with what they declare, and the
/// clauses that they break.
fn underdeclared() -> [(Capabilities, &'static [&'static str]); 4] {
    let new = Capabilities::new;
    [
        (
            new().conditional_writes().conditional_deletes().list(),
            &["history.empty_if_none_is_kept", "versions.unsupported"],
        ),
        (
            new()
                .history(HISTORY)
                .conditional_writes()
                .versions()
                .list(),
            &["delete.unsupported", "conditional_deletes.unsupported"],
        ),
        (
            new().history(HISTORY).conditional_deletes().versions(),
            &[
                "conditional_writes.unsupported",
                "list.unsupported",
                "extensions.unsupported",
            ],
        ),
        (
            new().history(HISTORY).delete().list(),
            &[
                "revisions.unsupported",
                "conditional_writes.unsupported",
                "conditional_deletes.unsupported",
                "versions.unsupported",
                "extensions.unsupported",
            ],
        ),
    ]
}

#[tokio::test]
async fn without_a_fault_nothing_is_broken() {
    assert_eq!(broken_by(Nothing).await, [""; 0]);
    assert_eq!(broken_by_capacity(Nothing).await, [""; 0]);
    assert_eq!(broken_by_watching(watched::Fault::Nothing).await, [""; 0]);
}

#[tokio::test]
async fn each_fault_breaks_its_clause() {
    for (fault, clause) in FAULTS {
        let broken = broken_by(*fault).await;
        assert!(
            broken.contains(clause),
            "{fault:?} broke {broken:?}, not {clause}"
        );
    }
}

#[tokio::test]
async fn each_fault_of_capacity_breaks_its_clause() {
    for (fault, clause) in FAULTS_OF_CAPACITY {
        let broken = broken_by_capacity(*fault).await;
        assert!(
            broken.contains(clause),
            "{fault:?} broke {broken:?}, not {clause}"
        );
    }
}

#[tokio::test]
async fn each_fault_of_watching_breaks_its_clause() {
    for (fault, clause) in FAULTS_OF_WATCHING {
        let broken = broken_by_watching(*fault).await;
        assert!(
            broken.contains(clause),
            "{fault:?} broke {broken:?}, not {clause}"
        );
    }
}

#[tokio::test]
async fn what_is_not_declared_must_not_be_there() {
    for (declared, clauses) in underdeclared() {
        let store = MutexStore::new(HISTORY, usize::MAX);
        assert_eq!(broken(check_all(&store, declared).await), clauses);
    }
    let store = Watched::new(watched::Fault::Nothing, HISTORY);
    let broken = broken(check_all(&store, of_watched()).await);
    assert_eq!(broken, [BROKEN_BY_UNDECLARED_WATCHING]);
}

const BROKEN_BY_UNDECLARED_WATCHING: &str = "watch.unsupported";

#[tokio::test]
async fn what_is_declared_must_be_there() {
    let store = Eager(MutexStore::new(HISTORY, usize::MAX));
    let broken = broken(check_all(&store, capabilities()).await);
    for group in [
        "history.",
        "delete.",
        "revisions.",
        "conditional_writes.",
        "conditional_deletes.",
        "versions.",
        "list.",
    ] {
        assert!(
            broken.iter().any(|clause| clause.starts_with(group)),
            "{broken:?}"
        );
    }
}

const BROKEN_BY_EAGER: &str = "cancellation.nothing_before_polled";

#[tokio::test]
async fn a_write_before_the_future_is_polled_is_found() {
    let store = Eager(MutexStore::new(1, usize::MAX));
    let broken = broken(check_all(&store, Capabilities::new()).await);
    assert_eq!(broken, [BROKEN_BY_EAGER]);
}

/// What the documentation says of threads: the one task of the suite cannot find
/// this race, and can with a store that spawns.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_race_of_threads_is_found_on_threads() {
    let store = Wrong::new(CheckThenSleep, usize::MAX);
    assert_eq!(broken(check_all(&store, capabilities()).await), [""; 0]);

    let store = Spawning(Arc::new(store));
    for _ in 0..100 {
        let broken = broken(check_concurrent(&store, capabilities()).await);
        if broken.contains(&"concurrent.one_conditional_write_wins") {
            return;
        }
    }
    panic!("not found in 100 runs");
}

/// A clause that no fault breaks may be one that cannot fail.
#[test]
fn every_clause_is_broken_by_a_fault() {
    let of_faults = FAULTS
        .iter()
        .chain(FAULTS_OF_CAPACITY)
        .map(|(_, clause)| *clause);
    let of_watching = FAULTS_OF_WATCHING.iter().map(|(_, clause)| *clause);
    let undeclared = underdeclared().into_iter().flat_map(|(_, clauses)| clauses);
    let found: HashSet<_> = of_faults
        .chain(of_watching)
        .chain(undeclared.copied())
        .chain([BROKEN_BY_EAGER, BROKEN_BY_UNDECLARED_WATCHING])
        .collect();
    let all: HashSet<_> = clauses().map(|clause| clause.id()).collect();
    assert_eq!(found, all);
}

#[tokio::test]
async fn a_failure_names_the_clause_what_the_contract_says_and_what_was_seen() {
    let store = Wrong::new(DeleteIsAlwaysTrue, usize::MAX);
    let failure = check_delete(&store, capabilities()).await.unwrap_err();
    let message = "the backend breaks 1 of 6 clauses\n\n\
         delete.tells_whether\n  \
         contract: True if there was something to remove.\n  \
         seen: delete of a user never written: expected false, saw true";
    assert_eq!(failure.to_string(), message);
    // What a test prints that unwraps the result.
    assert_eq!(format!("{failure:?}"), message);
    assert_eq!(failure.report().outcomes().count(), 6);
}
