//! The published server of Attuned on this store, over TCP.

mod answers;
mod client;
mod concurrency;
mod contract;
mod example;
mod lifecycle;
mod server;
