//! The state of each user of a service: the **latest snapshot** and a **bounded
//! history**, for services that read very often, write less often, and do both
//! on all cores.
//!
//! - [`StateStore`] is the contract: an async, object-safe trait that every
//!   backend keeps. [`StateStoreExt`] adds conveniences to all of them.
//! - [`MemoryStore`] is the default backend. Its reads never block; every
//!   operation on a user is linearizable. Beside the trait it has a synchronous
//!   interface, whose calls take half the instructions, because they box no future.
//! - [`StateSnapshot`] is what is stored: immutable, always valid, and cloned
//!   without an allocation.
//! - [`StoreError`] says what went wrong.
//!
//! # Example
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
//! # Which interface
//!
//! Hold an `Arc<dyn StateStore>` where the backend is to be exchangeable. Hold a
//! [`MemoryStore`] where it is not, or on a path where a boxed future is too
//! much: [`MemoryStore::with_latest`] reads a snapshot without a future, an
//! allocation or a reference count.
//!
//! # Beyond get and put
//!
//! | to | use |
//! |---|---|
//! | write only on top of what was read | [`get_versioned`](StateStore::get_versioned), [`upsert_if`](StateStore::upsert_if) |
//! | change a snapshot atomically | [`StateStoreExt::update`], [`MemoryStore::update`] |
//! | change some axes, explicit values winning | [`StateStoreExt::patch`], [`MemoryStore::patch`] |
//! | read or write many at a time | [`get_many`](StateStore::get_many), [`upsert_many`](StateStore::upsert_many) |
//! | visit all users | [`MemoryStore::for_each`], [`MemoryStore::user_ids`] |
//! | remove users by what their snapshot says | [`MemoryStore::retain`], [`MemoryStore::expire_before`] |
//! | bound the number of users | [`MemoryStoreBuilder::max_users`] |
//! | observe the store | [`MemoryStore::stats`], and the spans `attuned.store.*` |
//!
//! How the claims are checked is told in [`docs::verification`].
//!
//! # Features
//!
//! - `serde` (default): `Serialize` and `Deserialize` for [`StateSnapshot`] and
//!   [`Source`], in the published JSON form. It is on by default because
//!   snapshots mostly come from, and go to, somewhere else, and all it adds to
//!   a build is serde without its derive.
//! - `attuned`: the published crates of Attuned run on this store. It brings
//!   `attuned-core` and `attuned-store` 1, conversions of their snapshots, and
//!   their traits for [`MemoryStore`]; its module `attuned` has the guide.
//! - `conformance`: checks, clause by clause, that a backend of your own keeps
//!   the contract. It is for that backend's tests; the chapter `docs::backends`
//!   shows how to write one.
//! - `metrics`: `Stats::record` reports the store's figures to a recorder of the
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
//!   [`to_builder`](StateSnapshot::to_builder).
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
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod docs;
mod error;
mod memory;
mod patch;
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
mod timeline;

/// The README's examples, compiled and run.
#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The attribute that makes `async fn`s of a [`StateStore`] implementation; of
/// the crate [async-trait](https://docs.rs/async-trait).
pub use async_trait::async_trait;

pub use error::{Result, StoreError};
pub use memory::{
    ConfigError, DefaultHashBuilder, DefaultHasher, MAX_CAPACITY, MAX_HISTORY_PER_USER,
    MemoryStore, MemoryStoreBuilder, MemoryStoreConfig, PinnedView, Stats, UserIdField,
};
pub use revision::{Expected, Revision, Versioned};
pub use snapshot::{
    Axes, MAX_USER_ID_BYTES, SnapshotError, Source, StateSnapshot, StateSnapshotBuilder,
    UserIdError, validate_user_id,
};
pub use store::{StateStore, StateStoreExt, UPDATE_ATTEMPTS};
