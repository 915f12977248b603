//! A stream of an operation that the backend does not have.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Result, StoreError};

/// Gives one error and ends.
pub(super) struct Refusal<T> {
    operation: Option<&'static str>,
    items: PhantomData<fn() -> T>,
}

impl<T> Refusal<T> {
    pub(super) fn of(operation: &'static str) -> Self {
        Self {
            operation: Some(operation),
            items: PhantomData,
        }
    }
}

impl<T> Stream for Refusal<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let operation = self.get_mut().operation.take();
        Poll::Ready(operation.map(|operation| Err(StoreError::Unsupported { operation })))
    }
}
