//! What those who watch a key, or all keys, are given.

use std::fmt;
use std::future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::redacted::Redacted;
use crate::removal::RemovalCause;
use crate::revision::Revision;
use crate::versioned::Versioned;

/// A change of a key, or of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<V> {
    /// What is the latest now. The first event of a [`Watch`] is this if something was there
    /// when the watch began.
    Put(Versioned<V>),
    /// What was given last is not there any more, and nothing has come in its place.
    Removed {
        /// Orders the removal among the writes: greater than the revision of each write before
        /// it, less than that of each write after it.
        revision: Revision,
        /// Why it is gone.
        cause: RemovalCause,
    },
}

impl<V> Event<V> {
    /// Of the write, or of the removal.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put(versioned) => versioned.revision,
            Self::Removed { revision, .. } => *revision,
        }
    }

    /// The same change with another form of the value.
    pub fn map<W>(self, change: impl FnOnce(V) -> W) -> Event<W> {
        match self {
            Self::Put(versioned) => Event::Put(versioned.map(change)),
            Self::Removed { revision, cause } => Event::Removed { revision, cause },
        }
    }
}

/// What one who watches everything is given.
#[derive(Clone, PartialEq, Eq)]
pub enum AnyEvent<V> {
    /// One key has changed, or was there when the watch began.
    Of {
        /// The key, or the id of the user.
        key: String,
        /// What has become of it.
        event: Event<V>,
    },
    /// All that was there when the watch began has been given, as it was then or as it has
    /// become since, unless it is gone. Given once.
    CaughtUp,
}

/// Shows at most the first four characters of the key, which can be a user id
/// ([User ids](crate::StoreError#user-ids)).
impl<V: fmt::Debug> fmt::Debug for AnyEvent<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of { key, event } => f
                .debug_struct("Of")
                .field("key", &Redacted(key))
                .field("event", event)
                .finish(),
            Self::CaughtUp => f.write_str("CaughtUp"),
        }
    }
}

/// A watch: a stream of [`Event`]s of one key, or of [`AnyEvent`]s.
///
/// It is a [`Stream`], and has the one method that most need, [`next`](Self::next). It works
/// on any executor. To end the watch, drop it.
///
/// ```
/// use std::sync::Arc;
/// use attuned_store::{Event, HistoryMap};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let quotes = Arc::new(HistoryMap::builder().build()?);
/// quotes.insert("ACME", 10.0)?;
/// let mut watch = quotes.watch("ACME");
/// assert!(matches!(watch.next().await, Some(Event::Put(quote)) if quote.value == 10.0));
///
/// // Of several changes the watch gives the newest.
/// quotes.insert("ACME", 10.5)?;
/// quotes.insert("ACME", 10.7)?;
/// assert!(matches!(watch.next().await, Some(Event::Put(quote)) if quote.value == 10.7));
///
/// quotes.remove("ACME")?;
/// assert!(matches!(watch.next().await, Some(Event::Removed { .. })));
/// drop(quotes);
/// assert_eq!(watch.next().await, None);
/// # Ok(())
/// # }
/// ```
#[must_use = "a watch does nothing unless it is asked for the next event"]
pub struct Watch<E>(Pin<Box<dyn Stream<Item = E> + Send>>);

impl<E> Watch<E> {
    /// For backends: a watch that gives what this stream does.
    pub fn new(events: impl Stream<Item = E> + Send + 'static) -> Self {
        Self(Box::pin(events))
    }

    /// Waits for the next event. `None` once what is watched, the map or the store, is gone.
    ///
    /// Dropping the future before it is ready loses no event.
    pub async fn next(&mut self) -> Option<E> {
        future::poll_fn(|context| self.0.as_mut().poll_next(context)).await
    }
}

impl<E> Stream for Watch<E> {
    type Item = E;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<E>> {
        self.0.as_mut().poll_next(context)
    }
}

impl<E> fmt::Debug for Watch<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
