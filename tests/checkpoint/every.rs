//! Checkpoints again and again, and a last one.

use std::fs;
use std::time::Duration;

use attuned_store::{CheckpointError, MemoryStore};
use tokio::sync::{mpsc, oneshot};

use super::background::block_on;
use super::{folder, names_in, snapshot};

const OFTEN: Duration = Duration::from_millis(1);
const NEVER: Duration = Duration::from_secs(1 << 30);

#[tokio::test(flavor = "current_thread")]
async fn writes_again_and_again_and_ends_with_the_store() {
    let folder = folder("every");
    let path = folder.join("users");
    let store = MemoryStore::default();
    let (tell, mut told) = mpsc::unbounded_channel();
    let every = store
        .checkpoint_every(OFTEN, &path)
        .on_each(move |written| {
            let users = written.as_ref().unwrap().users;
            let _ = tell.send(users);
        });
    let every = tokio::spawn(every);
    assert_eq!(told.recv().await, Some(0));
    store.insert(snapshot("ada", 1)).unwrap();
    while told.recv().await != Some(1) {}
    assert!(
        MemoryStore::builder()
            .restore_from(&path)
            .unwrap()
            .contains("ada")
    );
    drop(store);
    every.await.unwrap().unwrap();
    assert_eq!(names_in(&folder), ["users"]);
}

#[tokio::test(flavor = "current_thread")]
async fn the_last_one_has_all_that_was_written_before_the_end() {
    let folder = folder("until");
    let path = folder.join("users");
    let store = MemoryStore::default();
    let (end, ended) = oneshot::channel::<()>();
    let every = store
        .checkpoint_every(NEVER, &path)
        .until(async { drop(ended.await) });
    let every = tokio::spawn(every);
    for at in 0..10 {
        tokio::task::yield_now().await;
        store.insert(snapshot("ada", at)).unwrap();
    }
    assert!(!path.exists());
    drop(end);
    every.await.unwrap().unwrap();
    let copy = MemoryStore::builder().restore_from(&path).unwrap();
    assert_eq!(copy.get_versioned("ada"), store.get_versioned("ada"));
}

#[test]
fn the_last_one_tells_its_error() {
    let folder = folder("until-error");
    let store = MemoryStore::default();
    let path = folder.join("absent").join("users");
    let every = store.checkpoint_every(NEVER, path).until(async {});
    let error = block_on(every).unwrap_err();
    assert!(matches!(error, CheckpointError::File { .. }), "{error}");
}

/// All other handles may be gone before the end, as when a server has taken the store.
#[test]
fn the_last_one_does_not_depend_on_other_handles() {
    let folder = folder("until-alone");
    let path = folder.join("users");
    let store = MemoryStore::default();
    store.insert(snapshot("ada", 1)).unwrap();
    let every = store.checkpoint_every(NEVER, &path).until(async {});
    drop(store);
    block_on(every).unwrap();
    assert!(
        MemoryStore::builder()
            .restore_from(&path)
            .unwrap()
            .contains("ada")
    );
}

#[tokio::test(flavor = "current_thread")]
async fn goes_on_after_a_failure() {
    let folder = folder("every-failure");
    let below = folder.join("removed");
    let path = below.join("users");
    let store = MemoryStore::default();
    let (tell, mut told) = mpsc::unbounded_channel();
    let every = store
        .checkpoint_every(OFTEN, &path)
        .on_each(move |written| {
            let _ = tell.send(written.is_ok());
        });
    let every = tokio::spawn(every);
    assert_eq!(told.recv().await, Some(false));
    fs::create_dir(&below).unwrap();
    while told.recv().await != Some(true) {}
    drop(store);
    every.await.unwrap().unwrap();
}
