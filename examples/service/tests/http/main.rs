//! The service over real sockets.

mod chapter;
mod client;
mod conditions;
mod event_stream;
mod events;
mod history;
#[cfg(feature = "jetstream")]
mod jetstream;
mod lifecycle;
mod listing;
mod problems;
mod program;
mod server;
mod sweep;
mod users;
