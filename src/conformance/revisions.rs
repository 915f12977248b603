//! Revisions tell the writes of a user apart.

use super::report::Clause;
use super::trial::{Checked, Stop, Trial, broken, numbered, same, snapshot, succeeds};
use super::unsupported::is_unsupported;
use crate::{Expected, Revision};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "revisions.unsupported",
        "`get_latest_versioned` is `Unsupported` if the backend has no revisions.",
        |trial| Box::pin(unsupported(trial)),
    ),
    Clause::new(
        "revisions.absent_is_none",
        "The latest snapshot with its revision, or `None` if there is none.",
        |trial| Box::pin(absent_is_none(trial)),
    ),
    Clause::new(
        "revisions.of_the_latest",
        "`get_latest_versioned` has the latest snapshot, as `get_latest` has it.",
        |trial| Box::pin(of_the_latest(trial)),
    ),
    Clause::new(
        "revisions.of_the_write",
        "The revision is that of the write: reading does not change it, nor do other users.",
        |trial| Box::pin(of_the_write(trial)),
    ),
    Clause::new(
        "revisions.grow",
        "Every write of a user has a greater revision than all before it.",
        |trial| Box::pin(grow(trial)),
    ),
    Clause::new(
        "revisions.never_repeat",
        "No write has the revision of another: not even a write after the user was deleted, \
         whose revision is greater, too.",
        |trial| Box::pin(never_repeat(trial)),
    ),
    Clause::new(
        "revisions.time_never_goes_back",
        "`written_at` is by the backend's clock: that of a write is never before that of an \
         earlier write.",
        |trial| Box::pin(time_never_goes_back(trial)),
    ),
];

async fn unsupported(trial: &Trial<'_>) -> Checked {
    if trial.capabilities.revisions {
        return Err(Stop::NotApplicable("the backend has revisions"));
    }
    let user = trial.user();
    trial.write(&snapshot(&user, 1)?).await?;
    is_unsupported(
        "get_latest_versioned",
        trial.store.get_latest_versioned(&user).await,
    )
}

async fn absent_is_none(trial: &Trial<'_>) -> Checked {
    trial.needs_revisions()?;
    let seen = trial.versioned(&trial.user()).await?;
    same("get_latest_versioned of a user never written", &seen, &None)
}

async fn of_the_latest(trial: &Trial<'_>) -> Checked {
    trial.needs_revisions()?;
    let user = trial.user();
    for written in numbered(&user, 1..=3)? {
        trial.write(&written).await?;
        let seen = trial.versioned(&user).await?.map(|found| found.0);
        same(
            "get_latest_versioned after upsert_latest",
            &seen,
            &Some(written),
        )?;
        same(
            "get_latest, beside get_latest_versioned",
            &trial.latest(&user).await?,
            &seen,
        )?;
    }
    Ok(())
}

async fn of_the_write(trial: &Trial<'_>) -> Checked {
    trial.needs_revisions()?;
    let (user, other) = (trial.user(), trial.user());
    let written = snapshot(&user, 1)?;
    trial.write(&written).await?;
    let revision = trial.revision(&user).await?;
    trial.latest(&user).await?;
    trial.history(&user).await?;
    trial.write_all(&numbered(&other, 1..=3)?).await?;
    let expected = Some((written, revision));
    same(
        "get_latest_versioned once more",
        &trial.versioned(&user).await?,
        &expected,
    )
}

async fn grow(trial: &Trial<'_>) -> Checked {
    trial.needs_revisions()?;
    let user = trial.user();
    let mut greatest = None;
    // The second is equal to the first: it is a write nevertheless.
    for number in [2, 2, 1, 3] {
        trial.write(&snapshot(&user, number)?).await?;
        greatest = Some(greater(greatest, trial.revision(&user).await?)?);
    }
    Ok(())
}

async fn never_repeat(trial: &Trial<'_>) -> Checked {
    trial.needs_revisions()?;
    trial.needs_delete()?;
    let user = trial.user();
    let mut greatest = None;
    for writes in [3, 1, 2] {
        for snapshot in numbered(&user, 1..=writes)? {
            trial.write(&snapshot).await?;
            greatest = Some(greater(greatest, trial.revision(&user).await?)?);
        }
        trial.delete(&user).await?;
    }
    Ok(())
}

async fn time_never_goes_back(trial: &Trial<'_>) -> Checked {
    trial.needs_revisions()?;
    let user = trial.user();
    let mut last = None;
    // The times in the snapshots go back and forth.
    for number in [5, i64::MAX, 3, i64::MIN, 4] {
        let written = snapshot(&user, number)?;
        if trial.capabilities.conditional_writes && number == 3 {
            let expected = Expected::At(trial.revision(&user).await?);
            trial.write_if(&written, expected).await?;
        } else {
            trial.write(&written).await?;
        }
        let found = trial.store.get_latest_versioned(&user).await;
        let Some(found) = succeeds("get_latest_versioned", found)? else {
            return broken("get_latest_versioned returned None after a write");
        };
        let seen = found.written_at;
        if let Some(before) = last.filter(|before| *before > seen) {
            return broken(format!(
                "written_at {seen} of a write after that of {before}"
            ));
        }
        last = Some(seen);
    }
    Ok(())
}

fn greater(before: Option<Revision>, seen: Revision) -> Checked<Revision> {
    match before {
        Some(before) if before >= seen => broken(format!(
            "revision {seen} of a write after that of revision {before}"
        )),
        _ => Ok(seen),
    }
}
