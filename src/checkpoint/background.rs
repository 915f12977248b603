//! Work that takes long, for callers that must not block.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

/// A checkpoint that is written, or a store that is restored, in a thread of its own.
///
/// The thread is started when the future is polled for the first time. No executor is
/// needed, and none is blocked. If the future is dropped before it is ready, the thread gives
/// up soon: there will be no new checkpoint, and the old one is still there.
#[must_use = "futures do nothing unless polled"]
pub struct Background<T> {
    /// Until it is started.
    work: Option<Work<T>>,
    without_thread: fn(io::Error) -> T,
    state: Arc<State<T>>,
}

type Work<T> = Box<dyn FnOnce(&Wanted) -> T + Send>;

struct State<T> {
    progress: Mutex<Progress<T>>,
    wanted: Wanted,
}

struct Progress<T> {
    outcome: Option<T>,
    waker: Option<Waker>,
}

/// Whether somebody still wants the work to be done.
#[derive(Debug)]
pub(super) struct Wanted(AtomicBool);

impl Wanted {
    /// By the caller, who waits for it.
    pub(super) const fn yes() -> Self {
        Self(AtomicBool::new(true))
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<T: Send + 'static> Background<T> {
    /// `without_thread` makes a result of what is wrong with the thread.
    pub(super) fn new(
        work: impl FnOnce(&Wanted) -> T + Send + 'static,
        without_thread: fn(io::Error) -> T,
    ) -> Self {
        Self {
            work: Some(Box::new(work)),
            without_thread,
            state: Arc::new(State {
                progress: Mutex::new(Progress {
                    outcome: None,
                    waker: None,
                }),
                wanted: Wanted::yes(),
            }),
        }
    }

    fn start(&self, work: Work<T>) {
        let state = Arc::clone(&self.state);
        let without_thread = self.without_thread;
        let run = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&state.wanted)));
            state.end(outcome.unwrap_or_else(|_| without_thread(io::Error::other("it panicked"))));
        };
        let named = thread::Builder::new().name("attuned-checkpoint".to_owned());
        if let Err(error) = named.spawn(run) {
            self.state.end(without_thread(error));
        }
    }
}

impl<T> State<T> {
    fn progress(&self) -> MutexGuard<'_, Progress<T>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, outcome: T) {
        let waker = {
            let mut progress = self.progress();
            progress.outcome = Some(outcome);
            progress.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: Send + 'static> Future for Background<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if let Some(work) = self.work.take() {
            self.start(work);
        }
        let mut progress = self.state.progress();
        match progress.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                progress.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.state.wanted.0.store(false, Ordering::Relaxed);
    }
}

impl<T> fmt::Debug for Background<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}
