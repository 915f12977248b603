//! Users that are made up.

use std::thread;
use std::time::{Duration, Instant};

use attuned_store::MemoryStore;

use crate::input::MadeUp;
use crate::{Error, Result};

/// How many snapshots each user begins with, so that there is some history.
pub const SNAPSHOTS_PER_USER: u64 = 4;

pub fn user_ids(users: u32) -> Vec<String> {
    (0..users).map(|user| format!("user_{user:06}")).collect()
}

/// Gives each user a first few snapshots.
pub fn fill(store: &MemoryStore, users: &[String], threads: usize) -> Result<Duration> {
    let start = Instant::now();
    thread::scope(|scope| -> Result<()> {
        for (seed, users) in users.chunks(users.len().div_ceil(threads)).enumerate() {
            thread::Builder::new()
                .spawn_scoped(scope, move || fill_some(store, users, seed as u64))
                .map_err(Error::Thread)?;
        }
        Ok(())
    })?;
    Ok(start.elapsed())
}

fn fill_some(store: &MemoryStore, users: &[String], seed: u64) {
    let mut events = MadeUp::new(seed);
    for _ in 0..SNAPSHOTS_PER_USER {
        for user_id in users {
            store.upsert(events.event(user_id)).unwrap();
        }
    }
}
