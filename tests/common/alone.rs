//! Tests that are disturbed by any other thread that uses a map.

use std::sync::{Mutex, PoisonError};
use std::thread;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a test in a thread of its own, while no other test of this binary that does the
/// same runs. When this returns, the thread has ended, and its thread-local variables
/// are destroyed: nothing of it is left to the next test.
pub fn alone(test: impl FnOnce() + Send) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let ended = thread::scope(|scope| scope.spawn(test).join());
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}
