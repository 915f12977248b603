//! Forgets users whom nobody has written for long.

use std::convert::Infallible;
use std::future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attuned_store::{Expected, MemoryStore};
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
        let swept = tokio::task::spawn_blocking(move || {
            forget_written_before(&memory, unix_ms(SystemTime::now(), forget_after))
        });
        match swept.await {
            Ok(0) => {}
            Ok(users) => tracing::info!(users, "forgotten"),
            Err(error) => tracing::error!(%error, "a sweep failed"),
        }
    }
}

/// Removes the users whose last write was before that time, and returns how many.
///
/// It goes by the time of the write. [`MemoryStore::expire_before`] goes by the time in the
/// state, which is what the client says.
pub fn forget_written_before(memory: &MemoryStore, unix_ms: i64) -> usize {
    let is_forgotten = |id: &String| {
        memory.get_versioned(id).is_some_and(|latest| {
            // A user who is written in between has another revision then, and stays.
            latest.written_at < unix_ms
                && memory
                    .remove_if(id, Expected::At(latest.revision))
                    .unwrap_or(false)
        })
    };
    memory
        .user_ids()
        .iter()
        .filter(|id| is_forgotten(id))
        .count()
}

/// So long before `now`, in milliseconds since the Unix epoch; never before that.
fn unix_ms(now: SystemTime, before: Duration) -> i64 {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.saturating_sub(before).as_millis()).unwrap_or(i64::MAX)
}
