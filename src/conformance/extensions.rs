//! What [`StateStoreExt`] makes of the backend's operations.

use super::report::Clause;
use super::trial::{Checked, Stop, Trial, broken, build, same, snapshot, succeeds};
use crate::{Patch, Patched, Source, State, StateSnapshot, StateStoreExt, StoreError};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "extensions.require_latest",
        "`require_latest`: the latest snapshot, or `UserNotFound` with the id.",
        |trial| Box::pin(require_latest(trial)),
    ),
    Clause::new(
        "extensions.unsupported",
        "`update_latest` is `Unsupported` if the backend has no conditional writes; nothing changes.",
        |trial| Box::pin(unsupported(trial)),
    ),
    Clause::new(
        "extensions.update",
        "`update_latest` gives the latest snapshot to the change, stores what it makes of it, and returns \
         what was written.",
        |trial| Box::pin(update(trial)),
    ),
    Clause::new(
        "extensions.update_of_nothing",
        "`update_latest` leaves things as they are if the change makes nothing.",
        |trial| Box::pin(update_of_nothing(trial)),
    ),
    Clause::new(
        "extensions.patch",
        "`patch_latest` changes the named axes and leaves the others; explicit values win.",
        |trial| Box::pin(patch(trial)),
    ),
];

async fn require_latest(trial: &Trial<'_>) -> Checked {
    let user = trial.user();
    match trial.store.require_latest(&user).await {
        Err(StoreError::UserNotFound { user_id }) if user_id == user => {}
        seen => return broken(format!("of a user never written: {seen:?}")),
    }
    let written = snapshot(&user, 1)?;
    trial.write(&written).await?;
    let seen = succeeds("require_latest", trial.store.require_latest(&user).await)?;
    same("require_latest", &seen, &written)
}

async fn unsupported(trial: &Trial<'_>) -> Checked {
    if trial.capabilities.conditional_writes {
        return Err(Stop::NotApplicable("the backend has conditional writes"));
    }
    let user = trial.user();
    let written = snapshot(&user, 1)?;
    trial.write(&written).await?;
    let change = |_: Option<&State>| StateSnapshot::builder();
    match trial.store.update_latest(&user, change).await {
        Err(StoreError::Unsupported { .. }) => trial.has_only(&user, &[written]).await,
        seen => broken(format!("update_latest returned {seen:?}")),
    }
}

async fn update(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    let mut before: Option<StateSnapshot> = None;
    for number in 1..=3 {
        let mut given = None;
        let change = |current: Option<&State>| {
            given = current.cloned();
            StateSnapshot::builder()
                .updated_at(number)
                .axis("warmth", 0.25)
        };
        let written = succeeds(
            "update_latest",
            trial.store.update_latest(&user, change).await,
        )?;
        same(
            "what the change was given",
            &given.as_ref(),
            &before.as_ref().map(StateSnapshot::state),
        )?;
        same(
            "get_latest_versioned, beside what update_latest returned",
            &trial.versioned(&user).await?,
            &written,
        )?;
        before = Some(snapshot(&user, number)?);
        same(
            "get_latest after update_latest",
            &trial.latest(&user).await?,
            &before,
        )?;
    }
    Ok(())
}

async fn update_of_nothing(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    for state in [vec![], vec![snapshot(&user, 1)?]] {
        trial.write_all(&state).await?;
        let before = trial.versioned(&user).await?;
        let result = trial.store.update_latest(&user, |_| None).await;
        same("update_latest", &succeeds("update_latest", result)?, &None)?;
        same(
            "get_latest_versioned",
            &trial.versioned(&user).await?,
            &before,
        )?;
        trial.has_only(&user, &state).await?;
    }
    Ok(())
}

async fn patch(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_writes()?;
    let user = trial.user();
    let steps: [(&[(&str, f32)], _, f32); 3] = [
        (&[("warmth", 0.9)], Source::SelfReport, 1.0),
        (
            &[("warmth", 0.2), ("formality", 0.3)],
            Source::Inferred,
            0.6,
        ),
        (&[("formality", 0.7)], Source::SelfReport, 0.8),
    ];
    let expected: [(&[(&str, f32)], _, f32); 3] = [
        (&[("warmth", 0.9)], Source::SelfReport, 1.0),
        (&[("warmth", 0.9), ("formality", 0.3)], Source::Mixed, 0.6),
        (&[("warmth", 0.9), ("formality", 0.7)], Source::Mixed, 0.6),
    ];
    for ((axes, source, confidence), (left, origin, trust)) in steps.into_iter().zip(expected) {
        let patch = Patch::new(source).confidence(confidence);
        let patch = patch.axes(axes.iter().copied());
        let result = trial.store.patch_latest(&user, &patch).await;
        let written = match succeeds("patch_latest", result)? {
            Patched::Written { value, revision } => (value, revision),
            outcome => return broken(format!("patch_latest returned {outcome:?}")),
        };
        same(
            "get_latest_versioned, beside what patch_latest returned",
            &trial.versioned(&user).await?.as_ref(),
            &Some(&written),
        )?;
        let (written, _) = written;
        let expected = StateSnapshot::builder()
            .user_id(&user)
            .updated_at(written.updated_at_unix_ms())
            .source(origin)
            .confidence(trust)
            .axes(left.iter().copied());
        same("patch_latest", &written, &build(expected)?)?;
    }
    Ok(())
}
