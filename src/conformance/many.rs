//! Reading and writing several users in one call.

use super::report::Clause;
use super::trial::{Checked, Trial, broken, numbered, same, snapshot, succeeds};
use crate::StateSnapshot;

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "many.get_in_order",
        "The latest snapshots of several users, in the order of `user_ids`.",
        |trial| Box::pin(get_in_order(trial)),
    ),
    Clause::new(
        "many.get_absent",
        "Each is read as by `get_latest`: `None` in the place of a user who is not there.",
        |trial| Box::pin(get_absent(trial)),
    ),
    Clause::new(
        "many.get_duplicates",
        "Each is read as by `get_latest`: a user who is named twice is there twice.",
        |trial| Box::pin(get_duplicates(trial)),
    ),
    Clause::new(
        "many.get_none",
        "Of no users there are no snapshots.",
        |trial| Box::pin(get_none(trial)),
    ),
    Clause::new(
        "many.upsert_stores_each",
        "Stores several snapshots: each is written as by `upsert_latest`.",
        |trial| Box::pin(upsert_stores_each(trial)),
    ),
    Clause::new(
        "many.upsert_tells_of_each",
        "Tells of each, in their order, whether it was stored.",
        |trial| Box::pin(upsert_tells_of_each(trial)),
    ),
    Clause::new(
        "many.upsert_one_user_in_order",
        "Several snapshots of one user take effect in their order.",
        |trial| Box::pin(upsert_one_user_in_order(trial)),
    ),
    Clause::new(
        "many.upsert_none",
        "Of no snapshots there is nothing to tell.",
        |trial| Box::pin(upsert_none(trial)),
    ),
];

/// Enough for a batch that a backend would split, or whose order it would lose.
const USERS: usize = 40;

async fn get_in_order(trial: &Trial<'_>) -> Checked {
    let written = one_each(trial)?;
    trial.write_all(&written).await?;
    gets(trial, &written).await?;
    let reversed: Vec<_> = written.into_iter().rev().collect();
    gets(trial, &reversed).await
}

async fn get_absent(trial: &Trial<'_>) -> Checked {
    let (ada, nobody, grace) = (trial.user(), trial.user(), trial.user());
    let (of_ada, of_grace) = (snapshot(&ada, 1)?, snapshot(&grace, 2)?);
    trial.write_all(&[of_ada.clone(), of_grace.clone()]).await?;
    let result = trial
        .store
        .get_many(&[&nobody, &ada, &nobody, &grace])
        .await;
    let seen = succeeds("get_many", result)?;
    same(
        "get_many",
        &seen,
        &vec![None, Some(of_ada), None, Some(of_grace)],
    )
}

async fn get_duplicates(trial: &Trial<'_>) -> Checked {
    let (ada, grace) = (trial.user(), trial.user());
    let (of_ada, of_grace) = (snapshot(&ada, 1)?, snapshot(&grace, 2)?);
    trial.write_all(&[of_ada.clone(), of_grace.clone()]).await?;
    gets(trial, &[of_ada.clone(), of_ada.clone(), of_grace, of_ada]).await
}

async fn get_none(trial: &Trial<'_>) -> Checked {
    gets(trial, &[]).await
}

async fn upsert_stores_each(trial: &Trial<'_>) -> Checked {
    let written = one_each(trial)?;
    let _ = trial.store.upsert_many(written.clone()).await;
    for snapshot in written {
        trial
            .has_only(snapshot.user_id(), std::slice::from_ref(&snapshot))
            .await?;
    }
    Ok(())
}

async fn upsert_tells_of_each(trial: &Trial<'_>) -> Checked {
    let written = one_each(trial)?;
    let results = trial.store.upsert_many(written.clone()).await;
    if results.len() != written.len() {
        let (results, snapshots) = (results.len(), written.len());
        return broken(format!("{results} results for {snapshots} snapshots"));
    }
    results
        .into_iter()
        .try_for_each(|result| succeeds("upsert_many of a snapshot", result))
}

async fn upsert_one_user_in_order(trial: &Trial<'_>) -> Checked {
    let (ada, grace) = (trial.user(), trial.user());
    let of_ada = numbered(&ada, 1..=4)?;
    let of_grace = numbered(&grace, 11..=14)?;
    let mixed = of_ada
        .iter()
        .zip(&of_grace)
        .flat_map(|(a, b)| [a.clone(), b.clone()]);
    let _ = trial.store.upsert_many(mixed.collect()).await;
    trial.has_only(&ada, &of_ada).await?;
    trial.has_only(&grace, &of_grace).await
}

async fn upsert_none(trial: &Trial<'_>) -> Checked {
    let seen = trial.store.upsert_many(vec![]).await;
    same("the number of results of upsert_many", &seen.len(), &0)
}

fn one_each(trial: &Trial<'_>) -> Checked<Vec<StateSnapshot>> {
    (1..)
        .take(USERS)
        .map(|number| snapshot(&trial.user(), number))
        .collect()
}

/// `get_many` of the users of these snapshots returns these.
async fn gets(trial: &Trial<'_>, expected: &[StateSnapshot]) -> Checked {
    let users: Vec<_> = expected.iter().map(StateSnapshot::user_id).collect();
    let seen = succeeds("get_many", trial.store.get_many(&users).await)?;
    same(
        "get_many",
        &seen,
        &expected.iter().cloned().map(Some).collect(),
    )
}
