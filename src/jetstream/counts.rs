//! What a store has done so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Counts {
    followed_anew: AtomicU64,
    validated: AtomicU64,
    refused: AtomicU64,
    confirmed: AtomicU64,
    expired: AtomicU64,
    unreadable: AtomicU64,
}

impl Counts {
    pub fn followed_anew(&self) {
        self.followed_anew.fetch_add(1, Ordering::Relaxed);
    }

    pub fn validated(&self) {
        self.validated.fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A validated read was answered by what was remembered.
    pub fn confirmed(&self) {
        self.confirmed.fetch_add(1, Ordering::Relaxed);
        self.validated();
    }

    /// This store has taken a user out.
    pub fn expired(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }

    /// A read has met what is no snapshot.
    pub fn unreadable(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    /// All of these, in the fields that are counted here.
    pub fn all(&self) -> Counted {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counted {
            consumers_made_anew: get(&self.followed_anew),
            validated_reads: get(&self.validated),
            refused_validations: get(&self.refused),
            cache_hits: get(&self.confirmed),
            expirations: get(&self.expired),
            unreadable: get(&self.unreadable),
        }
    }
}

/// What was counted by one moment.
pub(super) struct Counted {
    pub consumers_made_anew: u64,
    pub validated_reads: u64,
    pub refused_validations: u64,
    pub cache_hits: u64,
    pub expirations: u64,
    pub unreadable: u64,
}

/// Figures of a [`JetStreamStore`](super::JetStreamStore), from its
/// [`stats`](super::JetStreamStore::stats).
///
/// What is not about this moment counts from when the store was connected. A store that
/// [follows nobody](super::Follow::Nobody) has no replica; what its figures mean is said with
/// each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JetStreamStats {
    /// Users that the replica has. Following nobody: those that are remembered, at most
    /// [`cached_users`](super::JetStreamStoreBuilder::cached_users).
    pub users: u64,
    /// The sequence of the message that the replica has applied last. Following nobody: the
    /// greatest that the store has heard of.
    pub applied: u64,
    /// How many messages of the stream were behind that one when it was delivered.
    pub pending: u64,
    /// How long ago the replica last heard from the stream. It hears twice a second if all
    /// is well. Following nobody: since the last acknowledgement.
    pub silence: Duration,
    /// Whether the replica has applied all that was in the log when it began, or last
    /// started over. Following nobody: always.
    pub caught_up: bool,
    /// How often messages were missed, because they were removed from the stream before
    /// the replica came to them. Each time some reads wait longer.
    pub gaps: u64,
    /// How many messages were missed.
    pub missed: u64,
    /// Messages on the subjects of users that are no snapshots of them. Following nobody: how
    /// often a read met one.
    pub unreadable: u64,
    /// Users who were taken out, by any process, because their
    /// [time to live](super::JetStreamStoreBuilder::time_to_live) was over. Following nobody:
    /// those that this store has taken out.
    pub expirations: u64,
    /// Barriers that were published for reads, each for all that were waiting.
    pub barriers: u64,
    /// Reads that did not wait for the replica, because it lagged. Following nobody: all reads
    /// that went to the servers.
    pub validated_reads: u64,
    /// How often the condition of such a read did not hold, so that it began again.
    pub refused_validations: u64,
    /// Validated reads that took one round trip, because the user was remembered and nobody had
    /// written them meanwhile. Only of a store that follows nobody.
    pub cache_hits: u64,
    /// Connections that were made after the first one.
    pub reconnects: u64,
    /// How often the consumer that delivers the log was made anew.
    pub consumers_made_anew: u64,
    /// How often the replica has begun anew with the first message of the log, since it
    /// was away for too long or the stream was made anew. Following nobody: how often all that
    /// was remembered was forgotten, for the latter reason.
    pub starts_over: u64,
}

#[cfg(feature = "metrics")]
impl JetStreamStats {
    /// Reports the figures to the [metrics](https://docs.rs/metrics) recorder of the program,
    /// with the label `store`. They are named `attuned.jetstream.` and the field; `silence` is
    /// in seconds.
    ///
    /// ```no_run
    /// # async fn report(store: attuned_store::JetStreamStore) {
    /// store.stats().record_as("users");
    /// # }
    /// ```
    #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point")]
    pub fn record_as(&self, store: &'static str) {
        let gauge = |name: &'static str, figure: f64| {
            metrics::gauge!(name, "store" => store).set(figure);
        };
        let counter = |name: &'static str, figure: u64| {
            metrics::counter!(name, "store" => store).absolute(figure);
        };
        describe();
        gauge("attuned.jetstream.users", self.users as f64);
        gauge("attuned.jetstream.pending", self.pending as f64);
        gauge("attuned.jetstream.silence", self.silence.as_secs_f64());
        gauge(
            "attuned.jetstream.caught_up",
            f64::from(u8::from(self.caught_up)),
        );
        // Not a counter: it begins anew with the stream.
        gauge("attuned.jetstream.applied", self.applied as f64);
        counter("attuned.jetstream.gaps", self.gaps);
        counter("attuned.jetstream.missed", self.missed);
        counter("attuned.jetstream.unreadable", self.unreadable);
        counter("attuned.jetstream.expirations", self.expirations);
        counter("attuned.jetstream.barriers", self.barriers);
        counter("attuned.jetstream.validated_reads", self.validated_reads);
        counter(
            "attuned.jetstream.refused_validations",
            self.refused_validations,
        );
        counter("attuned.jetstream.cache_hits", self.cache_hits);
        counter("attuned.jetstream.reconnects", self.reconnects);
        counter(
            "attuned.jetstream.consumers_made_anew",
            self.consumers_made_anew,
        );
        counter("attuned.jetstream.starts_over", self.starts_over);
    }
}

#[cfg(feature = "metrics")]
fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge};

    for (name, unit, meaning) in [
        (
            "attuned.jetstream.users",
            Unit::Count,
            "Users of the replica.",
        ),
        (
            "attuned.jetstream.pending",
            Unit::Count,
            "Messages that are not applied yet.",
        ),
        (
            "attuned.jetstream.silence",
            Unit::Seconds,
            "Time since the log was last heard of.",
        ),
        (
            "attuned.jetstream.caught_up",
            Unit::Count,
            "1 once the replica has caught up.",
        ),
        (
            "attuned.jetstream.applied",
            Unit::Count,
            "Sequence that was applied last.",
        ),
    ] {
        describe_gauge!(name, unit, meaning);
    }
    for (name, meaning) in [
        ("attuned.jetstream.gaps", "How often messages were missed."),
        ("attuned.jetstream.missed", "Messages that were missed."),
        (
            "attuned.jetstream.unreadable",
            "Messages that are no snapshots of their users.",
        ),
        (
            "attuned.jetstream.expirations",
            "Users whose time to live was over.",
        ),
        (
            "attuned.jetstream.barriers",
            "Barriers that were published for reads.",
        ),
        (
            "attuned.jetstream.validated_reads",
            "Reads that did not wait for the replica.",
        ),
        (
            "attuned.jetstream.refused_validations",
            "Such reads that began again.",
        ),
        (
            "attuned.jetstream.cache_hits",
            "Validated reads that took one round trip.",
        ),
        (
            "attuned.jetstream.reconnects",
            "Connections after the first one.",
        ),
        (
            "attuned.jetstream.consumers_made_anew",
            "Consumers after the first one.",
        ),
        (
            "attuned.jetstream.starts_over",
            "How often the replica has begun anew.",
        ),
    ] {
        describe_counter!(name, Unit::Count, meaning);
    }
}
