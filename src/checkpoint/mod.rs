//! A store that outlives its process: its contents written out, and read back.
//!
//! Bytes are the business of [`mod@format`]; [`mod@write`] makes them of users, [`read`] and
//! [`restore`] make users of them.

mod background;
mod buffer;
mod checkpointer;
mod compression;
mod error;
mod every;
mod file;
mod format;
mod numbers;
mod read;
mod restore;
mod room;
mod sink;
mod spans;
mod users;
mod workers;
mod write;
mod writeback;

use std::fs::File;
use std::hash::BuildHasher;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::memory::{MemoryStore, MemoryStoreBuilder};

pub use self::background::Background;
pub use self::checkpointer::{CheckpointProgress, Checkpointer};
pub use self::compression::Compression;
pub use self::error::{CheckpointError, RestoreError};
pub use self::every::CheckpointEvery;
pub use self::write::Checkpoint;

/// # Checkpoints
///
/// With the feature `checkpoint`. The chapter [`docs::checkpoints`](crate::docs::checkpoints)
/// has the format, what a crash can lose, and what becomes of revisions.
impl<S: BuildHasher + Send + Sync> MemoryStore<S> {
    /// Writes all users with their histories, revisions and times into `writer`, from which
    /// [`restore`](crate::MemoryStoreBuilder::restore) makes a store like this one.
    ///
    /// Each user is in it as of one instant of this call, different users as of different
    /// ones. Nobody waits: users are read as by [`history`](Self::history) while others read
    /// and write. It takes some 0.15 microseconds a user and 0.05 a state, and what the writer
    /// takes. Where there are fewer cores than busy threads, it gives way to the others every 50
    /// microseconds, and takes longer.
    ///
    /// Beside the store it has some 14 MB in memory, with more than 260,000 users up to 55 MB, and
    /// 3 bytes more for each user of more than eight million. The writer gets up to 32 MiB at a
    /// time. The writer itself may read and write the store.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`] if the writer fails. What was written until then is no
    /// checkpoint: nothing restores it.
    ///
    /// ```
    /// use attuned_store::{MemoryStore, StateSnapshot};
    ///
    /// let store = MemoryStore::builder().history(10).build()?;
    /// store.insert(StateSnapshot::builder().user_id("ada").axis("warmth", 0.7).build()?)?;
    ///
    /// let mut bytes = Vec::new();
    /// store.checkpoint(&mut bytes)?;
    /// let copy = MemoryStore::builder().history(10).restore(bytes.as_slice())?;
    /// assert_eq!(copy.history("ada", 10), store.history("ada", 10));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkpoint(&self, writer: impl Write) -> Result<Checkpoint, CheckpointError> {
        self.checkpointer().write(writer)
    }

    /// Writes a [checkpoint](Self::checkpoint) to a file, in the place of the one that may be
    /// there. Blocks: in async code use
    /// [`checkpoint_in_background`](Self::checkpoint_in_background).
    ///
    /// The file is replaced as a whole. A crash of the process or of the system leaves the
    /// old checkpoint or the new one, and so does an error. When this returns, the new one is
    /// on the disk: file and folder have been synchronized (the folder on Unix alone). Several
    /// at once, also of several processes, do not get in each other's way; the last one stays.
    ///
    /// Beside the store it has some 22 MB in memory, with histories up to 60 MB, and 3 bytes more for
    /// each user of more than sixteen million. What was written stays in the system's cache, so that
    /// a restart finds it there.
    ///
    /// The new one is written beside the old one, as `.NAME.PID-NUMBER.tmp`, so the disk needs
    /// room for both. What a process that was killed has left there is removed by the next
    /// checkpoint to this path. On Unix only the owner can read the file. A symbolic
    /// link is replaced, and not what it leads to.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::File`] names what could not be done with which file; otherwise
    /// those of [`checkpoint`](Self::checkpoint).
    pub fn checkpoint_to(&self, path: impl AsRef<Path>) -> Result<Checkpoint, CheckpointError> {
        self.checkpointer().write_to(path)
    }

    /// Checkpoints with settings: compressed, or with progress.
    pub fn checkpointer(&self) -> Checkpointer<S> {
        Checkpointer::new(self.clone())
    }
}

impl<S: BuildHasher + Send + Sync + 'static> MemoryStore<S> {
    /// Writes a checkpoint to a file, as [`checkpoint_to`](Self::checkpoint_to), in a thread of
    /// its own: no executor is needed, and none is blocked.
    ///
    /// Nothing happens before the future is polled. If it is dropped, the thread gives up
    /// soon, and the old checkpoint stays.
    pub fn checkpoint_in_background(
        &self,
        path: impl AsRef<Path>,
    ) -> Background<Result<Checkpoint, CheckpointError>> {
        self.checkpointer().write_in_background(path)
    }

    /// A future to spawn: it writes a checkpoint to a file, as
    /// [`checkpoint_in_background`](Self::checkpoint_in_background), whenever `period` has
    /// passed since the one before was done, and on any executor. A crash loses at most what
    /// was written since.
    ///
    /// It ends with the store, which it does not keep in memory. To have it write a last
    /// checkpoint, tell it when the program ends: [`until`](CheckpointEvery::until) has an
    /// example. Then it does keep the store, up to that checkpoint.
    pub fn checkpoint_every(
        &self,
        period: Duration,
        path: impl Into<PathBuf>,
    ) -> CheckpointEvery<S> {
        self.checkpointer().every(period, path)
    }
}

/// # Checkpoints
///
/// With the feature `checkpoint`.
impl<S: BuildHasher + Send + Sync> MemoryStoreBuilder<S> {
    /// Builds the store with what a [checkpoint](MemoryStore::checkpoint) has.
    ///
    /// There is a store only if the whole checkpoint could be read and is right. If the store
    /// has
    /// - a *shorter history* than the checkpoint, the newest states of each user are
    ///   restored, and without history the latest ones;
    /// - a *bound* ([`max_users`](Self::max_users)) below the number of users, none is:
    ///   [`RestoreError::TooManyUsers`].
    ///
    /// In a store with a [time to live](Self::time_to_live), a user whose time was over when
    /// the restore began is left out, and takes no place of `max_users`. It is told by the
    /// [`written_at`](crate::Versioned::written_at) of the latest state: a user is gone after
    /// a restart exactly when it would be gone without.
    ///
    /// What is restored has the revisions and the times that it had. What is written later
    /// gets revisions that no write before can have got, also none after the
    /// checkpoint, so a condition that somebody has from there does not hold by accident.
    /// [`stats`](MemoryStore::stats) counts what was restored as written.
    ///
    /// Memory that is allocated follows what has been read, and not what the checkpoint says
    /// of itself. The reader is read to its end, in pieces of up to 1 MiB. Give the
    /// builder a [`capacity`](Self::capacity) if the number of users is known.
    ///
    /// Of a checkpoint that is not small, the users are put back by up to four threads, one for
    /// each core: this one and others, which have ended when this returns.
    ///
    /// # Errors
    ///
    /// A [`RestoreError`] that says what is wrong, and at which byte.
    ///
    /// ```
    /// use attuned_store::{MemoryStore, RestoreError};
    ///
    /// let wrong = MemoryStore::builder().restore("some text".as_bytes());
    /// assert!(matches!(wrong, Err(RestoreError::NotACheckpoint)));
    ///
    /// let mut bytes = Vec::new();
    /// MemoryStore::default().checkpoint(&mut bytes)?;
    /// bytes.pop();
    /// let truncated = MemoryStore::builder().restore(bytes.as_slice());
    /// assert!(matches!(truncated, Err(RestoreError::Truncated { offset }) if offset == bytes.len() as u64));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore(self, reader: impl Read) -> Result<MemoryStore<S>, RestoreError> {
        spans::restore(|| restore::restore(self, reader, None))
    }

    /// Builds the store with what the checkpoint in a file has, as [`restore`](Self::restore).
    /// Room for its users is made in advance. Blocks: in async code use
    /// [`restore_in_background`](Self::restore_in_background).
    ///
    /// # Errors
    ///
    /// [`RestoreError::File`] if the file cannot be opened; its kind is `NotFound` if there is
    /// none, which is no mistake the first time. Otherwise those of
    /// [`restore`](Self::restore).
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use attuned_store::{MemoryStore, RestoreError};
    ///
    /// # let folder = std::env::temp_dir().join(format!("attuned-restore-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("users.checkpoint");
    /// let builder = MemoryStore::builder().history(100);
    /// let store = match builder.clone().restore_from(&path) {
    ///     Err(RestoreError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
    ///         builder.build()?
    ///     }
    ///     restored => restored?,
    /// };
    /// store.checkpoint_to(&path)?;
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore_from(self, path: impl AsRef<Path>) -> Result<MemoryStore<S>, RestoreError> {
        let path = path.as_ref();
        spans::restore(|| {
            let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
            let (length, file) = opened.map_err(|source| RestoreError::File {
                path: path.to_owned(),
                source,
            })?;
            restore::restore(self, file, Some(length))
        })
    }
}

impl<S: BuildHasher + Send + Sync + 'static> MemoryStoreBuilder<S> {
    /// Builds the store with what the checkpoint in a file has, as
    /// [`restore_from`](Self::restore_from), in a thread of its own: no executor is needed,
    /// and none is blocked.
    pub fn restore_in_background(
        self,
        path: impl AsRef<Path>,
    ) -> Background<Result<MemoryStore<S>, RestoreError>> {
        let path = path.as_ref().to_owned();
        Background::new(
            move |_| self.restore_from(path),
            |error| Err(RestoreError::Thread(error)),
        )
    }
}
