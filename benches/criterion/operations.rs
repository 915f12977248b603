//! The cost of a single call, one thread, nobody else: each operation through
//! each interface, reads after growth against reads in a presized store, and the
//! default hasher against a fast one.
//!
//! Held constant: 10,000 users with ids of 16 bytes, 5 axes a snapshot, the
//! order in which users are visited. A write stores a snapshot made for it,
//! outside the timed part.
//!
//! `cargo bench -p attuned-store-benches --bench operations`

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use attuned_store::{MemoryStore, StateSnapshot, StateStore};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main};

const USERS: usize = 10_000;
const HISTORY: usize = 100;
const AXES: [&str; 5] = [
    "cognitive_load",
    "formality",
    "urgency_sensitivity",
    "verbosity_preference",
    "warmth",
];

fn user_id(user: usize) -> String {
    format!("user_{user:011}")
}

fn snapshot(user_id: &str) -> StateSnapshot {
    StateSnapshot::builder()
        .user_id(user_id)
        .updated_at(0)
        .axes(AXES.map(|name| (name, 0.5)))
        .build()
        .expect("a valid snapshot")
}

/// User ids in an order that no prefetcher guesses.
fn visits() -> impl FnMut() -> String {
    let mut user = 0;
    move || {
        user = (user + 7_919) % USERS;
        user_id(user)
    }
}

fn fill<S: BuildHasher + Send + Sync>(store: MemoryStore<S>, versions: usize) -> MemoryStore<S> {
    for _ in 0..versions {
        for user in 0..USERS {
            store.insert(snapshot(&user_id(user))).unwrap();
        }
    }
    store
}

fn with_history(versions: usize) -> MemoryStore {
    let store = MemoryStore::builder().history(HISTORY).capacity(USERS);
    fill(store.build().expect("a valid configuration"), versions)
}

/// What a runtime does with a future that is ready at once.
fn poll<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the in-memory store does not wait"),
    }
}

fn timed<R>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut call: impl FnMut(&str) -> R) {
    let mut next = visits();
    group.bench_function(name, |bencher| {
        bencher.iter_batched_ref(&mut next, |id| call(id), BatchSize::SmallInput);
    });
}

fn timed_write<R>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut write: impl FnMut(StateSnapshot) -> R,
) {
    let mut next = visits();
    group.bench_function(name, |bencher| {
        bencher.iter_batched(|| snapshot(&next()), &mut write, BatchSize::SmallInput);
    });
}

fn reads(criterion: &mut Criterion) {
    let store = with_history(HISTORY);
    let object: &dyn StateStore = &store;
    let mut group = criterion.benchmark_group("read");
    timed(&mut group, "with", |id| {
        store.with(id, |latest| black_box(latest.confidence()))
    });
    store.pin(|view| {
        timed(&mut group, "with, pinned", |id| {
            view.with(id, |latest| black_box(latest.confidence()))
        });
    });
    timed(&mut group, "get", |id| store.get(id));
    timed(&mut group, "get_latest, dyn", |id| {
        poll(object.get_latest(id))
    });
    timed(&mut group, "history of 100", |id| store.history(id, 100));
    timed(&mut group, "get_history of 100, dyn", |id| {
        poll(object.get_history(id, 100))
    });
}

fn writes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    let plain = fill(MemoryStore::default(), 1);
    timed_write(&mut group, "upsert, no history", |new| plain.insert(new));
    let full = with_history(HISTORY);
    timed_write(&mut group, "upsert, full history of 100", |new| {
        full.insert(new)
    });
    let object: &dyn StateStore = &full;
    timed_write(&mut group, "upsert_latest, dyn, full history", |new| {
        poll(object.upsert_latest(new))
    });
}

fn growth(criterion: &mut Criterion) {
    let grown = fill(MemoryStore::default(), 1);
    let presized = MemoryStore::builder().capacity(USERS);
    let presized = fill(presized.build().expect("a valid configuration"), 1);
    let mut group = criterion.benchmark_group("growth");
    timed(&mut group, "get after growing by upserts", |id| {
        grown.get(id)
    });
    timed(&mut group, "get in a presized store", |id| presized.get(id));
}

fn hashers(criterion: &mut Criterion) {
    let standard = MemoryStore::builder().hasher(RandomState::new());
    let standard = fill(standard.build().expect("a valid configuration"), 1);
    let default = fill(MemoryStore::default(), 1);
    let mut group = criterion.benchmark_group("hasher");
    timed(&mut group, "get, the default hasher", |id| default.get(id));
    timed(&mut group, "get, SipHash-1-3", |id| standard.get(id));
}

criterion_group!(benches, reads, writes, growth, hashers);
criterion_main!(benches);
