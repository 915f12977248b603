//! The service over real sockets.

mod chapter;
mod client;
mod conditions;
mod lifecycle;
mod problems;
mod program;
mod server;
mod sweep;
mod users;
