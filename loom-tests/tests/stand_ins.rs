//! The stand-ins themselves: that loom interleaves other threads at each of
//! their operations, and that they do what the real primitives do.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc as StdArc, Mutex};

use attuned_store::sync::{
    Arc, ArcSwapOption, ArrayQueue, AtomicU64, Equivalent, Guard, HashMap, OnceBox, Ordering,
    live_values,
};
use loom::thread;

/// Runs `first` and `second` concurrently on what `setup` makes, in every
/// interleaving; how many there were, and the different results.
fn interleave<S, A, B, R>(
    setup: impl Fn() -> S + Send + Sync + 'static,
    first: impl Fn(&S) -> A + Send + Sync + Copy + 'static,
    second: impl Fn(&S) -> B + Send + Sync + Copy + 'static,
    result: impl Fn(&S, A, B) -> R + Send + Sync + 'static,
) -> (usize, BTreeSet<R>)
where
    S: Send + Sync + 'static,
    A: 'static,
    B: Send + 'static,
    R: Ord + Hash + Send + 'static,
{
    let executions = StdArc::new(AtomicUsize::new(0));
    let results = StdArc::new(Mutex::new(BTreeSet::new()));
    loom::model({
        let (executions, results) = (executions.clone(), results.clone());
        move || {
            executions.fetch_add(1, Relaxed);
            let shared = StdArc::new(setup());
            let other = thread::spawn({
                let shared = shared.clone();
                move || second(&shared)
            });
            let a = first(&shared);
            let b = other.join().unwrap();
            let seen = result(&shared, a, b);
            results.lock().unwrap().insert(seen);
            drop(shared);
            assert_eq!(live_values(), 0, "a value outlives all that could own it");
        }
    });
    let results = std::mem::take(&mut *results.lock().unwrap());
    (executions.load(Relaxed), results)
}

fn value(arc: &Option<Arc<u32>>) -> Option<u32> {
    arc.as_ref().map(|arc| **arc)
}

#[test]
fn a_swapped_pointer_is_loaded_before_or_after_a_swap() {
    let (executions, seen) = interleave(
        || ArcSwapOption::new(Some(Arc::new(1))),
        |cell| value(&cell.load()),
        |cell| value(&cell.swap(Some(Arc::new(2)))),
        |_, loaded, replaced| (loaded, replaced),
    );
    assert!(executions >= 2, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([(Some(1), Some(1)), (Some(2), Some(1))])
    );
}

#[test]
fn of_two_racing_compare_and_swaps_one_wins() {
    let set_to = |new: u32| {
        move |cell: &ArcSwapOption<u32>| {
            let seen = cell.load();
            value(&cell.compare_and_swap(&seen, Some(Arc::new(new)))) == value(&seen)
        }
    };
    let (executions, seen) = interleave(
        || ArcSwapOption::new(None),
        set_to(1),
        set_to(2),
        |cell, first, second| (first, second, value(&Guard::into_inner(cell.load()))),
    );
    assert!(executions >= 4, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([
            (true, false, Some(1)),
            (false, true, Some(2)),
            (true, true, Some(1)),
            (true, true, Some(2)),
        ])
    );
}

/// loom's own atomics would give one of the two results, in one execution: see the
/// stand-in.
#[test]
fn a_number_that_its_writer_has_loaded_is_read_before_or_after_it_is_written() {
    let (executions, seen) = interleave(
        || AtomicU64::new(0),
        |number| number.load(Ordering::Acquire),
        |number| {
            let before = number.load(Ordering::Relaxed);
            number.fetch_max(before + 1, Ordering::AcqRel);
        },
        |_, loaded, ()| loaded,
    );
    assert!(executions >= 2, "{executions}");
    assert_eq!(seen, BTreeSet::from([0, 1]));
}

/// What the stand-in of a number makes up for. If this fails, loom has got better,
/// and the stand-in can go.
#[test]
fn loom_0_7_3_misses_the_second_result() {
    let (executions, seen) = interleave(
        || loom::sync::atomic::AtomicU64::new(0),
        |number| number.load(Ordering::Acquire),
        |number| {
            let before = number.load(Ordering::Relaxed);
            number.fetch_max(before + 1, Ordering::AcqRel);
        },
        |_, loaded, ()| loaded,
    );
    assert_eq!((executions, seen.len()), (1, 1), "{seen:?}");
}

#[test]
fn a_weak_is_upgraded_before_the_last_drop_or_not_at_all() {
    let (executions, seen) = interleave(
        || {
            let last = Arc::new(7);
            let weak = Arc::downgrade(&last);
            (Mutex::new(Some(last)), weak)
        },
        |(_, weak)| value(&weak.upgrade()),
        |(last, _)| {
            let last = last.lock().unwrap().take();
            drop(last);
        },
        |_, upgraded, ()| upgraded,
    );
    assert!(executions >= 2, "{executions}");
    assert_eq!(seen, BTreeSet::from([None, Some(7)]));
}

#[test]
fn a_shared_value_is_copied_for_its_writer_and_a_unique_one_is_not() {
    let (_, seen) = interleave(
        || {
            let shared = Arc::new(1);
            Mutex::new((Some(shared.clone()), Some(shared)))
        },
        |both| {
            let mut mine = both.lock().unwrap().0.take().unwrap();
            *Arc::make_mut(&mut mine) += 1;
            *mine
        },
        |both| {
            let theirs = both.lock().unwrap().1.take().unwrap();
            *theirs
        },
        |_, mine, theirs| (mine, theirs),
    );
    assert_eq!(seen, BTreeSet::from([(2, 1)]));
}

#[test]
fn a_queue_with_one_place_refuses_the_later_of_two() {
    let (executions, seen) = interleave(
        || ArrayQueue::new(1),
        |queue| queue.push(1),
        |queue| queue.push(2),
        |queue, first, second| (first, second, queue.pop(), queue.pop()),
    );
    assert!(executions >= 2, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([
            (Ok(()), Err(2), Some(1), None),
            (Err(1), Ok(()), Some(2), None),
        ])
    );
}

#[test]
fn a_queue_is_popped_before_or_after_a_push() {
    let (executions, seen) = interleave(
        || ArrayQueue::new(2),
        |queue: &ArrayQueue<u32>| queue.pop(),
        |queue| queue.push(1),
        |_, popped, pushed| (popped, pushed),
    );
    assert!(executions >= 2, "{executions}");
    assert_eq!(seen, BTreeSet::from([(None, Ok(())), (Some(1), Ok(()))]));
}

#[test]
fn a_box_is_made_by_the_first_of_two() {
    let (executions, seen) = interleave(
        OnceBox::new,
        |cell| *cell.get_or_init(|| Box::new(1)),
        |cell| *cell.get_or_init(|| Box::new(2)),
        |cell, first, second| (first, second, cell.get().copied()),
    );
    assert!(executions >= 2, "{executions}");
    assert_eq!(seen, BTreeSet::from([(1, 1, Some(1)), (2, 2, Some(2))]));
}

struct Id(&'static str);

impl Equivalent<String> for Id {
    fn equivalent(&self, key: &String) -> bool {
        self.0 == key
    }
}

const ADA: Id = Id("ada");

fn users() -> HashMap<String, u32, ()> {
    HashMap::builder().hasher(()).build()
}

#[test]
fn of_two_racing_inserts_one_is_refused() {
    let (executions, seen) = interleave(
        users,
        |map| map.pin().try_insert("ada".to_owned(), 1).is_ok(),
        |map| map.pin().try_insert("ada".to_owned(), 2).is_ok(),
        |map, first, second| (first, second, map.pin().get(&ADA).map(|value| *value)),
    );
    assert!(executions >= 2, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([(true, false, Some(1)), (false, true, Some(2))])
    );
}

#[test]
fn a_conditional_removal_can_be_overtaken_between_its_look_and_its_deed() {
    let (executions, seen) = interleave(
        || {
            let map = users();
            let _ = map.pin().try_insert("ada".to_owned(), 1);
            map
        },
        |map| map.pin().remove_if(&ADA, |_, &value| value == 1),
        |map| {
            let map = map.pin();
            let removed = map.remove_if(&ADA, |_, _| true);
            let inserted = map.try_insert("ada".to_owned(), 2).is_ok();
            (removed, inserted)
        },
        |map, first, second| (first, second, map.pin().get(&ADA).map(|value| *value)),
    );
    assert!(executions >= 4, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([
            // First, then second.
            (Ok(Some(())), (Ok(None), true), Some(2)),
            // Between the second's removal and insertion.
            (Ok(None), (Ok(Some(())), true), Some(2)),
            // After the second.
            (Err(()), (Ok(Some(())), true), Some(2)),
        ])
    );
}

#[test]
fn a_number_has_the_orderings_that_are_asked_for() {
    // Two relaxed-enough numbers: neither thread need see what the other wrote.
    let (_, seen) = interleave(
        || (AtomicU64::new(0), AtomicU64::new(0)),
        |(a, b)| {
            a.fetch_max(1, Ordering::AcqRel);
            b.load(Ordering::Acquire)
        },
        |(a, b)| {
            b.fetch_max(1, Ordering::AcqRel);
            a.load(Ordering::Acquire)
        },
        |_, first, second| (first, second),
    );
    assert_eq!(seen, BTreeSet::from([(0, 0), (0, 1), (1, 0), (1, 1)]));
}
