//! Conditional removals: the comparison, what a success removes and what a conflict leaves.

use super::report::Clause;
use super::trial::{Checked, Stop, Trial, broken, numbered, same, snapshot, succeeds};
use super::unsupported::is_unsupported;
use crate::{Expected, Revision, StoreError};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "conditional_deletes.unsupported",
        "`delete_if` is `Unsupported` if the backend has no conditional removals; nothing \
         changes.",
        |trial| Box::pin(unsupported(trial)),
    ),
    Clause::new(
        "conditional_deletes.any_deletes",
        "Expecting anything, `delete_if` is `delete`: true if there was something to remove.",
        |trial| Box::pin(any_deletes(trial)),
    ),
    Clause::new(
        "conditional_deletes.at_deletes",
        "Expecting a revision that is still the latest, `delete_if` removes the latest snapshot \
         and the history.",
        |trial| Box::pin(at_deletes(trial)),
    ),
    Clause::new(
        "conditional_deletes.absent_removes_nothing",
        "Expecting that there is no snapshot of the user, and there is none, `delete_if` is \
         false.",
        |trial| Box::pin(absent_removes_nothing(trial)),
    ),
    Clause::new(
        "conditional_deletes.absent_conflicts",
        "`Conflict` if there is a snapshot and none was expected.",
        |trial| Box::pin(absent_conflicts(trial)),
    ),
    Clause::new(
        "conditional_deletes.stale_conflicts",
        "`Conflict` if another write or a removal came after the one that was expected, or it \
         never was.",
        |trial| Box::pin(stale_conflicts(trial)),
    ),
    Clause::new(
        "conditional_deletes.conflict_names_what_is_there",
        "A `Conflict` names the user, what was expected, and the revision that was there instead, \
         or that there was none.",
        |trial| Box::pin(conflict_names_what_is_there(trial)),
    ),
    Clause::new(
        "conditional_deletes.conflict_changes_nothing",
        "On a `Conflict` nothing has changed: neither the latest snapshot, nor the history, nor \
         the revision.",
        |trial| Box::pin(conflict_changes_nothing(trial)),
    ),
];

/// Revisions that a user who was written twice may have or not.
const SOME_REVISIONS: [u64; 5] = [7, 0, 1, i64::MAX as u64 + 1, u64::MAX];

async fn unsupported(trial: &Trial<'_>) -> Checked {
    if trial.capabilities.conditional_deletes {
        return Err(Stop::NotApplicable("the backend has conditional removals"));
    }
    let user = trial.user();
    let written = numbered(&user, 1..=2)?;
    trial.write_all(&written).await?;
    for expected in [
        Expected::Any,
        Expected::Absent,
        Expected::At(Revision::from(1)),
    ] {
        let seen = trial.store.delete_if(&user, expected).await;
        is_unsupported("delete_if", seen)?;
        trial.has_only(&user, &written).await?;
    }
    Ok(())
}

async fn any_deletes(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_deletes()?;
    let user = trial.user();
    deletes(trial, &user, Expected::Any, false).await?;
    trial.write_all(&numbered(&user, 1..=2)?).await?;
    deletes(trial, &user, Expected::Any, true).await?;
    deletes(trial, &user, Expected::Any, false).await
}

async fn at_deletes(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_deletes()?;
    let user = trial.user();
    for writes in [1, 3] {
        trial.write_all(&numbered(&user, 1..=writes)?).await?;
        let latest = Expected::At(trial.revision(&user).await?);
        deletes(trial, &user, latest, true).await?;
    }
    // What comes then has nothing of it.
    let written = [snapshot(&user, 9)?];
    trial.write_all(&written).await?;
    trial.has_only(&user, &written).await
}

async fn absent_removes_nothing(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_deletes()?;
    let user = trial.user();
    deletes(trial, &user, Expected::Absent, false).await?;
    trial.write(&snapshot(&user, 1)?).await?;
    trial.delete(&user).await?;
    deletes(trial, &user, Expected::Absent, false).await
}

async fn absent_conflicts(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_deletes()?;
    let user = trial.user();
    trial.write(&snapshot(&user, 1)?).await?;
    conflicts(trial, &user, Expected::Absent).await.map(drop)
}

async fn stale_conflicts(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_deletes()?;
    let user = trial.user();
    let others = SOME_REVISIONS.map(|number| Expected::At(Revision::from(number)));
    for expected in others {
        conflicts(trial, &user, expected).await?;
    }
    trial.write(&snapshot(&user, 1)?).await?;
    let stale = Expected::At(trial.revision(&user).await?);
    trial.write(&snapshot(&user, 2)?).await?;
    let current = Expected::At(trial.revision(&user).await?);
    for expected in others.into_iter().chain([stale]) {
        if expected != current {
            conflicts(trial, &user, expected).await?;
        }
    }
    trial.delete(&user).await?;
    conflicts(trial, &user, current).await?;
    trial.write_all(&numbered(&user, 1..=2)?).await?;
    for expected in [stale, current] {
        conflicts(trial, &user, expected).await?;
    }
    Ok(())
}

async fn conflict_names_what_is_there(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_deletes()?;
    let user = trial.user();
    let never = Expected::At(Revision::from(u64::MAX));
    names(trial, &user, never, None).await?;
    trial.write(&snapshot(&user, 1)?).await?;
    let stale = Expected::At(trial.revision(&user).await?);
    trial.write(&snapshot(&user, 2)?).await?;
    let current = Some(trial.revision(&user).await?);
    for expected in [Expected::Absent, stale] {
        names(trial, &user, expected, current).await?;
    }
    trial.delete(&user).await?;
    names(trial, &user, stale, None).await
}

async fn conflict_changes_nothing(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_deletes()?;
    let user = trial.user();
    let written = numbered(&user, 1..=2)?;
    trial.write(&written[0]).await?;
    let stale = Expected::At(trial.revision(&user).await?);
    trial.write(&written[1]).await?;
    let before = trial.versioned(&user).await?;
    for expected in [Expected::Absent, stale] {
        // What it returns is another clause's business.
        let _ = trial.store.delete_if(&user, expected).await;
        trial.has_only(&user, &written).await?;
        same(
            "get_latest_versioned",
            &trial.versioned(&user).await?,
            &before,
        )?;
    }
    Ok(())
}

/// A removal that finds what it expects, and leaves nothing.
async fn deletes(trial: &Trial<'_>, user: &str, expected: Expected, removed: bool) -> Checked {
    let operation = format!("delete_if expecting {expected}");
    let seen = trial.store.delete_if(user, expected).await;
    same(&operation, &succeeds(&operation, seen)?, &removed)?;
    trial.has_only(user, &[]).await
}

/// What a [`StoreError::Conflict`] says.
type Conflict = (String, Expected, Option<Revision>);

/// A removal that does not find what it expects.
async fn conflicts(trial: &Trial<'_>, user: &str, expected: Expected) -> Checked<Conflict> {
    match trial.store.delete_if(user, expected).await {
        Err(StoreError::Conflict {
            user_id,
            expected,
            actual,
        }) => Ok((user_id, expected, actual)),
        seen => broken(format!(
            "delete_if expecting {expected} returned {seen:?}, no conflict"
        )),
    }
}

async fn names(
    trial: &Trial<'_>,
    user: &str,
    expected: Expected,
    actual: Option<Revision>,
) -> Checked {
    same(
        "user_id, expected and actual of the conflict",
        &conflicts(trial, user, expected).await?,
        &(user.to_owned(), expected, actual),
    )
}
