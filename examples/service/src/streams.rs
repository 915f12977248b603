//! The event streams that are open, and how they end.

use futures_util::{Stream, StreamExt as _};
use tokio::sync::watch;

/// All event streams of the service.
///
/// One has no end of its own, so it would hold up the end of the service.
pub struct Streams(watch::Sender<bool>);

impl Streams {
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// These events, until all streams are ended.
    pub fn open<S: Stream>(&self, events: S) -> impl Stream<Item = S::Item> + use<S> {
        let mut end = self.0.subscribe();
        events.take_until(async move { end.wait_for(|ended| *ended).await.is_ok() })
    }

    /// Ends all, and those that are opened later at their beginning.
    pub fn end(&self) {
        self.0.send_replace(true);
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.0.receiver_count()
    }
}
