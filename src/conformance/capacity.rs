//! The bound of the number of users, on a store that has no others.

use futures_util::future::join_all;

use super::report::Clause;
use super::trial::{Checked, Trial, broken, numbered, same, snapshot};
use crate::{Expected, Result as StoreResult, StateSnapshot, StoreError};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "capacity.room_for_all",
        "`CapacityExceeded` only if the backend has all the users that it may have.",
        |trial| Box::pin(room_for_all(trial)),
    ),
    Clause::new(
        "capacity.new_user_is_refused",
        "`CapacityExceeded`, with how many users the store may have, if the user is new; and \
         nothing has changed.",
        |trial| Box::pin(new_user_is_refused(trial)),
    ),
    Clause::new(
        "capacity.new_user_is_refused_by_upsert_if",
        "The errors of `upsert_if` are those of `upsert_latest`: a new user is refused.",
        |trial| Box::pin(new_user_is_refused_by_upsert_if(trial)),
    ),
    Clause::new(
        "capacity.known_user_is_written",
        "`CapacityExceeded` only if the user is new: known ones are written as ever.",
        |trial| Box::pin(known_user_is_written(trial)),
    ),
    Clause::new(
        "capacity.upsert_many_goes_on",
        "In `upsert_many`, one that fails does not keep the others from being stored.",
        |trial| Box::pin(upsert_many_goes_on(trial)),
    ),
    Clause::new(
        "capacity.delete_makes_room",
        "After `delete` there is room for another user, and for no more than that.",
        |trial| Box::pin(delete_makes_room(trial)),
    ),
    Clause::new(
        "capacity.never_exceeded",
        "Of concurrent writes of new users, as many succeed as there is room for.",
        |trial| Box::pin(never_exceeded(trial)),
    ),
];

async fn room_for_all(trial: &Trial<'_>) -> Checked {
    let users = filled(trial).await?;
    for user in &users {
        if trial.latest(user).await?.is_none() {
            return broken("get_latest returned None of a user who was written");
        }
    }
    Ok(())
}

async fn new_user_is_refused(trial: &Trial<'_>) -> Checked {
    filled(trial).await?;
    let user = trial.user_called("new");
    let result = trial.store.upsert_latest(snapshot(&user, 1)?).await;
    is_refused(trial, result)?;
    trial.has_only(&user, &[]).await
}

async fn new_user_is_refused_by_upsert_if(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    filled(trial).await?;
    let user = trial.user_called("new");
    let result = trial
        .store
        .upsert_if(snapshot(&user, 1)?, Expected::Absent)
        .await;
    is_refused(trial, result)?;
    trial.has_only(&user, &[]).await
}

async fn known_user_is_written(trial: &Trial<'_>) -> Checked {
    for user in filled(trial).await? {
        for snapshot in numbered(&user, 2..=3)? {
            trial.write(&snapshot).await?;
            same("get_latest", &trial.latest(&user).await?, &Some(snapshot))?;
        }
    }
    Ok(())
}

async fn upsert_many_goes_on(trial: &Trial<'_>) -> Checked {
    let known = filled(trial).await?;
    let user = trial.user_called("new");
    let mut written = vec![snapshot(&user, 1)?];
    for user in &known {
        written.push(snapshot(user, 2)?);
    }
    let mut results = trial.store.upsert_many(written.clone()).await.into_iter();
    is_refused(trial, results.next().unwrap_or(Ok(())))?;
    let stored = results.filter(Result::is_ok).count();
    same(
        "how many of the known users were stored",
        &stored,
        &known.len(),
    )?;
    for (user, snapshot) in known.iter().zip(written.drain(1..)) {
        same("get_latest", &trial.latest(user).await?, &Some(snapshot))?;
    }
    Ok(())
}

async fn delete_makes_room(trial: &Trial<'_>) -> Checked {
    let known = filled(trial).await?;
    let Some(leaves) = known.first() else {
        return Ok(());
    };
    trial.delete(leaves).await?;
    trial
        .write(&snapshot(&trial.user_called("new"), 1)?)
        .await?;
    let result = trial.store.upsert_latest(snapshot(leaves, 2)?).await;
    is_refused(trial, result)
}

async fn never_exceeded(trial: &Trial<'_>) -> Checked {
    let mut room = 0;
    for user in filled(trial).await?.iter().step_by(2) {
        trial.delete(user).await?;
        room += 1;
    }
    let new: Vec<_> = (0..2 * room + 2)
        .map(|number| snapshot(&trial.user_called(&format!("new-{number}")), 1))
        .collect::<Checked<_>>()?;
    let write = |snapshot: &StateSnapshot| trial.store.upsert_latest(snapshot.clone());
    let mut written = 0;
    for result in join_all(new.iter().map(write)).await {
        match result {
            Ok(()) => written += 1,
            refused => is_refused(trial, refused)?,
        }
    }
    same("how many new users were written", &written, &room)
}

/// As many users as the store may have. Without `delete`, those of the clause
/// before would still be there.
async fn filled(trial: &Trial<'_>) -> Checked<Vec<String>> {
    trial.needs_delete()?;
    let users: Vec<_> = (0..trial.max_users).map(|_| trial.user()).collect();
    for user in &users {
        trial.write(&snapshot(user, 1)?).await?;
    }
    Ok(users)
}

fn is_refused<T>(trial: &Trial<'_>, result: StoreResult<T>) -> Checked {
    match result {
        Err(StoreError::CapacityExceeded { max_users }) if max_users == trial.max_users => Ok(()),
        Err(error) => broken(format!("a new user was refused with: {error}")),
        Ok(_) => broken(format!(
            "a user was written beyond {} users",
            trial.max_users
        )),
    }
}
