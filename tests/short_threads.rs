//! Very many short threads that hold each other up, or are held up by another one, when
//! they end.
//!
//! Apart from other tests, because a thread may be left that drops what these have left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;

use attuned_store::HistoryMap;

/// What the threads leave to each other must not be one inside the other: in a debug
/// build, 2,000 levels overflow the stack.
#[test]
fn thousands_of_threads_may_end_while_a_closure_sleeps() {
    const THREADS: usize = 6_000;
    let value = Arc::new(AtomicUsize::new(0));
    let map = HistoryMap::builder().build().unwrap();
    map.insert("asleep", Arc::clone(&value)).unwrap();
    map.insert("key", Arc::clone(&value)).unwrap();
    let (entered, is_inside) = mpsc::channel();
    let (wake, told) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let map = &map;
        scope.spawn(move || {
            map.with("asleep", |_| {
                entered.send(()).unwrap();
                told.recv().unwrap();
            })
        });
        is_inside.recv().unwrap();
        for _ in 0..THREADS {
            thread::scope(|scope| {
                let write = || {
                    value.fetch_add(1, SeqCst);
                    map.insert("key", Arc::clone(&value)).unwrap();
                };
                scope.spawn(write).join().unwrap();
            });
        }
        assert_eq!(value.load(SeqCst), THREADS);
        assert!(Arc::strong_count(&value) > THREADS);
        wake.send(()).unwrap();
    });
    // Here, and those of both keys. Another thread drops the others in its own time.
    while Arc::strong_count(&value) > 3 {
        map.insert("new", Arc::clone(&value)).unwrap();
        drop(map.remove("new").unwrap());
        thread::yield_now();
    }
}

#[test]
fn crowds_that_come_and_go_leave_no_more_each_time() {
    let value = Arc::new(());
    let map = HistoryMap::builder().build().unwrap();
    for _ in 0..500 {
        thread::scope(|scope| {
            let write = || {
                for _ in 0..7 {
                    map.insert("key", Arc::clone(&value)).unwrap();
                }
            };
            let crowd: Vec<_> = (0..6).map(|_| scope.spawn(write)).collect();
            crowd.into_iter().for_each(|thread| thread.join().unwrap());
        });
        // Here, and that of the key.
        while Arc::strong_count(&value) > 2 {
            map.insert("new", Arc::clone(&value)).unwrap();
            drop(map.remove("new").unwrap());
            thread::yield_now();
        }
    }
}
