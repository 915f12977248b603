//! Bytes into a file, as safely as a checkpoint.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes the bytes beside the file, synchronizes them, puts them in its place, and
/// synchronizes the folder.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    put_in_place(&file, &temporary, path)
}

pub fn put_in_place(file: &File, temporary: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
