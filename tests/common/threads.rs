//! Threads that start together.

use std::sync::Barrier;
use std::thread;

/// Runs `action` on so many threads at once, and returns what each returned. If
/// one panics, so does this.
pub fn together<R: Send>(threads: usize, action: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let start = Barrier::new(threads);
    let (start, action) = (&start, &action);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    start.wait();
                    action(thread)
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}
