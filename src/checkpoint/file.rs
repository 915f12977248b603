//! Replacing a file, so that there is always the old one or the new one, whole.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::CheckpointError;

/// A file that is to come in the place of another one, or of none.
///
/// It is written beside that one, under a name that nobody else uses, and removed if it is
/// not put in place. A process that is killed leaves it behind, and the next one that
/// replaces the same file removes it: while a file is being written it is locked, and the
/// system takes the lock away from a process that ends.
pub(super) struct Replacement {
    file: File,
    /// Until it is put in place.
    temporary: Option<PathBuf>,
    path: PathBuf,
    folder: PathBuf,
}

impl Replacement {
    /// Begins to replace the file at `path`.
    pub(super) fn begin(path: &Path) -> Result<Self, CheckpointError> {
        let Some(name) = path.file_name() else {
            let nameless = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(CheckpointError::file("replace", path)(nameless));
        };
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        remove_left_behind(folder, name);
        loop {
            let temporary = folder.join(temporary_name(name));
            match create(&temporary) {
                Ok(file) => {
                    let replacement = Self {
                        file,
                        temporary: Some(temporary),
                        path: path.to_owned(),
                        folder: folder.to_owned(),
                    };
                    if replacement.is_ours() {
                        return Ok(replacement);
                    }
                }
                // Of a process that had the same number, perhaps in another container.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(CheckpointError::file("create", &temporary)(error)),
            }
        }
    }

    /// Locks the file; false if another process has taken it for one that was left behind,
    /// in the moment before. Where there are no locks, nobody takes a file for that.
    fn is_ours(&self) -> bool {
        !matches!(self.file.try_lock(), Err(TryLockError::WouldBlock))
            && self.temporary.as_ref().is_some_and(|path| path.exists())
    }

    /// Where to write.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Says of an error of writing which file could not be written.
    pub(super) fn name_file(&self, error: CheckpointError) -> CheckpointError {
        match (error, &self.temporary) {
            (CheckpointError::Write(source), Some(temporary)) => {
                CheckpointError::file("write", temporary)(source)
            }
            (error, _) => error,
        }
    }

    /// Puts the file in place, and returns when it will outlast a crash of the system, as
    /// far as the system keeps its promises.
    pub(super) fn put_in_place(mut self) -> Result<(), CheckpointError> {
        let Some(temporary) = &self.temporary else {
            unreachable!("it is put in place once");
        };
        self.file
            .sync_all()
            .map_err(CheckpointError::file("synchronize", temporary))?;
        fs::rename(temporary, &self.path).map_err(CheckpointError::file("replace", &self.path))?;
        self.temporary = None;
        synchronize_folder(&self.folder).map_err(CheckpointError::file(
            "synchronize the folder",
            &self.folder,
        ))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing more can be done about it here.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// What the names of all temporary files for a file begin with, and what they end with.
fn around(name: &OsStr) -> (OsString, &'static str) {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    (prefix, ".tmp")
}

fn temporary_name(name: &OsStr) -> OsString {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (mut temporary, suffix) = around(name);
    temporary.push(format!("{}-{number}{suffix}", process::id()));
    temporary
}

/// What is written are people's data, so nobody else is to read it.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Removes the files that nobody writes any more. What cannot be looked at stays.
fn remove_left_behind(folder: &Path, name: &OsStr) {
    let (prefix, suffix) = around(name);
    let is_one = |candidate: &OsStr| {
        candidate
            .as_encoded_bytes()
            .strip_prefix(prefix.as_encoded_bytes())
            .and_then(|rest| rest.strip_suffix(suffix.as_bytes()))
            .is_some_and(|middle| middle.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-')))
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !is_one(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        let left_behind = OpenOptions::new().write(true).open(&path);
        if let Ok(file) = left_behind
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Makes sure that the folder knows the file under its new name.
#[cfg(unix)]
fn synchronize_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere folders cannot be opened as files, and need not be synchronized.
#[cfg(not(unix))]
fn synchronize_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
