//! Conditional writes that know revisions from before a restart.

use attuned_store::{Expected, MemoryStore, Revision, StoreError};

use super::{bytes_of, restored, snapshot, with_history};

fn is_conflict(outcome: attuned_store::Result<Revision>) -> bool {
    matches!(outcome, Err(StoreError::Conflict { .. }))
}

#[test]
fn what_was_read_before_can_be_written_over_if_nobody_else_did() {
    let store = with_history(3);
    let first = store.insert(snapshot("ada", 1)).unwrap();
    let second = store.insert(snapshot("ada", 2)).unwrap();
    let bytes = bytes_of(&store);
    let store = restored(3, &bytes).unwrap();

    assert!(is_conflict(
        store.insert_if(snapshot("ada", 3), Expected::At(first))
    ));
    assert!(is_conflict(
        store.insert_if(snapshot("ada", 3), Expected::Absent)
    ));
    let third = store
        .insert_if(snapshot("ada", 3), Expected::At(second))
        .unwrap();
    assert!(third > second);
    assert!(is_conflict(
        store.insert_if(snapshot("ada", 4), Expected::At(second))
    ));
    let fourth = store
        .insert_if(snapshot("ada", 4), Expected::At(third))
        .unwrap();
    let revisions: Vec<_> = store
        .history("ada", 9)
        .iter()
        .map(|entry| entry.revision)
        .collect();
    assert_eq!(revisions, [fourth, third, second]);

    // A removal goes by the same revisions.
    let store = restored(3, &bytes).unwrap();
    assert!(store.remove_if("ada", Expected::At(first)).is_err());
    assert!(store.remove_if("ada", Expected::At(second)).unwrap());
    assert!(store.insert(snapshot("ada", 5)).unwrap() > second);
}

/// Writes after the checkpoint are lost. A caller who has seen one of them must not take
/// another value for it.
#[test]
fn revisions_that_are_lost_are_not_given_again() {
    let store = with_history(3);
    store.insert(snapshot("ada", 1)).unwrap();
    let bytes = bytes_of(&store);
    let lost: Vec<_> = (2..100)
        .map(|at| store.insert(snapshot("ada", at)).unwrap())
        .collect();
    let lost_user = store.insert(snapshot("grace", 1)).unwrap();
    drop(store);

    let mut given = Vec::new();
    // The same checkpoint may be restored again and again.
    for _ in 0..3 {
        let store = restored(3, &bytes).unwrap();
        for &lost in &lost {
            assert!(is_conflict(
                store.insert_if(snapshot("ada", 0), Expected::At(lost))
            ));
        }
        for at in 0..100 {
            let revision = store.insert(snapshot("ada", at)).unwrap();
            assert!(!lost.contains(&revision));
            given.push(revision);
        }
        assert_ne!(store.insert(snapshot("grace", 2)).unwrap(), lost_user);
        // So that the clock goes on, as it does while a process starts.
        let millisecond = std::time::SystemTime::now();
        while millisecond
            .elapsed()
            .is_ok_and(|since| since.as_millis() < 2)
        {
            std::hint::spin_loop();
        }
    }
    given.sort_unstable();
    assert!(
        given.is_sorted_by(|a, b| a < b),
        "a revision was given twice"
    );
}

#[test]
fn a_user_who_was_removed_before_the_checkpoint_gets_new_revisions() {
    let store = with_history(3);
    store.insert(snapshot("grace", 1)).unwrap();
    let removed = (0..50)
        .map(|at| store.insert(snapshot("ada", at)).unwrap())
        .max()
        .unwrap();
    store.remove("ada").unwrap();

    let store = restored(3, &bytes_of(&store)).unwrap();
    assert!(!store.contains("ada"));
    assert!(store.insert(snapshot("ada", 1)).unwrap() > removed);
}

/// Each checkpoint is of a store that was restored from the one before.
#[test]
fn revisions_grow_over_generations() {
    let mut store = MemoryStore::builder().history(100).build().unwrap();
    let mut last = store.insert(snapshot("ada", 0)).unwrap();
    for at in 1..20 {
        store = restored(100, &bytes_of(&store)).unwrap();
        let next = store
            .insert_if(snapshot("ada", at), Expected::At(last))
            .unwrap();
        assert!(next > last);
        last = next;
    }
    let history = store.history("ada", 100);
    assert_eq!(history.len(), 20);
    assert!(history.is_sorted_by(|newer, older| newer.revision > older.revision));
    // Programs that have only doubles can tell them apart.
    assert!(u64::from(last) < 1 << 53);
}
