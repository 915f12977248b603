//! Recorded histories, quiet and while things go wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use attuned_store::{Follow, JetStreamStore};

use crate::depth::Depth;
use crate::proxy::Proxy;
use crate::recorded::{HISTORY, Reads, Tally, record};
use crate::server::Servers;
use crate::{announce, builder};

/// So little that a replica that lags finds gaps.
const SLACK: usize = 2;

async fn stores(servers: &Servers, count: usize) -> Vec<JetStreamStore> {
    let mut stores = Vec::new();
    for index in 0..count {
        let mut store = builder(servers, "USERS").history(HISTORY).slack(SLACK);
        // One of them reads histories from the servers, and one reads all from there. Some
        // users it remembers, some not.
        match index {
            1 => store = store.follow(Follow::Latest),
            2 => store = store.follow(Follow::Nobody).cached_users(20),
            _ => {}
        }
        stores.push(store.connect().await.unwrap());
    }
    stores
}

fn report(what: &str, servers: &Servers, stores: &[JetStreamStore], tally: &Tally) {
    let count = servers.count();
    announce(format_args!("{what}, {count} servers: {tally}"));
    for store in stores {
        announce(format_args!("  {:?}", store.stats()));
    }
}

async fn quiet(servers: Servers, operations: usize) {
    let stores = stores(&servers, 3).await;
    quiet_on(&servers, &stores, operations).await;
}

async fn quiet_on(servers: &Servers, stores: &[JetStreamStore], operations: usize) {
    let enough = Arc::new(AtomicBool::new(true));
    let tally = record(stores, Reads::Contract, operations, enough).await;
    let tally = tally.unwrap_or_else(|wrong| panic!("{wrong}"));
    report("quiet", servers, stores, &tally);
    // Without faults nothing fails, and most of it overlaps.
    assert_eq!((tally.failed, tally.unknown, tally.not_judged), (0, 0, 0));
    assert!(tally.overlapping > tally.operations / 10);
    assert!(tally.done.min(tally.refused) > tally.operations / 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_one_server() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    quiet(servers, Depth::of_this_run().choose(2_000, 15_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_three_servers() {
    let Some(servers) = Servers::start(3) else {
        return;
    };
    quiet(servers, Depth::of_this_run().choose(2_000, 15_000)).await;
}

/// No store has a replica, and they remember hardly anyone, or all.
async fn nobody_follows(servers: Servers, operations: usize) {
    let mut stores = Vec::new();
    for cached in [1, 20, 10_000] {
        let store = builder(&servers, "USERS").history(HISTORY).slack(SLACK);
        let store = store.follow(Follow::Nobody).cached_users(cached);
        stores.push(store.connect().await.unwrap());
    }
    quiet_on(&servers, &stores, operations).await;
    let hits = stores.iter().map(|store| store.stats().cache_hits);
    assert!(hits.sum::<u64>() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_follows_one_server() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    nobody_follows(servers, Depth::of_this_run().choose(2_000, 15_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_follows_three_servers() {
    let Some(servers) = Servers::start(3) else {
        return;
    };
    nobody_follows(servers, Depth::of_this_run().choose(2_000, 15_000)).await;
}

/// Records while `faults` happen, in a thread of their own.
async fn record_under(
    stores: &[JetStreamStore],
    operations: usize,
    servers: Servers,
    faults: impl FnOnce(&mut Servers) + Send + 'static,
) -> (Servers, Tally) {
    let done = Arc::new(AtomicBool::new(false));
    let faults = {
        let done = done.clone();
        let mut servers = servers;
        tokio::task::spawn_blocking(move || {
            faults(&mut servers);
            done.store(true, Ordering::SeqCst);
            servers
        })
    };
    let tally = record(stores, Reads::Contract, operations, done).await;
    let tally = tally.unwrap_or_else(|wrong| panic!("{wrong}"));
    (faults.await.expect("the faults were made"), tally)
}

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_are_killed_and_stopped() {
    let Some(servers) = Servers::start(3) else {
        return;
    };
    let (rounds, operations) = Depth::of_this_run().choose((1, 2_000), (3, 10_000));
    let stores = stores(&servers, 3).await;
    let (servers, tally) = record_under(&stores, operations, servers, move |servers| {
        for _ in 0..rounds {
            let leader = servers.wait_for_leader("USERS");
            servers.servers[leader].kill();
            pause(3_000);
            servers.servers[leader].restart();
            let leader = servers.wait_for_leader("USERS");
            // It comes back, and takes itself for the leader still.
            servers.servers[leader].suspend();
            pause(6_000);
            servers.servers[leader].resume();
            pause(2_000);
        }
    })
    .await;
    report("leaders killed and stopped", &servers, &stores, &tally);
    assert!(tally.operations >= operations);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_servers_are_killed() {
    let Some(servers) = Servers::start(3) else {
        return;
    };
    let (rounds, operations) = Depth::of_this_run().choose((1, 1_000), (3, 5_000));
    let stores = stores(&servers, 3).await;
    let (servers, tally) = record_under(&stores, operations, servers, move |servers| {
        for _ in 0..rounds {
            pause(1_000);
            for server in &mut servers.servers {
                server.kill();
            }
            for server in &mut servers.servers {
                server.restart();
            }
            servers.wait_for_leader("USERS");
            pause(2_000);
        }
    })
    .await;
    report("all servers killed", &servers, &stores, &tally);
    assert!(tally.operations >= operations);
}

/// One store behind a proxy that is slow with what the log delivers, and now and then
/// forgets an acknowledgement or ends the connection.
async fn behind_a_proxy(count: usize, operations: usize, rounds: usize) {
    let Some(servers) = Servers::start(count) else {
        return;
    };
    let mut stores = stores(&servers, 2).await;
    let proxy = Proxy::new(&servers.servers[0].address()).await;
    let slow = JetStreamStore::builder([&*proxy.address])
        .stream("USERS")
        .replicas(count);
    let slow = slow.history(HISTORY).slack(SLACK).prefetch(16);
    let slow = slow
        .request_timeout(Duration::from_millis(700))
        .connect()
        .await
        .unwrap();
    stores.push(slow);
    proxy.faults.slow_log.store(true, Ordering::SeqCst);
    proxy
        .faults
        .lose_acknowledgements
        .store(2, Ordering::SeqCst);
    let (servers, tally) = record_under(&stores, operations, servers, move |_| {
        for _ in 0..rounds {
            pause(2_000);
            proxy.cut();
            pause(300);
            proxy.mend();
        }
        // Kept until the end.
        std::mem::forget(proxy);
    })
    .await;
    report("behind a proxy", &servers, &stores, &tally);
    assert!(tally.operations >= operations);
    assert!(stores[2].stats().gaps > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_replica_on_one_server() {
    let (operations, rounds) = Depth::of_this_run().choose((2_000, 1), (5_000, 5));
    behind_a_proxy(1, operations, rounds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_replica_on_three_servers() {
    let (operations, rounds) = Depth::of_this_run().choose((2_000, 1), (5_000, 5));
    behind_a_proxy(3, operations, rounds).await;
}

/// A read without a barrier gives what may be old, and that is found.
#[tokio::test(flavor = "multi_thread")]
async fn reads_without_a_barrier_are_caught() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let stores = stores(&servers, 3).await;
    let enough = Arc::new(AtomicBool::new(true));
    let wrong = record(&stores, Reads::Local, 100_000, enough).await;
    let wrong = wrong.expect_err("local reads are not linearizable");
    assert!(wrong.contains("get_latest"), "{wrong}");
}
