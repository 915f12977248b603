//! The feature `attuned`: conversions to the published types and back, and the
//! published trait on this store, beside the published store.

#![cfg(feature = "attuned")]

use std::error::Error;
use std::hash::RandomState;
use std::io;
use std::sync::Arc;

use attuned_core::{HealthCheck, HealthState, StateSnapshot as Published, ValidationError};
use attuned_store::attuned::v1::{self, StateStore, StoreError as PublishedError};
use attuned_store::{
    MAX_AXES, MemoryStore, SnapshotError, Source, StateSnapshot, StoreError, UserIdError,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn published(user_id: &str, at: i64) -> Published {
    Published::builder()
        .user_id(user_id)
        .updated_at(at)
        .source(attuned_core::Source::Inferred)
        .confidence(0.25)
        .axis("warmth", 0.7)
        .build()
        .unwrap()
}

/// This store and the published one, with a history of so many entries or none.
fn stores(history: Option<usize>) -> [(&'static str, Arc<dyn StateStore>); 2] {
    let ours = match history {
        Some(entries) => MemoryStore::builder().history(entries).build().unwrap(),
        None => MemoryStore::default(),
    };
    let theirs = v1::MemoryStore::new(v1::MemoryStoreConfig {
        enable_history: history.is_some(),
        max_history_per_user: history.unwrap_or(100),
    });
    [("ours", Arc::new(ours)), ("published", Arc::new(theirs))]
}

/// `attuned_core`'s snapshots cannot be compared, and not all be shown; their
/// JSON can.
fn shown(snapshot: &Published) -> Value {
    serde_json::to_value(snapshot).unwrap()
}

async fn latest(store: &dyn StateStore, user_id: &str) -> Option<Value> {
    let latest = store.get_latest(user_id).await.unwrap();
    latest.as_ref().map(shown)
}

async fn history(store: &dyn StateStore, user_id: &str, limit: usize) -> Vec<Value> {
    let history = store.get_history(user_id, limit).await.unwrap();
    history.iter().map(shown).collect()
}

// What the published trait documents, method by method.

#[tokio::test]
async fn upsert_inserts_and_replaces() {
    for (name, store) in stores(None) {
        store.upsert_latest(published("ada", 1)).await.unwrap();
        store.upsert_latest(published("grace", 2)).await.unwrap();
        assert_eq!(
            latest(&*store, "ada").await,
            Some(json!({
                "user_id": "ada",
                "updated_at_unix_ms": 1,
                "source": "inferred",
                "confidence": 0.25,
                "axes": {"warmth": 0.7_f32},
            })),
            "{name}"
        );

        let mut replacement = published("ada", 3);
        replacement.axes = [("formality".to_owned(), 0.5)].into();
        store.upsert_latest(replacement.clone()).await.unwrap();
        let found = latest(&*store, "ada").await;
        assert_eq!(found, Some(shown(&replacement)), "{name}");
        let other = latest(&*store, "grace").await;
        assert_eq!(other, Some(shown(&published("grace", 2))), "{name}");
    }
}

/// The published crates know no bound, so there is no `ValidationError` of it.
#[tokio::test]
async fn more_axes_than_a_state_may_have_are_refused() {
    let mut snapshot = published("ada", 1);
    snapshot.axes = (0..MAX_AXES).map(|n| (format!("axis_{n}"), 0.5)).collect();
    assert!(StateSnapshot::try_from(&snapshot).is_ok());
    snapshot.axes.insert("one_more".to_owned(), 0.5);
    let too_many = SnapshotError::TooManyAxes { max: MAX_AXES };
    assert_eq!(StateSnapshot::try_from(&snapshot), Err(too_many));

    let store = MemoryStore::default();
    let error = v1::StateStore::upsert_latest(&store, snapshot).await;
    let error = error.unwrap_err();
    assert!(matches!(error, PublishedError::Internal { .. }), "{error}");
    assert!(error.to_string().contains("axes are too many"), "{error}");
    assert!(store.is_empty());
}

#[tokio::test]
async fn upsert_validates_before_it_stores() {
    let spoilt: [fn(&mut Published); 9] = [
        |snapshot| snapshot.user_id.clear(),
        |snapshot| snapshot.user_id = "x".repeat(257),
        |snapshot| snapshot.user_id = "ada lovelace".to_owned(),
        |snapshot| snapshot.confidence = 1.5,
        |snapshot| snapshot.confidence = f32::NAN,
        |snapshot| snapshot.axes = [("Warmth".to_owned(), 0.5)].into(),
        |snapshot| snapshot.axes = [(String::new(), 0.5)].into(),
        |snapshot| snapshot.axes = [("warmth".to_owned(), -0.1)].into(),
        |snapshot| snapshot.axes = [("warmth".to_owned(), f32::NAN)].into(),
    ];
    for (number, spoil) in spoilt.iter().enumerate() {
        let mut errors = Vec::new();
        for (name, store) in stores(Some(3)) {
            store.upsert_latest(published("ada", 1)).await.unwrap();
            let mut snapshot = published("ada", 2);
            spoil(&mut snapshot);
            let error = store.upsert_latest(snapshot).await.unwrap_err();
            assert!(
                matches!(error, PublishedError::Validation(_)),
                "{name} {number}: {error}"
            );
            errors.push(error.to_string());

            let before = [shown(&published("ada", 1))];
            assert_eq!(latest(&*store, "ada").await, Some(before[0].clone()));
            assert_eq!(history(&*store, "ada", 9).await, before, "{name} {number}");
        }
        assert_eq!(errors[0], errors[1]);
    }
}

#[tokio::test]
async fn get_of_nobody_is_none() {
    let too_long = "x".repeat(257);
    for (name, store) in stores(Some(3)) {
        store.upsert_latest(published("ada", 1)).await.unwrap();
        // The published trait knows no invalid ids, only absent users.
        for user_id in ["nobody", "", "ada lovelace", "ada ", too_long.as_str()] {
            assert_eq!(latest(&*store, user_id).await, None, "{name} {user_id:?}");
            let history = history(&*store, user_id, 9).await;
            assert!(history.is_empty(), "{name} {user_id:?}");
            store.delete(user_id).await.unwrap();
        }
        assert!(latest(&*store, "ada").await.is_some(), "{name}");
    }
}

#[tokio::test]
async fn delete_removes_all_of_the_user_and_nobody_else() {
    for (name, store) in stores(Some(3)) {
        for at in 1..=3 {
            store.upsert_latest(published("ada", at)).await.unwrap();
            store.upsert_latest(published("grace", at)).await.unwrap();
        }
        store.delete("ada").await.unwrap();
        store.delete("ada").await.unwrap();
        assert_eq!(latest(&*store, "ada").await, None, "{name}");
        assert!(history(&*store, "ada", 9).await.is_empty(), "{name}");
        assert_eq!(history(&*store, "grace", 9).await.len(), 3, "{name}");

        store.upsert_latest(published("ada", 4)).await.unwrap();
        let anew = history(&*store, "ada", 9).await;
        assert_eq!(anew, [shown(&published("ada", 4))], "{name}");
    }
}

#[tokio::test]
async fn history_is_newest_first_and_bounded_by_store_and_limit() {
    for (name, store) in stores(Some(3)) {
        // Ordered as written, not as the timestamps say.
        let written = [5, 1, 4, 2, 3].map(|at| published("ada", at));
        for snapshot in written.clone() {
            store.upsert_latest(snapshot).await.unwrap();
        }
        let newest_first: Vec<_> = written.iter().rev().map(shown).collect();
        for (limit, entries) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (usize::MAX, 3)] {
            let found = history(&*store, "ada", limit).await;
            assert_eq!(found, newest_first[..entries], "{name} limit {limit}");
        }
    }
}

#[tokio::test]
async fn without_a_history_it_is_empty() {
    for (name, store) in stores(None) {
        store.upsert_latest(published("ada", 1)).await.unwrap();
        assert!(history(&*store, "ada", 9).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn it_is_healthy() {
    for (name, store) in stores(None) {
        assert!(store.health_check().await.unwrap(), "{name}");
    }
    let ours = MemoryStore::default().check().await;
    let theirs = v1::MemoryStore::default().check().await;
    assert_eq!(ours.status, HealthState::Healthy);
    assert_eq!(
        serde_json::to_value(ours).unwrap(),
        serde_json::to_value(theirs).unwrap()
    );
}

/// The published crate's own test of concurrency.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_tasks_store_a_hundred_users() {
    let store = MemoryStore::default();
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .upsert_latest(published(&format!("user_{n}"), n))
                    .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(store.len(), 100);
}

#[tokio::test]
async fn both_traits_and_all_clones_are_one_store() {
    let store = MemoryStore::builder()
        .history(2)
        .hasher(RandomState::new())
        .build()
        .unwrap();
    let old: Box<dyn v1::StateStore> = Box::new(store.clone());
    let new: Box<dyn attuned_store::StateStore> = Box::new(store.clone());

    old.upsert_latest(published("ada", 1)).await.unwrap();
    assert_eq!(store.get("ada").unwrap().updated_at_unix_ms(), 1);
    new.upsert_latest(StateSnapshot::try_from(published("ada", 2)).unwrap())
        .await
        .unwrap();
    let written: Vec<_> = [2, 1].map(|at| shown(&published("ada", at))).into();
    assert_eq!(history(&*old, "ada", 9).await, written);
    assert!(new.delete("ada").await.unwrap());
    assert_eq!(latest(&*old, "ada").await, None);
}

#[tokio::test]
async fn nothing_happens_before_a_future_is_polled() {
    let store = MemoryStore::default();
    drop(StateStore::upsert_latest(&store, published("ada", 1)));
    assert!(store.is_empty());
    store.upsert_latest(published("ada", 1)).await.unwrap();
    drop(StateStore::delete(&store, "ada"));
    assert_eq!(store.len(), 1);
}

// Conversions.

#[test]
fn sources_convert_both_ways() {
    for (ours, theirs) in [
        (Source::SelfReport, attuned_core::Source::SelfReport),
        (Source::Inferred, attuned_core::Source::Inferred),
        (Source::Mixed, attuned_core::Source::Mixed),
    ] {
        assert_eq!(attuned_core::Source::from(ours), theirs);
        assert_eq!(Source::try_from(theirs), Ok(ours));
    }
}

/// `Debug` of the published snapshot panics on this id; nothing here uses it.
#[tokio::test]
async fn an_id_with_a_character_across_byte_4_is_as_good_as_any() {
    let snapshot = StateSnapshot::try_from(published("aaaé", 1)).unwrap();
    assert_eq!(snapshot.user_id(), "aaaé");
    assert_eq!(Published::from(snapshot).user_id, "aaaé");

    let store = MemoryStore::default();
    store.upsert_latest(published("aaaé", 1)).await.unwrap();
    let found = latest(&store, "aaaé").await;
    assert_eq!(found, Some(shown(&published("aaaé", 1))));

    let mut spoilt = published("aaaé", 1);
    spoilt.confidence = 2.0;
    let error = store.upsert_latest(spoilt).await.unwrap_err();
    assert!(!error.to_string().contains("aaa"), "{error}");
}

#[test]
fn an_error_keeps_its_rule() {
    let converted = |error: StoreError| match PublishedError::from(error) {
        PublishedError::Validation(error) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        converted(UserIdError::Empty.into()),
        ValidationError::EmptyUserId
    );
    assert_eq!(
        converted(
            UserIdError::TooLong {
                length: 300,
                max: 256
            }
            .into()
        ),
        ValidationError::UserIdTooLong { max: 256 }
    );
    let missing = StateSnapshot::builder().build().unwrap_err();
    assert_eq!(
        converted(missing.into()),
        ValidationError::MissingField {
            field: "user_id".to_owned()
        }
    );
}

/// The published error repeats the name whole.
#[test]
fn an_axis_name_that_is_too_long_is_shown_shortened() {
    let mut snapshot = published("ada", 1);
    snapshot.axes = [("x".repeat(1_000), 0.5)].into();
    let error = StateSnapshot::try_from(&snapshot).unwrap_err();
    match PublishedError::from(StoreError::from(error)) {
        PublishedError::Validation(ValidationError::InvalidAxisName { axis }) => {
            assert_eq!(axis, format!("{}…", "x".repeat(64)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_of_no_rule_keeps_its_cause() {
    let missing = StoreError::UserNotFound {
        user_id: "ada".to_owned(),
    };
    assert!(matches!(
        PublishedError::from(missing),
        PublishedError::UserNotFound { user_id } if user_id == "ada"
    ));

    let failed = PublishedError::from(StoreError::internal(io::Error::from(
        io::ErrorKind::TimedOut,
    )));
    assert_eq!(failed.to_string(), "storage error: timed out");
    let cause = failed.source().unwrap().downcast_ref::<io::Error>();
    assert_eq!(cause.unwrap().kind(), io::ErrorKind::TimedOut);

    let unsupported = PublishedError::from(StoreError::Unsupported { operation: "scan" });
    assert!(matches!(unsupported, PublishedError::Internal { .. }));
    assert_eq!(
        unsupported.to_string(),
        "storage error: unsupported operation: scan"
    );
    let cause = unsupported.source().unwrap().downcast_ref::<StoreError>();
    assert!(matches!(cause, Some(StoreError::Unsupported { .. })));

    let unknown = SnapshotError::UnknownSource {
        name: "guessed".to_owned(),
    };
    let unknown = PublishedError::from(StoreError::from(unknown));
    assert_eq!(
        unknown.to_string(),
        r#"storage error: source "guessed" is unknown"#
    );
    assert!(unknown.source().unwrap().is::<SnapshotError>());
}

// Whatever the input.

/// A published snapshot whose `Debug` does not panic.
#[derive(Clone)]
struct Readable(Published);

impl std::fmt::Debug for Readable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} {} {:?} {} {:?}",
            self.0.user_id,
            self.0.updated_at_unix_ms,
            self.0.source,
            self.0.confidence,
            self.0.axes
        )
    }
}

fn source() -> impl Strategy<Value = attuned_core::Source> {
    prop::sample::select(vec![
        attuned_core::Source::SelfReport,
        attuned_core::Source::Inferred,
        attuned_core::Source::Mixed,
    ])
}

fn axis_name() -> impl Strategy<Value = String> {
    let canonical: Vec<_> = attuned_core::CANONICAL_AXES
        .iter()
        .map(|axis| axis.name.to_owned())
        .collect();
    prop_oneof![
        prop::sample::select(canonical),
        "[a-z0-9]([a-z0-9_]{0,62}[a-z0-9])?",
    ]
}

fn fraction() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => 0.0_f32..=1.0,
        1 => prop::sample::select(vec![0.0, -0.0, 1.0, f32::MIN_POSITIVE, f32::from_bits(1)]),
    ]
}

/// Any published snapshot that its own crate finds valid.
fn valid() -> impl Strategy<Value = Readable> {
    (
        prop_oneof!["[a-zA-Z0-9_\\-é漢٣]{1,30}", "[a-c]", "[a-z]{250,256}"],
        any::<i64>(),
        source(),
        fraction(),
        prop::collection::btree_map(axis_name(), fraction(), 0..30),
    )
        .prop_map(|(user_id, updated_at_unix_ms, source, confidence, axes)| {
            Readable(Published {
                user_id,
                updated_at_unix_ms,
                source,
                confidence,
                axes,
            })
        })
}

/// Published snapshots, of which a part breaks rules.
fn any_snapshot() -> impl Strategy<Value = Readable> {
    let number = || prop_oneof![4 => fraction(), 1 => -0.1_f32..1.1, 1 => any::<f32>()];
    let user_id = prop_oneof![4 => "[a-c]", 1 => "[a-c é]{0,2}", 1 => "[é]{126,130}"];
    let name = prop_oneof![4 => axis_name(), 1 => "[a-zA-Z_0-9é]{0,4}"];
    (
        user_id,
        0_i64..1_000,
        source(),
        number(),
        prop::collection::btree_map(name, number(), 0..4),
    )
        .prop_map(|(user_id, updated_at_unix_ms, source, confidence, axes)| {
            Readable(Published {
                user_id,
                updated_at_unix_ms,
                source,
                confidence,
                axes,
            })
        })
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(Readable),
    Get(String),
    History(String, usize),
    Delete(String),
}

impl Step {
    /// What the store answers, in a form that compares.
    async fn on(self, store: &dyn StateStore) -> Result<Value, String> {
        let answer = match self {
            Self::Upsert(Readable(snapshot)) => {
                store.upsert_latest(snapshot).await.map(|()| json!("done"))
            }
            Self::Get(user_id) => {
                let latest = store.get_latest(&user_id).await;
                latest.map(|latest| json!(latest.as_ref().map(shown)))
            }
            Self::History(user_id, limit) => {
                let history = store.get_history(&user_id, limit).await;
                history.map(|history| history.iter().map(shown).collect())
            }
            Self::Delete(user_id) => store.delete(&user_id).await.map(|()| json!("done")),
        };
        answer.map_err(|error| error.to_string())
    }
}

fn step() -> impl Strategy<Value = Step> {
    let user_id = || prop_oneof![6 => "[a-c]", 1 => "[a-c é]{0,2}"];
    prop_oneof![
        5 => any_snapshot().prop_map(Step::Upsert),
        2 => user_id().prop_map(Step::Get),
        2 => (user_id(), 0_usize..6).prop_map(|(user_id, limit)| Step::History(user_id, limit)),
        1 => user_id().prop_map(Step::Delete),
    ]
}

proptest! {
    #[test]
    fn there_and_back_nothing_changes(
        Readable(published) in valid(),
    ) {
        prop_assert!(published.validate().is_ok());
        let ours = StateSnapshot::try_from(&published).unwrap();
        let back = Published::from(&ours);

        prop_assert_eq!(&back.user_id, &published.user_id);
        prop_assert_eq!(back.updated_at_unix_ms, published.updated_at_unix_ms);
        prop_assert_eq!(&back.source, &published.source);
        prop_assert_eq!(back.confidence.to_bits(), published.confidence.to_bits());
        let bits = |snapshot: &Published| -> Vec<_> {
            let axes = snapshot.axes.iter();
            axes.map(|(name, value)| (name.clone(), value.to_bits())).collect()
        };
        prop_assert_eq!(bits(&back), bits(&published));

        prop_assert_eq!(&StateSnapshot::try_from(back).unwrap(), &ours);
        #[cfg(feature = "serde")]
        prop_assert_eq!(
            serde_json::to_string(&ours).unwrap(),
            serde_json::to_string(&published).unwrap()
        );
    }

    #[test]
    fn the_same_is_refused_for_the_same_reason(
        Readable(published) in any_snapshot(),
    ) {
        let expected = published.validate().map_err(|error| PublishedError::from(error).to_string());
        let converted = StateSnapshot::try_from(published)
            .map(drop)
            .map_err(|error| PublishedError::from(StoreError::from(error)).to_string());
        prop_assert_eq!(converted, expected);
    }

    #[test]
    fn one_after_another_the_published_store_answers_the_same(
        history in prop::option::of(1_usize..4),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let [(_, ours), (_, theirs)] = stores(history);
        for step in steps {
            let ours = runtime.block_on(step.clone().on(&*ours));
            let theirs = runtime.block_on(step.clone().on(&*theirs));
            prop_assert_eq!(ours, theirs, "{:?}", step);
        }
    }
}
