//! Deleting a user.

use super::report::Clause;
use super::trial::{Checked, Stop, Trial, numbered, same, snapshot};
use super::unsupported::is_unsupported;

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "delete.unsupported",
        "`Unsupported` unless the backend can delete: a deletion must not silently do nothing.",
        |trial| Box::pin(unsupported(trial)),
    ),
    Clause::new(
        "delete.removes_latest",
        "After `delete` the latest snapshot is not there.",
        |trial| Box::pin(removes_latest(trial)),
    ),
    Clause::new(
        "delete.removes_history",
        "After `delete` the history is not there.",
        |trial| Box::pin(removes_history(trial)),
    ),
    Clause::new(
        "delete.tells_whether",
        "True if there was something to remove.",
        |trial| Box::pin(tells_whether(trial)),
    ),
    Clause::new(
        "delete.starts_anew",
        "After `delete` a later upsert starts a history that has nothing of the former one.",
        |trial| Box::pin(starts_anew(trial)),
    ),
    Clause::new(
        "delete.leaves_others",
        "Operations on different users are independent: `delete` removes one user.",
        |trial| Box::pin(leaves_others(trial)),
    ),
];

async fn unsupported(trial: &Trial<'_>) -> Checked {
    if trial.capabilities.delete {
        return Err(Stop::NotApplicable("the backend deletes"));
    }
    let user = trial.user();
    let written = numbered(&user, 1..=2)?;
    trial.write_all(&written).await?;
    is_unsupported("delete", trial.store.delete(&user).await)?;
    trial.has_only(&user, &written).await
}

async fn removes_latest(trial: &Trial<'_>) -> Checked {
    trial.needs_delete()?;
    let user = trial.user();
    trial.write_all(&numbered(&user, 1..=2)?).await?;
    trial.delete(&user).await?;
    same(
        "get_latest after delete",
        &trial.latest(&user).await?,
        &None,
    )?;
    if trial.capabilities.revisions {
        let seen = trial.versioned(&user).await?;
        same("get_latest_versioned after delete", &seen, &None)?;
    }
    Ok(())
}

async fn removes_history(trial: &Trial<'_>) -> Checked {
    trial.needs_delete()?;
    trial.needs_history()?;
    let user = trial.user();
    trial.write_all(&numbered(&user, 1..=3)?).await?;
    trial.delete(&user).await?;
    let seen = trial.history(&user).await?;
    same("get_history after delete", &seen, &vec![])
}

async fn tells_whether(trial: &Trial<'_>) -> Checked {
    trial.needs_delete()?;
    let user = trial.user();
    same(
        "delete of a user never written",
        &trial.delete(&user).await?,
        &false,
    )?;
    trial.write(&snapshot(&user, 1)?).await?;
    same("delete of a user", &trial.delete(&user).await?, &true)?;
    same(
        "delete of a deleted user",
        &trial.delete(&user).await?,
        &false,
    )?;
    trial.write(&snapshot(&user, 2)?).await?;
    same(
        "delete of a user who returned",
        &trial.delete(&user).await?,
        &true,
    )
}

async fn starts_anew(trial: &Trial<'_>) -> Checked {
    trial.needs_delete()?;
    let user = trial.user();
    trial.write_all(&numbered(&user, 1..=3)?).await?;
    trial.delete(&user).await?;
    let mut written = vec![snapshot(&user, 4)?];
    trial.write_all(&written).await?;
    trial.has_only(&user, &written).await?;
    written.push(snapshot(&user, 5)?);
    trial.write_all(&written[1..]).await?;
    trial.has_only(&user, &written).await
}

async fn leaves_others(trial: &Trial<'_>) -> Checked {
    trial.needs_delete()?;
    // One id begins with the other, which a deletion by pattern would confuse.
    let (ada, adam) = (trial.user_called("ada"), trial.user_called("adam"));
    let of_adam = numbered(&adam, 1..=2)?;
    trial.write_all(&of_adam).await?;
    trial.write(&snapshot(&ada, 11)?).await?;
    trial.delete(&ada).await?;
    trial.has_only(&adam, &of_adam).await
}
