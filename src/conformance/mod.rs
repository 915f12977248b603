//! Checks that a backend keeps the contract of [`StateStore`], clause by clause.
//!
//! It is for the tests of backends, and needs the feature `conformance`. A
//! backend says what it [can do](Capabilities), and [`check_all`] returns what
//! became of each [`Clause`]; those that are broken are named, with what the
//! contract says and what was seen. The chapter
//! [Writing a backend](crate::docs::backends) has an example.
//!
//! ```
//! use attuned_store::MemoryStore;
//! use attuned_store::conformance::{Capabilities, check_all};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), attuned_store::conformance::Failure> {
//! // A store without history.
//! let store = MemoryStore::default();
//! let capabilities = Capabilities::new().conditional_writes().conditional_deletes();
//! let capabilities = capabilities.versions().list().watching();
//! let report = check_all(&store, capabilities).await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! # The store under test
//!
//! Users are made up for each run, with ids that begin with `conformance-` and
//! 16 random hexadecimal digits, so a store may hold others; they are not
//! touched. If the backend can delete, the suite removes its users again, unless the run
//! is cancelled. In any other they stay.
//!
//! Nobody else may write these users, and none may expire while the suite runs.
//! A run makes about 3,100 calls and three for each entry of a full history. They come one
//! after the other; only those of [`check_concurrent`] are several at a time.
//!
//! # Runtimes and threads
//!
//! The futures need no runtime of their own: they run on whichever the backend
//! needs, and are `Send`. Concurrent operations are futures of *one task*. That
//! finds what goes wrong where a store lets a future wait: between two round
//! trips, say. It cannot find a race of threads. To have those too, give the
//! suite a store whose every method moves the call to a thread of the runtime,
//! and run it on several, some tens of times:
//!
//! ```
//! # use std::sync::Arc;
//! # use attuned_store::{MemoryStore, Result, StateSnapshot, StateStore, StoreError, async_trait};
//! struct Spawning<S>(Arc<S>);
//!
//! #[async_trait]
//! impl<S: StateStore + 'static> StateStore for Spawning<S> {
//!     async fn upsert_latest(&self, snapshot: StateSnapshot) -> Result<()> {
//!         let store = Arc::clone(&self.0);
//!         let task = tokio::spawn(async move { store.upsert_latest(snapshot).await });
//!         task.await.map_err(StoreError::internal)?
//!     }
//!     // … and so on.
//! #   async fn get_latest(&self, user_id: &str) -> Result<Option<StateSnapshot>> {
//! #       self.0.get_latest(user_id).await
//! #   }
//! }
//! # #[tokio::main]
//! # async fn main() -> Result<()> {
//! # let store = Spawning(Arc::new(MemoryStore::default()));
//! # store.upsert_latest(StateSnapshot::builder().user_id("ada").build()?).await
//! # }
//! ```
//!
//! # What it does not show
//!
//! A backend that passes was not caught in the interleavings of this run. Its own tests must show
//! that it is linearizable under load, survives lost connections, keeps its data through a
//! restart, and gives up in time.

mod cancellation;
mod capabilities;
mod capacity;
mod concurrent;
mod conditional_deletes;
mod conditional_writes;
mod delete;
mod extensions;
mod history;
mod latest;
mod list;
mod many;
mod report;
mod revisions;
mod snapshots;
mod trial;
mod unsupported;
mod user_ids;
mod versions;
mod watching;

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

pub use self::capabilities::Capabilities;
pub use self::report::{Clause, Failure, Outcome, Report};

use self::trial::{Stop, Trial};
use crate::StateStore;

/// The groups of [`check_all`].
static GROUPS: [&[Clause]; 15] = [
    latest::CLAUSES,
    snapshots::CLAUSES,
    user_ids::CLAUSES,
    history::CLAUSES,
    delete::CLAUSES,
    revisions::CLAUSES,
    conditional_writes::CLAUSES,
    conditional_deletes::CLAUSES,
    versions::CLAUSES,
    many::CLAUSES,
    list::CLAUSES,
    watching::CLAUSES,
    concurrent::CLAUSES,
    cancellation::CLAUSES,
    extensions::CLAUSES,
];

/// More writes than this are not made to fill a history.
const MAX_FILLED: usize = 1_000;

/// Every clause that there is, those of [`check_capacity`] included.
pub fn clauses() -> impl Iterator<Item = &'static Clause> {
    GROUPS.into_iter().chain([capacity::CLAUSES]).flatten()
}

/// Checks everything but [the capacity](check_capacity).
///
/// # Errors
///
/// [`Failure`] if at least one clause is broken. All are looked at, whatever
/// became of those before.
pub async fn check_all(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&GROUPS, store, capabilities, usize::MAX).await
}

/// Checks that a store takes no more users than it may have.
///
/// Not part of [`check_all`], because it needs a store of its own: one without
/// users, set to at most `max_users`, which should be a few. It also needs
/// [`delete`](Capabilities::delete), to begin again; without, nothing applies.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_capacity(
    store: &dyn StateStore,
    capabilities: Capabilities,
    max_users: usize,
) -> Result<Report, Failure> {
    run(&[capacity::CLAUSES], store, capabilities, max_users).await
}

/// Checks only the clauses on the latest snapshot, and health: those named `latest.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_latest(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[latest::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on that snapshots come back as they were stored: those named
/// `snapshots.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_snapshots(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[snapshots::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on user ids, and that users are independent: those named `user_ids.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_user_ids(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[user_ids::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on the history: those named `history.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_history(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[history::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on deletion: those named `delete.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_delete(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[delete::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on revisions: those named `revisions.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_revisions(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[revisions::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on conditional writes: those named `conditional_writes.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_conditional_writes(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(
        &[conditional_writes::CLAUSES],
        store,
        capabilities,
        usize::MAX,
    )
    .await
}

/// Checks only the clauses on conditional removals: those named `conditional_deletes.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_conditional_deletes(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(
        &[conditional_deletes::CLAUSES],
        store,
        capabilities,
        usize::MAX,
    )
    .await
}

/// Checks only the clauses on reads of the past: those named `versions.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_versions(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[versions::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on the listing of all users: those named `list.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_list(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[list::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on reading and writing several users in one call: those named `many.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_many(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[many::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on watches: those named `watch.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_watching(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[watching::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on operations under way at once: those named `concurrent.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_concurrent(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[concurrent::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on futures that are dropped before they are done: those named
/// `cancellation.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_cancellation(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[cancellation::CLAUSES], store, capabilities, usize::MAX).await
}

/// Checks only the clauses on what [`StateStoreExt`](crate::StateStoreExt) makes of the
/// backend: those named `extensions.…`.
///
/// # Errors
///
/// [`Failure`] if a clause is broken.
pub async fn check_extensions(
    store: &dyn StateStore,
    capabilities: Capabilities,
) -> Result<Report, Failure> {
    run(&[extensions::CLAUSES], store, capabilities, usize::MAX).await
}

async fn run(
    groups: &[&'static [Clause]],
    store: &dyn StateStore,
    capabilities: Capabilities,
    max_users: usize,
) -> Result<Report, Failure> {
    // The keys of a new `RandomState` differ, and one process follows another
    // at a later time.
    let run = RandomState::new().hash_one(SystemTime::now());
    let mut outcomes = Vec::new();
    for group in groups {
        for clause in *group {
            let stem = format!("conformance-{run:016x}-{}-", outcomes.len());
            let trial = Trial::new(store, capabilities, max_users, stem);
            let outcome = match (clause.check)(&trial).await {
                Ok(()) => Outcome::Kept,
                Err(Stop::Broken(seen)) => Outcome::Broken(seen),
                Err(Stop::NotApplicable(why)) => Outcome::NotApplicable(why),
            };
            trial.clean_up().await;
            outcomes.push((clause, outcome));
        }
    }
    Report::into_result(outcomes)
}
