//! The figures of the store, as Prometheus reads them.

use attuned_store::Stats;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

/// A recorder of this service alone.
///
/// If your program has other metrics, too, use `install_recorder` instead, which makes
/// one for the whole process. Then `record_as` needs no recorder around it.
pub struct Metrics(PrometheusRecorder);

impl Metrics {
    pub fn new() -> Self {
        Self(PrometheusBuilder::new().build_recorder())
    }

    pub fn text(&self, stats: &Stats) -> String {
        metrics::with_local_recorder(&self.0, || stats.record_as("users"));
        self.0.handle().render()
    }
}
