//! The latest snapshot, which every backend keeps.

use super::report::Clause;
use super::trial::{Checked, Trial, numbered, same, snapshot, succeeds};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "latest.absent_is_none",
        "The latest snapshot of a user, or `None` if there is none.",
        |trial| Box::pin(absent_is_none(trial)),
    ),
    Clause::new(
        "latest.read_your_write",
        "What `upsert_latest` has stored is what the next `get_latest` returns.",
        |trial| Box::pin(read_your_write(trial)),
    ),
    Clause::new(
        "latest.until_the_next_write",
        "What `upsert_latest` has stored is what `get_latest` returns, until the next write.",
        |trial| Box::pin(until_the_next_write(trial)),
    ),
    Clause::new(
        "latest.whatever_the_timestamp",
        "The snapshot written last is the latest, whatever the timestamps in the snapshots say.",
        |trial| Box::pin(whatever_the_timestamp(trial)),
    ),
    Clause::new(
        "latest.healthy",
        "Whether the store can serve requests: `Ok` if it can.",
        |trial| Box::pin(healthy(trial)),
    ),
];

async fn absent_is_none(trial: &Trial<'_>) -> Checked {
    let seen = trial.latest(&trial.user()).await?;
    same("get_latest of a user never written", &seen, &None)
}

async fn read_your_write(trial: &Trial<'_>) -> Checked {
    let user = trial.user();
    for snapshot in numbered(&user, 1..=3)? {
        trial.write(&snapshot).await?;
        let seen = trial.latest(&user).await?;
        same("get_latest after upsert_latest", &seen, &Some(snapshot))?;
    }
    Ok(())
}

async fn until_the_next_write(trial: &Trial<'_>) -> Checked {
    let user = trial.user();
    let written = snapshot(&user, 1)?;
    trial.write(&written).await?;
    for what in [
        "the first get_latest",
        "the second get_latest",
        "the third get_latest",
    ] {
        same(what, &trial.latest(&user).await?, &Some(written.clone()))?;
    }
    Ok(())
}

async fn whatever_the_timestamp(trial: &Trial<'_>) -> Checked {
    let user = trial.user();
    for number in [5, 3, 3, 4, -1] {
        let written = snapshot(&user, number)?;
        trial.write(&written).await?;
        let seen = trial.latest(&user).await?;
        same("get_latest after a write", &seen, &Some(written))?;
    }
    Ok(())
}

async fn healthy(trial: &Trial<'_>) -> Checked {
    succeeds("health_check", trial.store.health_check().await)
}
