//! Futures that have nothing to wait for.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls once, which is enough: the store in memory has nothing to wait for.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("an operation in memory was not ready at once"),
    }
}
