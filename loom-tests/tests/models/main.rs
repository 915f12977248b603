//! Loom models of the in-memory store, driven through its `StateStore`
//! implementation and, where the trait has no such operation, through its own methods.
//!
//! A model is a [program](program::Program): some threads, what each does to a
//! store in a known state. loom runs it in every interleaving (or every one
//! with a bounded number of preemptions), and each execution is judged against
//! the [sequential specification](specification::Specification). Programs come
//! from tables, and each is a test of its own:
//!
//! ```text
//! cargo test -p loom-tests --test models -- 'pair, retention 2'
//! ```
//!
//! # What they cover
//!
//! Retentions 1, 2 and 3, where the queue has no room to spare; with 3, every second
//! superseded version is an anchor. In each execution
//! - one order of the operations explains all that they returned, and what is there in the
//!   end: value, revision, history;
//! - a user has at least the versions alive that their history shows, and at most as many as
//!   the queue allows ([`Specification::owned`](specification::Specification::owned)); one
//!   who was removed has none, although a reader still holds the timeline;
//! - the map has no entry of one who was removed;
//! - nothing is alive after the store is dropped;
//! - no version was dropped that still owned another one.
//!
//! | table | threads | preemptions, plain | full |
//! |---|---|---|---|
//! | [`pairs`] | two of one operation each, on one user or two | 3 | 4 to all |
//! | [`triples`] | three, or two of several operations, on one user | 2 | 3 |
//! | [`users`] | two users, and the floor of revisions that they share | 3 | 3 |
//! | [`expiry`] | one user whose time to live ends, before or while two or three threads are at work | 2 | 4, with three threads 3 |
//! | [`bounds`] | up to three users, and room for one or two | 3 | 3 |
//!
//! They do not cover what the stand-ins of the primitives have stronger: see
//! `src/sync/stand_in/mod.rs`.

mod bounds;
mod depth;
mod expiry;
mod pairs;
mod program;
mod specification;
mod triples;
mod users;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use libtest_mimic::{Arguments, Trial};

use crate::depth::Depth;

/// Of all the programs that were run.
static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);

fn main() {
    let depth = Depth::of_this_run();
    // The quick ones first.
    let tables = [
        ("users", users::programs()),
        ("bound", bounds::programs()),
        ("expiry", expiry::programs()),
        ("triple", triples::programs()),
        ("pair", pairs::programs()),
    ];
    let trials = tables
        .into_iter()
        .flat_map(|(kind, programs)| programs.into_iter().map(move |program| (kind, program)))
        .map(|(kind, program)| {
            let name = format!("{kind}, {}", program.name());
            Trial::test(name.clone(), move || {
                let begun = Instant::now();
                let executions = program.check(depth);
                EXECUTIONS.fetch_add(executions, Ordering::Relaxed);
                println!("{name}: {executions} executions in {:.1?}", begun.elapsed());
                Ok(())
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    println!(
        "{depth:?} depth: {} programs, {} executions",
        conclusion.num_passed + conclusion.num_failed,
        EXECUTIONS.load(Ordering::Relaxed)
    );
    conclusion.exit();
}
