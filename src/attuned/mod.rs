//! With the feature `attuned`: this store under the published crates of
//! [Attuned](https://github.com/JtPerez-Acle/Attuned), as they are.
//!
//! They are built on `attuned-core` and on `attuned-store` 1, this crate's
//! predecessor: `attuned_http::Server` takes any store that implements
//! [`v1::StateStore`] and [`attuned_core::HealthCheck`]. Here
//! [`MemoryStore`](crate::MemoryStore) does, and snapshots and sources convert
//! to those of [`attuned_core`] and back.
//!
//! # Snapshots
//!
//! The two snapshots have the same parts, the same rules and the same JSON, except that
//! the published one may have any number of axes, and this crate's
//! [`MAX_AXES`](crate::MAX_AXES). The
//! published one has public fields, so it can break the rules: converting it is
//! a [`TryFrom`] with [`SnapshotError`](crate::SnapshotError). A
//! [`StateSnapshot`](crate::StateSnapshot) is always valid: the way there is a
//! [`From`]. Both ways keep every number bit for bit, and copy: the published
//! snapshot owns each of its axis names.
//!
//! ```
//! use attuned_store::attuned::attuned_core;
//! use attuned_store::{SnapshotError, StateSnapshot};
//!
//! let mut published = attuned_core::StateSnapshot::builder()
//!     .user_id("ada")
//!     .axis("warmth", 0.7)
//!     .build()?;
//! let snapshot = StateSnapshot::try_from(&published)?;
//! assert_eq!(snapshot.get_axis("warmth"), 0.7);
//! assert_eq!(attuned_core::StateSnapshot::from(&snapshot).axes, published.axes);
//!
//! published.confidence = 7.0;
//! assert_eq!(
//!     StateSnapshot::try_from(published),
//!     Err(SnapshotError::ConfidenceOutOfRange { value: 7.0 }),
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Do not show a published snapshot with `{:?}` if its user id comes from
//! outside: in `attuned-core` 1.0.1 that panics if the fourth byte of the id is
//! inside a character, as in `aaaé`. That of this crate does not.
//!
//! # The published trait
//!
//! [`v1::StateStore`] and this crate's [`StateStore`](crate::StateStore) name
//! their methods alike. Import the one that a module uses, or say which one is
//! meant:
//!
//! ```
//! use attuned_store::attuned::{attuned_core, v1};
//! use attuned_store::{MemoryStore, StateStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::builder().history(100).build()?;
//! let published = attuned_core::StateSnapshot::builder().user_id("ada").build()?;
//!
//! v1::StateStore::upsert_latest(&store, published).await?;
//! // Only `StateStore` is imported, so this is its method.
//! assert!(store.get_latest("ada").await?.is_some());
//! // Behind a `dyn` there is but one.
//! let behind: &dyn v1::StateStore = &store;
//! assert_eq!(behind.get_history("ada", 10).await?.len(), 1);
//!
//! // Here deleting tells nothing, there whether something was removed.
//! v1::StateStore::delete(&store, "ada").await?;
//! assert!(!StateStore::delete(&store, "ada").await?);
//! # Ok(())
//! # }
//! ```
//!
//! It answers as the published `MemoryStore` does. It also keeps this crate's
//! [contract](crate::StateStore#contract): each operation is linearizable. It takes an
//! invalid user id for an absent user, as the published one does; this crate's trait
//! refuses it. Each call costs a second boxed future, and a copy of each snapshot with all
//! its axes.
//!
//! The guarantees are those of one store, whichever trait it is called through:
//! clones of a [`MemoryStore`](crate::MemoryStore) share their users, so a
//! service can give one to `attuned_http::Server` and read another one in place.

mod error;
mod snapshot;
mod store;

/// The crate whose snapshots convert to and from those of this crate.
pub use attuned_core;

/// `attuned-store` 1, for its trait and its errors.
pub use attuned_store_v1 as v1;
