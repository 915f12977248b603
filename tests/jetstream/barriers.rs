//! Readers that share barriers.

use attuned_store::StateStore;
use futures_util::FutureExt;

use crate::server::Servers;
use crate::{builder, snapshot};

/// A reader publishes a barrier for others, and may then be dropped, or not be polled for long.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_another_reader() {
    let Some(servers) = Servers::start(1) else {
        return;
    };
    let store = builder(&servers, "USERS").connect().await.unwrap();
    for at in 0..50 {
        store.upsert_latest(snapshot("ada", at)).await.unwrap();
        let ada = Some(snapshot("ada", at));
        // The first has published a barrier, and the others wait for the next one.
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
