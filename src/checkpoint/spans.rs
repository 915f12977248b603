//! The tracing spans of checkpoints. They are on the level `INFO`, since checkpoints are rare
//! and take long.

use std::fmt::Display;

use tracing::field::{Empty, display};
use tracing::{Span, info_span};

use super::checkpointer::CheckpointProgress;
use super::error::{CheckpointError, RestoreError};
use super::users::Counts;
use super::write::Checkpoint;

/// Runs `write` in a span. While it runs, the fields `done` and `bytes` say how far it is.
pub(super) fn checkpoint(
    users: usize,
    write: impl FnOnce() -> Result<Checkpoint, CheckpointError>,
) -> Result<Checkpoint, CheckpointError> {
    let span = info_span!(
        "attuned.store.checkpoint",
        users,
        done = Empty,
        versions = Empty,
        bytes = Empty,
        error = Empty
    );
    observe(&span, write, |written| {
        span.record("versions", written.versions);
    })
}

/// Records progress on the span of [`checkpoint`], which this runs in.
pub(super) fn progress(progress: &CheckpointProgress) {
    let span = Span::current();
    span.record("done", progress.users);
    span.record("bytes", progress.bytes);
}

/// Runs `restore` in a span.
pub(super) fn restore<T>(
    restore: impl FnOnce() -> Result<(T, Counts), RestoreError>,
) -> Result<T, RestoreError> {
    let span = info_span!(
        "attuned.store.restore",
        users = Empty,
        versions = Empty,
        expired = Empty,
        error = Empty
    );
    let restored = observe(&span, restore, |(_, restored)| {
        span.record("users", restored.users);
        span.record("versions", restored.versions);
        span.record("expired", restored.expired);
    });
    restored.map(|(store, _)| store)
}

fn observe<T, E: Display>(
    span: &Span,
    work: impl FnOnce() -> Result<T, E>,
    succeeded: impl FnOnce(&T),
) -> Result<T, E> {
    let _entered = span.enter();
    let result = work();
    match &result {
        Ok(value) => succeeded(value),
        Err(error) => {
            span.record("error", display(error));
        }
    }
    result
}
