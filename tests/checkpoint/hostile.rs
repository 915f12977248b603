//! Files that were made to harm: `restore` neither panics nor takes more memory than what it
//! has read can account for.
//!
//! It is a fuzzer that runs on a stable compiler: valid checkpoints are changed at random, in
//! bytes, numbers and whole pieces, and most of the time get right checksums and lengths
//! again, so that what is behind the checks is reached. The seed is new in each run and is
//! printed if something is found; `ATTUNED_SEED` repeats it. A few seconds at the plain
//! depth, a minute at the full one.

use std::env;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use attuned_store::{MAX_TIME_TO_LIVE, MemoryStore, RestoreError, State};
use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::depth::Depth;

use super::{bytes_of, restored, snapshot, with_history};

const PROLOGUE: usize = 12;
const HEAD: usize = 20;

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

/// What a checkpoint begins with, and its blocks with their heads.
pub fn blocks_of(bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (prologue, mut rest) = bytes.split_at(PROLOGUE);
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let (block, after) = rest.split_at(HEAD + word(&rest[4..]) as usize);
        blocks.push(block.to_vec());
        rest = after;
    }
    (prologue.to_vec(), blocks)
}

/// Gives all blocks the lengths and checksums that they should have.
pub fn seal(prologue: &[u8], blocks: &mut [Vec<u8>]) -> Vec<u8> {
    let mut bytes = prologue.to_vec();
    let mut heads = crc32fast::Hasher::new();
    let mut of_users = 0_u64;
    for block in blocks {
        if block.len() < HEAD {
            block.resize(HEAD, 0);
        }
        let (head, payload) = block.split_at_mut(HEAD);
        if head[0] == 3 && payload.len() == 36 {
            payload[24..32].copy_from_slice(&of_users.to_le_bytes());
            payload[32..].copy_from_slice(&heads.clone().finalize().to_le_bytes());
        }
        of_users += u64::from(head[0] == 2);
        let length = payload.len() as u32;
        head[4..8].copy_from_slice(&length.to_le_bytes());
        if head[1] == 0 {
            head[8..12].copy_from_slice(&length.to_le_bytes());
        }
        head[12..16].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        let checksum = crc32fast::hash(&head[..16]).to_le_bytes();
        head[16..].copy_from_slice(&checksum);
        heads.update(&head[..16]);
        bytes.extend_from_slice(block);
    }
    bytes
}

/// Checkpoints to begin with.
fn valid() -> Vec<Vec<u8>> {
    let empty = with_history(1);
    let few = with_history(4);
    for at in 0..6 {
        few.insert(snapshot("ada", at)).unwrap();
        few.insert(snapshot(&"long_".repeat(50), at * at)).unwrap();
    }
    let axes = with_history(3);
    for (user, names) in [["a", "b"], ["warmth", "x_1"], ["formality", "warmth"]]
        .iter()
        .enumerate()
    {
        for at in 0..3 {
            let state = State::builder().updated_at(at).confidence(0.5);
            let state = state.axes(names.iter().map(|name| (name, 0.75)));
            let snapshot = state.build_state().unwrap();
            let id = format!("user_{}", user % 2);
            axes.insert(snapshot.into_snapshot(id).unwrap()).unwrap();
        }
    }
    let many = with_history(1);
    for user in 0..4_000 {
        many.insert(snapshot(&format!("user_{user}"), user))
            .unwrap();
    }
    let mut checkpoints: Vec<_> = [&empty, &few, &axes, &many].map(bytes_of).into();
    #[cfg(feature = "checkpoint-lz4")]
    for store in [&few, &many] {
        let mut bytes = Vec::new();
        let compressed = store
            .checkpointer()
            .compression(attuned_store::Compression::Lz4);
        compressed.write(&mut bytes).unwrap();
        checkpoints.push(bytes);
    }
    // Of small ones there are more runs in the same time.
    for _ in 0..6 {
        checkpoints.extend([bytes_of(&few), bytes_of(&axes)]);
    }
    checkpoints
}

/// Numbers that are more often a problem than others, as the format writes them.
const NUMBERS: [u64; 10] = [
    0,
    1,
    2,
    0x7f,
    0xffff,
    1 << 20,
    1 << 26,
    u32::MAX as u64,
    1 << 62,
    u64::MAX,
];

fn number(random: &mut SmallRng) -> Vec<u8> {
    let mut number = NUMBERS[random.random_range(0..NUMBERS.len())];
    if random.random_bool(0.3) {
        return number.to_le_bytes()[..random.random_range(1..=8)].to_vec();
    }
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Changes some bytes.
fn disturb(bytes: &mut Vec<u8>, random: &mut SmallRng) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=bytes.len());
        let some = at..(at + random.random_range(0..40)).min(bytes.len());
        match random.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = random.random(),
            2 => drop(bytes.drain(some)),
            3 => {
                let piece = bytes[some].to_vec();
                let to = random.random_range(0..=bytes.len());
                drop(bytes.splice(to..to, piece));
            }
            4 => drop(bytes.splice(some, number(random))),
            _ => {
                let mut noise = vec![0; random.random_range(0..20)];
                random.fill_bytes(&mut noise);
                drop(bytes.splice(at..at, noise));
            }
        }
    }
}

fn hostile(valid: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = valid[random.random_range(0..valid.len())].clone();
    if random.random_bool(0.1) {
        disturb(&mut bytes, random);
        return bytes;
    }
    let (prologue, mut blocks) = blocks_of(&bytes);
    for _ in 0..random.random_range(1..3) {
        // Mostly one of users: there is more in them.
        let last = blocks.len() - 1;
        let block = match random.random_range(0..10) {
            0 => random.random_range(0..=last),
            _ => random.random_range(1..=last.max(2) - 1).min(last),
        };
        match random.random_range(0..8) {
            0 => {
                let copy = blocks[block].clone();
                blocks.insert(random.random_range(0..=blocks.len()), copy);
            }
            1 if blocks.len() > 1 => drop(blocks.remove(block)),
            // A head, which is sealed again.
            2 => {
                let at = random.random_range(0..12);
                blocks[block][at] = random.random();
            }
            _ => {
                let mut payload = blocks[block].split_off(HEAD);
                disturb(&mut payload, random);
                blocks[block].append(&mut payload);
            }
        }
    }
    seal(&prologue, &mut blocks)
}

/// How much memory a restore may take: a store, the buffers of a block, and what the users
/// take that so many bytes can spell out.
fn allowance(bytes: &[u8]) -> u64 {
    const STORE_AND_BUFFERS: u64 = 1 << 20;
    const A_BYTE: u64 = 256;
    STORE_AND_BUFFERS + (bytes.len() as u64 + unpacked(bytes)) * A_BYTE
}

/// What LZ4 may make of the compressed blocks, as far as their lengths are possible.
fn unpacked(bytes: &[u8]) -> u64 {
    let mut unpacked = 0;
    let mut rest = bytes.get(PROLOGUE..).unwrap_or_default();
    while let Some((head, after)) = rest.split_at_checked(HEAD) {
        let (stored, plain) = (u64::from(word(&head[4..])), u64::from(word(&head[8..])));
        if head[1] == 1 && plain <= stored * 256 {
            unpacked += plain;
        }
        rest = after.get(stored as usize..).unwrap_or_default();
    }
    unpacked
}

#[test]
fn restore_neither_panics_nor_takes_memory_that_nothing_accounts_for() {
    let seed = match env::var("ATTUNED_SEED") {
        Ok(seed) => seed.parse().expect("ATTUNED_SEED is a number"),
        Err(_) => RandomState::new().hash_one(()),
    };
    let mut random = SmallRng::seed_from_u64(seed);
    let valid = valid();
    let depth = Depth::of_this_run();
    let end = Instant::now() + depth.choose(Duration::from_secs(4), Duration::from_secs(60));
    let (mut runs, mut accepted, mut most) = (0_u64, 0_u64, 0_u64);
    let mut reasons = std::collections::BTreeMap::<String, u64>::new();
    while Instant::now() < end {
        let bytes = hostile(&valid, &mut random);
        let entries = random.random_range(1..6);
        let mut builder = MemoryStore::builder().history(entries);
        if random.random_bool(0.2) {
            // A file may name any time.
            builder = builder.time_to_live(MAX_TIME_TO_LIVE);
        }
        let told = || format!("run {runs} of the seed {seed}");
        let mut outcome = None;
        let memory = allocation_counter::measure(|| {
            outcome = Some(catch_unwind(AssertUnwindSafe(|| {
                builder.restore(bytes.as_slice())
            })));
        });
        let outcome = outcome
            .unwrap()
            .unwrap_or_else(|_| panic!("a panic in {}", told()));
        assert!(
            memory.bytes_max <= allowance(&bytes),
            "{} bytes for {}, in {}",
            memory.bytes_max,
            bytes.len(),
            told(),
        );
        most = most.max(memory.bytes_max);
        match outcome {
            Ok(store) => {
                accepted += 1;
                is_sound(&store);
            }
            Err(error) => *reasons.entry(reason(&error)).or_default() += 1,
        }
        runs += 1;
    }
    let _ = writeln!(
        io::stderr(),
        "{runs} checkpoints, {accepted} accepted, at most {most} bytes in memory; {reasons:#?}",
    );
    // The fuzzer gets past the checks, and to different ones.
    assert!(
        runs < 100 || (accepted > 0 && reasons.len() > 10),
        "{reasons:#?}"
    );
}

/// What an error says, without numbers.
fn reason(error: &RestoreError) -> String {
    let text = error.to_string();
    text.chars()
        .filter(|character| !character.is_ascii_digit())
        .collect()
}

/// What was accepted is a store like any other.
fn is_sound(store: &MemoryStore) {
    for id in store.user_ids().iter().take(20) {
        let history = store.history(id, usize::MAX);
        assert!(!history.is_empty());
        assert!(history.is_sorted_by(|newer, older| {
            newer.revision > older.revision && newer.written_at >= older.written_at
        }));
        let revision = store.insert(snapshot(id, 1)).unwrap();
        assert!(revision > history[0].revision);
    }
    assert_eq!(restored(6, &bytes_of(store)).unwrap().len(), store.len());
}

/// A head may promise 1 MiB of payload; room is made as it comes.
#[test]
fn lengths_are_not_believed() {
    let (prologue, mut blocks) = blocks_of(&bytes_of(&with_history(1)));
    blocks.insert(1, vec![0; HEAD]);
    blocks[1][0] = 2;
    let mut bytes = seal(&prologue, &mut blocks[..2]);
    let head = bytes.len() - HEAD;
    bytes[head + 4..head + 8].copy_from_slice(&(1_u32 << 20).to_le_bytes());
    bytes[head + 8..head + 12].copy_from_slice(&(1_u32 << 20).to_le_bytes());
    let checksum = crc32fast::hash(&bytes[head..head + 16]).to_le_bytes();
    bytes[head + 16..].copy_from_slice(&checksum);
    let mut error = None;
    let memory = allocation_counter::measure(|| error = restored(1, &bytes).err());
    assert!(
        matches!(error, Some(RestoreError::Truncated { .. })),
        "{error:?}"
    );
    assert!(memory.bytes_max < 1 << 19, "{}", memory.bytes_max);
}
