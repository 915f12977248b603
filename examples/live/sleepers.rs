//! Threads that have used both maps once, and sleep.

use std::hint::black_box;
use std::sync::{PoisonError, RwLock, mpsc};
use std::thread;

use crate::side::{Side, Sides};
use crate::{Error, Result};

/// They do next to nothing.
const STACK_BYTES: usize = 128 * 1024;

/// Does some work while so many threads sleep that have read this user in both maps.
pub fn while_they_sleep<R>(
    count: usize,
    sides: &Sides<impl Side, impl Side>,
    user_id: &str,
    work: impl FnOnce() -> Result<R>,
) -> Result<R> {
    let bed = RwLock::new(());
    thread::scope(|scope| {
        // They wait for it to be released, however this ends: the scope waits for them.
        let night = bed.write().unwrap_or_else(PoisonError::into_inner);
        let (lies_down, lain_down) = mpsc::sync_channel(count);
        for _ in 0..count {
            let (bed, lies_down) = (&bed, lies_down.clone());
            let sleeper = move || {
                use_once(&sides.attuned, user_id);
                use_once(&sides.dashmap, user_id);
                // Nobody listens any more if some thread could not be started.
                let _ = lies_down.send(());
                drop(bed.read());
            };
            thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, sleeper)
                .map_err(Error::Thread)?;
        }
        lain_down.iter().take(count).for_each(drop);
        let result = work();
        drop(night);
        result
    })
}

fn use_once(side: &impl Side, user_id: &str) {
    black_box(side.with(user_id, |state| state.confidence()));
    black_box(side.history(user_id, 1));
}
