//! Reads of the past: ranges of the history, and what was the latest at some time.

use std::time::{Duration, Instant};

use super::MAX_FILLED;
use super::report::Clause;
use super::trial::{Checked, Stop, Trial, broken, numbered, same, snapshot, succeeds};
use super::unsupported::is_unsupported;
use crate::yield_now::yield_now;
use crate::{AsOf, StateSnapshot, VersionRange, Versioned};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "versions.unsupported",
        "`get_versions` and `get_as_of` are `Unsupported` if the backend cannot read the past.",
        |trial| Box::pin(unsupported(trial)),
    ),
    Clause::new(
        "versions.empty_if_absent",
        "There are no versions of a user who is not there, nor of one who was deleted.",
        |trial| Box::pin(empty_if_absent(trial)),
    ),
    Clause::new(
        "versions.are_the_history",
        "The versions are the history, or the latest snapshot alone if none is kept: newest \
         first, each with the revision and the time of its write.",
        |trial| Box::pin(are_the_history(trial)),
    ),
    Clause::new(
        "versions.revisions_are_exclusive",
        "`after` and `before` a revision: that one is not in the range.",
        |trial| Box::pin(revisions_are_exclusive(trial)),
    ),
    Clause::new(
        "versions.times_are_inclusive",
        "`since` and `until` a time: what was written at that time is in the range.",
        |trial| Box::pin(times_are_inclusive(trial)),
    ),
    Clause::new(
        "versions.in_the_order_of_the_range",
        "The newest version comes first, or the oldest if the range says so.",
        |trial| Box::pin(in_the_order_of_the_range(trial)),
    ),
    Clause::new(
        "versions.limit",
        "At most as many as the limit: those that come first in the order of the range, within \
         its bounds.",
        |trial| Box::pin(limit(trial)),
    ),
    Clause::new(
        "versions.as_of_is_the_last_before",
        "`get_as_of` is the last version that was written at that time or earlier.",
        |trial| Box::pin(as_of_is_the_last_before(trial)),
    ),
    Clause::new(
        "versions.as_of_not_there",
        "`get_as_of` is `NotThere` before the first write of a user, or the first one since a \
         deletion, if that write is still kept, and of a user who is not there.",
        |trial| Box::pin(as_of_not_there(trial)),
    ),
    Clause::new(
        "versions.as_of_evicted",
        "`get_as_of` is `Evicted` before the oldest version that is kept, if earlier ones have \
         left the history.",
        |trial| Box::pin(as_of_evicted(trial)),
    ),
];

type Version = Versioned<StateSnapshot>;

async fn unsupported(trial: &Trial<'_>) -> Checked {
    if trial.capabilities.versions {
        return Err(Stop::NotApplicable("the backend can read the past"));
    }
    let user = trial.user();
    trial.write(&snapshot(&user, 1)?).await?;
    let seen = trial.store.get_versions(&user, VersionRange::all()).await;
    is_unsupported("get_versions", seen)?;
    is_unsupported("get_as_of", trial.store.get_as_of(&user, 0.into()).await)
}

async fn empty_if_absent(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    let user = trial.user();
    let seen = versions(trial, &user, VersionRange::all()).await?;
    same("get_versions of a user never written", &seen, &vec![])?;
    if trial.capabilities.delete {
        trial.write_all(&numbered(&user, 1..=2)?).await?;
        trial.delete(&user).await?;
        let seen = versions(trial, &user, VersionRange::all()).await?;
        same("get_versions of a deleted user", &seen, &vec![])?;
    }
    Ok(())
}

async fn are_the_history(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    let user = trial.user();
    let mut written: Vec<Version> = vec![];
    for snapshot in numbered(&user, 1..=4)? {
        trial.write(&snapshot).await?;
        let latest = trial.store.get_latest_versioned(&user).await;
        match succeeds("get_latest_versioned", latest)? {
            Some(latest) => written.insert(0, latest),
            None => return broken("get_latest_versioned returned None after a write"),
        }
        written.truncate(trial.capabilities.history.unwrap_or(1).max(1));
        let seen = versions(trial, &user, VersionRange::all()).await?;
        same("get_versions", &seen, &written)?;
    }
    Ok(())
}

async fn revisions_are_exclusive(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    let (user, all) = written(trial).await?;
    for one in &all {
        for range in [
            VersionRange::all().after(one.revision),
            VersionRange::all().before(one.revision),
            VersionRange::at(one.revision),
        ] {
            selects(trial, &user, range, &all).await?;
        }
        for other in &all {
            let between = VersionRange::all().after(one.revision);
            selects(trial, &user, between.before(other.revision), &all).await?;
        }
    }
    for number in [0, 1, i64::MAX as u64 + 1, u64::MAX] {
        let range = VersionRange::all();
        selects(trial, &user, range.after(number.into()), &all).await?;
        selects(trial, &user, range.before(number.into()), &all).await?;
    }
    Ok(())
}

async fn times_are_inclusive(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    let (user, all) = written(trial).await?;
    for time in times(&all) {
        let range = VersionRange::all();
        selects(trial, &user, range.since(time), &all).await?;
        selects(trial, &user, range.until(time), &all).await?;
        selects(trial, &user, range.since(time).until(time), &all).await?;
    }
    Ok(())
}

async fn in_the_order_of_the_range(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    let (user, mut all) = written(trial).await?;
    let newest_first = versions(trial, &user, VersionRange::all()).await?;
    same("get_versions", &newest_first, &all)?;
    all.reverse();
    let oldest_first = versions(trial, &user, VersionRange::all().oldest_first()).await?;
    same("get_versions, oldest first", &oldest_first, &all)
}

async fn limit(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    let (user, all) = written(trial).await?;
    for limit in [0, 1, 2, all.len() + 1, isize::MAX as usize, usize::MAX] {
        let range = VersionRange::all().limit(limit);
        selects(trial, &user, range, &all).await?;
        selects(trial, &user, range.oldest_first(), &all).await?;
        for one in &all {
            let bounded = range.before(one.revision);
            selects(trial, &user, bounded, &all).await?;
            let bounded = range.after(one.revision);
            selects(trial, &user, bounded.oldest_first(), &all).await?;
        }
    }
    Ok(())
}

async fn as_of_is_the_last_before(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    let (user, all) = written(trial).await?;
    for time in times(&all) {
        let last = all.iter().find(|version| version.written_at <= time);
        let Some(last) = last else {
            // What came before the oldest version is for the other clauses.
            continue;
        };
        let seen = as_of(trial, &user, time).await?;
        same("get_as_of", &seen, &AsOf::Was(last.clone()))?;
    }
    Ok(())
}

async fn as_of_not_there(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    let user = trial.user();
    is_not_there(trial, &user, i64::MAX).await?;
    let first = write_one(trial, &user, 1).await?;
    for time in times_before(&first) {
        is_not_there(trial, &user, time).await?;
    }
    if trial.capabilities.delete {
        // So many that some have left the history.
        let kept = trial.capabilities.history.unwrap_or(1).min(MAX_FILLED);
        for number in (2..).take(kept) {
            trial.write(&snapshot(&user, number)?).await?;
        }
        trial.delete(&user).await?;
        for time in [first.written_at, i64::MAX] {
            is_not_there(trial, &user, time).await?;
        }
        let again = write_one(trial, &user, 1).await?;
        for time in times_before(&again) {
            is_not_there(trial, &user, time).await?;
        }
    }
    Ok(())
}

async fn as_of_evicted(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    let kept = trial.capabilities.history.unwrap_or(1).max(1);
    if kept > MAX_FILLED {
        return Err(Stop::NotApplicable("the bound is unknown or above 1,000"));
    }
    let user = trial.user();
    for number in (0..).take(kept + 1) {
        trial.write(&snapshot(&user, number)?).await?;
    }
    let all = versions(trial, &user, VersionRange::all()).await?;
    let Some(oldest) = all.last() else {
        return broken("get_versions returned nothing after a write");
    };
    for time in times_before(oldest) {
        let seen = as_of(trial, &user, time).await?;
        same("get_as_of an evicted version", &seen, &AsOf::Evicted)?;
    }
    Ok(())
}

/// A user who was written some times, and all versions, newest first. The last two are two
/// milliseconds after the others, so that they should have another time.
async fn written(trial: &Trial<'_>) -> Checked<(String, Vec<Version>)> {
    let user = trial.user();
    trial.write_all(&numbered(&user, 1..=2)?).await?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2) {
        yield_now().await;
    }
    trial.write_all(&numbered(&user, 3..=4)?).await?;
    let all = versions(trial, &user, VersionRange::all()).await?;
    if all.is_empty() {
        return broken("get_versions returned nothing after a write");
    }
    Ok((user, all))
}

/// Times at, before and after those of these versions, and the ends of all times.
fn times(versions: &[Version]) -> Vec<i64> {
    let around = |version: &Version| {
        let at = version.written_at;
        [at.saturating_sub(1), at, at.saturating_add(1)]
    };
    let mut times: Vec<_> = versions.iter().flat_map(around).collect();
    times.extend([i64::MIN, 0, i64::MAX]);
    times.sort_unstable();
    times.dedup();
    times
}

/// Times before that of this version. There is none if a backend's clock shows the first of
/// all times.
fn times_before(version: &Version) -> impl Iterator<Item = i64> {
    let at = version.written_at;
    let times = [at.saturating_sub(1), 0, i64::MIN];
    times.into_iter().filter(move |&time| time < at)
}

/// Reading a range gives what the range has of all versions.
async fn selects(trial: &Trial<'_>, user: &str, range: VersionRange, all: &[Version]) -> Checked {
    let expected = range.select(all);
    let what = format!("get_versions of {range:?}");
    same(&what, &versions(trial, user, range).await?, &expected)
}

async fn versions(trial: &Trial<'_>, user: &str, range: VersionRange) -> Checked<Vec<Version>> {
    let operation = format!("get_versions of {range:?}");
    succeeds(&operation, trial.store.get_versions(user, range).await)
}

async fn as_of(trial: &Trial<'_>, user: &str, time: i64) -> Checked<AsOf<StateSnapshot>> {
    succeeds("get_as_of", trial.store.get_as_of(user, time.into()).await)
}

async fn is_not_there(trial: &Trial<'_>, user: &str, time: i64) -> Checked {
    same(
        &format!("get_as_of {time}"),
        &as_of(trial, user, time).await?,
        &AsOf::NotThere,
    )
}

/// Writes a snapshot, and reads it with what is known of its writing.
async fn write_one(trial: &Trial<'_>, user: &str, number: i64) -> Checked<Version> {
    trial.write(&snapshot(user, number)?).await?;
    let latest = trial.store.get_latest_versioned(user).await;
    match succeeds("get_latest_versioned", latest)? {
        Some(latest) => Ok(latest),
        None => broken("get_latest_versioned returned None after a write"),
    }
}
