//! Conditional writes: the comparison, what a success does and what a conflict
//! does not do.

use super::report::Clause;
use super::trial::{Checked, Stop, Trial, broken, numbered, same, snapshot};
use super::unsupported::is_unsupported;
use crate::{Expected, Revision, StateSnapshot, StoreError};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "conditional_writes.unsupported",
        "`upsert_if` is `Unsupported` if the backend has no conditional writes; nothing changes.",
        |trial| Box::pin(unsupported(trial)),
    ),
    Clause::new(
        "conditional_writes.any_writes",
        "Expecting anything, the write is not conditional, and `upsert_if` returns its revision.",
        |trial| Box::pin(any_writes(trial)),
    ),
    Clause::new(
        "conditional_writes.absent_creates",
        "Expecting that there is no snapshot of the user, the write is the first.",
        |trial| Box::pin(absent_creates(trial)),
    ),
    Clause::new(
        "conditional_writes.at_replaces",
        "Expecting a revision that is still the latest, the write makes its snapshot the latest.",
        |trial| Box::pin(at_replaces(trial)),
    ),
    Clause::new(
        "conditional_writes.returns_its_revision",
        "`upsert_if` returns the revision of this write, which is greater than all before it.",
        |trial| Box::pin(returns_its_revision(trial)),
    ),
    Clause::new(
        "conditional_writes.enter_history",
        "A conditional write is the newest entry of the history, like any other.",
        |trial| Box::pin(enter_history(trial)),
    ),
    Clause::new(
        "conditional_writes.absent_conflicts",
        "`Conflict` if there is a snapshot and none was expected.",
        |trial| Box::pin(absent_conflicts(trial)),
    ),
    Clause::new(
        "conditional_writes.at_conflicts_if_absent",
        "`Conflict` if a revision was expected and there is no snapshot.",
        |trial| Box::pin(at_conflicts_if_absent(trial)),
    ),
    Clause::new(
        "conditional_writes.stale_conflicts",
        "`Conflict` if another write came after the one that was expected, or it never was.",
        |trial| Box::pin(stale_conflicts(trial)),
    ),
    Clause::new(
        "conditional_writes.equal_snapshot_conflicts",
        "What is compared is which write it was, not what it wrote.",
        |trial| Box::pin(equal_snapshot_conflicts(trial)),
    ),
    Clause::new(
        "conditional_writes.deleted_conflicts",
        "`Conflict` if the user was deleted since the write that was expected, returned or not.",
        |trial| Box::pin(deleted_conflicts(trial)),
    ),
    Clause::new(
        "conditional_writes.absent_after_delete",
        "After a deletion there is no snapshot: expecting none, the write is the first since.",
        |trial| Box::pin(absent_after_delete(trial)),
    ),
    Clause::new(
        "conditional_writes.conflict_names_what_is_there",
        "A `Conflict` names the user, what was expected, and the revision that was there instead, \
         or that there was none.",
        |trial| Box::pin(conflict_names_what_is_there(trial)),
    ),
    Clause::new(
        "conditional_writes.conflict_changes_nothing",
        "On a `Conflict` nothing has changed: neither the latest snapshot, nor the history, nor \
         the revision.",
        |trial| Box::pin(conflict_changes_nothing(trial)),
    ),
];

async fn unsupported(trial: &Trial<'_>) -> Checked {
    if trial.capabilities.conditional_writes {
        return Err(Stop::NotApplicable("the backend has conditional writes"));
    }
    let user = trial.user();
    let written = snapshot(&user, 1)?;
    for expected in [
        Expected::Any,
        Expected::Absent,
        Expected::At(Revision::from(1)),
    ] {
        let seen = trial.store.upsert_if(written.clone(), expected).await;
        is_unsupported("upsert_if", seen)?;
        trial.has_only(&user, &[]).await?;
    }
    Ok(())
}

async fn any_writes(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    // Over nothing, over its own kind, and over an upsert.
    let written = numbered(&user, 1..=4)?;
    for (index, snapshot) in written.iter().enumerate() {
        if index == 2 {
            trial.write(snapshot).await?;
        } else {
            is_written_over_anything(trial, snapshot).await?;
        }
        trial.has_only(&user, &written[..=index]).await?;
    }
    if trial.capabilities.delete {
        trial.delete(&user).await?;
        is_written_over_anything(trial, &written[0]).await?;
        trial.has_only(&user, &written[..1]).await?;
    }
    Ok(())
}

async fn is_written_over_anything(trial: &Trial<'_>, snapshot: &StateSnapshot) -> Checked {
    let revision = trial.write_if(snapshot, Expected::Any).await?;
    same(
        "get_latest_versioned, beside what upsert_if returned",
        &trial.versioned(snapshot.user_id()).await?,
        &Some((snapshot.clone(), revision)),
    )
}

async fn absent_creates(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    let written = snapshot(&user, 1)?;
    trial.write_if(&written, Expected::Absent).await?;
    same("get_latest", &trial.latest(&user).await?, &Some(written))
}

async fn at_replaces(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    trial.write(&snapshot(&user, 1)?).await?;
    // Once on the revision of an upsert, then on those of conditional writes.
    let mut revision = trial.revision(&user).await?;
    for written in numbered(&user, 2..=4)? {
        revision = trial.write_if(&written, Expected::At(revision)).await?;
        same("get_latest", &trial.latest(&user).await?, &Some(written))?;
    }
    Ok(())
}

async fn returns_its_revision(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    let mut expected = Expected::Absent;
    for written in numbered(&user, 1..=3)? {
        let revision = trial.write_if(&written, expected).await?;
        if matches!(expected, Expected::At(before) if before >= revision) {
            return broken(format!("revision {revision} of a write on {expected}"));
        }
        let there = Some((written, revision));
        same(
            "get_latest_versioned, beside what upsert_if returned",
            &trial.versioned(&user).await?,
            &there,
        )?;
        expected = Expected::At(revision);
    }
    Ok(())
}

async fn enter_history(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    trial.needs_history()?;
    let user = trial.user();
    let written = numbered(&user, 1..=3)?;
    let revision = trial.write_if(&written[0], Expected::Absent).await?;
    trial.write_if(&written[1], Expected::At(revision)).await?;
    trial.write(&written[2]).await?;
    let seen = trial.history(&user).await?;
    same("get_history", &seen, &trial.retained(&written))
}

async fn absent_conflicts(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    trial.write(&snapshot(&user, 1)?).await?;
    conflicts(trial, &snapshot(&user, 2)?, Expected::Absent).await?;
    Ok(())
}

async fn at_conflicts_if_absent(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    for expected in some_revisions() {
        conflicts(trial, &snapshot(&user, 1)?, expected).await?;
    }
    same("get_latest", &trial.latest(&user).await?, &None)
}

async fn stale_conflicts(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    trial.write(&snapshot(&user, 1)?).await?;
    let stale = trial.revision(&user).await?;
    trial.write(&snapshot(&user, 2)?).await?;
    let current = trial.revision(&user).await?;
    let others = some_revisions().into_iter();
    for expected in others.chain([Expected::At(stale)]) {
        if expected != Expected::At(current) {
            conflicts(trial, &snapshot(&user, 3)?, expected).await?;
        }
    }
    Ok(())
}

async fn equal_snapshot_conflicts(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    trial.write(&snapshot(&user, 1)?).await?;
    let stale = trial.revision(&user).await?;
    trial.write(&snapshot(&user, 2)?).await?;
    trial.write(&snapshot(&user, 1)?).await?;
    conflicts(trial, &snapshot(&user, 3)?, Expected::At(stale)).await?;
    Ok(())
}

async fn deleted_conflicts(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    trial.needs_delete()?;
    let user = trial.user();
    trial.write(&snapshot(&user, 1)?).await?;
    let before = Expected::At(trial.revision(&user).await?);
    trial.delete(&user).await?;
    conflicts(trial, &snapshot(&user, 2)?, before).await?;
    // As many writes as there were, so that a count that began again would match.
    trial.write(&snapshot(&user, 1)?).await?;
    conflicts(trial, &snapshot(&user, 2)?, before).await?;
    Ok(())
}

async fn absent_after_delete(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    trial.needs_delete()?;
    let user = trial.user();
    trial.write_all(&numbered(&user, 1..=2)?).await?;
    trial.delete(&user).await?;
    let written = snapshot(&user, 3)?;
    trial.write_if(&written, Expected::Absent).await?;
    trial.has_only(&user, &[written]).await
}

async fn conflict_names_what_is_there(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    let rejected = snapshot(&user, 9)?;
    let [some, ..] = some_revisions();
    names(conflicts(trial, &rejected, some).await?, &user, some, None)?;

    trial.write(&snapshot(&user, 1)?).await?;
    let stale = Expected::At(trial.revision(&user).await?);
    trial.write(&snapshot(&user, 2)?).await?;
    let current = Some(trial.revision(&user).await?);
    for expected in [Expected::Absent, stale] {
        names(
            conflicts(trial, &rejected, expected).await?,
            &user,
            expected,
            current,
        )?;
    }

    if trial.capabilities.delete {
        trial.delete(&user).await?;
        names(
            conflicts(trial, &rejected, stale).await?,
            &user,
            stale,
            None,
        )?;
        trial.write(&snapshot(&user, 3)?).await?;
        let current = Some(trial.revision(&user).await?);
        names(
            conflicts(trial, &rejected, stale).await?,
            &user,
            stale,
            current,
        )?;
    }
    Ok(())
}

async fn conflict_changes_nothing(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    let rejected = snapshot(&user, 9)?;
    let [some, ..] = some_revisions();
    attempt(trial, &rejected, some).await;
    trial.has_only(&user, &[]).await?;
    same(
        "get_latest_versioned",
        &trial.versioned(&user).await?,
        &None,
    )?;

    let written = numbered(&user, 1..=2)?;
    trial.write(&written[0]).await?;
    let stale = Expected::At(trial.revision(&user).await?);
    trial.write(&written[1]).await?;
    let before = trial.versioned(&user).await?;
    for expected in [Expected::Absent, stale] {
        attempt(trial, &rejected, expected).await;
        trial.has_only(&user, &written).await?;
        same(
            "get_latest_versioned",
            &trial.versioned(&user).await?,
            &before,
        )?;
    }
    Ok(())
}

/// Revisions that a user who was written once or twice may have or not: also
/// the ends of what a number of 64 bits, with and without a sign, can be.
fn some_revisions() -> [Expected; 5] {
    [7, 0, 1, i64::MAX as u64 + 1, u64::MAX].map(|number| Expected::At(Revision::from(number)))
}

/// A conditional write that is to change nothing, whatever it returns: what it
/// returns is another clause's business.
async fn attempt(trial: &Trial<'_>, snapshot: &StateSnapshot, expected: Expected) {
    let _ = trial.store.upsert_if(snapshot.clone(), expected).await;
}

/// What a [`StoreError::Conflict`] says.
type Conflict = (String, Expected, Option<Revision>);

/// A conditional write that does not find what it expects.
async fn conflicts(
    trial: &Trial<'_>,
    snapshot: &StateSnapshot,
    expected: Expected,
) -> Checked<Conflict> {
    match trial.store.upsert_if(snapshot.clone(), expected).await {
        Err(StoreError::Conflict {
            user_id,
            expected,
            actual,
        }) => Ok((user_id, expected, actual)),
        seen => broken(format!(
            "upsert_if expecting {expected} returned {seen:?}, no conflict"
        )),
    }
}

fn names(seen: Conflict, user_id: &str, expected: Expected, actual: Option<Revision>) -> Checked {
    same(
        "user_id, expected and actual of the conflict",
        &seen,
        &(user_id.to_owned(), expected, actual),
    )
}
