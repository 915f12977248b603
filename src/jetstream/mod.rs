//! The backend for several processes: a replicated log, followed by a replica in each.
//!
//! | what | where |
//! |---|---|
//! | settings, and from them to a store | `config.rs`, `connect.rs`, `tls.rs` |
//! | the contract, reads without a barrier, figures, errors | `contract.rs`, `local.rs`, `counts.rs`, `error.rs` |
//! | what is in memory: one of two | `kept.rs` |
//! | all users: when they may be shown, what there is, how it comes there | `gaps.rs`, `replica.rs`, `follow.rs`, `removed.rs` |
//! | those used lately, in a store that follows nobody | `hot.rs` |
//! | reads: by a barrier that they share, or by a condition on the user | `read.rs`, `barrier.rs`, `validated.rs`, `seen.rs` |
//! | writes: what is expected, how one is sent, what became of it | `write.rs`, `put.rs`, `settle.rs`, `own.rs`, `outgoing.rs` |
//! | what servers answer to barriers and writes | `answers.rs` |
//! | all users, one after the other | `listing.rs`, `scan.rs` |
//! | changes | `watching.rs`, and without a replica `watching_log.rs` |
//! | users whose time is over | `expiry.rs` |
//! | the protocol: requests, direct gets, consumers, the stream, messages | `link.rs`, `direct.rs`, `consumer.rs`, `stream.rs`, `message.rs` |

mod answers;
mod barrier;
mod config;
mod connect;
mod consumer;
mod contract;
mod counts;
mod direct;
mod error;
mod expiry;
mod follow;
mod gaps;
mod hot;
mod kept;
mod link;
mod listing;
mod local;
mod message;
mod outgoing;
mod own;
mod put;
mod read;
mod removed;
mod replica;
mod scan;
mod seen;
mod settle;
mod stream;
mod tls;
mod validated;
mod watching;
mod watching_log;
mod write;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use self::barrier::Barriers;
use self::counts::Counts;
use self::expiry::LogClock;
use self::hot::HotUsers;
use self::kept::Kept;
use self::link::Link;
use self::own::OwnWrites;
use self::replica::Replica;
use self::validated::SingleFlight;
use crate::memory::UserIdField;

pub use self::config::{Follow, JetStreamStoreBuilder};
pub use self::counts::JetStreamStats;
pub use self::error::{ConnectError, JetStreamError, StreamDifference};
pub use self::local::Local;

/// Keeps the state of each user in a replicated log that several processes share: a stream
/// of [NATS JetStream](https://docs.nats.io/nats-concepts/jetstream).
///
/// Each process follows the stream into a replica in its memory, and answers from that; or it
/// [follows nobody](Follow::Nobody), if that is too much for its memory. Cloning a store
/// shares it.
///
/// ```no_run
/// use std::sync::Arc;
/// use attuned_store::{JetStreamStore, StateSnapshot, StateStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let servers = ["nats://10.0.0.1:4222", "nats://10.0.0.2:4222", "nats://10.0.0.3:4222"];
/// let store = JetStreamStore::builder(servers).history(100).connect().await?;
///
/// // Without a round trip, as of what this process has seen.
/// let warmth = store.local().with("ada", |state| state.get_axis("warmth"));
///
/// // As the contract has it, up to date with all processes.
/// let store: Arc<dyn StateStore> = Arc::new(store);
/// let ada = StateSnapshot::builder().user_id("ada").axis("warmth", 0.7).build()?;
/// store.upsert_latest(ada.clone()).await?;
/// assert_eq!(store.get_latest("ada").await?, Some(ada));
/// # let _ = warmth;
/// # Ok(())
/// # }
/// ```
///
/// # Guarantees
///
/// Through the [contract](crate::StateStore), the operations on one user are
/// **linearizable** over all processes, whether or not servers die. The order is that of
/// the log, and a revision is a message's sequence in it. A read costs a round trip, which
/// all reads of a process that wait at the same time share.
///
/// Through [`local`](Self::local), a read costs what one of the memory costs, and shows what
/// this process has seen: its own writes, and never an older state after a newer one, but
/// possibly not what another process has written a moment ago. [`Local`] says what holds
/// without a replica.
///
/// The chapter [`docs::jetstream`](crate::docs::jetstream) says why that is so, what is lost
/// when, what happens in a partition, and how to set the servers up.
#[derive(Clone)]
pub struct JetStreamStore(Arc<Shared>);

struct Shared {
    core: Arc<Core>,
    tasks: Vec<AbortHandle>,
    /// Dropped with it, so that those who still have the core are told.
    _alive: watch::Sender<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A barrier is published now and then also if nobody reads, so that a follower knows that it
/// is abreast: at least so many times in the time that it may be away.
const BARRIERS_IN_LONGEST_AWAY: u32 = 4;
const LONGEST_PERIOD: Duration = Duration::from_secs(60);

/// What the operations work with.
struct Core {
    link: Arc<Link>,
    kept: Kept,
    clock: Arc<LogClock>,
    barriers: Arc<Barriers>,
    own_writes: Arc<OwnWrites>,
    counts: Arc<Counts>,
    single_flight: SingleFlight,
    /// How many entries a history has; `None` if none is kept.
    history: Option<usize>,
    /// On how many servers the stream is.
    replicas: usize,
    follow: Follow,
    /// How many messages of the log are asked for in advance.
    prefetch: u64,
    /// Changes with each connection that is made.
    connections: watch::Receiver<u64>,
    /// Ends with the last clone of the store.
    alive: watch::Receiver<()>,
    marker_lifetime: Duration,
    operation_timeout: Duration,
    user_id_field: UserIdField,
    /// How many a listing collects at once, about.
    users_of_a_part: usize,
    drawn: AtomicU64,
}

impl Core {
    /// `None` in a store that follows nobody.
    fn replica(&self) -> Option<&Replica> {
        match &self.kept {
            Kept::All(replica) => Some(replica),
            Kept::Hot(_) => None,
        }
    }

    /// `None` in a store that follows all users.
    fn hot(&self) -> Option<&HotUsers> {
        match &self.kept {
            Kept::All(_) => None,
            Kept::Hot(hot) => Some(hot),
        }
    }

    /// A follower that was away for longer could have missed a marker for ever.
    fn longest_away(&self) -> Duration {
        self.marker_lifetime / 2
    }

    /// A follower is told so often how far the log goes, at least.
    fn barrier_period(&self) -> Duration {
        barrier_period(self.longest_away())
    }

    /// A number from 0 to 1 that differs from one call to the next.
    fn jitter(&self) -> f64 {
        // Multiples of the golden ratio are spread evenly.
        let drawn = self
            .drawn
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        f64::from((drawn >> 32) as u32) / f64::from(u32::MAX)
    }
}

fn barrier_period(longest_away: Duration) -> Duration {
    (longest_away / BARRIERS_IN_LONGEST_AWAY).min(LONGEST_PERIOD)
}

impl JetStreamStore {
    /// Sets up a store on these servers, of which one that answers is enough: addresses such
    /// as `nats://host:4222`, `tls://host:4222` or `host`.
    pub fn builder<A: Into<String>>(servers: impl IntoIterator<Item = A>) -> JetStreamStoreBuilder {
        JetStreamStoreBuilder::new(servers.into_iter().map(Into::into).collect())
    }

    /// Reads of what this process has seen, without a round trip and without waiting.
    #[must_use]
    pub fn local(&self) -> Local<'_> {
        Local::new(&self.0.core)
    }

    /// Figures of the store. They cost little, and are of slightly different moments.
    #[must_use]
    pub fn stats(&self) -> JetStreamStats {
        let core = &self.0.core;
        let counted = core.counts.all();
        let stats = JetStreamStats {
            barriers: core.barriers.begun(),
            validated_reads: counted.validated_reads,
            refused_validations: counted.refused_validations,
            cache_hits: counted.cache_hits,
            reconnects: core.link.connects().saturating_sub(1),
            consumers_made_anew: counted.consumers_made_anew,
            ..JetStreamStats::default()
        };
        match &core.kept {
            Kept::All(replica) => {
                let figures = replica.figures();
                JetStreamStats {
                    users: replica.users().len() as u64,
                    applied: figures.applied,
                    pending: figures.pending,
                    silence: figures.heard_at.elapsed(),
                    caught_up: figures.caught_up,
                    gaps: figures.gaps,
                    missed: figures.missed,
                    unreadable: figures.unreadable,
                    expirations: figures.expired,
                    starts_over: figures.starts_over,
                    ..stats
                }
            }
            Kept::Hot(hot) => JetStreamStats {
                users: hot.len() as u64,
                applied: hot.highest(),
                silence: hot.heard_at().elapsed(),
                caught_up: true,
                unreadable: counted.unreadable,
                expirations: counted.expirations,
                starts_over: hot.epoch(),
                ..stats
            },
        }
    }
}

/// Shows the stream's name, what is followed, and how many users are in memory.
impl fmt::Debug for JetStreamStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.0.core;
        f.debug_struct("JetStreamStore")
            .field("stream", &core.link.stream())
            .field("follow", &core.follow)
            .field("users", &self.local().len())
            .finish_non_exhaustive()
    }
}
