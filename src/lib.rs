//! The state of each user of a service: the **latest snapshot** and a **bounded
//! history**.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod error;
mod snapshot;
mod store;
mod sync;
mod timeline;

/// The attribute that makes `async fn`s of a [`StateStore`] implementation; of
/// the crate [async-trait](https://docs.rs/async-trait).
pub use async_trait::async_trait;

pub use error::{Result, StoreError};
pub use snapshot::{
    Axes, MAX_USER_ID_BYTES, SnapshotError, Source, StateSnapshot, StateSnapshotBuilder,
    UserIdError, validate_user_id,
};
pub use store::{StateStore, StateStoreExt};
