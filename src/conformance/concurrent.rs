//! Operations of which one begins before the other has ended.
//!
//! They are futures of one task: others go on where the store lets one wait, and
//! between two operations. A store whose futures never wait has its operations
//! one after the other; what to do then is told in the documentation of
//! [`conformance`](super).

use std::collections::HashMap;

use futures_util::future::{join, join_all};

use super::report::Clause;
use super::trial::{Checked, Trial, broken, numbered, same, snapshot, succeeds};
use crate::yield_now::yield_now;
use crate::{Expected, State, StateSnapshot, StateStoreExt, StoreError};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "concurrent.one_creation_wins",
        "The comparison and the write are one step: of several writes that expect no snapshot, \
         one succeeds, and the others find its revision.",
        |trial| Box::pin(one_creation_wins(trial)),
    ),
    Clause::new(
        "concurrent.one_conditional_write_wins",
        "The comparison and the write are one step: of several writes that expect the same \
         revision, one succeeds, and the others find its revision.",
        |trial| Box::pin(one_conditional_write_wins(trial)),
    ),
    Clause::new(
        "concurrent.updates_lose_none",
        "`update_latest` replaces the latest snapshot by one made from it, atomically.",
        |trial| Box::pin(updates_lose_none(trial)),
    ),
    Clause::new(
        "concurrent.writes_lose_none",
        "History has no gaps: concurrent writes are all in it, each once, those of one writer in \
         their order.",
        |trial| Box::pin(writes_lose_none(trial)),
    ),
    Clause::new(
        "concurrent.latest_is_newest",
        "The latest snapshot and the newest entry of the history never disagree.",
        |trial| Box::pin(latest_is_newest(trial)),
    ),
    Clause::new(
        "concurrent.revision_of_one_write",
        "No write has the revision of another: what is read with a revision is always the same, \
         and what is read of a write has always its revision.",
        |trial| Box::pin(revision_of_one_write(trial)),
    ),
    Clause::new(
        "concurrent.one_delete_removes",
        "`delete` takes effect at one instant: of several, one has something to remove.",
        |trial| Box::pin(one_delete_removes(trial)),
    ),
    Clause::new(
        "concurrent.one_conditional_delete_wins",
        "The comparison and the removal are one step: of several removals and writes that expect \
         the same revision, one succeeds.",
        |trial| Box::pin(one_conditional_delete_wins(trial)),
    ),
    Clause::new(
        "concurrent.delete_is_whole",
        "`delete` removes the latest snapshot and the history together, also between writes.",
        |trial| Box::pin(delete_is_whole(trial)),
    ),
    Clause::new(
        "concurrent.users_are_independent",
        "Operations on different users are independent: concurrent writes of each are all there.",
        |trial| Box::pin(users_are_independent(trial)),
    ),
];

/// How many operations are under way at once.
const RIVALS: usize = 8;

/// How many operations each of them makes, one after the other. All the updates
/// together are fewer than the attempts of one, so that none may give up.
const ROUNDS: usize = 4;

async fn one_creation_wins(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    one_wins(trial, &trial.user(), Expected::Absent).await
}

async fn one_conditional_write_wins(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    trial.write(&snapshot(&user, 0)?).await?;
    let revision = trial.revision(&user).await?;
    one_wins(trial, &user, Expected::At(revision)).await
}

async fn one_wins(trial: &Trial<'_>, user: &str, expected: Expected) -> Checked {
    let rivals = numbered(user, 1..=RIVALS as i64)?;
    let write = |snapshot: &StateSnapshot| trial.store.upsert_if(snapshot.clone(), expected);
    let results = join_all(rivals.iter().map(write)).await;

    let (mut winners, mut found) = (vec![], vec![]);
    for (snapshot, result) in rivals.into_iter().zip(results) {
        match result {
            Ok(revision) => winners.push((snapshot, revision)),
            Err(StoreError::Conflict { actual, .. }) => found.push(actual),
            Err(error) => return broken(format!("upsert_if failed: {error}")),
        }
    }
    let [winner] = winners.as_slice() else {
        let count = winners.len();
        return broken(format!(
            "{count} of {RIVALS} writes on {expected} succeeded"
        ));
    };
    let there = trial.versioned(user).await?;
    same(
        "get_latest_versioned, beside the write that succeeded",
        &there.as_ref(),
        &Some(winner),
    )?;
    let expected = vec![Some(winner.1); RIVALS - 1];
    same("what the others found", &found, &expected)
}

async fn updates_lose_none(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    // The timestamp is the counter.
    let count = |current: Option<&State>| {
        let before = current.map_or(0, State::updated_at_unix_ms);
        StateSnapshot::builder().updated_at(before + 1)
    };
    let increments = || async {
        for _ in 0..ROUNDS {
            succeeds(
                "update_latest",
                trial.store.update_latest(&user, count).await,
            )?;
            yield_now().await;
        }
        Ok(())
    };
    all(join_all((0..RIVALS).map(|_| increments())).await)?;
    let counted = trial
        .latest(&user)
        .await?
        .map(|snapshot| snapshot.updated_at_unix_ms());
    let expected = Some((RIVALS * ROUNDS) as i64);
    same(
        "the number of increments that are left",
        &counted,
        &expected,
    )
}

async fn writes_lose_none(trial: &Trial<'_>) -> Checked {
    let bound = trial.needs_history()?;
    // As many as the history holds, so that none that was lost can pass for one
    // that was evicted; then as many as there are.
    let writers = bound.clamp(1, RIVALS);
    let rounds = (bound / writers).clamp(1, ROUNDS);
    for (writers, rounds) in [(writers, rounds), (RIVALS, ROUNDS)] {
        let user = trial.user();
        let writers = each_writers_own(&user, writers, rounds)?;
        all(join_all(writers.iter().map(|own| write_all(trial, own))).await)?;

        let history = trial.history(&user).await?;
        let expected = bound.min(writers.len() * rounds);
        same("the number of entries", &history.len(), &expected)?;
        // Of each writer, the last ones of what it wrote, newest first.
        for own in &writers {
            let seen: Vec<_> = history.iter().filter(|entry| own.contains(entry)).collect();
            let expected: Vec<_> = own.iter().rev().take(seen.len()).collect();
            same("the entries of one writer", &seen, &expected)?;
        }
    }
    Ok(())
}

async fn latest_is_newest(trial: &Trial<'_>) -> Checked {
    trial.needs_history()?;
    let user = trial.user();
    let writers = each_writers_own(&user, RIVALS, ROUNDS)?;
    let look = || async {
        for _ in 0..ROUNDS {
            if let Some(look) = trial.look(&user).await? {
                look.agrees(trial)?;
            }
            yield_now().await;
        }
        Ok(())
    };
    let writing = join_all(writers.iter().map(|own| write_all(trial, own)));
    let looking = join_all((0..RIVALS).map(|_| look()));
    let (written, seen) = join(writing, looking).await;
    all(written)?;
    all(seen)?;
    look().await
}

async fn revision_of_one_write(trial: &Trial<'_>) -> Checked {
    trial.needs_revisions()?;
    let user = trial.user();
    let writers = each_writers_own(&user, RIVALS, ROUNDS)?;
    let read = || async {
        let mut seen = vec![];
        for _ in 0..ROUNDS {
            seen.extend(trial.versioned(&user).await?);
            yield_now().await;
        }
        Ok(seen)
    };
    let writing = join_all(writers.iter().map(|own| write_all(trial, own)));
    let reading = join_all((0..RIVALS).map(|_| read()));
    let (written, seen) = join(writing, reading).await;
    all(written)?;
    let found = all(seen)?.into_iter().flatten();
    let (mut snapshots, mut revisions) = (HashMap::new(), HashMap::new());
    for found in found.chain(trial.versioned(&user).await?) {
        let snapshot = found.0;
        // The snapshots are told apart by their times.
        let time = snapshot.updated_at_unix_ms();
        let first = *revisions.entry(time).or_insert(found.1);
        same("the revision of one write", &found.1, &first)?;
        let first = snapshots.entry(found.1).or_insert_with(|| snapshot.clone());
        same("what was read with one revision", &snapshot, first)?;
    }
    Ok(())
}

async fn one_delete_removes(trial: &Trial<'_>) -> Checked {
    trial.needs_delete()?;
    let user = trial.user();
    trial.write_all(&numbered(&user, 1..=2)?).await?;
    let removed = all(join_all((0..RIVALS).map(|_| trial.delete(&user))).await)?;
    let count = removed.into_iter().filter(|&removed| removed).count();
    same("how many of the deletes returned true", &count, &1)
}

async fn one_conditional_delete_wins(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_deletes()?;
    let user = trial.user();
    trial.write(&snapshot(&user, 0)?).await?;
    let seen = Expected::At(trial.revision(&user).await?);
    let rivals = if trial.capabilities.conditional_writes {
        RIVALS as i64
    } else {
        0
    };
    let rivals = numbered(&user, 1..=rivals)?;
    let write = |snapshot: &StateSnapshot| trial.store.upsert_if(snapshot.clone(), seen);
    let deleting = join_all((0..RIVALS).map(|_| trial.store.delete_if(&user, seen)));
    let writing = join_all(rivals.iter().map(write));
    let (deleted, written) = join(deleting, writing).await;

    let results = deleted.into_iter().map(|result| result.map(|_| ()));
    let mut won = 0;
    for result in results.chain(written.into_iter().map(|result| result.map(|_| ()))) {
        match result {
            Ok(()) => won += 1,
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return broken(format!("delete_if or upsert_if failed: {error}")),
        }
    }
    same("how many of them succeeded", &won, &1)
}

async fn delete_is_whole(trial: &Trial<'_>) -> Checked {
    trial.needs_delete()?;
    for round in 0..ROUNDS {
        let user = trial.user();
        let writers = each_writers_own(&user, RIVALS, ROUNDS)?;
        let deletes = || async {
            for _ in 0..=round {
                trial.delete(&user).await?;
                yield_now().await;
            }
            Ok(())
        };
        let writing = join_all(writers.iter().map(|own| write_all(trial, own)));
        let deleting = join_all((0..RIVALS).map(|_| deletes()));
        let (written, deleted) = join(writing, deleting).await;
        all(written)?;
        all(deleted)?;
        if let Some(look) = trial.look(&user).await? {
            look.agrees(trial)?;
        }
    }
    Ok(())
}

async fn users_are_independent(trial: &Trial<'_>) -> Checked {
    let of_each: Vec<_> = (0..RIVALS)
        .map(|_| numbered(&trial.user(), 1..=ROUNDS as i64))
        .collect::<Checked<_>>()?;
    all(join_all(of_each.iter().map(|own| write_all(trial, own))).await)?;
    for (user, own) in of_each
        .iter()
        .filter_map(|own| Some((own.first()?.user_id(), own)))
    {
        trial.has_only(user, own).await?;
    }
    Ok(())
}

/// What each of several writers of one user writes, in its order; no two
/// snapshots are equal.
fn each_writers_own(
    user_id: &str,
    writers: usize,
    rounds: usize,
) -> Checked<Vec<Vec<StateSnapshot>>> {
    let rounds = rounds as i64;
    (0..writers as i64)
        .map(|writer| numbered(user_id, writer * rounds + 1..=(writer + 1) * rounds))
        .collect()
}

/// The writes of one writer, one after the other.
async fn write_all(trial: &Trial<'_>, snapshots: &[StateSnapshot]) -> Checked {
    for snapshot in snapshots {
        trial.write(snapshot).await?;
        yield_now().await;
    }
    Ok(())
}

fn all<T>(results: Vec<Checked<T>>) -> Checked<Vec<T>> {
    results.into_iter().collect()
}
