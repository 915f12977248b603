//! The tracing spans of a [`MemoryStore`](super::MemoryStore)'s trait methods.
//!
//! They are on level `DEBUG`: a store that is read a million times a second
//! must not fill the log of a service that runs on `INFO`. A disabled one costs
//! some few instructions of the 460 of a `get_latest` through `dyn`.
//! Fields that are not known when a span is opened are declared empty and
//! recorded later.

use tracing::field::{Empty, display};
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::{Level, Span, debug_span};

use crate::store::Result;

/// Of all spans.
const LEVEL: Level = Level::DEBUG;

/// How a user's id appears in the field `user_id` of tracing spans.
///
/// User ids can be personal data, and there are too many different ones for
/// some collectors of spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserIdField {
    /// The id as it is.
    Full,

    /// A hash of the id, in 16 hexadecimal digits: the same for the same id in
    /// every process and every version of this crate, so that the spans of one
    /// user can be found. It is the 64-bit [FNV-1a] hash of the id's UTF-8 bytes.
    ///
    /// It keeps ids out of what people read; it does not hide them from one who
    /// can guess them and compare.
    ///
    /// [FNV-1a]: http://www.isthe.com/chongo/tech/comp/fnv/
    #[default]
    Hash,

    /// Left out: the field never has a value.
    Off,
}

impl UserIdField {
    fn record(self, span: &Span, user_id: &str) {
        if span.is_disabled() {
            return;
        }
        match self {
            Self::Full => span.record("user_id", user_id),
            Self::Hash => span.record(
                "user_id",
                display(format_args!("{:016x}", fnv1a(user_id.as_bytes()))),
            ),
            Self::Off => span,
        };
    }

    pub(crate) fn upsert(self, user_id: &str) -> Span {
        let span = debug_span!("attuned.store.upsert", user_id = Empty, error = Empty);
        self.record(&span, user_id);
        span
    }

    pub(crate) fn get(self, user_id: &str) -> Span {
        let span = debug_span!(
            "attuned.store.get",
            user_id = Empty,
            found = Empty,
            error = Empty
        );
        self.record(&span, user_id);
        span
    }

    pub(crate) fn history(self, user_id: &str, limit: usize) -> Span {
        let span = debug_span!(
            "attuned.store.history",
            user_id = Empty,
            limit,
            entries = Empty,
            error = Empty
        );
        self.record(&span, user_id);
        span
    }

    /// Of the beginning of a watch. Its events are in no span.
    pub(crate) fn watch(self, user_id: &str) -> Span {
        let span = debug_span!("attuned.store.watch", user_id = Empty, error = Empty);
        self.record(&span, user_id);
        span
    }

    pub(crate) fn versions(self, user_id: &str) -> Span {
        let span = debug_span!(
            "attuned.store.versions",
            user_id = Empty,
            entries = Empty,
            error = Empty
        );
        self.record(&span, user_id);
        span
    }

    pub(crate) fn as_of(self, user_id: &str) -> Span {
        let span = debug_span!(
            "attuned.store.as_of",
            user_id = Empty,
            found = Empty,
            error = Empty
        );
        self.record(&span, user_id);
        span
    }

    pub(crate) fn delete(self, user_id: &str) -> Span {
        let span = debug_span!(
            "attuned.store.delete",
            user_id = Empty,
            removed = Empty,
            error = Empty
        );
        self.record(&span, user_id);
        span
    }
}

pub(crate) fn watch_all() -> Span {
    debug_span!("attuned.store.watch_all", error = Empty)
}

pub(crate) fn get_many(users: usize) -> Span {
    debug_span!(
        "attuned.store.get_many",
        users,
        found = Empty,
        error = Empty
    )
}

pub(crate) fn upsert_many(snapshots: usize) -> Span {
    debug_span!("attuned.store.upsert_many", snapshots, failed = Empty)
}

/// Of one pass over the users.
pub(crate) fn list() -> Span {
    debug_span!("attuned.store.list", users = Empty, error = Empty)
}

pub(crate) fn health() -> Span {
    debug_span!("attuned.store.health", error = Empty)
}

/// Runs an operation on its subject inside a span and records how it ended: what
/// `outcome` says of its value, or the error.
#[inline]
pub(crate) fn observe<A, T>(
    subject: A,
    open: impl FnOnce(&A) -> Span,
    operation: impl FnOnce(A) -> Result<T>,
    outcome: impl FnOnce(&Span, &T),
) -> Result<T> {
    // What opening a span would find out, too, but only after making one.
    if LEVEL > STATIC_MAX_LEVEL || LEVEL > LevelFilter::current() {
        return operation(subject);
    }
    observe_in_span(subject, open, operation, outcome)
}

#[cold]
fn observe_in_span<A, T>(
    subject: A,
    open: impl FnOnce(&A) -> Span,
    operation: impl FnOnce(A) -> Result<T>,
    outcome: impl FnOnce(&Span, &T),
) -> Result<T> {
    let span = open(&subject);
    let _entered = span.enter();
    let result = operation(subject);
    record(&span, &result, outcome);
    result
}

/// Records how an operation ended.
pub(crate) fn record<T>(span: &Span, result: &Result<T>, outcome: impl FnOnce(&Span, &T)) {
    match result {
        Ok(value) => outcome(span, value),
        Err(error) => {
            span.record("error", display(error));
        }
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
