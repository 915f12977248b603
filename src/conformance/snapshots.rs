//! Snapshots come back as they were stored.

use super::report::Clause;
use super::trial::{Checked, Trial, build, same, succeeds};
use crate::{Source, StateSnapshot, StateSnapshotBuilder};

pub(super) static CLAUSES: &[Clause] = &[
    Clause::new(
        "snapshots.axis_values",
        "A snapshot comes back equal: the values of its axes are the same numbers.",
        |trial| Box::pin(axis_values(trial)),
    ),
    Clause::new(
        "snapshots.axis_names",
        "A snapshot comes back equal: it has the same axes, none to many, of any valid name.",
        |trial| Box::pin(axis_names(trial)),
    ),
    Clause::new(
        "snapshots.timestamps",
        "A snapshot comes back equal: the timestamp is the same, of the whole range of `i64`.",
        |trial| Box::pin(timestamps(trial)),
    ),
    Clause::new(
        "snapshots.sources",
        "A snapshot comes back equal: the source is the same.",
        |trial| Box::pin(sources(trial)),
    ),
    Clause::new(
        "snapshots.confidences",
        "A snapshot comes back equal: the confidence is the same number.",
        |trial| Box::pin(confidences(trial)),
    ),
    Clause::new(
        "snapshots.replaced_whole",
        "The latest snapshot is the one written last, with nothing of those before it.",
        |trial| Box::pin(replaced_whole(trial)),
    ),
];

/// The numbers from 0 to 1 that formats and databases get wrong: zero with a
/// sign, the smallest one, the one before 1, and those that decimals of too few
/// digits do not hit.
const NUMBERS: [f32; 9] = [
    0.0,
    -0.0,
    1.0,
    f32::from_bits(1),
    f32::MIN_POSITIVE,
    0.1,
    1.0 / 3.0,
    1.0 - f32::EPSILON / 2.0,
    0.123_456_79,
];

async fn axis_values(trial: &Trial<'_>) -> Checked {
    for value in NUMBERS {
        comes_back(trial, |builder| builder.axis("warmth", value)).await?;
    }
    Ok(())
}

async fn axis_names(trial: &Trial<'_>) -> Checked {
    comes_back(trial, |builder| builder).await?;
    let longest = "a".repeat(64);
    let names = [
        "x", "7", "warmth", "null", "user_id", "a__b", "2nd_axis", &longest,
    ];
    for name in names {
        comes_back(trial, |builder| builder.axis(name, 0.5)).await?;
    }
    for count in [23_u8, 200] {
        let many = |index: u8| (format!("axis_{index}"), f32::from(index) / 255.0);
        comes_back(trial, |builder| builder.axes((0..count).map(many))).await?;
    }
    Ok(())
}

async fn timestamps(trial: &Trial<'_>) -> Checked {
    // Those around 2^53 are where a number goes through a 64-bit float.
    let beyond_float = (1 << 53) + 1;
    for unix_ms in [i64::MIN, -beyond_float, -1, 0, 1, beyond_float, i64::MAX] {
        comes_back(trial, |builder| builder.updated_at(unix_ms)).await?;
    }
    Ok(())
}

async fn sources(trial: &Trial<'_>) -> Checked {
    for source in [Source::SelfReport, Source::Inferred, Source::Mixed] {
        comes_back(trial, |builder| builder.source(source)).await?;
    }
    Ok(())
}

async fn confidences(trial: &Trial<'_>) -> Checked {
    for confidence in NUMBERS {
        comes_back(trial, |builder| builder.confidence(confidence)).await?;
    }
    Ok(())
}

async fn replaced_whole(trial: &Trial<'_>) -> Checked {
    let user = trial.user();
    let first = StateSnapshot::builder()
        .user_id(&user)
        .updated_at(2)
        .source(Source::Inferred)
        .confidence(0.5)
        .axes([("warmth", 0.5), ("formality", 0.5)]);
    trial.write(&build(first)?).await?;
    let second = StateSnapshot::builder().user_id(&user).updated_at(1);
    let second = build(second.axis("formality", 1.0))?;
    trial.write(&second).await?;
    same("get_latest", &trial.latest(&user).await?, &Some(second))
}

/// Stores a snapshot and reads it back in every way that there is.
async fn comes_back(
    trial: &Trial<'_>,
    set: impl FnOnce(StateSnapshotBuilder) -> StateSnapshotBuilder,
) -> Checked {
    let user = trial.user();
    let written = build(set(StateSnapshot::builder().user_id(&user).updated_at(1)))?;
    trial.write(&written).await?;

    let latest = trial.latest(&user).await?;
    same("get_latest", &latest, &Some(written.clone()))?;
    let many = succeeds("get_many", trial.store.get_many(&[&user]).await)?;
    same("get_many", &many, &vec![Some(written.clone())])?;
    let history = trial.history(&user).await?;
    trial.is_history_of(std::slice::from_ref(&written), &history)?;
    if trial.capabilities.revisions {
        let versioned = trial.versioned(&user).await?;
        same(
            "get_latest_versioned",
            &versioned.map(|found| found.0),
            &Some(written),
        )?;
    }
    Ok(())
}
