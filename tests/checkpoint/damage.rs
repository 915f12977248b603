//! A checkpoint that is not as it was written is refused, whatever has become of it.

use std::io::{self, ErrorKind, Read};

use attuned_store::{MemoryStore, RestoreError, State, StateSnapshot};

use super::{bytes_of, restored, snapshot, with_history};

/// Small, and with something of all there is in the format.
fn small() -> Vec<u8> {
    let store = with_history(3);
    for at in 0..4 {
        store.insert(snapshot("ada", at)).unwrap();
    }
    let grace = StateSnapshot::builder()
        .user_id("grace")
        .updated_at(-7)
        .confidence(0.5)
        .axes([("a_name", 0.25), ("warmth", 1.0)]);
    store.insert(grace.build().unwrap()).unwrap();
    store.insert(snapshot("alan", 1)).unwrap();
    store.remove("alan").unwrap();
    bytes_of(&store)
}

#[test]
fn every_truncation_is_refused() {
    let bytes = small();
    assert_eq!(restored(3, &bytes).unwrap().len(), 2);
    for length in 0..bytes.len() {
        let error = restored(3, &bytes[..length]).unwrap_err();
        let is_so = matches!(error, RestoreError::Truncated { offset } if offset == length as u64);
        assert!(is_so, "of {length} bytes: {error}");
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let bytes = small();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = restored(3, &flipped).unwrap_err();
        let is_so = match bit / 8 {
            0..8 => matches!(error, RestoreError::NotACheckpoint),
            8..12 => matches!(
                error,
                RestoreError::TooNew { newest: 1, .. } | RestoreError::NotACheckpoint
            ),
            byte => match error {
                // What is damaged begins before the byte.
                RestoreError::Damaged { offset, .. } => offset <= byte as u64,
                _ => false,
            },
        };
        assert!(is_so, "bit {bit}: {error}");
    }
}

#[test]
fn blocks_that_are_left_out_doubled_or_swapped_are_refused() {
    let store = with_history(1);
    for user in 0..10_000 {
        store.insert(snapshot(&format!("user_{user}"), 1)).unwrap();
    }
    let bytes = bytes_of(&store);
    let (prologue, blocks) = super::hostile::blocks_of(&bytes);
    assert!(blocks.len() >= 4, "{} blocks", blocks.len());
    let with = |order: &[usize]| {
        let blocks = order
            .iter()
            .flat_map(|&block| blocks[block].iter().copied());
        prologue.iter().copied().chain(blocks).collect::<Vec<u8>>()
    };
    let all: Vec<_> = (0..blocks.len()).collect();
    assert_eq!(with(&all), bytes);
    let mut orders = Vec::new();
    for block in 0..blocks.len() {
        let mut left_out = all.clone();
        left_out.remove(block);
        let mut doubled = all.clone();
        doubled.insert(block, block);
        let mut swapped = all.clone();
        swapped.swap(block, (block + 1) % blocks.len());
        orders.extend([left_out, doubled, swapped]);
    }
    for order in orders {
        let outcome = restored(1, &with(&order));
        assert!(outcome.is_err(), "blocks {order:?}");
    }
}

#[test]
fn what_follows_is_refused() {
    let mut bytes = small();
    let end = bytes.len() as u64;
    bytes.push(0);
    let error = restored(3, &bytes).unwrap_err();
    assert!(
        matches!(error, RestoreError::Trailing { offset } if offset == end),
        "{error}"
    );
}

#[test]
fn foreign_files_are_refused() {
    let text = "user_id,updated_at\nada,5\n".as_bytes();
    for foreign in [
        text,
        &[0; 100],
        &[0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'],
        b"x",
    ] {
        let error = restored(3, foreign).unwrap_err();
        assert!(matches!(error, RestoreError::NotACheckpoint), "{error}");
    }
    // Nothing at all may be the beginning of a checkpoint.
    let error = restored(3, &[]).unwrap_err();
    assert!(
        matches!(error, RestoreError::Truncated { offset: 0 }),
        "{error}"
    );
}

#[test]
fn later_versions_are_refused_by_their_number() {
    let mut bytes = small();
    bytes[8..12].copy_from_slice(&7_u32.to_le_bytes());
    let error = restored(3, &bytes).unwrap_err();
    assert!(
        matches!(
            error,
            RestoreError::TooNew {
                version: 7,
                newest: 1
            }
        ),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "the checkpoint has version 7 of the format, and at most 1 is known"
    );
}

/// Gives a few bytes at a time, with an interruption before each piece, as sockets may.
struct Pieces<'a> {
    bytes: &'a [u8],
    interrupts: bool,
    fails_at_the_end: bool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupts = !self.interrupts;
        if self.interrupts {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.bytes.is_empty() && self.fails_at_the_end {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let read = buffer.len().min(3).min(self.bytes.len());
        let (piece, rest) = self.bytes.split_at(read);
        buffer[..read].copy_from_slice(piece);
        self.bytes = rest;
        Ok(read)
    }
}

#[test]
fn a_reader_may_give_pieces_and_its_error_is_told_with_the_offset() {
    let bytes = small();
    let pieces = |bytes, fails_at_the_end| Pieces {
        bytes,
        interrupts: false,
        fails_at_the_end,
    };
    let whole = MemoryStore::builder().restore(pieces(&bytes, false));
    assert_eq!(whole.unwrap().len(), 2);
    for length in [0, 10, 30, 50, bytes.len() - 1] {
        let error = MemoryStore::builder().restore(pieces(&bytes[..length], true));
        let Err(RestoreError::Read { offset, source }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(offset, length as u64);
        assert_eq!(source.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_bound_below_the_number_of_users_is_an_error() {
    let bytes = small();
    let bounded = |users| {
        MemoryStore::builder()
            .max_users(users)
            .restore(bytes.as_slice())
    };
    let error = bounded(1).unwrap_err();
    assert!(
        matches!(error, RestoreError::TooManyUsers { max_users: 1, .. }),
        "{error}"
    );
    let store = bounded(2).unwrap();
    assert_eq!(store.len(), 2);
    // The bound holds: those who are there count.
    assert!(store.insert(snapshot("alan", 1)).is_err());
    assert!(store.remove("ada").unwrap());
    store.insert(snapshot("alan", 1)).unwrap();
}

#[test]
fn settings_that_are_refused_are_refused_here_too() {
    let bytes = small();
    let refused = MemoryStore::builder().history(0).restore(bytes.as_slice());
    assert!(matches!(refused, Err(RestoreError::Config(_))));
}

#[test]
fn an_empty_store_is_a_checkpoint_too() {
    let bytes = bytes_of(&MemoryStore::default());
    let store = MemoryStore::builder().restore(bytes.as_slice()).unwrap();
    assert!(store.is_empty());
    let state = State::builder().build_state().unwrap();
    store.insert(state.into_snapshot("ada").unwrap()).unwrap();
}
