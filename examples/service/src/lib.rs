//! A small HTTP service on `attuned-store`, to copy from.
//!
//! | file | its one idea |
//! |---|---|
//! | `main.rs` | the program: from the command line to the signal that ends it |
//! | `settings.rs` | what can be set on the command line |
//! | `serve.rs` | the life of the service: it serves, sweeps, and ends when asked |
//! | `app.rs` | what requests share |
//! | `backend.rs` | where the users are: in memory, or on a log that processes share |
//! | `routes.rs` | which request does what to the store |
//! | `history.rs` | the history of a user, or a part of it |
//! | `events.rs` | what changes, as server-sent events |
//! | `streams.rs` | the event streams that are open, and how they end |
//! | `listing.rs` | the list of all users, sent while it is made |
//! | `walk.rs` | walks over all users, which take their time |
//! | `extract.rs` | what a request says: user id, parameters, condition, body |
//! | `etag.rs` | entity tags from revisions, and what a condition expects |
//! | `problem.rs` | errors as problem details |
//! | `checkpoints.rs` | what a restart does not lose |
//! | `metrics.rs` | the figures of the store and of the service, as Prometheus reads them |
//!
//! The service asks nobody who they are. Put it behind something that does.

mod app;
mod backend;
mod checkpoints;
mod etag;
mod events;
mod extract;
mod history;
mod listing;
mod metrics;
mod problem;
mod routes;
mod serve;
mod settings;
mod streams;
mod walk;

pub use app::App;
pub use checkpoints::Checkpoints;
pub use extract::MAX_BODY_BYTES;
pub use serve::serve;
pub use settings::Settings;
