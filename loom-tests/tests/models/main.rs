//! Loom models of the in-memory store, driven through its `StateStore`
//! implementation.
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

mod bounds;
mod pairs;
mod program;
mod specification;
mod triples;

use std::sync::atomic::{AtomicUsize, Ordering};

use libtest_mimic::{Arguments, Trial};

/// Of all the programs that were run.
static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);

fn main() {
    let pairs = pairs::programs()
        .into_iter()
        .map(|program| ("pair", program));
    let triples = triples::programs()
        .into_iter()
        .map(|program| ("triple", program));
    let bounds = bounds::programs()
        .into_iter()
        .map(|program| ("bound", program));
    // The quick ones first.
    let trials = bounds
        .chain(triples)
        .chain(pairs)
        .map(|(kind, program)| {
            let name = format!("{kind}, {}", program.name());
            Trial::test(name.clone(), move || {
                let executions = program.check();
                EXECUTIONS.fetch_add(executions, Ordering::Relaxed);
                println!("{name}: {executions} executions");
                Ok(())
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    println!(
        "{} programs, {} executions",
        conclusion.num_passed + conclusion.num_failed,
        EXECUTIONS.load(Ordering::Relaxed)
    );
    conclusion.exit();
}
