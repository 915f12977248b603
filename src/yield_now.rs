//! How a future lets others go first.

use std::future;
use std::task::Poll;

/// Lets the executor, or the task that polls several futures, poll the others first. It works
/// on any executor.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    future::poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
