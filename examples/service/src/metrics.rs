//! The figures of the store and of the service, as Prometheus reads them.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::app::App;

/// A recorder of this service alone.
///
/// If your program has other metrics, too, use `install_recorder` instead, which makes
/// one for the whole process. Then `record_as` needs no recorder around it.
pub struct Metrics(PrometheusRecorder);

impl Metrics {
    pub fn new() -> Self {
        Self(PrometheusBuilder::new().build_recorder())
    }

    pub fn text(&self, app: &App) -> String {
        metrics::with_local_recorder(&self.0, || {
            app.backend.record();
            metrics::describe_gauge!("state_service.event_streams", "Open event streams");
            metrics::gauge!("state_service.event_streams").set(app.streams.count() as f64);
        });
        self.0.handle().render()
    }
}
