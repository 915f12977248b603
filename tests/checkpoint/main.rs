//! Checkpoints: what goes in comes out, and nothing else does.

#[path = "../common/depth.rs"]
mod depth;

mod background;
mod conditions;
mod damage;
mod every;
mod expiry;
mod file_of_today;
mod files;
mod hostile;
mod killed;
mod round_trip;
mod threads;

use attuned_store::{MemoryStore, RestoreError, State, StateSnapshot};
use std::fs;
use std::path::{Path, PathBuf};

/// A state that its time tells from others, with some axes.
fn state(at: i64) -> State {
    let state = State::builder().updated_at(at).axis("warmth", 0.25);
    state.build_state().unwrap()
}

fn snapshot(user_id: &str, at: i64) -> StateSnapshot {
    state(at).into_snapshot(user_id).unwrap()
}

fn with_history(entries: usize) -> MemoryStore {
    MemoryStore::builder().history(entries).build().unwrap()
}

fn bytes_of(store: &MemoryStore) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = store.checkpoint(&mut bytes).unwrap();
    assert_eq!(written.bytes, bytes.len() as u64);
    bytes
}

fn restored(entries: usize, bytes: &[u8]) -> Result<MemoryStore, RestoreError> {
    MemoryStore::builder().history(entries).restore(bytes)
}

/// A folder for one test, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("checkpoint-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The names of what is in a folder, in order.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}
