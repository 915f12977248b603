//! Blocks read by several threads.

use std::hash::BuildHasher;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::{mem, panic};

use super::error::RestoreError;
use super::read::Block;
use super::users::{Counts, UserReader};
use crate::memory::Restorer;

/// For fewer blocks no thread is started: these are read sooner than it is there.
const BLOCKS_FOR_THREADS: usize = 8;
/// More threads, with the one that reads the file, would wait for that one and for the allocator.
const MOST_THREADS: usize = 4;
/// How many blocks may wait for a thread, at most 1 MiB each and mostly 64 KiB.
const WAITING: usize = 2;

/// Reads users out of blocks, in threads if there are many blocks.
///
/// A block that goes on is followed by the next one in the same thread. Of all errors the
/// one that counts is the first in the order of the checkpoint: every block before has been
/// given to some thread, and each thread stops at its own first error.
pub(super) struct Workers<'scope, 'env, S: BuildHasher + Send + Sync> {
    scope: &'scope Scope<'scope, 'env>,
    into: &'env Restorer<'env, S>,
    begun_at: i64,
    /// Reads the first blocks, and those that no thread has room for.
    here: UserReader<'env, S>,
    failed_here: Option<(u64, RestoreError)>,
    blocks: usize,
    threads: Vec<Worker<'scope>>,
    /// Who has the last block.
    last: Who,
    goes_on: bool,
}

#[derive(Clone, Copy)]
enum Who {
    Here,
    Thread(usize),
}

struct Worker<'scope> {
    blocks: SyncSender<Block>,
    thread: ScopedJoinHandle<'scope, Result<Counts, (u64, RestoreError)>>,
}

/// No more blocks are taken, since one was wrong.
pub(super) struct Stopped;

impl<'scope, 'env, S: BuildHasher + Send + Sync> Workers<'scope, 'env, S> {
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        into: &'env Restorer<'env, S>,
        begun_at: i64,
    ) -> Self {
        Self {
            scope,
            into,
            begun_at,
            here: UserReader::new(into, begun_at),
            failed_here: None,
            blocks: 0,
            threads: Vec::new(),
            last: Who::Here,
            goes_on: false,
        }
    }

    /// Takes the next block of the checkpoint.
    pub(super) fn take(&mut self, block: Block) -> Result<(), Stopped> {
        self.blocks += 1;
        if self.blocks == BLOCKS_FOR_THREADS {
            self.start();
        }
        let to = if self.goes_on { Some(self.last) } else { None };
        self.goes_on = block.goes_on;
        match to {
            Some(Who::Here) => self.read_here(&block),
            Some(Who::Thread(number)) => self.hand_over(number, block),
            None if self.threads.is_empty() => self.read_here(&block),
            None => self.hand_to_any(block),
        }
    }

    fn read_here(&mut self, block: &Block) -> Result<(), Stopped> {
        self.last = Who::Here;
        self.here.block(block).map_err(|error| {
            self.failed_here = Some((block.at, error));
            Stopped
        })
    }

    fn hand_over(&mut self, number: usize, block: Block) -> Result<(), Stopped> {
        self.last = Who::Thread(number);
        let worker = self.threads.get(number).ok_or(Stopped)?;
        worker.blocks.send(block).map_err(|_| Stopped)
    }

    /// To the first thread that has room. If none has, there is time to read the block here.
    fn hand_to_any(&mut self, mut block: Block) -> Result<(), Stopped> {
        for (number, worker) in self.threads.iter().enumerate() {
            match worker.blocks.try_send(block) {
                Ok(()) => {
                    self.last = Who::Thread(number);
                    return Ok(());
                }
                Err(TrySendError::Full(full)) => block = full,
                Err(TrySendError::Disconnected(_)) => return Err(Stopped),
            }
        }
        self.read_here(&block)
    }

    /// Starts a thread for each core, without the one that this thread has. Where there is one core,
    /// or no thread can be started, all goes on here.
    fn start(&mut self) {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 1..cores.min(MOST_THREADS) {
            let (blocks, given) = mpsc::sync_channel::<Block>(WAITING);
            let mut reader = UserReader::new(self.into, self.begun_at);
            let read = move || {
                for block in given {
                    reader.block(&block).map_err(|error| (block.at, error))?;
                }
                Ok(reader.counts())
            };
            let named = thread::Builder::new().name("attuned-restore".to_owned());
            let Ok(thread) = named.spawn_scoped(self.scope, read) else {
                return;
            };
            self.threads.push(Worker { blocks, thread });
        }
    }

    /// What was read, when all have ended.
    pub(super) fn end(mut self) -> Result<Counts, RestoreError> {
        let mut counts = self.here.counts();
        let mut first_error = self.failed_here;
        // All of them first, so that none waits for more.
        let (senders, threads): (Vec<_>, Vec<_>) = mem::take(&mut self.threads)
            .into_iter()
            .map(|worker| (worker.blocks, worker.thread))
            .unzip();
        drop(senders);
        for thread in threads {
            match thread.join() {
                Ok(Ok(more)) => counts = counts.and(more),
                Ok(Err(error)) if first_error.as_ref().is_none_or(|(at, _)| error.0 < *at) => {
                    first_error = Some(error);
                }
                Ok(Err(_)) => {}
                Err(panic) => panic::resume_unwind(panic),
            }
        }
        first_error.map_or(Ok(counts), |(_, error)| Err(error))
    }
}
