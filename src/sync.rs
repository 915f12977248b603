//! The concurrency primitives, all of them and nothing else.

pub(crate) use std::sync::{Arc, Weak};
