//! The history of a user.

use super::MAX_FILLED;
use super::report::Clause;
use super::trial::{Checked, Stop, Trial, broken, numbered, same, snapshot};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "history.empty_if_none_is_kept",
        "A backend that keeps no history returns an empty one.",
        |trial| Box::pin(empty_if_none_is_kept(trial)),
    ),
    Clause::new(
        "history.empty_if_absent",
        "The history is empty if there are no snapshots of the user.",
        |trial| Box::pin(empty_if_absent(trial)),
    ),
    Clause::new(
        "history.newest_first",
        "History is newest first.",
        |trial| Box::pin(newest_first(trial)),
    ),
    Clause::new(
        "history.whatever_the_timestamps",
        "History is ordered as the writes took effect, whatever the timestamps in the snapshots \
         say.",
        |trial| Box::pin(whatever_the_timestamps(trial)),
    ),
    Clause::new(
        "history.includes_latest",
        "History includes the latest snapshot, and the two never disagree.",
        |trial| Box::pin(includes_latest(trial)),
    ),
    Clause::new(
        "history.every_write",
        "Every write is the newest entry of the history, and there are no gaps: also one that is \
         equal to another.",
        |trial| Box::pin(every_write(trial)),
    ),
    Clause::new(
        "history.limit",
        "At most `limit` entries: the newest ones, and all that there are if they are no more.",
        |trial| Box::pin(limit(trial)),
    ),
    Clause::new(
        "history.limit_zero",
        "At most `limit` entries: none if it is 0.",
        |trial| Box::pin(limit_zero(trial)),
    ),
    Clause::new(
        "history.limit_beyond",
        "At most `limit` entries: a limit beyond what is kept, however great, gives all of it.",
        |trial| Box::pin(limit_beyond(trial)),
    ),
    Clause::new(
        "history.bound",
        "History is at most as long as the backend's bound; beyond that the oldest entry is \
         evicted, and no other.",
        |trial| Box::pin(bound(trial)),
    ),
    Clause::new(
        "history.reading_takes_nothing",
        "Reading the history leaves it as it is.",
        |trial| Box::pin(reading_takes_nothing(trial)),
    ),
];

async fn empty_if_none_is_kept(trial: &Trial<'_>) -> Checked {
    if trial.capabilities.history.is_some() {
        return Err(Stop::NotApplicable("the backend keeps a history"));
    }
    let user = trial.user();
    trial.write_all(&numbered(&user, 1..=2)?).await?;
    same("get_history", &trial.history(&user).await?, &vec![])
}

async fn empty_if_absent(trial: &Trial<'_>) -> Checked {
    trial.needs_history()?;
    let seen = trial.history(&trial.user()).await?;
    same("get_history of a user never written", &seen, &vec![])
}

async fn newest_first(trial: &Trial<'_>) -> Checked {
    trial.needs_history()?;
    let user = trial.user();
    let written = numbered(&user, 1..=5)?;
    trial.write_all(&written).await?;
    let seen = trial.history(&user).await?;
    same("get_history", &seen, &trial.retained(&written))
}

async fn whatever_the_timestamps(trial: &Trial<'_>) -> Checked {
    trial.needs_history()?;
    let user = trial.user();
    let written: Vec<_> = [3, 1, i64::MAX, 2, i64::MIN, 0, 3]
        .into_iter()
        .map(|number| snapshot(&user, number))
        .collect::<Checked<_>>()?;
    trial.write_all(&written).await?;
    let seen = trial.history(&user).await?;
    same("get_history", &seen, &trial.retained(&written))
}

async fn includes_latest(trial: &Trial<'_>) -> Checked {
    let bound = trial.needs_history()?;
    let user = trial.user();
    for written in numbered(&user, 1..=4)? {
        trial.write(&written).await?;
        let newest = trial.history_up_to(&user, 1).await?;
        let latest = trial.latest(&user).await?;
        let expected: Vec<_> = latest.into_iter().take(bound).collect();
        same(
            "get_history with limit 1, beside get_latest",
            &newest,
            &expected,
        )?;
    }
    Ok(())
}

async fn every_write(trial: &Trial<'_>) -> Checked {
    trial.needs_history()?;
    let user = trial.user();
    let mut written = vec![snapshot(&user, 1)?; 2];
    written.extend([snapshot(&user, 2)?, snapshot(&user, 1)?]);
    trial.write_all(&written).await?;
    let seen = trial.history(&user).await?;
    same("get_history", &seen, &trial.retained(&written))
}

async fn limit(trial: &Trial<'_>) -> Checked {
    trial.needs_history()?;
    let user = trial.user();
    let written = numbered(&user, 1..=5)?;
    trial.write_all(&written).await?;
    for limit in 1..=6 {
        let mut expected = trial.retained(&written);
        expected.truncate(limit);
        let seen = trial.history_up_to(&user, limit).await?;
        same(&format!("get_history with limit {limit}"), &seen, &expected)?;
    }
    Ok(())
}

async fn limit_zero(trial: &Trial<'_>) -> Checked {
    trial.needs_history()?;
    let user = trial.user();
    trial.write_all(&numbered(&user, 1..=3)?).await?;
    let seen = trial.history_up_to(&user, 0).await?;
    same("get_history with limit 0", &seen, &vec![])
}

async fn limit_beyond(trial: &Trial<'_>) -> Checked {
    trial.needs_history()?;
    let user = trial.user();
    let written = numbered(&user, 1..=3)?;
    trial.write_all(&written).await?;
    // Where an integer of fewer bits, or with a sign, would overflow.
    let limits = [
        1 << 16,
        i32::MAX as usize,
        u32::MAX as usize,
        isize::MAX as usize,
        usize::MAX,
    ];
    for limit in limits {
        for limit in [limit, limit.saturating_add(1)] {
            let seen = trial.history_up_to(&user, limit).await?;
            same(
                &format!("get_history with limit {limit}"),
                &seen,
                &trial.retained(&written),
            )?;
        }
    }
    Ok(())
}

async fn bound(trial: &Trial<'_>) -> Checked {
    let bound = trial.needs_history()?;
    if bound > MAX_FILLED {
        return Err(Stop::NotApplicable("the bound is unknown or above 1,000"));
    }
    let user = trial.user();
    let mut written = Vec::new();
    for number in (1..).take(bound + 3) {
        let snapshot = snapshot(&user, number)?;
        trial.write(&snapshot).await?;
        written.push(snapshot);
        // Read where it fills and beyond: before, `limit` has looked.
        if written.len() >= bound {
            let seen = trial.history(&user).await?;
            if seen.len() > bound {
                let count = written.len();
                return broken(format!("{} entries after {count} writes", seen.len()));
            }
            same("get_history", &seen, &trial.retained(&written))?;
        }
    }
    Ok(())
}

async fn reading_takes_nothing(trial: &Trial<'_>) -> Checked {
    trial.needs_history()?;
    let user = trial.user();
    let written = numbered(&user, 1..=3)?;
    trial.write_all(&written).await?;
    trial.history(&user).await?;
    trial.history_up_to(&user, 1).await?;
    trial.has_only(&user, &written).await
}
