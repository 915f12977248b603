//! What requests share.

use std::sync::Arc;
use std::time::Duration;

use attuned_store::{MemoryStore, RestoreError, StateStore};

use crate::etag::Tags;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::streams::Streams;

/// The store, and what stands between it and HTTP.
pub struct App {
    /// What reads and writes users. Any backend that keeps the contract would do.
    pub(crate) store: Arc<dyn StateStore>,
    /// The same store as what it is, for two things that the contract does not have: the
    /// sweep, and figures (`/metrics`).
    pub(crate) memory: MemoryStore,
    pub(crate) tags: Tags,
    pub(crate) metrics: Metrics,
    pub(crate) streams: Streams,
    pub(crate) keep_alive: Duration,
}

impl App {
    /// With the users of the last checkpoint, or with an empty store if there is none.
    ///
    /// # Errors
    ///
    /// Settings that the store refuses, and a checkpoint that cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, RestoreError> {
        let mut builder = MemoryStore::builder()
            .history(settings.history)
            .max_users(settings.max_users);
        if let Some(time_to_live) = settings.forget_after {
            builder = builder.time_to_live(time_to_live);
        }
        let memory = match &settings.checkpoint {
            Some(path) if path.exists() => builder.restore_from(path)?,
            _ => builder.build()?,
        };
        Ok(Self {
            store: Arc::new(memory.clone()),
            memory,
            tags: Tags::of_this_run(),
            metrics: Metrics::new(),
            streams: Streams::new(),
            // Without a pause it would send nothing else.
            keep_alive: settings.keep_alive.max(Duration::from_millis(1)),
        })
    }

    /// The store itself, for callers that need more than the contract.
    pub fn memory(&self) -> &MemoryStore {
        &self.memory
    }
}
