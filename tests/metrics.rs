//! What a recorder of the metrics facade is told.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use attuned_store::{Expected, MemoryStore};
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
}

impl Last {
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
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        assert_eq!(key.labels().count(), 0, "{key}");
        let mut counters = self.counters.lock().unwrap();
        let value = counters.entry(key.name().to_owned()).or_default();
        Counter::from_arc(Arc::clone(value))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        assert_eq!(key.labels().count(), 0, "{key}");
        let mut gauges = self.gauges.lock().unwrap();
        let value = gauges.entry(key.name().to_owned()).or_default();
        Gauge::from_arc(Arc::clone(value))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("{key} is a histogram");
    }
}

fn named<T: Copy, const N: usize>(figures: [(&str, T); N]) -> Vec<(String, T)> {
    figures
        .map(|(name, value)| (format!("attuned.store.{name}"), value))
        .to_vec()
}

#[test]
fn every_figure_is_recorded_as_what_it_is() {
    let store = MemoryStore::builder().history(2).build().unwrap();
    // Figures that are all different.
    for user_id in ["ada", "grace", "alan"] {
        for at in 1..=4 {
            store.upsert(snapshot(user_id, at)).unwrap();
        }
    }
    assert!(store.remove("alan"));
    for _ in 0..7 {
        store
            .upsert_if(snapshot("ada", 9), Expected::Absent)
            .unwrap_err();
    }
    let recorder = Last::default();
    with_local_recorder(&recorder, || store.stats().record());
    assert_eq!(
        recorder.gauges(),
        named([("users", 2.0), ("versions", 4.0)])
    );
    assert_eq!(
        recorder.counters(),
        named([
            ("conflicts", 7),
            ("deletes", 1),
            ("evictions", 6),
            ("upserts", 12),
        ])
    );

    // Absolute figures, not what was added: what is told twice counts once.
    store.upsert(snapshot("ada", 5)).unwrap();
    assert!(store.remove("grace"));
    with_local_recorder(&recorder, || {
        store.stats().record();
        store.stats().record();
    });
    assert_eq!(
        recorder.gauges(),
        named([("users", 1.0), ("versions", 2.0)])
    );
    assert_eq!(
        recorder.counters(),
        named([
            ("conflicts", 7),
            ("deletes", 2),
            ("evictions", 7),
            ("upserts", 13),
        ])
    );
}

#[test]
fn without_a_recorder_nothing_happens() {
    MemoryStore::default().stats().record();
}
