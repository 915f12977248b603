//! The state of each user of a service: the **latest snapshot** and a **bounded
//! history**.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod snapshot;
mod sync;
mod timeline;

pub use snapshot::{
    Axes, MAX_USER_ID_BYTES, SnapshotError, Source, StateSnapshot, StateSnapshotBuilder,
    UserIdError, validate_user_id,
};
