//! Readers that share barriers, or each other's answers.

use std::sync::atomic::Ordering;

use attuned_store::{JetStreamStore, StateStore};
use futures_util::FutureExt;

use crate::proxy::Proxy;
use crate::server::Servers;
use crate::{WAYS, builder, snapshot};

/// A reader publishes a barrier for others, and may then be dropped, or not be polled for long.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_another_reader() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    for follow in WAYS {
        let store = builder(&servers, "USERS").follow(follow);
        nobody_waits(&store.connect().await.unwrap()).await;
    }
}

async fn nobody_waits(store: &JetStreamStore) {
    for at in 0..20 {
        store.upsert_latest(snapshot("ada", at)).await.unwrap();
        let ada = Some(snapshot("ada", at));
        // The first waits for a server, and the others for the next barrier, or for the first.
        let mut idle: Vec<_> = (0..3).map(|_| store.get_latest("ada")).collect();
        // Hardly ever is one done before it is polled again.
        idle.retain_mut(|reader| reader.now_or_never().is_none());
        if !idle.is_empty() {
            drop(idle.swap_remove(at as usize % idle.len()));
        }
        for _ in 0..3 {
            assert_eq!(store.get_latest("ada").await.unwrap(), ada);
        }
        for reader in idle {
            assert_eq!(reader.await.unwrap(), ada);
        }
    }
}

/// The acknowledgement of a read's barrier is enough if the replica has all that comes before
/// it. If that is a write of another process, it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_does_not_wait_for_the_delivery_of_its_own_barrier() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let other = builder(&servers, "USERS").connect().await.unwrap();
    for at in 0..10 {
        let proxy = Proxy::new(&servers.servers[0].address()).await;
        let store = JetStreamStore::builder([&*proxy.address]).replicas(1);
        let store = store.stream("USERS").connect().await.unwrap();
        // Its own delivery ends it.
        store.upsert_latest(snapshot("ada", at)).await.unwrap();
        proxy.faults.hold_log.store(true, Ordering::SeqCst);
        let is_behind = at % 2 == 1;
        if is_behind {
            other.upsert_latest(snapshot("ada", -at)).await.unwrap();
        }
        let ada = store.get_latest("ada").await.unwrap().unwrap();
        assert_eq!(ada.updated_at_unix_ms(), if is_behind { -at } else { at });
        assert_eq!(store.stats().validated_reads, u64::from(is_behind));
    }
}
