//! Walks over all users, which take their time.

use std::future::poll_fn;
use std::pin::pin;

use tokio::task::block_in_place;

/// Waits for a future that does much in a poll. The other tasks of this thread go to
/// another one meanwhile.
///
/// It needs the runtime with several threads, which `#[tokio::main]` makes.
pub async fn walk<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| block_in_place(|| future.as_mut().poll(context))).await
}
