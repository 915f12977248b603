//! Which users there can be, and that they have nothing to do with each other.

use std::fmt;

use super::report::Clause;
use super::trial::{Checked, Trial, broken, numbered, snapshot};
use crate::{
    Expected, MAX_USER_ID_BYTES, Result as StoreResult, Revision, StoreError, VersionRange,
    validate_user_id,
};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "user_ids.accepted",
        "A user id has 1 to 256 bytes: alphanumeric characters of any script, underscores and hyphens.",
        |trial| Box::pin(accepted(trial)),
    ),
    Clause::new(
        "user_ids.told_apart",
        "Operations on different users are independent: ids that look alike are different users.",
        |trial| Box::pin(told_apart(trial)),
    ),
    Clause::new(
        "user_ids.independent",
        "Operations on different users are independent: a write leaves all others as they are.",
        |trial| Box::pin(independent(trial)),
    ),
    Clause::new(
        "user_ids.invalid_in_get_latest",
        "Asking `get_latest` with an id that breaks the rules is `InvalidUserId`.",
        |trial| Box::pin(invalid_in_get_latest(trial)),
    ),
    Clause::new(
        "user_ids.invalid_in_get_latest_versioned",
        "Asking `get_latest_versioned` with an id that breaks the rules is `InvalidUserId`.",
        |trial| Box::pin(invalid_in_get_latest_versioned(trial)),
    ),
    Clause::new(
        "user_ids.invalid_in_get_history",
        "Asking `get_history` with an id that breaks the rules is `InvalidUserId`.",
        |trial| Box::pin(invalid_in_get_history(trial)),
    ),
    Clause::new(
        "user_ids.invalid_in_get_many",
        "Asking `get_many` with an id that breaks the rules is `InvalidUserId`, for the first one.",
        |trial| Box::pin(invalid_in_get_many(trial)),
    ),
    Clause::new(
        "user_ids.invalid_in_delete",
        "Asking `delete` for an id that breaks the rules is `InvalidUserId`.",
        |trial| Box::pin(invalid_in_delete(trial)),
    ),
    Clause::new(
        "user_ids.invalid_in_delete_if",
        "Asking `delete_if` for an id that breaks the rules is `InvalidUserId`, whatever is \
         expected.",
        |trial| Box::pin(invalid_in_delete_if(trial)),
    ),
    Clause::new(
        "user_ids.invalid_in_get_versions",
        "Asking `get_versions` with an id that breaks the rules is `InvalidUserId`.",
        |trial| Box::pin(invalid_in_get_versions(trial)),
    ),
    Clause::new(
        "user_ids.invalid_in_get_as_of",
        "Asking `get_as_of` with an id that breaks the rules is `InvalidUserId`.",
        |trial| Box::pin(invalid_in_get_as_of(trial)),
    ),
];

async fn accepted(trial: &Trial<'_>) -> Checked {
    let mut users = Vec::from(['x', 'ß', '用', '𝟘'].map(|filling| trial.longest_user(filling)));
    let endings = [
        "-",
        "_",
        "--__",
        "NULL",
        "Ñandú",
        "Ελλάδα",
        "用户",
        "٣٤",
        "²",
        "Ⅷ",
    ];
    users.extend(endings.map(|ending| trial.user_called(ending)));
    for user in users {
        let written = numbered(&user, 1..=2)?;
        trial.write_all(&written).await?;
        trial.has_only(&user, &written).await?;
    }
    Ok(())
}

/// What a collation, a pattern or a separator takes for the same.
async fn told_apart(trial: &Trial<'_>) -> Checked {
    let endings = [
        "a", "A", "ａ", "a-", "a_", "a-1", "a-10", "a_1", "ax1", "aa1", "1", "01", "fi", "ﬁ", "ss",
        "ß", "SS", "i", "I", "ı", "é", "e", "２", "2",
    ];
    let users = endings.map(|ending| trial.user_called(ending));
    for (number, user) in (1..).zip(&users) {
        trial.write(&snapshot(user, number)?).await?;
    }
    for (number, user) in (1..).zip(&users) {
        trial.has_only(user, &[snapshot(user, number)?]).await?;
    }
    Ok(())
}

async fn independent(trial: &Trial<'_>) -> Checked {
    let (ada, grace) = (trial.user(), trial.user());
    let of_ada = numbered(&ada, 1..=2)?;
    let of_grace = numbered(&grace, 11..=13)?;
    trial.write(&of_ada[0]).await?;
    trial.write_all(&of_grace).await?;
    trial.has_only(&ada, &of_ada[..1]).await?;
    trial.write(&of_ada[1]).await?;
    trial.has_only(&ada, &of_ada).await?;
    trial.has_only(&grace, &of_grace).await
}

async fn invalid_in_get_latest(trial: &Trial<'_>) -> Checked {
    for user_id in invalid() {
        is_refused(&user_id, trial.store.get_latest(&user_id).await)?;
    }
    Ok(())
}

async fn invalid_in_get_latest_versioned(trial: &Trial<'_>) -> Checked {
    trial.needs_revisions()?;
    for user_id in invalid() {
        is_refused(&user_id, trial.store.get_latest_versioned(&user_id).await)?;
    }
    Ok(())
}

async fn invalid_in_get_history(trial: &Trial<'_>) -> Checked {
    trial.needs_history()?;
    for user_id in invalid() {
        for limit in [0, 1, usize::MAX] {
            is_refused(&user_id, trial.store.get_history(&user_id, limit).await)?;
        }
    }
    Ok(())
}

async fn invalid_in_get_many(trial: &Trial<'_>) -> Checked {
    let valid = trial.user();
    for user_id in invalid() {
        is_refused(&user_id, trial.store.get_many(&[&valid, &user_id]).await)?;
        // Of another kind than most of them, to tell which came first.
        let two = trial.store.get_many(&[&user_id, "", &valid]).await;
        is_refused(&user_id, two)?;
        is_refused("", trial.store.get_many(&["", &user_id]).await)?;
    }
    Ok(())
}

async fn invalid_in_delete(trial: &Trial<'_>) -> Checked {
    trial.needs_delete()?;
    for user_id in invalid() {
        is_refused(&user_id, trial.store.delete(&user_id).await)?;
    }
    Ok(())
}

async fn invalid_in_delete_if(trial: &Trial<'_>) -> Checked {
    trial.needs_conditional_deletes()?;
    for user_id in invalid() {
        for expected in [
            Expected::Any,
            Expected::Absent,
            Expected::At(Revision::from(1)),
        ] {
            is_refused(&user_id, trial.store.delete_if(&user_id, expected).await)?;
        }
    }
    Ok(())
}

async fn invalid_in_get_versions(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    for user_id in invalid() {
        for range in [VersionRange::all(), VersionRange::all().limit(0)] {
            is_refused(&user_id, trial.store.get_versions(&user_id, range).await)?;
        }
    }
    Ok(())
}

async fn invalid_in_get_as_of(trial: &Trial<'_>) -> Checked {
    trial.needs_versions()?;
    for user_id in invalid() {
        for time in [i64::MIN, i64::MAX] {
            is_refused(&user_id, trial.store.get_as_of(&user_id, time.into()).await)?;
        }
    }
    Ok(())
}

/// Ids that break the rules, each in another way.
fn invalid() -> Vec<String> {
    let characters = [
        " ",
        "a b",
        "a\n",
        "a\t",
        "a\0",
        "a/b",
        "a.b",
        "a:b",
        "a*",
        "a?",
        "a%",
        "a'b",
        "a\"b",
        "a\\b",
        "a{b}",
        "../a",
        "$a",
        "a;b",
        "🙂",
        "e\u{301}",
        "\u{feff}a",
    ];
    let mut ids = vec![
        String::new(),
        "a".repeat(MAX_USER_ID_BYTES + 1),
        "ß".repeat(MAX_USER_ID_BYTES / 2 + 1),
    ];
    ids.extend(characters.map(String::from));
    ids
}

fn is_refused<T: fmt::Debug>(user_id: &str, result: StoreResult<T>) -> Checked {
    match (result, validate_user_id(user_id)) {
        (Err(StoreError::InvalidUserId(seen)), Err(rule)) if seen == rule => Ok(()),
        (seen, _) => broken(format!("for the id {user_id:?}: {seen:?}")),
    }
}
