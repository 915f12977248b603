//! Large batches of the store in memory: other tasks have their turn meanwhile, and what was
//! done before a batch is dropped stays.

mod common;
#[path = "common/ready.rs"]
mod ready;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use attuned_store::{MemoryStore, StateSnapshot, StateStore, StoreError};
use common::snapshot;
use ready::ready;

const USERS: usize = 10_000;

fn ids() -> Vec<String> {
    (0..USERS).map(|n| format!("user-{n}")).collect()
}

fn snapshots() -> Vec<StateSnapshot> {
    ids().iter().map(|id| snapshot(id, 1)).collect()
}

/// How many turns another task of a runtime of one thread has while `batch` runs.
fn turns_of_another(batch: impl Future) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        let turns = Arc::new(AtomicUsize::new(0));
        tokio::spawn({
            let turns = Arc::clone(&turns);
            async move {
                loop {
                    turns.fetch_add(1, SeqCst);
                    tokio::task::yield_now().await;
                }
            }
        });
        batch.await;
        turns.load(SeqCst)
    })
}

#[test]
fn other_tasks_have_their_turn_while_a_batch_runs() {
    let store = MemoryStore::default();
    let turns = turns_of_another(async {
        let results = store.upsert_many(snapshots()).await;
        assert_eq!(results.len(), USERS);
        assert!(results.iter().all(Result::is_ok));
    });
    assert!(turns >= USERS / 1_000, "{turns}");

    let ids = ids();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let turns = turns_of_another(async {
        let found = store.get_many(&ids).await.unwrap();
        let found: Vec<_> = found.iter().flatten().map(StateSnapshot::user_id).collect();
        assert_eq!(found, ids);
    });
    assert!(turns >= USERS / 1_000, "{turns}");
}

#[test]
fn a_small_batch_is_done_at_once() {
    let store = MemoryStore::default();
    for size in [0, 1, 128] {
        let results = ready(store.upsert_many(snapshots().split_off(USERS - size)));
        assert_eq!(results.len(), size);
        let ids = ids().split_off(USERS - size);
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        assert_eq!(ready(store.get_many(&ids)).unwrap().len(), size);
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn what_was_done_before_a_batch_is_dropped_stays() {
    let store = MemoryStore::default();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut done = 0;
    {
        let mut batch = pin!(store.upsert_many(snapshots()));
        for polls in 1..=3 {
            let polled = batch.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            // It asks for its next turn itself.
            assert_eq!(wakes.0.load(SeqCst), polls);
            assert!(store.len() > done);
            done = store.len();
        }
    }
    assert!(done < USERS);
    assert_eq!(store.len(), done);
    assert!(ids().iter().take(done).all(|id| store.contains(id)));
}

#[test]
fn a_wrong_id_ends_a_batch_of_reads_wherever_it_is() {
    let store = MemoryStore::default();
    let mut ids = ids();
    ids[USERS / 2] = "no id".to_owned();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut batch = pin!(store.get_many(&ids));
    let mut context = Context::from_waker(Waker::noop());
    let result = loop {
        if let Poll::Ready(result) = batch.as_mut().poll(&mut context) {
            break result;
        }
    };
    assert!(matches!(result, Err(StoreError::InvalidUserId(_))));
}
