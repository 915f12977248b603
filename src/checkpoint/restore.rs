//! From a checkpoint to a store.

use std::hash::BuildHasher;
use std::io::Read;
use std::thread;

use super::error::RestoreError;
use super::format::{Closing, MIN_USER_BYTES};
use super::read::{BlockReader, Next};
use super::users::Counts;
use super::workers::Workers;
use crate::clock::unix_ms_now;
use crate::map::{GREATEST_REVISION, MAX_CAPACITY};
use crate::memory::{MemoryStore, MemoryStoreBuilder, Restorer};

/// Builds a store, restores it, and gives it out when the whole checkpoint has been read and
/// found right. `length` is that of the checkpoint, if it is known: it bounds what is
/// believed of the number of users.
pub(super) fn restore<S: BuildHasher + Send + Sync>(
    builder: MemoryStoreBuilder<S>,
    reader: impl Read,
    length: Option<u64>,
) -> Result<(MemoryStore<S>, Counts), RestoreError> {
    let (mut blocks, opening) = BlockReader::begin(reader)?;
    let possible = length.map_or(0, |length| length / MIN_USER_BYTES);
    let users = opening.about_users.min(possible);
    let users = usize::try_from(users).map_or(MAX_CAPACITY, |users| users.min(MAX_CAPACITY));
    let mut store = builder.room_for(users).build()?;
    let Some(into) = store.users_mut() else {
        unreachable!("nobody else has the store yet");
    };
    let now = unix_ms_now();
    let restorer = into.restorer(now);
    let (counts, closing, offset) = read_all(&mut blocks, &restorer, opening.begun_at)?;
    check(closing, counts).map_err(|what| RestoreError::Malformed { offset, what })?;
    let former = restorer.end();
    let went_on = into.go_on(former, closing.greatest_revision, now);
    went_on.map_err(|error| RestoreError::of_map(error, offset))?;
    Ok((store, counts))
}

/// Reads all users, and where the closing is that comes behind them.
fn read_all<S: BuildHasher + Send + Sync>(
    blocks: &mut BlockReader<impl Read>,
    into: &Restorer<'_, S>,
    begun_at: i64,
) -> Result<(Counts, Closing, u64), RestoreError> {
    thread::scope(|scope| {
        let mut workers = Workers::new(scope, into, begun_at);
        let closed = loop {
            match blocks.next() {
                Ok(Next::Users(block)) => {
                    if workers.take(block).is_err() {
                        break None;
                    }
                }
                Ok(Next::Closed(closing, at)) => {
                    break Some(blocks.expect_nothing().map(|()| (closing, at)));
                }
                Err(error) => break Some(Err(error)),
            }
        };
        // An error of theirs is about what comes before all that is still to be read.
        let counts = workers.end()?;
        let Some(closed) = closed else {
            unreachable!("they take all blocks unless one is wrong");
        };
        let (closing, at) = closed?;
        Ok((counts, closing, at))
    })
}

/// Compares what was read with what was written.
fn check(closing: Closing, read: Counts) -> Result<(), &'static str> {
    if closing.users != read.users || closing.versions != read.versions {
        return Err("a closing that counts other users or states");
    }
    if !(read.greatest_revision..GREATEST_REVISION).contains(&closing.greatest_revision) {
        return Err("a closing with an impossible revision");
    }
    Ok(())
}
