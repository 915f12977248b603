//! How a checkpoint is written, from the settings to the last byte.

use std::fmt;
use std::hash::BuildHasher;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::background::{Background, Wanted};
use super::compression::Compression;
use super::error::CheckpointError;
use super::every::CheckpointEvery;
use super::file::Replacement;
use super::format::Opening;
use super::sink::{Held, Sink};
use super::spans;
use super::write::{Checkpoint, CheckpointWriter};
use super::writeback::FileSink;
use crate::clock::unix_ms_now;
use crate::map::{DefaultHashBuilder, Kept, Visitor};
use crate::memory::MemoryStore;
use crate::snapshot::State;

/// Writes checkpoints of a store with settings; made by
/// [`MemoryStore::checkpointer`](crate::MemoryStore::checkpointer).
///
/// ```
/// use attuned_store::{MemoryStore, StateSnapshot};
///
/// let store = MemoryStore::default();
/// store.insert(StateSnapshot::builder().user_id("ada").build()?)?;
///
/// let mut bytes = Vec::new();
/// let written = store
///     .checkpointer()
///     .on_progress(|progress| println!("{} of about {}", progress.users, progress.of))
///     .write(&mut bytes)?;
/// assert_eq!((written.users, written.bytes), (1, bytes.len() as u64));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is written until it is asked for"]
pub struct Checkpointer<S = DefaultHashBuilder>
where
    S: BuildHasher + Send + Sync,
{
    store: MemoryStore<S>,
    options: Options,
}

#[derive(Clone, Default)]
pub(super) struct Options {
    compression: Compression,
    on_progress: Option<Arc<dyn Fn(CheckpointProgress) + Send + Sync>>,
}

/// How far a checkpoint has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointProgress {
    /// How many users are done.
    pub users: u64,
    /// Of about how many: those that there were at the beginning.
    pub of: u64,
    /// How many bytes are written.
    pub bytes: u64,
}

impl<S: BuildHasher + Send + Sync> Checkpointer<S> {
    pub(super) fn new(store: MemoryStore<S>) -> Self {
        Self::with_options(store, Options::default())
    }

    pub(super) fn with_options(store: MemoryStore<S>, options: Options) -> Self {
        Self { store, options }
    }

    /// Compresses the checkpoint. Default: [`Compression::None`].
    pub fn compression(mut self, compression: Compression) -> Self {
        self.options.compression = compression;
        self
    }

    /// Calls `tell` whenever some 256 KiB to 64 MiB have been written, and at the end, in the
    /// thread that writes.
    pub fn on_progress(
        mut self,
        tell: impl Fn(CheckpointProgress) + Send + Sync + 'static,
    ) -> Self {
        self.options.on_progress = Some(Arc::new(tell));
        self
    }

    /// Writes a checkpoint into `writer`, as
    /// [`MemoryStore::checkpoint`](crate::MemoryStore::checkpoint).
    ///
    /// # Errors
    ///
    /// Those of [`MemoryStore::checkpoint`](crate::MemoryStore::checkpoint).
    pub fn write(&self, writer: impl Write) -> Result<Checkpoint, CheckpointError> {
        let about_users = self.store.len() as u64;
        let sink = || Held::new(writer, about_users);
        self.observed(|| self.write_while(sink(), &Wanted::yes()))
    }

    /// Writes a checkpoint to `path`, as
    /// [`MemoryStore::checkpoint_to`](crate::MemoryStore::checkpoint_to).
    ///
    /// # Errors
    ///
    /// Those of [`MemoryStore::checkpoint_to`](crate::MemoryStore::checkpoint_to).
    pub fn write_to(&self, path: impl AsRef<Path>) -> Result<Checkpoint, CheckpointError> {
        self.observed(|| self.replace(path.as_ref(), &Wanted::yes()))
    }

    fn observed(
        &self,
        write: impl FnOnce() -> Result<Checkpoint, CheckpointError>,
    ) -> Result<Checkpoint, CheckpointError> {
        spans::checkpoint(self.store.len(), write)
    }

    fn replace(&self, path: &Path, wanted: &Wanted) -> Result<Checkpoint, CheckpointError> {
        let replacement = Replacement::begin(path)?;
        let written = self.write_while(FileSink::new(replacement.file()), wanted);
        let written = written.map_err(|error| replacement.name_file(error))?;
        replacement.put_in_place()?;
        Ok(written)
    }

    fn write_while<K: Sink>(
        &self,
        sink: K,
        wanted: &Wanted,
    ) -> Result<Checkpoint, CheckpointError> {
        let of = self.store.len() as u64;
        let opening = Opening {
            begun_at: unix_ms_now(),
            about_users: of,
        };
        let writer = CheckpointWriter::begin(sink, self.options.compression, opening)?;
        let mut writing = Writing {
            writer,
            wanted,
            of,
            settings: self,
        };
        let users = self.store.users();
        users.walk(K::USERS_AT_A_TIME, &mut writing)?;
        writing.give_up_if_unwanted()?;
        // A user who is not in the checkpoint because of a removal was removed before this.
        let written = writing.writer.end(users.greatest_removed())?;
        self.tell(CheckpointProgress {
            users: written.users,
            of,
            bytes: written.bytes,
        });
        Ok(written)
    }

    fn tell(&self, progress: CheckpointProgress) {
        spans::progress(&progress);
        if let Some(tell) = &self.options.on_progress {
            tell(progress);
        }
    }
}

/// A checkpoint that is being written.
struct Writing<'c, K, S: BuildHasher + Send + Sync> {
    writer: CheckpointWriter<K>,
    wanted: &'c Wanted,
    /// About how many users there are.
    of: u64,
    settings: &'c Checkpointer<S>,
}

impl<K: Sink, S: BuildHasher + Send + Sync> Writing<'_, K, S> {
    fn give_up_if_unwanted(&self) -> Result<(), CheckpointError> {
        if self.wanted.is_wanted() {
            Ok(())
        } else {
            Err(CheckpointError::Cancelled)
        }
    }
}

impl<K: Sink, S: BuildHasher + Send + Sync> Visitor<State> for Writing<'_, K, S> {
    type Error = CheckpointError;

    fn visit(&mut self, user: Kept<'_, State>) -> Result<bool, CheckpointError> {
        self.writer.user(user)?;
        Ok(self.writer.has_room())
    }

    fn make_room(&mut self) -> Result<(), CheckpointError> {
        self.give_up_if_unwanted()?;
        if self.writer.make_room()? {
            self.settings.tell(CheckpointProgress {
                users: self.writer.users(),
                of: self.of,
                bytes: self.writer.bytes(),
            });
        }
        Ok(())
    }
}

impl<S: BuildHasher + Send + Sync + 'static> Checkpointer<S> {
    /// Writes a checkpoint to `path` in a thread of its own, as
    /// [`MemoryStore::checkpoint_in_background`](crate::MemoryStore::checkpoint_in_background).
    pub fn write_in_background(
        self,
        path: impl AsRef<Path>,
    ) -> Background<Result<Checkpoint, CheckpointError>> {
        let path = path.as_ref().to_owned();
        Background::new(
            move |wanted| self.observed(|| self.replace(&path, wanted)),
            |error| Err(CheckpointError::Thread(error)),
        )
    }

    /// Writes a checkpoint to `path` again and again, as
    /// [`MemoryStore::checkpoint_every`](crate::MemoryStore::checkpoint_every).
    pub fn every(self, period: Duration, path: impl Into<PathBuf>) -> CheckpointEvery<S> {
        CheckpointEvery::new(self.store.downgrade(), self.options, period, path.into())
    }
}

impl<S: BuildHasher + Send + Sync> fmt::Debug for Checkpointer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer")
            .field("store", &self.store)
            .field("compression", &self.options.compression)
            .finish_non_exhaustive()
    }
}
