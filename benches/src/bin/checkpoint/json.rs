//! The same data as lines of JSON: what one would write without checkpoints.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

use attuned_store::{MemoryStore, MemoryStoreBuilder, StateSnapshot};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::file;

/// A version of a user. The oldest come first, so that they can be written as they are read.
#[derive(Deserialize, Serialize)]
struct Line {
    revision: u64,
    written_at: i64,
    snapshot: StateSnapshot,
}

/// Writes and replaces the file as safely as a checkpoint does.
pub fn write(store: &MemoryStore, ids: &[SmolStr], path: &Path) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut writer = BufWriter::with_capacity(1 << 16, File::create(&temporary)?);
    for id in ids {
        for entry in store.history(id, usize::MAX).into_iter().rev() {
            let snapshot = entry.value.into_snapshot(id).map_err(io::Error::other)?;
            let line = Line {
                revision: entry.revision.into(),
                written_at: entry.written_at,
                snapshot,
            };
            serde_json::to_writer(&mut writer, &line)?;
            writer.write_all(b"\n")?;
        }
    }
    let file = writer.into_inner()?;
    file::put_in_place(&file, &temporary, path)
}

/// Makes a store of the lines. Revisions and times of writes are parsed, but are lost.
pub fn read(builder: MemoryStoreBuilder, users: usize, path: &Path) -> io::Result<MemoryStore> {
    let store = builder.capacity(users).build().map_err(io::Error::other)?;
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let parsed: Line = serde_json::from_str(&line)?;
        store.insert(parsed.snapshot).map_err(io::Error::other)?;
        line.clear();
    }
    Ok(store)
}
