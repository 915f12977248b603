//! What tracing is told of checkpoints. In a binary of its own: what another thread does
//! without a subscriber at the same moment can switch a span off.

#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use attuned_store::MemoryStore;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use common::snapshot;

/// The fields of the spans by their names, the last value of each.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<&'static str, BTreeMap<&'static str, String>>>>);

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let metadata = attributes.metadata();
        if metadata.name().starts_with("attuned.store.") {
            assert_eq!(*metadata.level(), Level::INFO);
            let mut seen = self.0.lock().unwrap();
            attributes.record(&mut Fields(seen.entry(metadata.name()).or_default()));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let name = context.span(id).unwrap().name();
        let mut seen = self.0.lock().unwrap();
        values.record(&mut Fields(seen.entry(name).or_default()));
    }
}

#[test]
fn spans_tell_how_far_it_is_and_how_it_ended() {
    let store = MemoryStore::default();
    for user in 0..3_000 {
        store.insert(snapshot(&format!("user_{user}"), 1)).unwrap();
    }
    let seen = Seen::default();
    let subscriber = tracing_subscriber::registry().with(seen.clone());
    let bytes = tracing::subscriber::with_default(subscriber, || {
        let mut bytes = Vec::new();
        store.checkpoint(&mut bytes).unwrap();
        MemoryStore::builder().restore(bytes.as_slice()).unwrap();
        let _ = MemoryStore::builder().restore(&bytes[..50]);
        bytes
    });
    let seen = seen.0.lock().unwrap();
    let checkpoint = &seen["attuned.store.checkpoint"];
    let length = bytes.len().to_string();
    for (field, value) in [
        ("users", "3000"),
        ("done", "3000"),
        ("versions", "3000"),
        ("bytes", &length),
    ] {
        assert_eq!(checkpoint[field], value, "{field}");
    }
    assert!(!checkpoint.contains_key("error"));
    let restore = &seen["attuned.store.restore"];
    assert_eq!(
        (restore["users"].as_str(), restore["versions"].as_str()),
        ("3000", "3000")
    );
    assert!(
        restore["error"].contains("it ends at byte 50"),
        "{}",
        restore["error"]
    );
}
