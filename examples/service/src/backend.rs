//! Where the users are: in memory, or on a log that several processes share.

use std::error::Error;
use std::sync::Arc;

#[cfg(feature = "jetstream")]
use attuned_store::JetStreamStore;
use attuned_store::{MemoryStore, RestoreError, StateStore};

use crate::etag::Tags;
use crate::settings::Settings;

/// A store as what it is, for what the contract does not have.
pub enum Backend {
    Memory(MemoryStore),
    #[cfg(feature = "jetstream")]
    JetStream(JetStreamStore),
}

impl Backend {
    /// With the users of the last checkpoint, or empty if there is none.
    pub fn in_memory(settings: &Settings) -> Result<Self, RestoreError> {
        let mut memory = MemoryStore::builder()
            .history(settings.history)
            .max_users(settings.max_users);
        if let Some(time) = settings.forget_after {
            memory = memory.time_to_live(time);
        }
        let memory = match &settings.checkpoint {
            Some(path) if path.exists() => {
                let memory = memory.restore_from(path)?;
                tracing::info!(users = memory.len(), "restored");
                memory
            }
            _ => memory.build()?,
        };
        Ok(Self::Memory(memory))
    }

    /// As the settings say.
    pub async fn open(settings: &Settings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        #[cfg(feature = "jetstream")]
        if let Some(servers) = &settings.log.jetstream {
            let log = &settings.log;
            let mut store = JetStreamStore::builder(servers)
                .stream(&log.stream)
                .replicas(log.replicas)
                .history(settings.history);
            if let Some(time) = settings.forget_after {
                store = store.time_to_live(time);
            }
            if let Some(file) = &log.credentials {
                store = store.credentials_file(file);
            }
            if let Some(file) = &log.tls_roots {
                store = store.tls_roots(file);
            }
            return Ok(Self::JetStream(store.connect().await?));
        }
        Ok(Self::in_memory(settings)?)
    }

    /// Behind the contract.
    pub fn store(&self) -> Arc<dyn StateStore> {
        match self {
            Self::Memory(memory) => Arc::new(memory.clone()),
            #[cfg(feature = "jetstream")]
            Self::JetStream(store) => Arc::new(store.clone()),
        }
    }

    /// Revisions live as long as the store does.
    pub fn tags(&self) -> Tags {
        match self {
            Self::Memory(_) => Tags::of_this_run(),
            #[cfg(feature = "jetstream")]
            Self::JetStream(_) => Tags::of_all_runs(),
        }
    }

    /// Tells the recorder of metrics the figures of the store.
    pub fn record(&self) {
        match self {
            Self::Memory(memory) => memory.stats().record_as("users"),
            #[cfg(feature = "jetstream")]
            Self::JetStream(store) => store.stats().record_as("users"),
        }
    }
}
