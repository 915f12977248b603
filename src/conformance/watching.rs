//! Watching a user, and all of them.
//!
//! The suite has no clock, so it never waits for a watch that might stay silent: a check asks
//! for an event only where the contract says that there is one.

use std::collections::HashMap;

use super::report::Clause;
use super::trial::{Checked, Stop, Trial, broken, same, snapshot, succeeds};
use super::unsupported::is_unsupported;
use crate::{AnyEvent, Event, RemovalCause, Revision, StateSnapshot, StoreError, Watch};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "watch.unsupported",
        "`Unsupported` if the backend cannot tell of changes.",
        |trial| Box::pin(unsupported(trial)),
    ),
    Clause::new(
        "watch.begins_with_what_is_there",
        "A watch begins with what is the latest now, with its revision and the time of its write.",
        |trial| Box::pin(begins_with_what_is_there(trial)),
    ),
    Clause::new(
        "watch.gives_each_change",
        "After each change the watch gives what is the latest then.",
        |trial| Box::pin(gives_each_change(trial)),
    ),
    Clause::new(
        "watch.of_one_who_comes",
        "A user who is not there can be watched: the first event is that they come.",
        |trial| Box::pin(of_one_who_comes(trial)),
    ),
    Clause::new(
        "watch.ends_with_the_newest",
        "Several changes can be given as one, the last. A watch never goes back and never ends \
         with less than the newest.",
        |trial| Box::pin(ends_with_the_newest(trial)),
    ),
    Clause::new(
        "watch.tells_of_removals",
        "A removal is an event, and so is the user's return. Its revision is between those of \
         the writes before and after.",
        |trial| Box::pin(tells_of_removals(trial)),
    ),
    Clause::new(
        "watch.of_one_user",
        "A watch gives the events of its user and of nobody else.",
        |trial| Box::pin(of_one_user(trial)),
    ),
    Clause::new(
        "watch.user_ids",
        "Watching with an id that breaks the rules is an error.",
        |trial| Box::pin(user_ids(trial)),
    ),
    Clause::new(
        "watch.all_that_is_there",
        "A watch of all users gives all that is there when it begins, and then says so.",
        |trial| Box::pin(all_that_is_there(trial)),
    ),
    Clause::new(
        "watch.all_that_changes",
        "A watch of all users goes on with what changes, new users and removals included.",
        |trial| Box::pin(all_that_changes(trial)),
    ),
];

fn needs_watching(trial: &Trial<'_>) -> Checked {
    if trial.capabilities.watching {
        return Ok(());
    }
    Err(Stop::NotApplicable("the backend cannot be watched"))
}

async fn watch(trial: &Trial<'_>, user: &str) -> Checked<Watch<Event<StateSnapshot>>> {
    succeeds("watch", trial.store.watch(user).await)
}

/// What is the latest, as an event.
async fn there(trial: &Trial<'_>, user: &str) -> Checked<Option<Event<StateSnapshot>>> {
    let there = trial.store.get_latest_versioned(user).await;
    Ok(succeeds("get_latest_versioned", there)?.map(Event::Put))
}

/// The next event, where there is one to come.
async fn next<E>(watch: &mut Watch<E>) -> Checked<E> {
    match watch.next().await {
        Some(event) => Ok(event),
        None => broken("the watch ended, and the store is still there"),
    }
}

/// The next event is this snapshot.
async fn next_is(
    watch: &mut Watch<Event<StateSnapshot>>,
    expected: &StateSnapshot,
) -> Checked<Revision> {
    match next(watch).await? {
        Event::Put(found) => {
            same("the event", &found.value, expected)?;
            Ok(found.revision)
        }
        removed @ Event::Removed { .. } => {
            broken(format!("the event: expected {expected:?}, saw {removed:?}"))
        }
    }
}

async fn unsupported(trial: &Trial<'_>) -> Checked {
    if trial.capabilities.watching {
        return Err(Stop::NotApplicable("the backend can be watched"));
    }
    let user = trial.user();
    is_unsupported("watch", trial.store.watch(&user).await)?;
    is_unsupported("watch_all", trial.store.watch_all().await)
}

async fn begins_with_what_is_there(trial: &Trial<'_>) -> Checked {
    needs_watching(trial)?;
    let user = trial.user();
    trial.write(&snapshot(&user, 1)?).await?;
    trial.write(&snapshot(&user, 2)?).await?;
    let there = there(trial, &user).await?;
    let first = next(&mut watch(trial, &user).await?).await?;
    same("the first event", &Some(first), &there)
}

async fn gives_each_change(trial: &Trial<'_>) -> Checked {
    needs_watching(trial)?;
    let user = trial.user();
    trial.write(&snapshot(&user, 0)?).await?;
    let mut watch = watch(trial, &user).await?;
    let mut newest = next_is(&mut watch, &snapshot(&user, 0)?).await?;
    for number in 1..=20 {
        let written = snapshot(&user, number)?;
        trial.write(&written).await?;
        let revision = next_is(&mut watch, &written).await?;
        if revision <= newest {
            return broken(format!("revision {revision} came after {newest}"));
        }
        newest = revision;
    }
    Ok(())
}

async fn of_one_who_comes(trial: &Trial<'_>) -> Checked {
    needs_watching(trial)?;
    let user = trial.user();
    let mut watch = watch(trial, &user).await?;
    let written = snapshot(&user, 1)?;
    trial.write(&written).await?;
    next_is(&mut watch, &written).await.map(drop)
}

async fn ends_with_the_newest(trial: &Trial<'_>) -> Checked {
    needs_watching(trial)?;
    let user = trial.user();
    let mut watch = watch(trial, &user).await?;
    for number in 1..=50 {
        trial.write(&snapshot(&user, number)?).await?;
    }
    let there = there(trial, &user).await?;
    let mut newest = None;
    loop {
        let event = next(&mut watch).await?;
        let revision = event.revision();
        if newest.is_some_and(|newest| revision <= newest) {
            return broken(format!("revision {revision} came after {newest:?}"));
        }
        newest = Some(revision);
        if there
            .as_ref()
            .is_none_or(|there| revision >= there.revision())
        {
            return same("the last event", &Some(event), &there);
        }
    }
}

async fn tells_of_removals(trial: &Trial<'_>) -> Checked {
    needs_watching(trial)?;
    trial.needs_delete()?;
    let user = trial.user();
    let mut watch = watch(trial, &user).await?;
    for number in 1..=3 {
        let written = snapshot(&user, number)?;
        trial.write(&written).await?;
        let before = next_is(&mut watch, &written).await?;
        trial.delete(&user).await?;
        let Event::Removed { revision, cause } = next(&mut watch).await? else {
            return broken("after delete: another event than `Removed`");
        };
        same("the cause", &cause, &RemovalCause::Deleted)?;
        if revision <= before {
            return broken(format!("the removal of {before} had revision {revision}"));
        }
        let returned = snapshot(&user, number + 10)?;
        trial.write(&returned).await?;
        let after = next_is(&mut watch, &returned).await?;
        if after <= revision {
            return broken(format!("{after} was written after the removal {revision}"));
        }
    }
    Ok(())
}

async fn of_one_user(trial: &Trial<'_>) -> Checked {
    needs_watching(trial)?;
    let (ada, adam) = (trial.user_called("ada"), trial.user_called("adam"));
    let mut watch = watch(trial, &ada).await?;
    trial.write(&snapshot(&adam, 1)?).await?;
    let written = snapshot(&ada, 2)?;
    trial.write(&written).await?;
    trial.write(&snapshot(&adam, 3)?).await?;
    next_is(&mut watch, &written).await.map(drop)
}

async fn user_ids(trial: &Trial<'_>) -> Checked {
    needs_watching(trial)?;
    match trial.store.watch("not an id").await {
        Err(StoreError::InvalidUserId(_)) => Ok(()),
        other => broken(format!("expected InvalidUserId, saw {other:?}")),
    }
}

async fn all_that_is_there(trial: &Trial<'_>) -> Checked {
    needs_watching(trial)?;
    let users = [trial.user(), trial.user(), trial.user()];
    for user in &users {
        trial.write(&snapshot(user, 1)?).await?;
        trial.write(&snapshot(user, 2)?).await?;
    }
    let mut watch = succeeds("watch_all", trial.store.watch_all().await)?;
    // A log may tell older states first, so what counts is the last one of each.
    let mut told = HashMap::new();
    loop {
        match next(&mut watch).await? {
            AnyEvent::CaughtUp => break,
            AnyEvent::Of { key, event } => told.insert(key, event),
        };
    }
    for user in &users {
        let there = there(trial, user).await?;
        same("the last event", &told.remove(user), &there)?;
    }
    Ok(())
}

async fn all_that_changes(trial: &Trial<'_>) -> Checked {
    needs_watching(trial)?;
    let (known, new) = (trial.user(), trial.user());
    trial.write(&snapshot(&known, 1)?).await?;
    let mut watch = succeeds("watch_all", trial.store.watch_all().await)?;
    while next(&mut watch).await? != AnyEvent::CaughtUp {}
    for user in [&known, &new] {
        let written = snapshot(user, 2)?;
        trial.write(&written).await?;
        let event = next_of(&mut watch, user).await?;
        let there = there(trial, user).await?;
        same("the event", &Some(event), &there)?;
    }
    if trial.capabilities.delete {
        trial.delete(&new).await?;
        let event = next_of(&mut watch, &new).await?;
        if !matches!(event, Event::Removed { .. }) {
            return broken(format!("after delete: expected a removal, saw {event:?}"));
        }
    }
    Ok(())
}

/// The next event of this user. Others may have theirs.
async fn next_of(
    watch: &mut Watch<AnyEvent<StateSnapshot>>,
    user: &str,
) -> Checked<Event<StateSnapshot>> {
    loop {
        if let AnyEvent::Of { key, event } = next(watch).await?
            && key == user
        {
            return Ok(event);
        }
    }
}
