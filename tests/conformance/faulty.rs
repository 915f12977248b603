//! Stores that break the contract, each in one way.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use attuned_store::{
    AsOf, BoxStream, Expected, Result, Revision, Source, StateSnapshot, StateStore, StoreError,
    Timestamp, VersionRange, Versioned, async_trait, validate_user_id,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::yield_now;

use crate::mutex_store::MutexStore;

/// What a backend does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Nothing,
    // Reading and writing one user.
    AbsentIsNeutral,
    LatestIsStale,
    LatestIsTaken,
    OlderTimestampIsIgnored,
    IsUnhealthy,
    // What is in a snapshot.
    AxesAreRounded,
    LongAxisNamesAreDropped,
    TimestampsAreFloats,
    MixedIsInferred,
    ConfidenceIsRounded,
    AxesAreMerged,
    // User ids.
    LongIdsFail,
    IdsIgnoreCase,
    OneUserOnly,
    InvalidIsAbsentIn(&'static str),
    // History.
    AbsentHasHistory,
    OldestFirst,
    SortedByTime,
    HistoryWithoutLatest,
    EqualWritesAreOne,
    LimitIsIgnored,
    LimitIsOneMore,
    ZeroIsNoLimit,
    LimitHas32Bits,
    HistoryIsOneLonger,
    HistoryIsOneShorter,
    HistoryIsDrained,
    // Deletion.
    DeleteDoesNothing,
    DeleteLeavesHistory,
    DeleteIsAlwaysTrue,
    DeleteIsAlwaysFalse,
    DeleteTakesPrefixes,
    // Revisions.
    VersionedIsStale,
    ReadsCountAsWrites,
    RevisionIsTime,
    RevisionsBeginAnew,
    WrittenAtIsTheSnapshots,
    // Conditional writes.
    AnyIsAbsent,
    AbsentNeverHolds,
    AtNeverHolds,
    RevisionBeforeIsReturned,
    ConditionalWritesSkipHistory,
    AbsentIsNotChecked,
    AtIsNotCheckedIfAbsent,
    RevisionIsNotCompared,
    SnapshotsAreCompared,
    TombstonesAreThere,
    ConflictNamesNothing,
    ConflictNamesExpected,
    ConflictWritesAnyway,
    // Conditional removals.
    DeleteIfAnyIsAbsent,
    DeleteIfAtNeverHolds,
    DeleteIfAbsentIsTrue,
    DeleteIfComparesNothing,
    DeleteIfNamesNothing,
    DeleteIfDeletesAnyway,
    // Reads of the past.
    AbsentHasVersions,
    VersionsAreNumbered,
    AfterIsInclusive,
    BeforeIsInclusive,
    SinceIsExclusive,
    UntilIsExclusive,
    OrderIsIgnored,
    LimitComesFirst,
    AsOfIsTheLatest,
    AsOfIsExclusive,
    AsOfIsTheOldest,
    AsOfForgetsEvictions,
    // Listing.
    ListGivesTwice,
    ListKeepsTheDeleted,
    ListIsByPlace,
    ListTakesTurns,
    // Several at once.
    GetManyIsReversed,
    GetManySkipsAbsent,
    GetManyGivesOneEach,
    GetManyOfNoneFails,
    UpsertManyDropsLast,
    UpsertManyTellsOneLess,
    UpsertManyIsReversed,
    UpsertManyOfNoneTells,
    // What waits in between.
    CheckThenWrite,
    CheckThenSleep,
    HistoryIsReadThenWritten,
    HistoryThenLatest,
    RevisionThenSnapshot,
    LookThenDelete,
    LookThenDeleteIf,
    DeleteLatestThenHistory,
    WritesShareABuffer,
    // Capacity.
    RoomForOneLess,
    RoomForAll,
    RoomForAllByUpsertIf,
    FullIsFullForAll,
    UpsertManyStopsAtFirst,
    DeleteMakesNoRoom,
    CountThenInsert,
}

use Fault::*;

/// How many snapshots of a user are declared to be kept: the suite's histories
/// fill it, and do not all fit.
pub const HISTORY: usize = 4;

pub const MAX_USERS: usize = 4;

/// A store that keeps the contract, except where its fault is.
pub struct Wrong {
    fault: Fault,
    right: MutexStore,
    notes: Mutex<Notes>,
}

/// What the faults need to know beside what is stored.
#[derive(Default)]
struct Notes {
    /// All users who were ever written.
    known: BTreeSet<String>,
    /// By user: a snapshot, or several, that the fault keeps somewhere else.
    elsewhere: HashMap<String, Vec<StateSnapshot>>,
    /// What each revision has stored.
    written: HashMap<Revision, StateSnapshot>,
    /// By user: the revision from which theirs are counted.
    base: HashMap<String, u64>,
    reads: u64,
    /// How many users a listing has given that was dropped.
    listed: usize,
    buffer: Option<StateSnapshot>,
}

impl Wrong {
    pub fn new(fault: Fault, max_users: usize) -> Self {
        let history = match fault {
            HistoryIsOneLonger => HISTORY + 1,
            HistoryIsOneShorter => HISTORY - 1,
            _ => HISTORY,
        };
        let max_users = match fault {
            RoomForOneLess => max_users - 1,
            // Counted by the fault itself, and wrongly.
            RoomForAll | RoomForAllByUpsertIf | CountThenInsert => usize::MAX,
            _ => max_users,
        };
        Self {
            fault,
            right: MutexStore::new(history, max_users),
            notes: Mutex::default(),
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }

    /// What is stored in the place of a snapshot.
    async fn spoilt(&self, snapshot: StateSnapshot) -> StateSnapshot {
        let round = |value: f32| (value * 100.0).round() / 100.0;
        let builder = snapshot
            .to_builder()
            .updated_at(snapshot.updated_at_unix_ms());
        let spoilt = match self.fault {
            AxesAreRounded => {
                builder.axes(snapshot.axes().map(|(name, value)| (name, round(value))))
            }
            ConfidenceIsRounded => builder.confidence(round(snapshot.confidence())),
            TimestampsAreFloats => builder.updated_at(snapshot.updated_at_unix_ms() as f64 as i64),
            MixedIsInferred if snapshot.source() == Source::Mixed => {
                builder.source(Source::Inferred)
            }
            LongAxisNamesAreDropped => StateSnapshot::builder()
                .user_id(snapshot.user_id())
                .updated_at(snapshot.updated_at_unix_ms())
                .axes(snapshot.axes().filter(|(name, _)| name.len() < 64)),
            AxesAreMerged => match self.right.get_latest(snapshot.user_id()).await.unwrap() {
                Some(before) => builder.axes(before.axes()).axes(snapshot.axes()),
                None => builder,
            },
            IdsIgnoreCase => builder.user_id(snapshot.user_id().to_lowercase()),
            _ => return snapshot,
        };
        spoilt.build().unwrap()
    }

    fn is_invalid_for(&self, method: &str, user_id: &str) -> bool {
        self.fault == InvalidIsAbsentIn(method_name(method)) && validate_user_id(user_id).is_err()
    }

    fn id(&self, user_id: &str) -> String {
        match self.fault {
            IdsIgnoreCase => user_id.to_lowercase(),
            _ => user_id.to_owned(),
        }
    }

    /// Writes with the fault, unconditionally.
    async fn write(&self, snapshot: StateSnapshot) -> Result<()> {
        let snapshot = self.spoilt(snapshot).await;
        let user_id = snapshot.user_id().to_owned();
        let latest = self.right.get_latest(&user_id).await?;
        match self.fault {
            OlderTimestampIsIgnored
                if latest.as_ref().is_some_and(|latest| {
                    latest.updated_at_unix_ms() > snapshot.updated_at_unix_ms()
                }) =>
            {
                return Ok(());
            }
            EqualWritesAreOne if latest.as_ref() == Some(&snapshot) => return Ok(()),
            LongIdsFail if user_id.len() > 255 => return Err(StoreError::internal("too long")),
            OneUserOnly => {
                let others = std::mem::take(&mut self.notes().known);
                for other in others.iter().filter(|other| **other != user_id) {
                    self.right.delete(other).await?;
                }
            }
            HistoryIsReadThenWritten => {
                let history = self.right.get_history(&user_id, HISTORY - 1).await?;
                yield_now().await;
                self.right.delete(&user_id).await?;
                for entry in history.into_iter().rev() {
                    self.right.upsert_latest(entry).await?;
                }
            }
            HistoryThenLatest | DeleteLatestThenHistory => {
                self.right.upsert_latest(snapshot.clone()).await?;
                if self.fault == HistoryThenLatest {
                    yield_now().await;
                }
                self.notes().elsewhere.insert(user_id, vec![snapshot]);
                return Ok(());
            }
            WritesShareABuffer => {
                self.notes().buffer = Some(snapshot);
                yield_now().await;
                let buffered = self.notes().buffer.clone().unwrap();
                return self.right.upsert_latest(buffered).await;
            }
            FullIsFullForAll if self.there().await >= MAX_USERS => return full(),
            DeleteMakesNoRoom if latest.is_none() && self.notes().known.len() >= MAX_USERS => {
                return full();
            }
            CountThenInsert | RoomForAllByUpsertIf if latest.is_none() => {
                let there = self.there().await;
                if self.fault == CountThenInsert {
                    yield_now().await;
                }
                if there >= MAX_USERS {
                    return full();
                }
            }
            _ => {}
        }
        self.notes().known.insert(user_id.clone());
        self.right.upsert_latest(snapshot.clone()).await?;
        if let Some(stored) = self.right.get_latest_versioned(&user_id).await? {
            self.notes().written.insert(stored.revision, snapshot);
            self.numbered(&user_id, stored);
        }
        Ok(())
    }

    /// How many users there are.
    async fn there(&self) -> usize {
        let known = self.notes().known.clone();
        let mut there = 0;
        for user_id in known {
            there += usize::from(self.right.get_latest(&user_id).await.unwrap().is_some());
        }
        there
    }

    /// A revision as the fault numbers it.
    fn numbered(&self, user_id: &str, found: Versioned<StateSnapshot>) -> Versioned<StateSnapshot> {
        let mut notes = self.notes();
        let number = u64::from(found.revision);
        let written_at = match self.fault {
            WrittenAtIsTheSnapshots => found.value.updated_at_unix_ms(),
            _ => found.written_at,
        };
        let number = match self.fault {
            RevisionIsTime => found.value.updated_at_unix_ms() as u64,
            RevisionsBeginAnew => {
                let base = notes.base.entry(user_id.to_owned());
                number - *base.or_insert(number - 1)
            }
            ReadsCountAsWrites => {
                notes.reads += 1;
                number + notes.reads
            }
            _ => number,
        };
        Versioned::new(found.value, Revision::from(number), written_at)
    }
}

fn method_name(method: &str) -> &'static str {
    let all = [
        "get_latest",
        "get_latest_versioned",
        "get_history",
        "get_many",
        "delete",
        "delete_if",
        "get_versions",
        "get_as_of",
    ];
    all.into_iter().find(|name| *name == method).unwrap()
}

fn full<T>() -> Result<T> {
    Err(StoreError::CapacityExceeded {
        max_users: MAX_USERS,
    })
}

/// What is in the bounds of a range.
fn ends<T>((lower, upper): (Bound<T>, Bound<T>)) -> (Option<T>, Option<T>) {
    let end = |bound| match bound {
        Bound::Included(end) | Bound::Excluded(end) => Some(end),
        Bound::Unbounded => None,
    };
    (end(lower), end(upper))
}

fn neutral(user_id: &str) -> StateSnapshot {
    let builder = StateSnapshot::builder().user_id(user_id).updated_at(0);
    builder.build().unwrap()
}

#[async_trait]
impl StateStore for Wrong {
    async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
        self.write(snapshot).await
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        if self.is_invalid_for("get_latest", user_id) {
            return Ok(None);
        }
        let user_id = &self.id(user_id);
        let latest = self.right.get_latest(user_id).await?;
        match self.fault {
            AbsentIsNeutral => Ok(latest.or_else(|| Some(neutral(user_id)))),
            LatestIsStale => {
                let history = self.right.get_history(user_id, 2).await?;
                Ok(history.into_iter().last())
            }
            LatestIsTaken => {
                self.right.delete(user_id).await?;
                Ok(latest)
            }
            HistoryThenLatest | DeleteLatestThenHistory => {
                let elsewhere = &self.notes().elsewhere;
                Ok(elsewhere.get(user_id).and_then(|kept| kept.last().cloned()))
            }
            _ => Ok(latest),
        }
    }

    async fn get_latest_versioned(
        &self,
        user_id: &str,
    ) -> Result<Option<Versioned<StateSnapshot>>> {
        if self.is_invalid_for("get_latest_versioned", user_id) {
            return Ok(None);
        }
        let user_id = &self.id(user_id);
        let found = self.right.get_latest_versioned(user_id).await?;
        let history = self.right.get_history(user_id, 2).await?;
        match (self.fault, found) {
            (AbsentIsNeutral, None) => {
                let first = Revision::from(1);
                Ok(Some(Versioned::new(neutral(user_id), first, 0)))
            }
            (VersionedIsStale, Some(found)) => {
                let stale = history.into_iter().last().unwrap();
                Ok(Some(found.map(|_| stale)))
            }
            (RevisionThenSnapshot, Some(found)) => {
                yield_now().await;
                let latest = self.right.get_latest(user_id).await?;
                Ok(latest.map(|latest| found.map(|_| latest)))
            }
            (_, found) => Ok(found.map(|found| self.numbered(user_id, found))),
        }
    }

    async fn upsert_if(&self, snapshot: StateSnapshot, expected: Expected) -> Result<Revision> {
        let snapshot = self.spoilt(snapshot).await;
        let user_id = snapshot.user_id().to_owned();
        let actual = self.right.get_latest_versioned(&user_id).await?;
        let conflict = |actual| {
            Err(StoreError::Conflict {
                user_id: user_id.clone(),
                expected,
                actual,
            })
        };
        // What the right store is told to expect.
        let there = Expected::from(actual.as_ref());
        let told = match (self.fault, expected) {
            (AbsentNeverHolds, Expected::Absent) | (AtNeverHolds, Expected::At(_)) => {
                return conflict(None);
            }
            (AnyIsAbsent, Expected::Any) => Expected::Absent,
            (AbsentIsNotChecked, Expected::Absent) => there,
            (AtIsNotCheckedIfAbsent, Expected::At(_)) if actual.is_none() => there,
            (RevisionIsNotCompared, Expected::At(_)) if actual.is_some() => there,
            (SnapshotsAreCompared, Expected::At(revision))
                if actual.is_some()
                    && self.notes().written.get(&revision)
                        == actual.as_ref().map(|actual| &actual.value) =>
            {
                there
            }
            (TombstonesAreThere, Expected::Absent)
                if self.notes().known.contains(&user_id) && actual.is_none() =>
            {
                return conflict(None);
            }
            (CheckThenWrite | CheckThenSleep, _) if expected == there => {
                match self.fault {
                    CheckThenWrite => yield_now().await,
                    // Blocks, so that only another thread can come between.
                    _ => thread::sleep(Duration::from_millis(2)),
                }
                self.right.upsert_latest(snapshot).await?;
                let written = self.right.get_latest_versioned(&user_id).await?;
                return Ok(written.unwrap().revision);
            }
            (RevisionsBeginAnew, Expected::At(revision)) => {
                let base = self.notes().base.get(&user_id).copied().unwrap_or(0);
                Expected::At(Revision::from(u64::from(revision).saturating_add(base)))
            }
            (ReadsCountAsWrites | RevisionIsTime, Expected::At(_)) => there,
            _ => expected,
        };
        let written = self.right.upsert_if(snapshot.clone(), told).await;
        match (self.fault, written) {
            (ConflictNamesNothing, Err(StoreError::Conflict { .. })) => conflict(None),
            (ConflictNamesExpected, Err(StoreError::Conflict { .. })) => match expected {
                Expected::At(revision) => conflict(Some(revision)),
                Expected::Any | Expected::Absent => conflict(None),
            },
            (ConflictWritesAnyway, Err(error)) => {
                self.right.upsert_latest(snapshot).await?;
                Err(error)
            }
            (RevisionBeforeIsReturned, Ok(revision)) => Ok(Revision::from(u64::from(revision) - 1)),
            (ConditionalWritesSkipHistory, Ok(revision)) => {
                let mut notes = self.notes();
                notes.elsewhere.entry(user_id).or_default().push(snapshot);
                Ok(revision)
            }
            (RevisionsBeginAnew, Ok(revision)) => {
                let stored = self.numbered(&user_id, Versioned::new(snapshot, revision, 0));
                Ok(stored.revision)
            }
            (RoomForAll, Ok(revision)) => Ok(revision),
            (_, written) => {
                if let Ok(revision) = written {
                    let mut notes = self.notes();
                    notes.known.insert(user_id.clone());
                    notes.written.insert(revision, snapshot);
                }
                written
            }
        }
    }

    async fn get_many(&self, user_ids: &[&str]) -> Result<Vec<Option<StateSnapshot>>> {
        if self.fault == GetManyOfNoneFails && user_ids.is_empty() {
            return Err(StoreError::internal("empty batch"));
        }
        let mut snapshots = vec![];
        let mut given = HashSet::new();
        for user_id in user_ids {
            if self.is_invalid_for("get_many", user_id) {
                snapshots.push(None);
                continue;
            }
            let latest = self.get_latest(user_id).await?;
            match self.fault {
                GetManySkipsAbsent if latest.is_none() => {}
                GetManyGivesOneEach if !given.insert(*user_id) => snapshots.push(None),
                _ => snapshots.push(latest),
            }
        }
        if self.fault == GetManyIsReversed {
            snapshots.reverse();
        }
        Ok(snapshots)
    }

    async fn upsert_many(&self, mut snapshots: Vec<StateSnapshot>) -> Vec<Result<()>> {
        let count = snapshots.len();
        match self.fault {
            UpsertManyDropsLast => drop(snapshots.pop()),
            UpsertManyIsReversed => snapshots.reverse(),
            _ => {}
        }
        let mut results = vec![];
        for snapshot in snapshots {
            let result = self.upsert_latest(snapshot).await;
            let failed = result.is_err();
            results.push(result);
            if failed && self.fault == UpsertManyStopsAtFirst {
                break;
            }
        }
        match self.fault {
            UpsertManyDropsLast => results.resize_with(count, || Ok(())),
            UpsertManyTellsOneLess => drop(results.pop()),
            UpsertManyOfNoneTells if count == 0 => results.push(Ok(())),
            _ => {}
        }
        results
    }

    async fn get_history(&self, user_id: &str, limit: usize) -> Result<Vec<StateSnapshot>> {
        if self.is_invalid_for("get_history", user_id) {
            return Ok(vec![]);
        }
        let user_id = &self.id(user_id);
        let mut history = self.right.get_history(user_id, usize::MAX).await?;
        let mut limit = limit;
        match self.fault {
            AbsentHasHistory if history.is_empty() => history.push(neutral(user_id)),
            OldestFirst => history.reverse(),
            SortedByTime => history.sort_by_key(|entry| -i128::from(entry.updated_at_unix_ms())),
            HistoryWithoutLatest if !history.is_empty() => drop(history.remove(0)),
            LimitIsIgnored if limit > 0 => limit = usize::MAX,
            LimitIsOneMore => limit = limit.saturating_add(1),
            ZeroIsNoLimit if limit == 0 => limit = usize::MAX,
            LimitHas32Bits => limit = usize::try_from(limit as i32).unwrap_or(0),
            HistoryIsDrained => {
                self.right.delete(user_id).await?;
                if let Some(latest) = history.first() {
                    self.right.upsert_latest(latest.clone()).await?;
                }
            }
            DeleteLeavesHistory => {
                let notes = self.notes();
                history.extend(notes.elsewhere.get(user_id).into_iter().flatten().cloned());
                history.truncate(HISTORY);
            }
            ConditionalWritesSkipHistory => {
                let notes = self.notes();
                let skipped = notes.elsewhere.get(user_id);
                history.retain(|entry| skipped.is_none_or(|skipped| !skipped.contains(entry)));
            }
            _ => {}
        }
        history.truncate(limit);
        Ok(history)
    }

    async fn delete(&self, user_id: &str) -> Result<bool> {
        if self.is_invalid_for("delete", user_id) {
            return Ok(false);
        }
        let user_id = &self.id(user_id);
        let before = self.right.get_latest_versioned(user_id).await?;
        match (self.fault, &before) {
            (DeleteDoesNothing, before) => return Ok(before.is_some()),
            (DeleteLeavesHistory, Some(_)) => {
                let history = self.right.get_history(user_id, usize::MAX).await?;
                self.notes().elsewhere.insert(user_id.clone(), history);
            }
            (DeleteTakesPrefixes, _) => {
                let known = self.notes().known.clone();
                for other in known
                    .iter()
                    .filter(|other| other.starts_with(user_id.as_str()))
                {
                    if other != user_id {
                        self.right.delete(other).await?;
                    }
                }
            }
            (RevisionsBeginAnew, _) => drop(self.notes().base.remove(user_id)),
            (LookThenDelete, before) => {
                yield_now().await;
                self.right.delete(user_id).await?;
                return Ok(before.is_some());
            }
            (HistoryThenLatest | DeleteLatestThenHistory, _) => {
                self.notes().elsewhere.remove(user_id);
                if self.fault == DeleteLatestThenHistory {
                    yield_now().await;
                }
            }
            _ => {}
        }
        let deleted = self.right.delete(user_id).await?;
        match self.fault {
            DeleteIsAlwaysTrue => Ok(true),
            DeleteIsAlwaysFalse => Ok(false),
            _ => Ok(deleted),
        }
    }

    async fn delete_if(&self, user_id: &str, expected: Expected) -> Result<bool> {
        if self.is_invalid_for("delete_if", user_id) {
            return Ok(false);
        }
        let user_id = &self.id(user_id);
        let actual = self.right.get_latest_versioned(user_id).await?;
        let there = Expected::from(actual.as_ref());
        let conflict = || StoreError::Conflict {
            user_id: user_id.clone(),
            expected,
            actual: None,
        };
        // What the right store is told to expect.
        let told = match (self.fault, expected) {
            (DeleteIfAnyIsAbsent, Expected::Any) => Expected::Absent,
            (DeleteIfAtNeverHolds, Expected::At(_)) => return Err(conflict()),
            (DeleteIfComparesNothing, _) => Expected::Any,
            (ReadsCountAsWrites | RevisionIsTime, Expected::At(_)) => there,
            (RevisionsBeginAnew, Expected::At(revision)) => {
                let base = self.notes().base.get(user_id).copied().unwrap_or(0);
                Expected::At(Revision::from(u64::from(revision).saturating_add(base)))
            }
            (LookThenDeleteIf, _) if expected == there => {
                yield_now().await;
                self.right.delete(user_id).await?;
                return Ok(actual.is_some());
            }
            // Where deletions have faults of their own.
            (DeleteLeavesHistory | HistoryThenLatest | DeleteLatestThenHistory, _)
                if expected == Expected::Any || expected == there =>
            {
                return self.delete(user_id).await;
            }
            _ => expected,
        };
        let deleted = self.right.delete_if(user_id, told).await;
        match (self.fault, deleted) {
            (DeleteIfAbsentIsTrue, Ok(_)) => Ok(true),
            (DeleteIfNamesNothing, Err(StoreError::Conflict { .. })) => Err(conflict()),
            (DeleteIfDeletesAnyway, Err(error)) => {
                self.right.delete(user_id).await?;
                Err(error)
            }
            (_, deleted) => deleted,
        }
    }

    async fn get_versions(
        &self,
        user_id: &str,
        range: VersionRange,
    ) -> Result<Vec<Versioned<StateSnapshot>>> {
        if self.is_invalid_for("get_versions", user_id) {
            return Ok(vec![]);
        }
        let user_id = &self.id(user_id);
        let mut all = self
            .right
            .get_versions(user_id, VersionRange::all())
            .await?;
        Ok(match self.fault {
            AbsentHasVersions if all.is_empty() => {
                vec![Versioned::new(neutral(user_id), Revision::from(1), 0)]
            }
            VersionsAreNumbered => {
                for (number, version) in (1..).zip(all.iter_mut().rev()) {
                    version.revision = Revision::from(number);
                }
                range.select(&all)
            }
            fault
            @ (AfterIsInclusive | BeforeIsInclusive | SinceIsExclusive | UntilIsExclusive) => {
                // The other bounds hold, and the limit.
                let mut wider = VersionRange::all().limit(range.max_versions());
                if range.is_oldest_first() {
                    wider = wider.oldest_first();
                }
                let (after, before) = ends(range.revisions());
                let (since, until) = ends(range.times());
                if let Some(after) = after {
                    let less = u64::from(after).saturating_sub(1);
                    wider = wider.after(match fault {
                        AfterIsInclusive => Revision::from(less),
                        _ => after,
                    });
                }
                if let Some(before) = before {
                    let more = u64::from(before).saturating_add(1);
                    wider = wider.before(match fault {
                        BeforeIsInclusive => Revision::from(more),
                        _ => before,
                    });
                }
                if let Some(since) = since {
                    let exclusive = i64::from(fault == SinceIsExclusive);
                    wider = wider.since(since.as_unix_ms().saturating_add(exclusive));
                }
                if let Some(until) = until {
                    let exclusive = i64::from(fault == UntilIsExclusive);
                    wider = wider.until(until.as_unix_ms().saturating_sub(exclusive));
                }
                wider.select(&all)
            }
            OrderIsIgnored => {
                let mut selected = range.select(&all);
                selected.sort_by_key(|version| std::cmp::Reverse(version.revision));
                selected
            }
            LimitComesFirst => {
                all.truncate(range.max_versions());
                range.select(&all)
            }
            _ => range.select(&all),
        })
    }

    async fn get_as_of(&self, user_id: &str, time: Timestamp) -> Result<AsOf<StateSnapshot>> {
        if self.is_invalid_for("get_as_of", user_id) {
            return Ok(AsOf::NotThere);
        }
        let user_id = &self.id(user_id);
        let time = match self.fault {
            AsOfIsTheLatest => Timestamp::from(i64::MAX),
            AsOfIsExclusive => Timestamp::from(time.as_unix_ms().saturating_sub(1)),
            _ => time,
        };
        let then = self.right.get_as_of(user_id, time).await?;
        let all = self
            .right
            .get_versions(user_id, VersionRange::all())
            .await?;
        Ok(match (self.fault, then) {
            (AsOfIsTheOldest, AsOf::NotThere) => {
                all.last().cloned().map_or(AsOf::NotThere, AsOf::Was)
            }
            (AsOfForgetsEvictions, AsOf::Evicted) => AsOf::NotThere,
            (_, then) => then,
        })
    }

    fn list(&self) -> BoxStream<'_, Result<String>> {
        let right = self.right.list();
        match self.fault {
            ListGivesTwice => Box::pin(right.flat_map(|id| {
                let again = id.as_ref().ok().cloned().map(Ok);
                stream::iter([Some(id), again].into_iter().flatten())
            })),
            ListKeepsTheDeleted => {
                let known = self.notes().known.clone();
                Box::pin(stream::iter(known.into_iter().map(Ok)))
            }
            // The next one is the one that is at the next place now.
            ListIsByPlace => Box::pin(stream::unfold(0, move |place| async move {
                let mut all: Vec<String> = self.right.list().try_collect().await.unwrap();
                (place < all.len()).then(|| (Ok(all.swap_remove(place)), place + 1))
            })),
            // A listing goes on where another one was dropped.
            ListTakesTurns => Box::pin(stream::unfold((), move |()| async move {
                let mut all: Vec<String> = self.right.list().try_collect().await.unwrap();
                let mut notes = self.notes();
                if notes.listed >= all.len() {
                    notes.listed = 0;
                    return None;
                }
                notes.listed += 1;
                Some((Ok(all.swap_remove(notes.listed - 1)), ()))
            })),
            _ => right,
        }
    }

    async fn health_check(&self) -> Result<()> {
        match self.fault {
            IsUnhealthy => Err(StoreError::internal("no")),
            _ => Ok(()),
        }
    }
}

/// Writes when it is called, not when its future is polled.
pub struct Eager(pub MutexStore);

#[async_trait]
impl StateStore for Eager {
    fn upsert_latest<'s, 'async_trait>(
        &'s self,
        snapshot: StateSnapshot,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'async_trait>>
    where
        's: 'async_trait,
        Self: 'async_trait,
    {
        let mut writing = self.0.upsert_latest(snapshot);
        let written = writing
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        Box::pin(async {
            match written {
                Poll::Ready(result) => result,
                Poll::Pending => writing.await,
            }
        })
    }

    async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
        self.0.get_latest(user_id).await
    }
}
