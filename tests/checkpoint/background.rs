//! The asynchronous forms: on no executor, and without blocking one.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::{pin, thread};

use attuned_store::{CheckpointError, MemoryStore, RestoreError};
use tokio::sync::oneshot;

use super::{folder, names_in, snapshot, with_history};

/// Wakes the thread that it was made in.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The plainest executor.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn some_users() -> MemoryStore {
    let store = with_history(2);
    for user in 0..15_000 {
        store
            .insert(snapshot(&format!("user_{user}"), user))
            .unwrap();
    }
    store
}

#[test]
fn works_without_a_runtime() {
    let folder = folder("without-a-runtime");
    let path = folder.join("users");
    let store = some_users();
    let written = block_on(store.checkpoint_in_background(&path)).unwrap();
    assert_eq!((written.users, written.versions), (15_000, 15_000));
    let builder = MemoryStore::builder().history(2);
    let copy = block_on(builder.restore_in_background(&path)).unwrap();
    assert_eq!(copy.len(), 15_000);
    assert_eq!(names_in(&folder), ["users"]);
}

#[test]
fn nothing_happens_before_it_is_polled() {
    let folder = folder("not-polled");
    drop(some_users().checkpoint_in_background(folder.join("users")));
    assert!(names_in(&folder).is_empty());
}

/// The thread that writes waits for another task of the executor's only thread.
#[tokio::test(flavor = "current_thread")]
async fn does_not_block_the_executor() {
    let folder = folder("not-blocked");
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (reached, is_reached) = oneshot::channel();
    let reached = Mutex::new(Some(reached));
    let may_go_on = Mutex::new(may_go_on);
    let checkpoint = some_users()
        .checkpointer()
        .on_progress(move |_| {
            if let Some(reached) = reached.lock().unwrap().take() {
                reached.send(()).unwrap();
                may_go_on.lock().unwrap().recv().unwrap();
            }
        })
        .write_in_background(folder.join("users"));
    let checkpoint = tokio::spawn(checkpoint);
    is_reached.await.unwrap();
    go_on.send(()).unwrap();
    checkpoint.await.unwrap().unwrap();
}

#[test]
fn a_dropped_future_leaves_the_old_checkpoint() {
    let folder = folder("dropped");
    let path = folder.join("users");
    let store = some_users();
    store.checkpoint_to(&path).unwrap();
    let before = std::fs::read(&path).unwrap();

    store.insert(snapshot("ada", 1)).unwrap();
    // It is in the middle, and the file is there, when the future is dropped.
    let (reached, is_reached) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let calls = AtomicUsize::new(0);
    let mut checkpoint = store
        .checkpointer()
        .on_progress(move |_| {
            if calls.fetch_add(1, SeqCst) == 0 {
                reached.send(()).unwrap();
                let _ = may_go_on.lock().unwrap().recv();
            }
        })
        .write_in_background(&path);
    let mut context = Context::from_waker(Waker::noop());
    assert!(
        pin::Pin::new(&mut checkpoint)
            .poll(&mut context)
            .is_pending()
    );
    is_reached.recv().unwrap();
    assert_eq!(names_in(&folder).len(), 2);
    drop(checkpoint);
    go_on.send(()).unwrap();
    // The thread lets the store go when it is done.
    while names_in(&folder).len() > 1 {
        thread::yield_now();
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn errors_come_out_of_the_future() {
    let folder = folder("background-errors");
    let path = folder.join("absent").join("users");
    let error = block_on(some_users().checkpoint_in_background(&path)).unwrap_err();
    assert!(matches!(error, CheckpointError::File { .. }), "{error}");
    let error = block_on(MemoryStore::builder().restore_in_background(&path)).unwrap_err();
    assert!(matches!(error, RestoreError::File { .. }), "{error}");
}

#[test]
fn a_panic_of_the_callback_is_an_error() {
    let folder = folder("panic");
    let checkpoint = some_users()
        .checkpointer()
        .on_progress(|_| panic!("on purpose"))
        .write_in_background(folder.join("users"));
    let error = block_on(checkpoint).unwrap_err();
    assert!(matches!(error, CheckpointError::Thread(_)), "{error}");
    assert!(names_in(&folder).is_empty());
}

#[test]
fn progress_goes_up_to_all() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&seen);
    let mut bytes = Vec::new();
    let written = some_users()
        .checkpointer()
        .on_progress(move |progress| tell.lock().unwrap().push(progress))
        .write(&mut bytes)
        .unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.len() >= 2);
    assert!(seen.is_sorted_by(|a, b| a.users <= b.users && a.bytes < b.bytes));
    assert!(seen.iter().all(|progress| progress.of == 15_000));
    let last = seen.last().unwrap();
    assert_eq!((last.users, last.bytes), (15_000, written.bytes));
}
