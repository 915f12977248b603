//! A replica that lags, while others write, evict and delete what it has not seen.
//!
//! One writer of each user at a time: its k-th operation writes k as the time, or deletes. So
//! what a read shows says which operations it has seen, and it must have seen each that was
//! done before it was called.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attuned_store::{JetStreamStore, StateSnapshot, StateStore};
use tokio::task::JoinSet;

use crate::depth::Depth;
use crate::proxy::Proxy;
use crate::random::Random;
use crate::server::Servers;
use crate::{announce, builder, snapshot};

const USERS: usize = 6;
const HISTORY: usize = 3;
const SLACK: usize = 2;
const READERS: usize = 32;

/// What was done to a user, by its only writer.
#[derive(Default)]
struct Written {
    /// Of the k-th operation, from 1: whether it wrote a snapshot.
    snapshots: Mutex<Vec<bool>>,
    begun: AtomicUsize,
    /// A read that is called now must have seen so many.
    done: AtomicUsize,
}

impl Written {
    fn begin(&self, is_snapshot: bool) -> usize {
        self.snapshots.lock().unwrap().push(is_snapshot);
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn end(&self, operation: usize) {
        self.done.fetch_max(operation, Ordering::SeqCst);
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Judges what a read has shown that was called when `done` operations were done.
    fn judge(&self, done: usize, shown: &[usize], entries: usize) -> Result<(), String> {
        let begun = self.begun.load(Ordering::SeqCst);
        let snapshots = self.snapshots.lock().unwrap();
        // As after the k-th operation.
        let expected = |k: usize| -> Vec<usize> {
            let back = (1..=k).rev().take_while(|k| snapshots[k - 1]);
            back.take(entries).collect()
        };
        match (done..=begun).find(|&k| expected(k) == shown) {
            Some(seen) => {
                // Reads do not go back.
                self.end(seen);
                Ok(())
            }
            None => Err(format!(
                "{shown:?}, after {done} to {begun}: {:?}",
                expected(done)
            )),
        }
    }
}

async fn write(store: JetStreamStore, user: usize, written: Arc<[Written]>, end: Arc<AtomicBool>) {
    let user_id = format!("u{user}");
    let mut random = Random::from_entropy();
    let mut is_there = false;
    while !end.load(Ordering::SeqCst) {
        for _ in 0..random.one_to(40) {
            let is_snapshot = !is_there || !random.one_in(5);
            let k = written[user].begin(is_snapshot);
            if is_snapshot {
                store
                    .upsert_latest(snapshot(&user_id, k as i64))
                    .await
                    .unwrap();
            } else {
                assert!(store.delete(&user_id).await.unwrap(), "{user_id} was there");
            }
            is_there = is_snapshot;
            written[user].end(k);
        }
        tokio::time::sleep(Duration::from_millis(random.below(120) as u64)).await;
    }
}

/// Reads until the end, and returns how long each read took.
async fn read(
    store: JetStreamStore,
    written: Arc<[Written]>,
    end: Arc<AtomicUsize>,
) -> Vec<Duration> {
    let mut random = Random::from_entropy();
    let ids: Vec<String> = (0..USERS).map(|user| format!("u{user}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut took = Vec::new();
    let numbers = |shown: &[StateSnapshot]| -> Vec<usize> {
        shown
            .iter()
            .map(|entry| entry.updated_at_unix_ms() as usize)
            .collect()
    };
    while end
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    {
        let user = random.below(USERS);
        let done: Vec<usize> = written.iter().map(Written::done).collect();
        let begun = Instant::now();
        let judged = match random.below(3) {
            0 => {
                let latest = store.get_latest(ids[user]).await.unwrap();
                written[user].judge(done[user], &numbers(latest.as_slice()), 1)
            }
            1 => {
                let history = store.get_history(ids[user], 9).await.unwrap();
                written[user].judge(done[user], &numbers(&history), HISTORY)
            }
            _ => {
                let all = store.get_many(&ids).await.unwrap();
                let judged = all.iter().enumerate().map(|(user, latest)| {
                    written[user].judge(done[user], &numbers(latest.as_slice()), 1)
                });
                judged.collect()
            }
        };
        took.push(begun.elapsed());
        if let Err(wrong) = judged {
            panic!("u{user}: {wrong}");
        }
    }
    took
}

async fn a_replica_that_lags_shows_nothing_wrong(count: usize) {
    let Some(servers) = Servers::start(count) else {
        return;
    };
    let connect = |builder: attuned_store::JetStreamStoreBuilder| async {
        builder
            .stream("USERS")
            .replicas(count)
            .history(HISTORY)
            .slack(SLACK)
            .connect()
            .await
            .unwrap()
    };
    let fast = connect(builder(&servers, "USERS")).await;
    let proxy = Proxy::new(&servers.servers[0].address()).await;
    let slow = connect(JetStreamStore::builder([&*proxy.address]).prefetch(16)).await;
    proxy.faults.slow_log.store(true, Ordering::SeqCst);

    let reads = Depth::of_this_run().choose(4_000, 50_000);
    let written: Arc<[Written]> = (0..USERS).map(|_| Written::default()).collect();
    let (end, left) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(reads)),
    );
    let mut writers = JoinSet::new();
    for user in 0..USERS {
        // One of them writes through the replica that lags.
        let store = if user == 0 {
            slow.clone()
        } else {
            fast.clone()
        };
        writers.spawn(write(store, user, written.clone(), end.clone()));
    }
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(read(slow.clone(), written.clone(), left.clone()));
    }
    let mut took = Vec::new();
    while let Some(reader) = readers.join_next().await {
        took.extend(reader.unwrap());
    }
    took.sort_unstable();
    let quantile = |thousandths: usize| took[(took.len() - 1) * thousandths / 1_000];
    end.store(true, Ordering::SeqCst);
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    let writes: usize = written.iter().map(Written::done).sum();
    let stats = slow.stats();
    announce(format_args!(
        "a replica that lags, {count} servers: {reads} reads, none wrong, \
         p50 {:?}, p99 {:?}, p99.9 {:?}, the longest {:?}; {writes} writes; {} messages missed in {} gaps; {} reads validated, {} refused",
        quantile(500),
        quantile(990),
        quantile(999),
        quantile(1_000),
        stats.missed,
        stats.gaps,
        stats.validated_reads,
        stats.refused_validations,
    ));
    assert!(stats.gaps > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_shows_nothing_wrong_of_one_server() {
    a_replica_that_lags_shows_nothing_wrong(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_shows_nothing_wrong_of_three_servers() {
    a_replica_that_lags_shows_nothing_wrong(3).await;
}
