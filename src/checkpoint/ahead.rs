//! Has a file synchronized while more is written to it, so that little is left to wait for in
//! the end.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, Scope, ScopedJoinHandle};

use super::error::CheckpointError;

/// After so many bytes it begins, or begins again.
const PORTION: usize = 8 << 20;

/// Runs `write` with a writer to the file, and returns when the threads that it has started
/// have ended. What has not been synchronized by then is for the caller to synchronize.
pub(super) fn synchronizing<R>(
    file: &File,
    write: impl FnOnce(&mut Ahead<'_, '_>) -> Result<R, CheckpointError>,
) -> Result<R, CheckpointError> {
    thread::scope(|scope| {
        let mut ahead = Ahead {
            file,
            scope,
            since: 0,
            thread: None,
        };
        let written = write(&mut ahead)?;
        ahead.end().map_err(CheckpointError::Write)?;
        Ok(written)
    })
}

/// A writer to a file. A thread synchronizes what was written, from the first portion on.
pub(super) struct Ahead<'scope, 'env> {
    file: &'scope File,
    scope: &'scope Scope<'scope, 'env>,
    /// Bytes written since the thread was asked the last time.
    since: usize,
    thread: Option<(SyncSender<()>, ScopedJoinHandle<'scope, io::Result<()>>)>,
}

impl Ahead<'_, '_> {
    /// Asks the thread, unless it has been asked and is still at it.
    fn ask(&mut self) {
        let file = self.file;
        if self.thread.is_none() {
            let (ask, asked) = mpsc::sync_channel(1);
            let synchronize = move || asked.into_iter().try_for_each(|()| file.sync_data());
            // Without a thread all of it is synchronized in the end.
            let named = thread::Builder::new().name("attuned-checkpoint".to_owned());
            let Ok(thread) = named.spawn_scoped(self.scope, synchronize) else {
                return;
            };
            self.thread = Some((ask, thread));
        }
        if let Some((ask, _)) = &self.thread {
            let _ = ask.try_send(());
        }
    }

    /// An error of the system is told once, be it to the thread. So it must not get lost.
    fn end(self) -> io::Result<()> {
        let Some((ask, thread)) = self.thread else {
            return Ok(());
        };
        drop(ask);
        match thread.join() {
            Ok(synchronized) => synchronized,
            Err(_) => Err(io::Error::other("the thread that synchronizes panicked")),
        }
    }
}

impl Write for Ahead<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.since += written;
        if self.since >= PORTION {
            self.since = 0;
            self.ask();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
