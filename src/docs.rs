//! Chapters that belong to no single item.

#[doc = include_str!("docs/verification.md")]
pub mod verification {}
