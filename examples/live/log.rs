//! A store on a log, as a side.

use std::error::Error;
use std::fmt::Display;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use attuned_store::{JetStreamStore, Result, State, StateSnapshot, StateStore, Versioned};
use futures_util::{StreamExt, TryStreamExt};
use tokio::runtime::Runtime;

use crate::side::Side;
use crate::warn;

/// How many users are removed at once.
const AT_ONCE: usize = 256;

/// Reads without a barrier, as the store in memory reads; each write waits for the log.
pub struct Log {
    runtime: Runtime,
    store: JetStreamStore,
    writes: AtomicU64,
}

impl Log {
    /// An empty one: users of an earlier run are removed.
    pub fn connect(
        servers: &[String],
        replicas: Option<usize>,
        history: usize,
        capacity: usize,
    ) -> std::result::Result<Self, Box<dyn Error>> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.enable_all().build()?;
        let one_or_three = if servers.len() < 3 { 1 } else { 3 };
        let store = JetStreamStore::builder(servers)
            .stream(format!("ATTUNED-LIVE-{history}"))
            .replicas(replicas.unwrap_or(one_or_three))
            .history(history)
            .capacity(capacity);
        let store = runtime.block_on(store.connect())?;
        let log = Self {
            runtime,
            store,
            writes: AtomicU64::new(0),
        };
        log.clear()?;
        Ok(log)
    }

    /// Removes all users.
    pub fn clear(&self) -> Result<()> {
        let store = &self.store;
        self.runtime.block_on(async {
            let users: Vec<String> = store.list().try_collect().await?;
            let removals = futures_util::stream::iter(users);
            let removals = removals.map(async |user_id| store.delete(&user_id).await.map(drop));
            removals.buffer_unordered(AT_ONCE).try_collect().await
        })
    }

    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Behind the contract.
    pub fn store(&self) -> Arc<dyn StateStore> {
        Arc::new(self.store.clone())
    }
}

impl Side for Log {
    fn insert(&self, event: StateSnapshot) {
        let written = self.runtime.block_on(self.store.upsert_latest(event));
        written.unwrap_or_else(|error| stop(error));
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    fn insert_many(&self, events: Vec<StateSnapshot>) {
        for written in self.runtime.block_on(self.store.upsert_many(events)) {
            written.unwrap_or_else(|error| stop(error));
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn with<R>(&self, user_id: &str, read: impl FnOnce(&State) -> R) -> Option<R> {
        self.store.local().with(user_id, read)
    }

    fn history(&self, user_id: &str, limit: usize) -> Vec<Versioned<State>> {
        self.store.local().history(user_id, limit)
    }

    fn len(&self) -> usize {
        self.store.local().len()
    }

    fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }
}

/// The servers have failed, in the middle of a thread's work.
fn stop(error: impl Display) -> ! {
    warn(format_args!("error: the log cannot be written: {error}"));
    process::exit(2)
}
