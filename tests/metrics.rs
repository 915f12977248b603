//! What a recorder of the metrics facade is told.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attuned_store::{Expected, HistoryMap, MemoryStore};
use common::snapshot;
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};

/// Keeps the last value of each counter and gauge.
#[derive(Default)]
struct Last {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    described: Mutex<BTreeSet<String>>,
}

impl Last {
    fn describe(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        assert_eq!(unit, Some(Unit::Count), "{name:?}");
        assert!(text.ends_with('.'), "{text}");
        let mut described = self.described.lock().unwrap();
        described.insert(name.as_str().to_owned());
    }

    fn counters(&self) -> Vec<(String, u64)> {
        let counters = self.counters.lock().unwrap();
        let read = |(name, value): (&String, &Arc<AtomicU64>)| (name.clone(), value.load(SeqCst));
        counters.iter().map(read).collect()
    }

    fn gauges(&self) -> Vec<(String, f64)> {
        let gauges = self.gauges.lock().unwrap();
        let read = |(name, bits): (&String, &Arc<AtomicU64>)| {
            (name.clone(), f64::from_bits(bits.load(SeqCst)))
        };
        gauges.iter().map(read).collect()
    }
}

impl Recorder for Last {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(name, unit, text);
    }
    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(name, unit, text);
    }
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.counters.lock().unwrap();
        let value = counters.entry(name_and_store(key)).or_default();
        Counter::from_arc(Arc::clone(value))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let mut gauges = self.gauges.lock().unwrap();
        let value = gauges.entry(name_and_store(key)).or_default();
        Gauge::from_arc(Arc::clone(value))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("{key} is a histogram");
    }
}

/// The name of a figure and the one label that it has.
fn name_and_store(key: &Key) -> String {
    let labels: Vec<_> = key.labels().collect();
    let [label] = labels[..] else {
        panic!("{key} has not one label");
    };
    assert_eq!(label.key(), "store");
    format!("{} of {}", key.name(), label.value())
}

fn named<T: Copy, const N: usize>(figures: [(&str, T); N]) -> Vec<(String, T)> {
    figures
        .map(|(name, value)| (format!("attuned.store.{name} of sessions"), value))
        .to_vec()
}

#[test]
fn every_figure_is_recorded_as_what_it_is() {
    let store = MemoryStore::builder().history(2).build().unwrap();
    // Figures that are all different.
    for user_id in ["edsger", "barbara", "tony"] {
        store.insert(snapshot(user_id, 1)).unwrap();
    }
    assert_eq!(store.expire_older_than(Duration::ZERO), 3);
    for user_id in ["ada", "grace", "alan"] {
        for at in 1..=4 {
            store.insert(snapshot(user_id, at)).unwrap();
        }
    }
    assert!(store.remove("alan").unwrap());
    for _ in 0..7 {
        store
            .insert_if(snapshot("ada", 9), Expected::Absent)
            .unwrap_err();
    }
    let recorder = Last::default();
    with_local_recorder(&recorder, || store.stats().record_as("sessions"));
    assert_eq!(recorder.gauges(), named([("keys", 2.0), ("versions", 4.0)]));
    assert_eq!(
        recorder.counters(),
        named([
            ("conflicts", 7),
            ("evictions", 6),
            ("expirations", 3),
            ("removals", 1),
            ("writes", 15),
        ])
    );

    // Absolute figures, not what was added: what is told twice counts once.
    store.insert(snapshot("ada", 5)).unwrap();
    assert!(store.remove("grace").unwrap());
    with_local_recorder(&recorder, || {
        store.stats().record_as("sessions");
        store.stats().record_as("sessions");
    });
    assert_eq!(recorder.gauges(), named([("keys", 1.0), ("versions", 2.0)]));
    assert_eq!(
        recorder.counters(),
        named([
            ("conflicts", 7),
            ("evictions", 7),
            ("expirations", 3),
            ("removals", 2),
            ("writes", 16),
        ])
    );
}

#[test]
fn the_stores_of_a_process_are_told_apart() {
    let (sessions, features) = (MemoryStore::default(), HistoryMap::default());
    let recorder = Last::default();
    with_local_recorder(&recorder, || {
        for n in 0..100 {
            let user_id = format!("user-{n}");
            sessions.insert(snapshot(&user_id, 1)).unwrap();
        }
        features.insert("dark-mode", true).unwrap();
        sessions.stats().record_as("sessions");
        features.stats().record_as("features");
    });
    let gauges: BTreeMap<_, _> = recorder.gauges().into_iter().collect();
    assert_eq!(gauges["attuned.store.keys of sessions"], 100.0);
    assert_eq!(gauges["attuned.store.keys of features"], 1.0);
    let counters: BTreeMap<_, _> = recorder.counters().into_iter().collect();
    assert_eq!(counters["attuned.store.writes of sessions"], 100);
    assert_eq!(counters["attuned.store.writes of features"], 1);
}

#[test]
fn every_figure_is_described() {
    let recorder = Last::default();
    with_local_recorder(&recorder, || {
        MemoryStore::default().stats().record_as("sessions");
    });
    let figures = recorder.gauges().into_iter().map(|(name, _)| name);
    let figures = figures.chain(recorder.counters().into_iter().map(|(name, _)| name));
    let names: BTreeSet<_> = figures
        .map(|name| name.replace(" of sessions", ""))
        .collect();
    assert_eq!(*recorder.described.lock().unwrap(), names);
    assert_eq!(names.len(), 7);
}

#[test]
fn without_a_recorder_nothing_happens() {
    MemoryStore::default().stats().record_as("sessions");
}
