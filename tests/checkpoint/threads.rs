//! Checkpoints of so many blocks that several threads restore them.

use attuned_store::{MemoryStore, RestoreError};

use super::hostile::{blocks_of, seal};
use super::{bytes_of, restored, snapshot, with_history};

/// Long enough for several blocks that go on.
const LONG: usize = 20_000;

/// A store of some fifteen blocks: many users, and one with a history of several blocks.
fn large() -> MemoryStore {
    let store = with_history(LONG);
    for user in 0..30_000 {
        store
            .insert(snapshot(&format!("user_{user}"), user))
            .unwrap();
    }
    for at in 0..LONG as i64 {
        store.insert(snapshot("ada", at)).unwrap();
    }
    store
}

#[test]
fn all_users_come_back_with_all_they_had() {
    let store = large();
    let bytes = bytes_of(&store);
    let (_, blocks) = blocks_of(&bytes);
    assert!(blocks.len() > 12, "{}", blocks.len());
    assert!(
        blocks.iter().filter(|block| block[2] == 1).count() > 0,
        "blocks go on"
    );
    let copy = restored(LONG, &bytes).unwrap();
    assert_eq!(copy.len(), store.len());
    for id in store.user_ids() {
        assert_eq!(copy.history(&id, LONG), store.history(&id, LONG), "{id}");
    }
    assert_eq!(copy.stats().writes, store.stats().writes);
}

#[test]
fn of_several_errors_the_first_in_the_checkpoint_is_told() {
    let bytes = bytes_of(&large());
    let (prologue, blocks) = blocks_of(&bytes);
    let offset_of = |number: usize| {
        let before = blocks.iter().take(number).map(Vec::len).sum::<usize>();
        (prologue.len() + before) as u64
    };
    // An id that is too long, at the beginning of a block, which is one that no other goes
    // on into.
    let wrong = |blocks: &mut [Vec<u8>], number: usize| blocks[number][20..22].fill(0xff);
    let free: Vec<_> = (1..blocks.len() - 1)
        .filter(|&number| blocks[number - 1][2] == 0)
        .collect();
    for first in free.iter().copied().step_by(3) {
        let mut changed = blocks.clone();
        for &number in free.iter().filter(|&&number| number >= first) {
            wrong(&mut changed, number);
        }
        let error = restored(LONG, &seal(&prologue, &mut changed)).err();
        let begin = offset_of(first);
        let block = begin..begin + blocks[first].len() as u64;
        assert!(
            matches!(error, Some(RestoreError::Malformed { offset, .. }) if block.contains(&offset)),
            "{error:?} in the block {first} at {block:?}"
        );
    }

    // What is behind a user that is wrong does not count, either.
    let mut truncated = bytes.clone();
    truncated.pop();
    assert!(matches!(
        restored(LONG, &truncated).err(),
        Some(RestoreError::Truncated { offset }) if offset == truncated.len() as u64
    ));
}

#[test]
fn a_block_that_ends_elsewhere_than_it_says_is_refused() {
    let (prologue, blocks) = blocks_of(&bytes_of(&large()));
    for number in 1..blocks.len() - 1 {
        let mut changed = blocks.clone();
        changed[number][2] ^= 1;
        let error = restored(LONG, &seal(&prologue, &mut changed)).err();
        assert!(
            matches!(error, Some(RestoreError::Malformed { .. })),
            "{error:?}"
        );
    }
}

#[test]
fn a_bound_holds_for_all_threads_together() {
    let store = large();
    let bytes = bytes_of(&store);
    let builder = MemoryStore::builder().history(2);
    let bound = |users| builder.clone().max_users(users).restore(bytes.as_slice());
    let exact = bound(store.len()).unwrap();
    assert_eq!(exact.len(), store.len());
    assert!(exact.insert(snapshot("somebody_new", 1)).is_err());
    assert!(matches!(
        bound(store.len() - 1).err(),
        Some(RestoreError::TooManyUsers { .. })
    ));
}
