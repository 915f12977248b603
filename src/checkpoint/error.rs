//! What can go wrong with checkpoints.

use std::io;
use std::path::{Path, PathBuf};

use crate::map::{ConfigError, MapError};

/// Why a checkpoint was not written. What was at its path before is still there, unless the
/// error is of the [folder](Self::File): see there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The writer failed.
    #[error("cannot write the checkpoint: {0}")]
    Write(#[source] io::Error),

    /// The system refused something that replacing the file takes.
    ///
    /// If it was to synchronize the folder, the new checkpoint is already at its path, but a
    /// crash of the system may bring the old one back.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// What it was to be done with: the file, the temporary one beside it, or their
        /// folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// The future that wanted the checkpoint was dropped.
    #[error("the checkpoint is not wanted any more")]
    Cancelled,

    /// The thread that was to write the checkpoint could not be started, or panicked.
    #[error("the thread for the checkpoint failed: {0}")]
    Thread(#[source] io::Error),

    /// The calling thread is about to end: see
    /// [threads that end](crate::HistoryMap#threads-that-end).
    #[error("the thread is about to end")]
    ThreadEnding,
}

/// Why a store could not be restored. There is no store then.
///
/// Offsets are in bytes from the beginning of the checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The file could not be opened.
    #[error("cannot open {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says; `NotFound` if there is no checkpoint yet.
        source: io::Error,
    },

    /// The reader failed.
    #[error("cannot read the checkpoint at byte {offset}: {source}")]
    Read {
        /// How far it was read.
        offset: u64,
        /// What the reader says.
        source: io::Error,
    },

    /// This is something else than a checkpoint.
    #[error("not a checkpoint: it does not begin like one")]
    NotACheckpoint,

    /// A later version of this crate has written the checkpoint.
    #[error("the checkpoint has version {version} of the format, and at most {newest} is known")]
    TooNew {
        /// The version of the checkpoint's format.
        version: u32,
        /// The newest version that this one can read.
        newest: u32,
    },

    /// The checkpoint has compressed blocks, and this build cannot read them: the feature
    /// `checkpoint-lz4` is off.
    #[error(
        "the block at byte {offset} is compressed; the feature checkpoint-lz4 reads such blocks"
    )]
    Compressed {
        /// Where the block begins.
        offset: u64,
    },

    /// The checkpoint ends too early.
    #[error("the checkpoint is truncated: it ends at byte {offset}, before its last block does")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },

    /// A checksum is wrong: the bytes are not those that were written.
    #[error("the checkpoint is damaged: {what} at byte {offset} has another checksum")]
    Damaged {
        /// Where that begins.
        offset: u64,
        /// What has the wrong checksum.
        what: &'static str,
    },

    /// The bytes are as they were written, but no checkpoint has such bytes.
    #[error("the checkpoint is malformed at byte {offset}: {what}")]
    Malformed {
        /// Where that is; in a compressed block, where the block begins.
        offset: u64,
        /// What it is.
        what: &'static str,
    },

    /// More follows after the end of the checkpoint.
    #[error("the checkpoint ends at byte {offset}, but something follows")]
    Trailing {
        /// Where the checkpoint ends.
        offset: u64,
    },

    /// The checkpoint has more users than the store may have. No user is left out in
    /// silence: set a greater bound, or none.
    #[error(
        "the checkpoint has more users than the {max_users} that the store may have; one that \
         is too many is in the block at byte {offset}"
    )]
    TooManyUsers {
        /// [`max_users`](crate::MemoryStoreBuilder::max_users).
        max_users: usize,
        /// Where the block begins.
        offset: u64,
    },

    /// The store cannot be built with these settings.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// The thread that was to restore the store could not be started, or panicked.
    #[error("the thread for the checkpoint failed: {0}")]
    Thread(#[source] io::Error),

    /// The calling thread is about to end: see
    /// [threads that end](crate::HistoryMap#threads-that-end).
    #[error("the thread is about to end")]
    ThreadEnding,
}

impl CheckpointError {
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}

impl RestoreError {
    /// Of an error of the map about what is in the block that begins there.
    pub(super) fn of_map(error: MapError, offset: u64) -> Self {
        match error {
            MapError::Full { max_keys } => Self::TooManyUsers {
                max_users: max_keys,
                offset,
            },
            MapError::ThreadEnding | MapError::Conflict { .. } => Self::ThreadEnding,
        }
    }
}

/// A walk over the users fails for one reason of its own.
impl From<MapError> for CheckpointError {
    fn from(_: MapError) -> Self {
        Self::ThreadEnding
    }
}
