//! Futures that are dropped before they are done.

use futures_util::future::FutureExt;

use super::report::Clause;
use super::trial::{Checked, Look, Trial, broken, numbered, snapshot};
use crate::{Expected, StateSnapshot};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "cancellation.nothing_before_polled",
        "Nothing happens before the future is polled.",
        |trial| Box::pin(nothing_before_polled(trial)),
    ),
    Clause::new(
        "cancellation.write_never_in_part",
        "Dropping an unfinished write leaves it either undone or done, never in part.",
        |trial| Box::pin(write_never_in_part(trial)),
    ),
    Clause::new(
        "cancellation.delete_never_in_part",
        "Dropping an unfinished delete leaves it either undone or done, never in part.",
        |trial| Box::pin(delete_never_in_part(trial)),
    ),
];

async fn nothing_before_polled(trial: &Trial<'_>) -> Checked {
    let user = trial.user();
    let dropped = snapshot(&user, 9)?;
    drop(trial.store.upsert_latest(dropped.clone()));
    drop(trial.store.upsert_if(dropped.clone(), Expected::Absent));
    drop(trial.store.upsert_many(vec![dropped.clone()]));
    trial.has_only(&user, &[]).await?;

    let written = numbered(&user, 1..=2)?;
    trial.write_all(&written).await?;
    drop(trial.store.upsert_latest(dropped.clone()));
    drop(trial.store.upsert_many(vec![dropped.clone()]));
    drop(trial.store.delete(&user));
    if trial.capabilities.conditional_writes {
        let expected = Expected::At(trial.revision(&user).await?);
        drop(trial.store.upsert_if(dropped, expected));
    }
    trial.has_only(&user, &written).await
}

async fn write_never_in_part(trial: &Trial<'_>) -> Checked {
    // Of a user who is there, and of one who is not.
    for writes in [2, 0] {
        let user = trial.user();
        let written = numbered(&user, 1..=writes)?;
        trial.write_all(&written).await?;
        let mut more = written.clone();
        more.push(snapshot(&user, 9)?);
        // Polled once, then dropped.
        let _ = trial
            .store
            .upsert_latest(snapshot(&user, 9)?)
            .now_or_never();
        is_one_of(trial, &user, [&written, &more]).await?;
    }
    Ok(())
}

async fn delete_never_in_part(trial: &Trial<'_>) -> Checked {
    trial.needs_delete()?;
    let user = trial.user();
    let written = numbered(&user, 1..=2)?;
    trial.write_all(&written).await?;
    let _ = trial.store.delete(&user).now_or_never();
    is_one_of(trial, &user, [&written, &[]]).await
}

/// The user is in one of two states: each is what was written, oldest first.
async fn is_one_of(trial: &Trial<'_>, user: &str, states: [&[StateSnapshot]; 2]) -> Checked {
    // The operation may take effect while we look, but only once.
    for _ in 0..2 {
        let Some(Look { latest, history }) = trial.look(user).await? else {
            continue;
        };
        let Some(state) = states.iter().find(|state| state.last() == latest.as_ref()) else {
            return broken(format!("get_latest returned {latest:?}"));
        };
        return trial.is_history_of(state, &history);
    }
    broken("get_latest went on changing after one operation")
}
