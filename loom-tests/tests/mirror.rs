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

/// What is at the head after the last version.
const END: u64 = u64::MAX;

const PREEMPTIONS: usize = 3;

/// With two writers, three preemptions make 650,000 executions: they were run once.
const PREEMPTIONS_OF_TWO_WRITERS: usize = 2;

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
/// head of the timeline.
fn publish(mirror: &Mirror<WORDS>, head: &AtomicU64) {
    let sequence = swap(head);
    mirror.show(sequence, words_of(sequence));
}

fn swap(head: &AtomicU64) -> u64 {
    head.fetch_add(1, Ordering::AcqRel) + 1
}

/// What the kernel does to find the newest version without the mirror.
fn load_head(mirror: &Mirror<WORDS>, head: &AtomicU64) -> u64 {
    let sequence = head.load(Ordering::Acquire);
    mirror.announce(sequence);
    sequence
}

/// Looks, before and after others: what is shown is whole, and nobody goes back.
fn look_between(mirror: &Mirror<WORDS>, head: &AtomicU64) {
    let before = load_head(mirror, head);
    if let Some((sequence, words)) = mirror.look() {
        assert_eq!(words, words_of(sequence), "of one version");
        assert!(
            sequence >= before,
            "{sequence} is shown after {before} was newest"
        );
        look_ahead(head, sequence);
    }
}

/// What is shown has been at the head: a thread that goes there next finds no older one.
fn look_ahead(head: &AtomicU64, sequence: u64) {
    let after = head.load(Ordering::Acquire);
    assert!(
        sequence <= after,
        "{sequence} is shown, but the newest is {after}"
    );
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
        look_between(&mirror, &head);
        writer.join().unwrap();
        assert_eq!(mirror.look(), Some((3, words_of(3))));
    });
}

#[test]
fn a_reader_of_two_writers_sees_whole_words_and_never_an_older_version() {
    let bound = Some(PREEMPTIONS_OF_TWO_WRITERS);
    explore("publish | publish | look", bound, || {
        let (mirror, head) = of_first();
        let writers = [(); 2].map(|()| {
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            loom::thread::spawn(move || publish(&mirror, &head))
        });
        look_between(&mirror, &head);
        for writer in writers {
            writer.join().unwrap();
        }
        // The newest or, if its writer found the other one inside, nothing.
        let last = mirror.look();
        assert!(last.is_none() || last == Some((3, words_of(3))), "{last:?}");
    });
}

/// A thread that announces leaves the claim to the writer who is inside; the next writer then
/// does not change the words at the same time.
#[test]
fn two_writers_are_not_inside_at_the_same_time() {
    explore("publish | publish | load head", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let writers = [(); 2].map(|()| {
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            loom::thread::spawn(move || publish(&mirror, &head))
        });
        load_head(&mirror, &head);
        for writer in writers {
            writer.join().unwrap();
        }
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

/// One reader meets at the head what its writer has yet to announce; the other one
/// hears of it and must not be shown what was before.
#[test]
fn what_one_reader_finds_at_the_head_is_not_older_for_another() {
    explore("swap, show | load head | look", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let writer = loom::thread::spawn({
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            move || publish(&mirror, &head)
        });
        let told = Arc::new(AtomicU64::new(0));
        let one = loom::thread::spawn({
            let (mirror, head, told) = (Arc::clone(&mirror), Arc::clone(&head), Arc::clone(&told));
            move || told.store(load_head(&mirror, &head), Ordering::Release)
        });
        let before = told.load(Ordering::Acquire);
        if let Some((sequence, words)) = mirror.look() {
            assert_eq!(words, words_of(sequence), "of one version");
            assert!(sequence >= before, "{sequence} after {before}");
            look_ahead(&head, sequence);
        }
        for thread in [writer, one] {
            thread.join().unwrap();
        }
    });
}

/// Announcing is enough for a version to take effect; its writer shows it later.
#[test]
fn a_version_that_another_has_announced_is_shown_by_its_writer() {
    explore("publish | load head", None, || {
        let (mirror, head) = of_first();
        let other = loom::thread::spawn({
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            move || load_head(&mirror, &head)
        });
        publish(&mirror, &head);
        assert_eq!(mirror.look(), Some((2, words_of(2))));
        other.join().unwrap();
    });
}

#[test]
fn a_reader_never_sees_words_that_are_wiped() {
    explore("close | look", None, || {
        let (mirror, _) = of_first();
        let remover = loom::thread::spawn({
            let mirror = Arc::clone(&mirror);
            move || {
                mirror.close();
            }
        });
        let seen = mirror.look();
        assert!(seen.is_none() || seen == Some((1, words_of(1))), "{seen:?}");
        remover.join().unwrap();
        assert_eq!(mirror.look(), None);
        assert!(mirror.is_closed());
    });
}

/// A writer who is late, and inside when the end comes or after it.
#[test]
fn nothing_is_shown_after_the_end() {
    explore("show | close | look", Some(PREEMPTIONS), || {
        let (mirror, _) = of_first();
        let writer = loom::thread::spawn({
            let mirror = Arc::clone(&mirror);
            move || {
                mirror.show(2, words_of(2));
            }
        });
        let remover = loom::thread::spawn({
            let mirror = Arc::clone(&mirror);
            move || {
                mirror.close();
                assert_eq!(mirror.look(), None);
            }
        });
        if let Some((sequence, words)) = mirror.look() {
            assert_eq!(words, words_of(sequence), "of one version");
        }
        for thread in [writer, remover] {
            thread.join().unwrap();
        }
        assert_eq!(mirror.look(), None);
        assert!(mirror.is_closed());
    });
}

/// Who is told here that all versions have ended finds the end at the head, too.
#[test]
fn the_end_is_at_the_head_for_a_reader_who_is_told_of_it() {
    explore("swap, close | is closed, load head", None, || {
        let (mirror, head) = of_first();
        let remover = loom::thread::spawn({
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            move || {
                head.swap(END, Ordering::AcqRel);
                mirror.close();
            }
        });
        if mirror.is_closed() {
            assert_eq!(head.load(Ordering::Acquire), END);
        }
        remover.join().unwrap();
    });
}

/// The same if not the remover has told it, but another who has met the end.
#[test]
fn the_end_is_at_the_head_for_a_reader_who_is_told_of_it_by_another() {
    let name = "swap | load head, announce the end | is closed, load head";
    explore(name, Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let remover = loom::thread::spawn({
            let head = Arc::clone(&head);
            move || {
                head.swap(END, Ordering::AcqRel);
            }
        });
        let other = loom::thread::spawn({
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            move || {
                if head.load(Ordering::Acquire) == END {
                    mirror.announce_closed();
                }
            }
        });
        if mirror.is_closed() {
            assert_eq!(head.load(Ordering::Acquire), END);
        }
        for thread in [remover, other] {
            thread.join().unwrap();
        }
    });
}

/// Somebody wipes them: the remover or, if a writer is inside then, that writer.
#[test]
fn nothing_is_left_in_the_words_after_the_end() {
    explore("show | close", None, || {
        let (mirror, _) = of_first();
        let writer = loom::thread::spawn({
            let mirror = Arc::clone(&mirror);
            move || {
                mirror.show(2, words_of(2));
            }
        });
        mirror.close();
        writer.join().unwrap();
        assert_eq!(mirror.raw_words(), [0; WORDS]);
    });
}

/// Two writers who meet keep readers from what they write, and not from what comes next.
#[test]
fn the_version_after_two_that_met_is_shown() {
    explore("publish | publish, publish", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let writer = loom::thread::spawn({
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            move || publish(&mirror, &head)
        });
        publish(&mirror, &head);
        writer.join().unwrap();
        publish(&mirror, &head);
        assert_eq!(mirror.look(), Some((4, words_of(4))));
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

/// What the kernel does for a change that those who watch are to be told of.
fn publish_and_tell(mirror: &Mirror<WORDS>, head: &AtomicU64, told: &AtomicU64) {
    let sequence = swap(head);
    if mirror.show(sequence, words_of(sequence)) {
        told.fetch_max(sequence, Ordering::AcqRel);
    }
}

/// What one who watches does: asks to be told, and then looks.
fn watch(mirror: &Mirror<WORDS>, head: &AtomicU64) -> u64 {
    mirror.watch();
    load_head(mirror, head)
}

/// The watcher knows of the newest version, or was told, and will be told of the next one.
fn assert_nothing_missed(seen: u64, mirror: &Mirror<WORDS>, head: &AtomicU64, told: &AtomicU64) {
    let newest = head.load(Ordering::Acquire);
    let told = told.load(Ordering::Acquire);
    assert!(
        seen == newest || told == newest,
        "saw {seen} and was told of {told}, not of {newest}"
    );
    assert!(mirror.announce(newest), "the mark is lost");
}

/// The greatest sequence that was told.
fn told() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(0))
}

#[test]
fn one_who_watches_misses_nothing_and_hides_nothing() {
    explore("watch | publish, publish", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let told = told();
        let writer = loom::thread::spawn({
            let (mirror, head, told) = (Arc::clone(&mirror), Arc::clone(&head), Arc::clone(&told));
            move || {
                publish_and_tell(&mirror, &head, &told);
                publish_and_tell(&mirror, &head, &told);
            }
        });
        let seen = watch(&mirror, &head);
        writer.join().unwrap();
        assert_nothing_missed(seen, &mirror, &head, &told);
        assert_eq!(mirror.look(), Some((3, words_of(3))), "hidden for nothing");
    });
}

#[test]
fn one_who_watches_two_writers_misses_nothing() {
    let bound = Some(PREEMPTIONS_OF_TWO_WRITERS);
    explore("watch | publish | publish", bound, || {
        let (mirror, head) = of_first();
        let told = told();
        let writers = [(); 2].map(|()| {
            let (mirror, head, told) = (Arc::clone(&mirror), Arc::clone(&head), Arc::clone(&told));
            loom::thread::spawn(move || publish_and_tell(&mirror, &head, &told))
        });
        let seen = watch(&mirror, &head);
        for writer in writers {
            writer.join().unwrap();
        }
        assert_nothing_missed(seen, &mirror, &head, &told);
    });
}

/// A reader announces what the writer has put at the head; the writer tells all the same.
#[test]
fn one_who_watches_misses_nothing_that_another_announces() {
    explore("watch | publish | load head", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let told = told();
        let writer = loom::thread::spawn({
            let (mirror, head, told) = (Arc::clone(&mirror), Arc::clone(&head), Arc::clone(&told));
            move || publish_and_tell(&mirror, &head, &told)
        });
        let reader = loom::thread::spawn({
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            move || {
                load_head(&mirror, &head);
            }
        });
        let seen = watch(&mirror, &head);
        writer.join().unwrap();
        reader.join().unwrap();
        assert_nothing_missed(seen, &mirror, &head, &told);
    });
}

/// A removal is told, too, and its words are wiped, with a writer inside or without.
#[test]
fn one_who_watches_is_told_of_the_end() {
    explore("watch | publish | close", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let told = told();
        let writer = loom::thread::spawn({
            let (mirror, told) = (Arc::clone(&mirror), Arc::clone(&told));
            move || {
                if mirror.show(2, words_of(2)) {
                    told.fetch_max(2, Ordering::AcqRel);
                }
            }
        });
        let remover = loom::thread::spawn({
            let (mirror, head, told) = (Arc::clone(&mirror), Arc::clone(&head), Arc::clone(&told));
            move || {
                head.store(END, Ordering::Release);
                if mirror.close() {
                    told.fetch_max(END, Ordering::AcqRel);
                }
            }
        });
        mirror.watch();
        let seen = head.load(Ordering::Acquire);
        writer.join().unwrap();
        remover.join().unwrap();
        let told = told.load(Ordering::Acquire);
        assert!(seen == END || told == END, "the end was missed");
        assert!(mirror.is_closed());
        assert_eq!(mirror.look(), None);
        assert_eq!(mirror.raw_words(), [0; WORDS]);
    });
}

/// Watchers come and go while a writer is inside: the words are shown all the same.
#[test]
fn those_who_come_and_go_hide_nothing() {
    explore("publish | watch, unwatch", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        let writer = loom::thread::spawn({
            let (mirror, head) = (Arc::clone(&mirror), Arc::clone(&head));
            move || publish(&mirror, &head)
        });
        mirror.watch();
        mirror.unwatch();
        writer.join().unwrap();
        assert_eq!(mirror.look(), Some((2, words_of(2))), "hidden for nothing");
    });
}

/// One has gone when another comes, beside a writer.
#[test]
fn one_who_comes_after_another_misses_nothing() {
    explore("publish | unwatch, watch", Some(PREEMPTIONS), || {
        let (mirror, head) = of_first();
        mirror.watch();
        let told = told();
        let writer = loom::thread::spawn({
            let (mirror, head, told) = (Arc::clone(&mirror), Arc::clone(&head), Arc::clone(&told));
            move || publish_and_tell(&mirror, &head, &told)
        });
        mirror.unwatch();
        let seen = watch(&mirror, &head);
        writer.join().unwrap();
        assert_nothing_missed(seen, &mirror, &head, &told);
        assert_eq!(mirror.look(), Some((2, words_of(2))), "hidden for nothing");
    });
}
