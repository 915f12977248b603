//! The state of each user of a service: the **latest snapshot** and a **bounded
//! history**.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
