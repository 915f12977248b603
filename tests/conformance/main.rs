//! The suite for backends: that it passes for those that keep the contract, and
//! that it finds what is wrong with those that do not.

mod faulty;
#[path = "../../src/docs/mutex_store.rs"]
mod mutex_store;
mod passes;
mod spawning;
mod watched;
mod wrong;
