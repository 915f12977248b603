//! Models of the mirror as it is shipped, its words and its orders included: here
//! loom sees each access, and what the weak orders of them allow.
//!
//! In the models of the store it is a stand-in, of few steps, that does what is
//! shown here.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use attuned_store::sync::mirror::Mirror;
use loom::sync::atomic::{AtomicU64, Ordering};

const WORDS: usize = 2;

const PREEMPTIONS: usize = 3;

fn words_of(sequence: u64) -> [u64; WORDS] {
    [sequence, 10 * sequence]
}

/// Runs a model in every interleaving in which loom takes the processor away from
/// a thread that could go on at most so many times; `None` for all of them.
fn explore(name: &str, preemption_bound: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemption_bound;
    builder.check({
        let executions = Arc::clone(&executions);
        move || {
            executions.fetch_add(1, Relaxed);
            model();
        }
    });
    println!("{name}: {} executions", executions.load(Relaxed));
}

/// What the kernel does to make a version the newest one. `head` stands for the
/// head of the timeline: its swap takes effect between the two calls, and whoever
/// loads it sees what came before.
fn publish(mirror: &Mirror<WORDS>, head: &AtomicU64) {
    let mut current = head.load(Ordering::Acquire);
    loop {
        mirror.announce(current + 1);
        match head.compare_exchange(current, current + 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => break,
            Err(found) => current = found,
        }
    }
    mirror.show(current + 1, words_of(current + 1));
}

/// Loads the head, then looks: what is shown is whole and not older.
fn look_behind(mirror: &Mirror<WORDS>, head: &AtomicU64) {
    let before = head.load(Ordering::Acquire);
    if let Some((sequence, words)) = mirror.look() {
        assert_eq!(words, words_of(sequence), "of one version");
        assert!(
            sequence >= before,
            "{sequence} is shown after {before} was newest"
        );
        // It was shown after it had become the newest.
        let after = head.load(Ordering::Acquire);
        assert!(
            sequence <= after,
            "{sequence} is shown, but the newest is {after}"
        );
    }
}

fn of_first() -> (Arc<Mirror<WORDS>>, Arc<AtomicU64>) {
    let mirror = Arc::new(Mirror::of_first(Some(words_of(1))));
    (mirror, Arc::new(AtomicU64::new(1)))
}

#[test]
fn a_reader_sees_whole_words_and_never_an_older_version() {
    explore("publish, publish | look", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let writer = loom::thread::spawn({
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            move || {
                publish(&mirror, &head);
                publish(&mirror, &head);
            }
        });
        look_behind(&mirror, &head);
        writer.join().unwrap();
        assert_eq!(mirror.look(), Some((3, words_of(3))));
    });
}

#[test]
fn a_reader_of_two_writers_sees_whole_words_and_never_an_older_version() {
    explore("publish | publish | look", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let writers = [(); 2].map(|()| {
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            loom::thread::spawn(move || publish(&mirror, &head))
        });
        look_behind(&mirror, &head);
        for writer in writers {
            writer.join().unwrap();
        }
        // The newest or, if its writer found the other one inside, nothing.
        let last = mirror.look();
        assert!(last.is_none() || last == Some((3, words_of(3))), "{last:?}");
    });
}

/// What was seen once cannot be undone for the same reader.
#[test]
fn what_one_reader_sees_does_not_go_back() {
    explore("publish | look, look", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let writer = loom::thread::spawn({
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            move || publish(&mirror, &head)
        });
        let seen = [mirror.look(), mirror.look()].map(|seen| seen.map(|(sequence, _)| sequence));
        if let [Some(first), Some(second)] = seen {
            assert!(first <= second, "{second} after {first}");
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_never_sees_words_that_are_wiped() {
    explore("announce, wipe | look", None, || {
        let (mirror, _) = of_first();
        let remover = loom::thread::spawn({
            let mirror = Arc::clone(&mirror);
            move || {
                mirror.announce(2);
                mirror.wipe();
            }
        });
        let seen = mirror.look();
        assert!(seen.is_none() || seen == Some((1, words_of(1))), "{seen:?}");
        remover.join().unwrap();
        assert_eq!(mirror.look(), None);
    });
}

/// The models would notice if readers always got nothing.
#[test]
fn readers_get_something_beside_a_writer() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    explore("publish | look", None, {
        let seen = Arc::clone(&seen);
        move || {
            let (mirror, head) = of_first();
            let writer = loom::thread::spawn({
                let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
                move || publish(&mirror, &head)
            });
            let shown = mirror.look().map(|(sequence, _)| sequence);
            seen.lock().unwrap().push(shown);
            writer.join().unwrap();
        }
    });
    let seen = seen.lock().unwrap();
    for outcome in [None, Some(1), Some(2)] {
        assert!(seen.contains(&outcome), "{outcome:?}");
    }
}
