//! Chapters that belong to no single item.

#[cfg(feature = "conformance")]
#[doc = include_str!("docs/backends.md")]
/// ```
#[doc = include_str!("docs/mutex_store.rs")]
///
/// // In a test: `#[tokio::test] async fn keeps_the_contract() -> …`
/// use attuned_store::conformance::{Capabilities, Failure, check_all, check_capacity};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// let capabilities = Capabilities::new().history(8).conditional_writes();
/// let capabilities = capabilities.conditional_deletes().versions().list();
/// let report = check_all(&MutexStore::new(8, usize::MAX), capabilities).await?;
/// println!("{report}");
/// check_capacity(&MutexStore::new(8, 5), capabilities, 5).await?;
/// # Ok(())
/// # }
/// ```
pub mod backends {}

#[cfg(feature = "checkpoint")]
#[doc = include_str!("docs/checkpoints.md")]
pub mod checkpoints {}

#[doc = include_str!("docs/service.md")]
pub mod service {}

#[doc = include_str!("docs/verification.md")]
pub mod verification {}

#[doc = include_str!("docs/memory.md")]
pub mod memory {}

#[cfg(feature = "jetstream")]
#[doc = include_str!("docs/jetstream.md")]
#[doc = include_str!("../examples/jetstream/server.conf")]
#[doc = include_str!("docs/jetstream_servers.md")]
pub mod jetstream {}
