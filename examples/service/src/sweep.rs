//! Forgets users whom nobody has written for long.

use std::convert::Infallible;
use std::future;
use std::time::Duration;

use attuned_store::MemoryStore;
use tokio::time::MissedTickBehavior;

/// Sweeps again and again, until it is dropped.
pub async fn sweep(
    memory: MemoryStore,
    forget_after: Option<Duration>,
    every: Duration,
) -> Infallible {
    let Some(forget_after) = forget_after else {
        return future::pending().await;
    };
    // An interval of nothing would panic.
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let memory = memory.clone();
        // A walk over all users is not for a thread that serves.
        let swept = tokio::task::spawn_blocking(move || memory.expire_older_than(forget_after));
        match swept.await {
            Ok(0) => {}
            Ok(users) => tracing::info!(users, "forgotten"),
            Err(error) => tracing::error!(%error, "a sweep failed"),
        }
    }
}
