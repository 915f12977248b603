//! The stand-ins themselves: that loom interleaves other threads at each of
//! their operations, and that they do what the real primitives do.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use attuned_store::sync::{
    ArrayQueue, AtomicShared, AtomicU64, Equivalent, Guard, HashMap, OnceBox, Ordering, Ptr,
    Shared, Tag, chained_drops, forget_counts, live_values,
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
    let executions = Arc::new(AtomicUsize::new(0));
    let results = Arc::new(Mutex::new(BTreeSet::new()));
    loom::model({
        let (executions, results) = (executions.clone(), results.clone());
        move || {
            executions.fetch_add(1, Relaxed);
            forget_counts();
            let shared = Arc::new(setup());
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
            assert_eq!(chained_drops(), 0, "a value was dropped with another one");
        }
    });
    let results = std::mem::take(&mut *results.lock().unwrap());
    (executions.load(Relaxed), results)
}

fn value(shared: &Option<Shared<u32>>) -> Option<u32> {
    shared.as_deref().copied()
}

fn read(ptr: Ptr<'_, u32>) -> Option<u32> {
    ptr.as_ref().copied()
}

/// Swaps the owner, who is dropped at once.
fn swap(cell: &AtomicShared<u32>, new: Option<u32>) -> Option<u32> {
    let (former, _) = cell.swap((new.map(Shared::new), Tag::None), Ordering::AcqRel);
    value(&former)
}

#[test]
fn a_pointer_is_loaded_before_or_after_a_swap() {
    let (executions, seen) = interleave(
        || AtomicShared::new(1),
        |cell| read(cell.load(Ordering::Acquire, &Guard::new())),
        |cell| swap(cell, Some(2)),
        |_, loaded, replaced| (loaded, replaced),
    );
    assert!(executions >= 2, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([(Some(1), Some(1)), (Some(2), Some(1))])
    );
}

#[test]
fn a_pointer_is_null_before_or_after_a_swap() {
    let (executions, seen) = interleave(
        AtomicShared::null,
        |cell| cell.is_null(Ordering::Acquire),
        |cell| swap(cell, Some(1)),
        |_, was_null, replaced| (was_null, replaced),
    );
    assert!(executions >= 2, "{executions}");
    assert_eq!(seen, BTreeSet::from([(true, None), (false, None)]));
}

/// What an exchange of what is there returns: whose owner the caller got, or whose it
/// kept; and what is there now.
fn exchange(cell: &AtomicShared<u32>, new: u32) -> (bool, Option<u32>, Option<u32>) {
    let guard = Guard::new();
    let seen = cell.load(Ordering::Acquire, &guard);
    let new = (Some(Shared::new(new)), Tag::None);
    match cell.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire, &guard) {
        Ok((former, stored)) => (true, value(&former), read(stored)),
        Err((refused, found)) => (false, value(&refused), read(found)),
    }
}

#[test]
fn of_two_racing_exchanges_the_later_one_is_refused_or_has_seen_the_first() {
    let (executions, seen) = interleave(
        || AtomicShared::new(1),
        |cell| exchange(cell, 2),
        |cell| exchange(cell, 3),
        |_, first, second| (first, second),
    );
    assert!(executions >= 4, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([
            // One after the other.
            ((true, Some(1), Some(2)), (true, Some(2), Some(3))),
            ((true, Some(3), Some(2)), (true, Some(1), Some(3))),
            // Both had seen the 1.
            ((true, Some(1), Some(2)), (false, Some(3), Some(2))),
            ((false, Some(2), Some(3)), (true, Some(1), Some(3))),
        ])
    );
}

#[test]
fn an_exchange_hands_the_only_owner_over() {
    let (_, seen) = interleave(
        || AtomicShared::new(1),
        |cell| {
            let guard = Guard::new();
            let seen = cell.load(Ordering::Acquire, &guard);
            let former = cell
                .compare_exchange(
                    seen,
                    (None, Tag::None),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                    &guard,
                )
                .unwrap()
                .0;
            let owned_by_the_caller = live_values();
            drop(former);
            (owned_by_the_caller, live_values(), read(seen))
        },
        |_| (),
        |cell, counts, ()| (counts, cell.is_null(Ordering::Acquire)),
    );
    assert_eq!(seen, BTreeSet::from([((1, 0, Some(1)), true)]));
}

/// It goes by the address, as the real one does, and not by the value.
#[test]
fn another_owner_of_an_equal_value_is_not_what_was_expected() {
    let (_, seen) = interleave(
        || AtomicShared::new(1),
        |cell| {
            let guard = Guard::new();
            let equal = Shared::new(1);
            let current = equal.get_guarded_ptr(&guard);
            cell.compare_exchange(
                current,
                (None, Tag::None),
                Ordering::AcqRel,
                Ordering::Acquire,
                &guard,
            )
            .is_ok()
        },
        |_| (),
        |_, exchanged, ()| exchanged,
    );
    assert_eq!(seen, BTreeSet::from([false]));
}

#[test]
fn a_pointer_is_owned_before_the_last_drop_or_not_at_all() {
    let (executions, seen) = interleave(
        || AtomicShared::new(7),
        |cell| {
            let guard = Guard::new();
            let ptr = cell.load(Ordering::Acquire, &guard);
            (read(ptr), value(&ptr.get_shared()))
        },
        |cell| swap(cell, None),
        |_, seen, _| seen,
    );
    assert!(executions >= 3, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([
            // Loaded before the last owner went: readable under the guard for certain.
            (Some(7), Some(7)),
            (Some(7), None),
            (None, None),
        ])
    );
}

#[test]
fn who_owns_a_value_keeps_it_alive_when_the_place_is_emptied() {
    let (executions, seen) = interleave(
        || AtomicShared::new(7),
        |cell| cell.load(Ordering::Acquire, &Guard::new()).get_shared(),
        |cell| swap(cell, None),
        |_, owned, _| {
            let live = live_values();
            (value(&owned), live)
        },
    );
    assert!(executions >= 3, "{executions}");
    assert_eq!(seen, BTreeSet::from([(Some(7), 1), (None, 0)]));
}

#[test]
fn a_value_is_readable_under_a_guard_after_its_last_owner_is_gone() {
    let (executions, seen) = interleave(
        || Mutex::new(Some(Shared::new(7))),
        |last| {
            let guard = Guard::new();
            let last = last.lock().unwrap().take().unwrap();
            let lent = last.get_guarded_ref(&guard);
            let before = live_values();
            drop(last);
            (*lent, before, live_values())
        },
        |_| (),
        |_, seen, ()| seen,
    );
    assert!(executions >= 1, "{executions}");
    assert_eq!(seen, BTreeSet::from([(7, 1, 0)]));
}

/// A value that may own another one.
struct Version {
    sequence: u32,
    previous: AtomicShared<Version>,
}

impl Version {
    fn first() -> Shared<Self> {
        Shared::new(Self {
            sequence: 1,
            previous: AtomicShared::null(),
        })
    }

    fn after(previous: Shared<Self>) -> Shared<Self> {
        Shared::new(Self {
            sequence: previous.sequence + 1,
            previous: AtomicShared::from(previous),
        })
    }
}

/// Looks at two versions while they are taken away; both are there, or the first of
/// them and then none, or none.
#[test]
fn what_is_reached_from_a_value_without_owners_is_readable_under_the_guard() {
    let (executions, seen) = interleave(
        || AtomicShared::from(Version::after(Version::first())),
        |head| {
            let guard = Guard::new();
            let newest = head.load(Ordering::Acquire, &guard).as_ref()?;
            let previous = newest.previous.load(Ordering::Acquire, &guard).as_ref();
            Some((newest.sequence, previous.map(|version| version.sequence)))
        },
        |head| {
            let (newest, _) = head.swap((None, Tag::None), Ordering::AcqRel);
            let newest = newest.unwrap();
            drop(newest.previous.swap((None, Tag::None), Ordering::AcqRel));
        },
        |_, seen, ()| seen,
    );
    assert!(executions >= 3, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([None, Some((2, None)), Some((2, Some(1)))])
    );
}

#[test]
fn a_chain_of_drops_is_noticed() {
    loom::model(|| {
        forget_counts();
        let third = Version::after(Version::after(Version::first()));
        assert_eq!((live_values(), chained_drops()), (3, 0));
        drop(third);
        // The first went with the second, and that with the third.
        assert_eq!((live_values(), chained_drops()), (0, 2));
    });
}

#[test]
fn who_only_drops_what_owns_a_value_makes_no_chain() {
    loom::model(|| {
        forget_counts();
        let second = Version::after(Version::first());
        let guard = Guard::new();
        let lent = second.get_guarded_ref(&guard);
        drop(second);
        assert_eq!((live_values(), chained_drops()), (1, 0), "under the guard");
        drop(lent.previous.swap((None, Tag::None), Ordering::AcqRel));
        drop(guard);
        drop(AtomicShared::from(Version::first()));
        assert_eq!((live_values(), chained_drops()), (0, 0));
    });
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
        |map, first, second| (first, second, map.pin().get(&ADA).copied()),
    );
    assert!(executions >= 2, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([(true, false, Some(1)), (false, true, Some(2))])
    );
}

/// The value that was removed, or the one that was to stay.
fn removed(result: Result<Option<(&String, &u32)>, (&String, &u32)>) -> Result<Option<u32>, u32> {
    result
        .map(|removed| removed.map(|(_, value)| *value))
        .map_err(|(_, value)| *value)
}

#[test]
fn a_conditional_removal_can_be_overtaken_between_its_look_and_its_deed() {
    let (executions, seen) = interleave(
        || {
            let map = users();
            let _ = map.pin().try_insert("ada".to_owned(), 1);
            map
        },
        |map| removed(map.pin().remove_if(&ADA, |_, &value| value == 1)),
        |map| {
            let map = map.pin_owned();
            let removed = removed(map.remove_if(&ADA, |_, _| true));
            let inserted = map.try_insert("ada".to_owned(), 2).is_ok();
            (removed, inserted)
        },
        |map, first, second| (first, second, map.pin().get(&ADA).copied()),
    );
    assert!(executions >= 4, "{executions}");
    assert_eq!(
        seen,
        BTreeSet::from([
            // First, then second.
            (Ok(Some(1)), (Ok(None), true), Some(2)),
            // Between the second's removal and insertion.
            (Ok(None), (Ok(Some(1)), true), Some(2)),
            // After the second.
            (Err(2), (Ok(Some(1)), true), Some(2)),
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
