//! A concurrent map that keeps, for each key, the **latest value** and a **bounded
//! history**; and on top of it a store of each user's state, behind an async contract.
//! Both are for programs that read very often, write less often, and do so on all cores.
//!
//! - [`HistoryMap`] is the map. Its reads never block, and every operation on a key is
//!   linearizable. It has conditional writes and atomic updates.
//! - [`MemoryStore`] is such a map of [`State`]s, one for each user: axes with values from 0
//!   to 1, such as `warmth`. [`StateSnapshot`] is a state with the id of its user.
//! - [`StateStore`] is the contract: an async, object-safe trait. [`MemoryStore`] keeps it,
//!   and so can a backend of your own. [`StateStoreExt`] adds conveniences to all of them.
//!
//! # The map
//!
//! ```
//! use attuned_store::HistoryMap;
//!
//! let quotes = HistoryMap::builder().history(100).build()?;
//! quotes.insert("ACME", 10.0)?;
//! quotes.insert("ACME", 10.5)?;
//!
//! assert_eq!(quotes.get("ACME"), Some(10.5));
//! let newest = &quotes.history("ACME", 10)[0];
//! assert_eq!(newest.value, 10.5);
//! println!("written at {} ms since 1970", newest.written_at);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The store
//!
//! ```
//! use std::sync::Arc;
//! use attuned_store::{MemoryStore, Source, StateSnapshot, StateStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store: Arc<dyn StateStore> = Arc::new(MemoryStore::builder().history(100).build()?);
//!
//! let snapshot = StateSnapshot::builder()
//!     .user_id("ada")
//!     .source(Source::Inferred)
//!     .confidence(0.8)
//!     .axis("warmth", 0.7)
//!     .build()?;
//! store.upsert_latest(snapshot.clone()).await?;
//!
//! assert_eq!(store.get_latest("ada").await?, Some(snapshot.clone()));
//! assert_eq!(store.get_history("ada", 10).await?, [snapshot]);
//! assert!(store.delete("ada").await?);
//! # Ok(())
//! # }
//! ```
//!
//! Hold an `Arc<dyn StateStore>` where the backend is to be exchangeable. Hold a
//! [`MemoryStore`] where it is not: its own methods are synchronous, have the names of those
//! of the map, and box no future.
//!
//! # What to use
//!
//! | to | `HistoryMap`, `MemoryStore` | any `StateStore` |
//! |---|---|---|
//! | read | [`get`](HistoryMap::get), [`with`](HistoryMap::with), [`history`](HistoryMap::history) | [`get_latest`](StateStore::get_latest), [`get_history`](StateStore::get_history) |
//! | read a part of the history, or what was the latest at some time | [`versions`](HistoryMap::versions), [`as_of`](HistoryMap::as_of) | [`get_versions`](StateStore::get_versions), [`get_at`](StateStoreExt::get_at), [`get_as_of`](StateStore::get_as_of) |
//! | write | [`insert`](HistoryMap::insert) | [`upsert_latest`](StateStore::upsert_latest) |
//! | write only on top of what was read | [`get_versioned`](HistoryMap::get_versioned), [`insert_if`](HistoryMap::insert_if) | [`get_latest_versioned`](StateStore::get_latest_versioned), [`upsert_if`](StateStore::upsert_if) |
//! | change a value atomically | [`update`](HistoryMap::update) | [`update_latest`](StateStoreExt::update_latest) |
//! | set or remove some axes, explicit values winning | [`MemoryStore::patch`] with a [`Patch`] | [`patch_latest`](StateStoreExt::patch_latest) |
//! | remove | [`remove`](HistoryMap::remove), [`remove_if`](HistoryMap::remove_if) | [`delete`](StateStore::delete), [`delete_if`](StateStore::delete_if) |
//! | read or write many at a time | [`pin`](HistoryMap::pin) | [`get_many`](StateStore::get_many), [`upsert_many`](StateStore::upsert_many) |
//! | be told of changes | [`watch`](HistoryMap::watch), [`watch_all`](HistoryMap::watch_all) | [`watch`](StateStore::watch), [`watch_all`](StateStore::watch_all) |
//! | visit all | [`for_each`](HistoryMap::for_each), [`retain`](HistoryMap::retain) | [`list`](StateStore::list) |
//! | forget what nobody writes | [`time_to_live`](HistoryMapBuilder::time_to_live), [`sweep`](HistoryMap::sweep), [`expire_older_than`](HistoryMap::expire_older_than) | |
//! | bound the number of keys or users | [`max_keys`](HistoryMapBuilder::max_keys), [`max_users`](MemoryStoreBuilder::max_users) | |
//! | observe | [`stats`](HistoryMap::stats) | the spans `attuned.store.*` of `MemoryStore` |
//!
//! To get the revision of a plain write, use [`upsert_if`](StateStore::upsert_if) with
//! [`Expected::Any`]. [`get_history`](StateStore::get_history) gives snapshots alone, and
//! [`get_versions`](StateStore::get_versions) their revisions and times, too.
//!
//! Chapters: [`docs::service`], an HTTP service to copy from; [`docs::memory`], what memory is
//! held and when it is freed; [`docs::verification`], how the claims are checked.
//!
//! # Features
//!
//! - `serde` (default): `Serialize` and `Deserialize` for [`StateSnapshot`] and
//!   [`Source`], in the published JSON form, and for [`State`], [`Revision`] and
//!   [`Timestamp`]. All it adds to a build is serde_core.
//! - `attuned`: the published crates of Attuned run on this store. It brings
//!   `attuned-core` and `attuned-store` 1, conversions of their snapshots, and
//!   their traits for [`MemoryStore`]; its module
//!   [`attuned`](https://docs.rs/attuned-store/2.0.0-alpha.2/attuned_store/attuned/) has the guide.
//! - `conformance`: checks, clause by clause, that a backend of your own keeps
//!   the contract. It is for that backend's tests; the chapter
//!   [`docs::backends`](https://docs.rs/attuned-store/2.0.0-alpha.2/attuned_store/docs/backends/)
//!   shows how to write one.
//! - `checkpoint`: a [`MemoryStore`] is written to a file while others read and write, and
//!   restored from it; the chapter
//!   [`docs::checkpoints`](https://docs.rs/attuned-store/2.0.0-alpha.2/attuned_store/docs/checkpoints/)
//!   has the format and what a crash can lose. `checkpoint-lz4` compresses such files.
//! - `sweep`: [`MemoryStore::sweep_every`](https://docs.rs/attuned-store/2.0.0-alpha.2/attuned_store/struct.MemoryStore.html#method.sweep_every),
//!   a future to spawn on any runtime, takes out what its time to live has ended. It brings
//!   `futures-timer`.
//! - `jetstream`: [`JetStreamStore`](https://docs.rs/attuned-store/2.0.0-alpha.2/attuned_store/struct.JetStreamStore.html),
//!   the same contract for several processes, on a replicated log that survives them. The
//!   chapter [`docs::jetstream`](https://docs.rs/attuned-store/2.0.0-alpha.2/attuned_store/docs/jetstream/)
//!   tells what it promises.
//! - `metrics`: [`Stats::record_as`](https://docs.rs/attuned-store/2.0.0-alpha.2/attuned_store/struct.Stats.html)
//!   reports the figures of a map or a store to a recorder of the
//!   [metrics](https://docs.rs/metrics) facade.
//!
//! # Coming from version 1
//!
//! `attuned-store` 1.0.1 keeps latest and history in two maps, whose contents
//! can come to disagree when writers race, and copies a snapshot with all its
//! axes at each read. What has changed for its users:
//!
//! - [`StateSnapshot`] is this crate's own, with the same JSON, the same builder
//!   calls and the same rules as that of `attuned-core`; what were public fields
//!   are methods, and a changed copy comes from
//!   [`to_builder`](StateSnapshot::to_builder). It has at most [`MAX_AXES`] axes.
//! - [`delete`](StateStore::delete) says whether it removed something. Its
//!   default is an error, no longer silence.
//! - [`health_check`](StateStore::health_check) returns `Ok(())` or what is wrong.
//! - Asking with an invalid user id is an error.
//!
//! What is written for the trait of version 1, as `attuned-http` is, needs no
//! change: with the feature `attuned`, [`MemoryStore`] implements that trait, too.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "attuned")]
pub mod attuned;
#[cfg(feature = "checkpoint")]
mod checkpoint;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod docs;
#[cfg(feature = "jetstream")]
mod jetstream;
mod map;
mod memory;
mod patch;
mod range;
mod redacted;
mod removal;
mod revision;
mod snapshot;
mod store;
#[cfg(not(attuned_loom))]
mod sync;
#[cfg(attuned_loom)]
#[allow(
    missing_docs,
    clippy::len_without_is_empty,
    clippy::new_without_default,
    clippy::result_unit_err,
    reason = "stand-ins that only the models see, with just what the crate uses"
)]
pub mod sync;
mod timestamp;
mod versioned;
mod watch;
mod yield_now;

/// The README's examples, compiled and run.
#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The attribute that makes `async fn`s of a [`StateStore`] implementation; of
/// the crate [async-trait](https://docs.rs/async-trait).
pub use async_trait::async_trait;

#[cfg(feature = "checkpoint")]
pub use checkpoint::{
    Background, Checkpoint, CheckpointError, CheckpointEvery, CheckpointProgress, Checkpointer,
    Compression, RestoreError,
};
#[cfg(feature = "jetstream")]
pub use jetstream::{
    ConnectError, Follow, JetStreamError, JetStreamStats, JetStreamStore, JetStreamStoreBuilder,
    Local, StreamDifference,
};
pub use map::{
    ConfigError, DefaultHashBuilder, DefaultHasher, HistoryMap, HistoryMapBuilder, MAX_CAPACITY,
    MAX_HISTORY, MAX_TIME_TO_LIVE, MapError, Mirrored, Mirroring, SmallValue, Stats, Unmirrored,
    View,
};
pub use memory::{MemoryStore, MemoryStoreBuilder, MemoryStoreConfig, UserIdField};
pub use patch::{Patch, Patched};
pub use range::{AsOf, VersionRange};
pub use removal::RemovalCause;
pub use revision::{Expected, ParseRevisionError, Revision};
pub use snapshot::{
    Axes, MAX_AXES, MAX_USER_ID_BYTES, ParseSourceError, SnapshotError, Source, State,
    StateSnapshot, StateSnapshotBuilder, UserIdError, validate_user_id,
};
pub use store::{
    BoxFuture, BoxStream, Result, StateStore, StateStoreExt, StoreError, UPDATE_ATTEMPTS,
};
pub use timestamp::Timestamp;
pub use versioned::Versioned;
pub use watch::{AnyEvent, Event, Watch};
