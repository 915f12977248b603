//! The listing of all users.

use futures_util::StreamExt;

use super::report::Clause;
use super::trial::{Checked, Stop, Trial, broken, same, snapshot, succeeds};
use super::unsupported::is_unsupported;
use crate::{BoxStream, Result as StoreResult};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "list.unsupported",
        "`list` gives the error `Unsupported` and ends if the backend cannot list its users.",
        |trial| Box::pin(unsupported(trial)),
    ),
    Clause::new(
        "list.gives_each_once",
        "A user who is there all the time is given exactly once.",
        |trial| Box::pin(gives_each_once(trial)),
    ),
    Clause::new(
        "list.leaves_out_the_deleted",
        "`list` gives the users who are there: nobody who was deleted before.",
        |trial| Box::pin(leaves_out_the_deleted(trial)),
    ),
    Clause::new(
        "list.while_others_come_and_go",
        "A user who is there all the time is given exactly once, though others come and go \
         meanwhile.",
        |trial| Box::pin(while_others_come_and_go(trial)),
    ),
    Clause::new(
        "list.can_be_dropped",
        "A listing may be dropped at any time; the next one is whole.",
        |trial| Box::pin(can_be_dropped(trial)),
    ),
];

/// Enough for a listing that a backend would make in pages.
const USERS: usize = 40;

async fn unsupported(trial: &Trial<'_>) -> Checked {
    if trial.capabilities.list {
        return Err(Stop::NotApplicable("the backend lists its users"));
    }
    trial.write(&snapshot(&trial.user(), 1)?).await?;
    let mut listing = trial.store.list();
    match listing.next().await {
        Some(seen) => is_unsupported("list", seen)?,
        None => return broken("list, which is not declared, gave nothing and no error"),
    }
    same(
        "what comes after the error",
        &listing.next().await.is_none(),
        &true,
    )
}

async fn gives_each_once(trial: &Trial<'_>) -> Checked {
    trial.needs_list()?;
    let mut users = some_users(trial, USERS).await?;
    // What a collation, a pattern or a separator takes for the same.
    for ending in ["a", "A", "a_", "ax", "ß", "ss", "用户", "٣٤"] {
        let user = trial.user_called(ending);
        trial
            .write_all(&[snapshot(&user, 1)?, snapshot(&user, 2)?])
            .await?;
        users.push(user);
    }
    users.sort_unstable();
    same("list", &listed(trial).await?, &users)
}

async fn leaves_out_the_deleted(trial: &Trial<'_>) -> Checked {
    trial.needs_list()?;
    trial.needs_delete()?;
    let mut users = some_users(trial, 4).await?;
    trial.delete(&users.remove(2)).await?;
    same("list after a deletion", &listed(trial).await?, &users)?;
    for user in &users {
        trial.delete(user).await?;
    }
    same("list after all deletions", &listed(trial).await?, &vec![])
}

async fn while_others_come_and_go(trial: &Trial<'_>) -> Checked {
    trial.needs_list()?;
    let there = some_users(trial, USERS).await?;
    let (mut staying, mut leaving) = (vec![], vec![]);
    for (index, user) in there.into_iter().enumerate() {
        if index % 4 == 0 && trial.capabilities.delete {
            leaving.push(user);
        } else {
            staying.push(user);
        }
    }
    let mut listing = trial.store.list();
    let mut seen = vec![];
    while let Some(user) = next(&mut listing).await? {
        if staying.contains(&user) {
            seen.push(user);
        }
        // Some leave and come between each two that are given.
        for gone in leaving.drain(..leaving.len().min(2)) {
            trial.delete(&gone).await?;
        }
        if seen.len() <= USERS / 4 {
            trial.write(&snapshot(&trial.user(), 1)?).await?;
        }
    }
    seen.sort_unstable();
    same("those who stayed, of list", &seen, &staying)
}

async fn can_be_dropped(trial: &Trial<'_>) -> Checked {
    trial.needs_list()?;
    let users = some_users(trial, 4).await?;
    for polls in 0..3 {
        let mut listing = trial.store.list();
        for _ in 0..polls {
            next(&mut listing).await?;
        }
    }
    same("list", &listed(trial).await?, &users)
}

/// Users who are there, in the order of their ids.
async fn some_users(trial: &Trial<'_>, count: usize) -> Checked<Vec<String>> {
    let mut users: Vec<_> = (0..count).map(|_| trial.user()).collect();
    for user in &users {
        trial.write(&snapshot(user, 1)?).await?;
    }
    users.sort_unstable();
    Ok(users)
}

/// Those of a whole listing whom this check has made, in the order of their ids.
async fn listed(trial: &Trial<'_>) -> Checked<Vec<String>> {
    let mut listing = trial.store.list();
    let mut users = vec![];
    while let Some(user) = next(&mut listing).await? {
        if trial.has_made(&user) {
            users.push(user);
        }
    }
    users.sort_unstable();
    Ok(users)
}

async fn next(listing: &mut BoxStream<'_, StoreResult<String>>) -> Checked<Option<String>> {
    let next = listing.next().await;
    succeeds("list", next.transpose())
}
