//! What requests share.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use attuned_store::{MemoryStore, RestoreError, StateStore};

use crate::backend::Backend;
use crate::etag::Tags;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::streams::Streams;

/// The store, and what stands between it and HTTP.
pub struct App {
    /// What reads and writes users. Any backend that keeps the contract would do.
    pub(crate) store: Arc<dyn StateStore>,
    /// The same store as what it is, for three things that the contract does not have: the
    /// sweep, figures (`/metrics`), and checkpoints.
    pub(crate) backend: Backend,
    pub(crate) tags: Tags,
    pub(crate) metrics: Metrics,
    pub(crate) streams: Streams,
    pub(crate) keep_alive: Duration,
}

impl App {
    /// With the store that the settings name. It belongs to the runtime that calls this.
    ///
    /// # Errors
    ///
    /// Settings that the store refuses, a checkpoint that cannot be read, or servers that it
    /// cannot be connected to.
    pub async fn open(settings: &Settings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self::with(Backend::open(settings).await?, settings))
    }

    /// With a store in memory: with the users of the last checkpoint, or an empty one if there
    /// is none.
    ///
    /// # Errors
    ///
    /// Settings that the store refuses, and a checkpoint that cannot be read.
    pub fn in_memory(settings: &Settings) -> Result<Self, RestoreError> {
        Ok(Self::with(Backend::in_memory(settings)?, settings))
    }

    fn with(backend: Backend, settings: &Settings) -> Self {
        Self {
            store: backend.store(),
            tags: backend.tags(),
            backend,
            metrics: Metrics::new(),
            streams: Streams::new(),
            // Without a pause it would send nothing else.
            keep_alive: settings.keep_alive.max(Duration::from_millis(1)),
        }
    }

    /// The store itself, for callers that need more than the contract, if it is in memory.
    pub fn memory(&self) -> Option<&MemoryStore> {
        match &self.backend {
            Backend::Memory(memory) => Some(memory),
            #[cfg(feature = "jetstream")]
            Backend::JetStream(_) => None,
        }
    }
}
