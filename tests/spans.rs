//! The tracing spans of the trait's methods, as a subscriber sees them.

mod common;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use attuned_store::{
    Expected, MemoryStore, Revision, State, StateStore, UserIdField, VersionRange,
};
use common::snapshot;
use futures_util::StreamExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// All that happened to a span.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    name: &'static str,
    level: Level,
    parent: Option<&'static str>,
    /// As they ended up, those recorded later included.
    fields: BTreeMap<&'static str, String>,
    /// In order: the span's life after its opening.
    life: Vec<&'static str>,
}

/// Writes down every span.
#[derive(Clone, Default)]
struct Observer {
    spans: Arc<Mutex<Vec<(u64, Span)>>>,
}

impl Observer {
    fn with(&self, id: &Id, change: impl FnOnce(&mut Span)) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        // The last one: the ids of closed spans come back.
        if let Some((_, span)) = spans.iter_mut().rfind(|(of, _)| *of == id.into_u64()) {
            change(span);
        }
    }

    fn spans(&self) -> Vec<Span> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.iter().map(|(_, span)| span.clone()).collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Observer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut span = Span {
            name: attributes.metadata().name(),
            level: *attributes.metadata().level(),
            parent: context
                .span(id)
                .and_then(|span| span.parent().map(|parent| parent.name())),
            fields: BTreeMap::new(),
            life: Vec::new(),
        };
        attributes.record(&mut Fields(&mut span.fields));
        self.spans.lock().unwrap().push((id.into_u64(), span));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.with(id, |span| values.record(&mut Fields(&mut span.fields)));
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.with(id, |span| span.life.push("enter"));
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        self.with(id, |span| span.life.push("exit"));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.with(&id, |span| span.life.push("close"));
    }
}

/// Writes down every field, with the type that it was recorded as.
struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Fields<'_> {
    fn insert(&mut self, field: &Field, value: String) {
        let before = self.0.insert(field.name(), value);
        assert_eq!(before, None, "{field} was recorded twice");
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("text {value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, format!("text {value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, format!("number {value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, format!("bool {value}"));
    }
}

/// The spans that an action opens, on a runtime of one thread.
fn observe<F: Future<Output = ()>>(action: impl FnOnce() -> F) -> Vec<Span> {
    let observer = Observer::default();
    let subscriber = tracing_subscriber::registry().with(observer.clone());
    tracing::subscriber::with_default(subscriber, || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(action());
        assert!(
            tracing::Span::current().is_none(),
            "a span was left entered"
        );
    });
    observer.spans()
}

/// A span that was opened, entered once, left and closed.
fn span(name: &'static str, fields: &[(&'static str, &str)]) -> Span {
    Span {
        name,
        level: Level::DEBUG,
        parent: None,
        fields: fields
            .iter()
            .map(|&(field, value)| (field, value.to_owned()))
            .collect(),
        life: vec!["enter", "exit", "close"],
    }
}

fn store(field: UserIdField) -> MemoryStore {
    MemoryStore::builder()
        .history(3)
        .user_id_field(field)
        .build()
        .unwrap()
}

#[test]
fn every_method_has_its_span_with_its_outcome() {
    let store = store(UserIdField::Full);
    let contract: &dyn StateStore = &store;
    let spans = observe(|| async {
        contract.get_latest("ada").await.unwrap();
        contract.get_latest_versioned("ada").await.unwrap();
        contract.get_history("ada", 2).await.unwrap();
        contract.delete("ada").await.unwrap();
        for at in 1..=3 {
            contract.upsert_latest(snapshot("ada", at)).await.unwrap();
        }
        contract.get_latest("ada").await.unwrap();
        contract.get_latest_versioned("ada").await.unwrap();
        contract.get_history("ada", 2).await.unwrap();
        contract.get_history("ada", 10).await.unwrap();
        let range = VersionRange::all().limit(2);
        contract.get_versions("ada", range).await.unwrap();
        contract.get_as_of("ada", i64::MAX.into()).await.unwrap();
        contract.get_as_of("ada", i64::MIN.into()).await.unwrap();
        assert_eq!(contract.list().count().await, 1);
        contract.delete("ada").await.unwrap();
        contract.delete_if("ada", Expected::Any).await.unwrap();
        contract.health_check().await.unwrap();
    });

    let ada = ("user_id", "text ada");
    let upsert = span("attuned.store.upsert", &[ada]);
    let get = |found| span("attuned.store.get", &[ada, ("found", found)]);
    let history = |limit, entries| {
        span(
            "attuned.store.history",
            &[ada, ("limit", limit), ("entries", entries)],
        )
    };
    let as_of = |found| span("attuned.store.as_of", &[ada, ("found", found)]);
    let delete = |removed| span("attuned.store.delete", &[ada, ("removed", removed)]);
    assert_eq!(
        spans,
        [
            get("bool false"),
            get("bool false"),
            history("number 2", "number 0"),
            delete("bool false"),
            upsert.clone(),
            upsert.clone(),
            upsert,
            get("bool true"),
            get("bool true"),
            history("number 2", "number 2"),
            history("number 10", "number 3"),
            span("attuned.store.versions", &[ada, ("entries", "number 2")]),
            as_of("bool true"),
            as_of("bool false"),
            span("attuned.store.list", &[("users", "number 1")]),
            delete("bool true"),
            delete("bool false"),
            span("attuned.store.health", &[]),
        ]
    );
}

#[test]
fn a_conditional_write_has_the_span_of_a_write() {
    let store = store(UserIdField::Full);
    let contract: &dyn StateStore = &store;
    let spans = observe(|| async {
        let absent = Expected::Absent;
        contract
            .upsert_if(snapshot("ada", 1), absent)
            .await
            .unwrap();
        let never = Expected::At(Revision::from(u64::MAX));
        contract
            .upsert_if(snapshot("grace", 1), never)
            .await
            .unwrap_err();
    });
    let error = format!(
        "text conflict: expected revision {}, found nothing",
        u64::MAX
    );
    assert_eq!(
        spans,
        [
            span("attuned.store.upsert", &[("user_id", "text ada")]),
            span(
                "attuned.store.upsert",
                &[("user_id", "text grace"), ("error", &error)]
            ),
        ]
    );
}

#[test]
fn many_at_once_have_one_span_with_their_numbers() {
    let store = MemoryStore::builder().max_users(2).build().unwrap();
    let contract: &dyn StateStore = &store;
    let spans = observe(|| async {
        let users = ["ada", "grace", "alan", "ada", "edsger"];
        let snapshots = users.map(|user_id| snapshot(user_id, 1)).to_vec();
        let results = contract.upsert_many(snapshots).await;
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 2);
        contract.upsert_many(Vec::new()).await;
        contract.get_many(&users).await.unwrap();
        contract.get_many(&[]).await.unwrap();
        contract.get_many(&["ada", "", "grace"]).await.unwrap_err();
    });
    let upsert_many = |snapshots, failed| {
        span(
            "attuned.store.upsert_many",
            &[("snapshots", snapshots), ("failed", failed)],
        )
    };
    let get_many = |users, outcome| span("attuned.store.get_many", &[("users", users), outcome]);
    assert_eq!(
        spans,
        [
            upsert_many("number 5", "number 2"),
            upsert_many("number 0", "number 0"),
            get_many("number 5", ("found", "number 3")),
            get_many("number 0", ("found", "number 0")),
            get_many(
                "number 3",
                ("error", "text invalid user id: user_id is empty")
            ),
        ]
    );
}

/// How many spans with a user id [`user_id_fields`] opens.
const IDS: usize = 8;

/// What the field `user_id` says in each span that has one to say.
fn user_id_fields(store: &MemoryStore, user_id: &str) -> Vec<Option<String>> {
    let contract: &dyn StateStore = store;
    observe(|| async {
        contract.upsert_latest(snapshot(user_id, 1)).await.unwrap();
        contract.get_latest(user_id).await.unwrap();
        contract.get_latest_versioned(user_id).await.unwrap();
        contract.get_history(user_id, 1).await.unwrap();
        let all = VersionRange::all();
        contract.get_versions(user_id, all).await.unwrap();
        contract.get_as_of(user_id, 0.into()).await.unwrap();
        contract.delete(user_id).await.unwrap();
        contract.delete_if(user_id, Expected::Any).await.unwrap();
    })
    .iter()
    .map(|span| span.fields.get("user_id").cloned())
    .collect()
}

#[test]
fn the_full_form_is_the_id_as_it_is() {
    for user_id in ["ada", "größe-語"] {
        let expected = Some(format!("text {user_id}"));
        assert_eq!(
            user_id_fields(&store(UserIdField::Full), user_id),
            vec![expected; IDS]
        );
    }
}

#[test]
fn the_hash_is_fnv_1a_of_64_bits_in_16_hexadecimal_digits() {
    // The published test vectors of FNV-1a that are user ids, and one whose
    // hash begins with a zero.
    for (user_id, hash) in [
        ("a", "af63dc4c8601ec8c"),
        ("b", "af63df4c8601f1a5"),
        ("fo", "08985907b541d342"),
        ("foo", "dcb27518fed9d577"),
        ("foobar", "85944171f73967e8"),
    ] {
        let expected = Some(format!("text {hash}"));
        assert_eq!(
            user_id_fields(&store(UserIdField::Hash), user_id),
            vec![expected; IDS],
            "{user_id}"
        );
    }
}

#[test]
fn the_hash_is_the_default() {
    let store = MemoryStore::default();
    let expected = Some("text 85944171f73967e8".to_owned());
    assert_eq!(user_id_fields(&store, "foobar"), vec![expected; IDS]);
}

#[test]
fn switched_off_the_field_has_no_value() {
    assert_eq!(
        user_id_fields(&store(UserIdField::Off), "ada"),
        vec![None; IDS]
    );
}

const INVALID: &str = "ada@example";

async fn ask_with_invalid_id(store: &MemoryStore) {
    store.get_latest(INVALID).await.unwrap_err();
    store.get_latest_versioned(INVALID).await.unwrap_err();
    store.get_history(INVALID, 5).await.unwrap_err();
    store.delete(INVALID).await.unwrap_err();
    let all = VersionRange::all();
    store.get_versions(INVALID, all).await.unwrap_err();
    store.get_as_of(INVALID, 0.into()).await.unwrap_err();
    store
        .delete_if(INVALID, Expected::Absent)
        .await
        .unwrap_err();
}

#[test]
fn an_error_is_recorded_in_place_of_the_outcome() {
    let store = store(UserIdField::Off);
    let error = (
        "error",
        "text invalid user id: user_id has '@' at byte 3, \
         but only alphanumeric characters, _ and - are allowed",
    );
    assert_eq!(
        observe(|| ask_with_invalid_id(&store)),
        [
            span("attuned.store.get", &[error]),
            span("attuned.store.get", &[error]),
            span("attuned.store.history", &[("limit", "number 5"), error]),
            span("attuned.store.delete", &[error]),
            span("attuned.store.versions", &[error]),
            span("attuned.store.as_of", &[error]),
            span("attuned.store.delete", &[error]),
        ]
    );
}

#[test]
fn the_raw_id_is_in_no_field_unless_it_is_asked_for() {
    const USER: &str = "grace-hopper";
    for (field, shown) in [
        (UserIdField::Full, true),
        (UserIdField::Hash, false),
        (UserIdField::Off, false),
    ] {
        let store = store(field);
        let spans = observe(|| async {
            ask_with_invalid_id(&store).await;
            store.upsert_latest(snapshot(USER, 1)).await.unwrap();
            store.get_latest(USER).await.unwrap();
            store.get_latest_versioned(USER).await.unwrap();
            store.get_history(USER, 5).await.unwrap();
            store.delete(USER).await.unwrap();
        });
        assert_eq!(spans.len(), 12);
        for span in spans {
            let has_id = span
                .fields
                .values()
                .any(|value| value.contains(INVALID) || value.contains(USER));
            assert_eq!(has_id, shown, "{field:?}: {span:?}");
        }
    }
}

#[test]
fn a_span_is_a_child_of_the_one_that_the_caller_is_in() {
    let store = store(UserIdField::Off);
    let spans = observe(|| async {
        let request = tracing::info_span!("request");
        let _entered = request.enter();
        store.health_check().await.unwrap();
        store.get_latest("ada").await.unwrap();
    });
    let parents: Vec<_> = spans.iter().map(|span| (span.name, span.parent)).collect();
    assert_eq!(
        parents,
        [
            ("request", None),
            ("attuned.store.health", Some("request")),
            ("attuned.store.get", Some("request")),
        ]
    );
}

/// Errors are recorded as text: what is kept out of one field must not come in
/// by another.
#[test]
fn an_error_does_not_bring_in_the_id_that_a_span_leaves_out() {
    let bounded = |field| {
        let builder = MemoryStore::builder().user_id_field(field).max_users(1);
        builder.build().unwrap()
    };
    for field in [UserIdField::Hash, UserIdField::Off] {
        let store = bounded(field);
        let contract: &dyn StateStore = &store;
        let spans = observe(|| async {
            let never = Expected::At(Revision::from(u64::MAX));
            let conflict = contract.upsert_if(snapshot("personal", 1), never).await;
            conflict.unwrap_err();
            contract.upsert_latest(snapshot("first", 1)).await.unwrap();
            let refused = contract.upsert_latest(snapshot("personal", 1)).await;
            refused.unwrap_err();
            contract.get_latest("personal data").await.unwrap_err();
            contract.get_many(&["personal data"]).await.unwrap_err();
        });
        let errors = spans
            .iter()
            .filter(|span| span.fields.contains_key("error"));
        assert_eq!(errors.count(), 4, "{spans:?}");
        assert!(!format!("{spans:?}").contains("personal"), "{spans:?}");
    }
}

#[test]
fn a_call_behind_pointers_has_one_span() {
    let store: Arc<dyn StateStore> = Arc::new(Box::new(store(UserIdField::Off)));
    let spans = observe(|| async {
        store.get_latest("ada").await.unwrap();
    });
    assert_eq!(
        spans,
        [span("attuned.store.get", &[("found", "bool false")])]
    );
}

#[test]
fn a_future_that_is_not_polled_has_no_span() {
    let store = store(UserIdField::Full);
    let spans = observe(|| async {
        drop(store.upsert_latest(snapshot("ada", 1)));
        drop(store.get_latest("ada"));
        drop(store.get_latest_versioned("ada"));
        drop(store.upsert_if(snapshot("ada", 1), Expected::Absent));
        drop(store.get_many(&["ada"]));
        drop(store.upsert_many(vec![snapshot("ada", 1)]));
        drop(store.get_history("ada", 1));
        drop(store.delete("ada"));
        drop(store.delete_if("ada", Expected::Any));
        drop(store.get_versions("ada", VersionRange::all()));
        drop(store.get_as_of("ada", 0.into()));
        drop(store.list());
        drop(store.health_check());
    });
    assert_eq!(spans, []);
}

#[test]
fn the_synchronous_methods_have_no_spans() {
    let store = store(UserIdField::Full);
    let spans = observe(|| async {
        store.insert(snapshot("ada", 1)).unwrap();
        assert!(store.get("ada").is_some());
        assert!(store.get_versioned("ada").is_some());
        assert!(store.with("ada", |_| ()).is_some());
        assert_eq!(store.history("ada", 1).len(), 1);
        assert_eq!(store.versions("ada", VersionRange::all()).len(), 1);
        assert!(store.as_of("ada", i64::MAX).version().is_some());
        assert!(store.contains("ada"));
        let change = |_: Option<&State>| State::builder();
        store.update("ada", change).unwrap();
        store
            .insert_if(snapshot("grace", 1), Expected::Absent)
            .unwrap();
        store.for_each(|_, _| {});
        assert_eq!(store.stats().keys, 2);
        assert_eq!(store.retain(|user_id, _| user_id == "ada"), 1);
        assert!(store.remove("ada").unwrap());
        store.clear();
        assert!(store.is_empty());

        store.insert(snapshot("ada", 1)).unwrap();
        store.pin(|view| {
            assert!(view.get("ada").is_some());
            assert!(view.get_versioned("ada").is_some());
            assert!(view.with("ada", |_| ()).is_some());
            assert_eq!(view.history("ada", 1).len(), 1);
            assert!(view.contains("ada"));
        });
        assert!(store.remove_if("ada", Expected::Any).unwrap());
    });
    assert_eq!(spans, []);
}
