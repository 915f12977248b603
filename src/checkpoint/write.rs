//! From users to bytes.

use std::collections::HashMap;
use std::io::Write;

use super::compression::Compression;
use super::error::CheckpointError;
use super::format::{
    BLOCK_BYTES, Closing, Confidence, Context, END, FIRST_NAMES, FROM_THE_FIRST, Head, Kind, MAGIC,
    MANY_BYTES, NEW_NAMES, Opening, Traits, VERSION, without_checksum,
};
use super::numbers::{folded, put_number};
use crate::map::{DefaultHashBuilder, Kept};
use crate::snapshot::{AxisNames, State};
use crate::versioned::Versioned;

/// So many bytes may wait to be written at the least and at the most: 8 and 32 MiB.
const PENDING_BITS: (u32, u32) = (23, 25);
/// About what a user with one state takes. As many wait as there are in a portion of the walk.
const BYTES_OF_USER: u64 = 64;
/// One block more may come. A vector is not made twice as large for that.
const ROOM_FOR_BLOCK: usize = 1 << 18;
/// Fewer bytes are not worth a call of the writer.
const WORTHWHILE_BYTES: usize = 1 << 18;

/// Writes a checkpoint, one user after the other.
pub(super) struct CheckpointWriter<W> {
    blocks: BlockWriter<W>,
    /// How many bytes may wait.
    most_pending: usize,
    begun_at: i64,
    /// The block that is being filled.
    block: Vec<u8>,
    names: NamesOfBlock,
    greatest_revision: u64,
    users: u64,
    versions: u64,
}

impl<W: Write> CheckpointWriter<W> {
    pub(super) fn begin(writer: W, compression: Compression, opening: Opening) -> Self {
        let (least, most) = PENDING_BITS;
        let of_all = opening.about_users.saturating_mul(BYTES_OF_USER);
        let bits = of_all.max(1).ilog2().clamp(least, most);
        let most_pending = 1 << bits;
        let pending =
            usize::try_from(of_all).map_or(most_pending, |of_all| of_all.min(most_pending));
        let mut blocks = BlockWriter {
            writer,
            compression,
            pending: Vec::with_capacity(pending),
            packed: Vec::new(),
            checksums: crc32fast::Hasher::new(),
            bytes: 0,
            of_users: 0,
        };
        blocks.pending.extend(MAGIC);
        blocks.pending.extend(VERSION.to_le_bytes());
        blocks.block(Kind::Opening, false, &opening.to_bytes());
        Self {
            blocks,
            most_pending: most_pending - ROOM_FOR_BLOCK,
            begun_at: opening.begun_at,
            block: Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8),
            names: NamesOfBlock::default(),
            greatest_revision: 0,
            users: 0,
            versions: 0,
        }
    }

    /// How many users have been taken.
    pub(super) fn users(&self) -> u64 {
        self.users
    }

    /// How many bytes the writer has got.
    pub(super) fn bytes(&self) -> u64 {
        self.blocks.bytes
    }

    /// Whether more can be taken before something is [written](Self::write_out).
    pub(super) fn has_room(&self) -> bool {
        self.blocks.pending.len() < self.most_pending
    }

    /// Gives the blocks that are complete to the writer, if they are worth it.
    pub(super) fn write_out(&mut self) -> Result<(), CheckpointError> {
        if self.blocks.pending.len() < WORTHWHILE_BYTES {
            return Ok(());
        }
        self.blocks.write_out()
    }

    /// Takes a user. A block ends with a user, unless the history is so long that the block
    /// would become large.
    pub(super) fn user(&mut self, user: Kept<'_, State>) {
        let Some(newest) = user.versions.first() else {
            return;
        };
        let revision = u64::from(newest.revision);
        put_number(&mut self.block, user.key.len() as u64);
        self.block.extend_from_slice(user.key.as_bytes());
        self.block.push(if user.from_the_first {
            FROM_THE_FIRST
        } else {
            0
        });
        put_number(&mut self.block, revision);
        let mut context = Context::new(revision, self.begun_at);
        for version in user.versions {
            self.version(version, &mut context);
            if self.block.len() >= MANY_BYTES {
                self.end_block(true);
            }
        }
        put_number(&mut self.block, END);
        if self.block.len() >= BLOCK_BYTES {
            self.end_block(false);
        }
        self.greatest_revision = self.greatest_revision.max(revision);
        self.users += 1;
        self.versions += user.versions.len() as u64;
    }

    /// Each number is a difference to the context, and modulo 2^64: any time has one.
    fn version(&mut self, version: &Versioned<State>, context: &mut Context) {
        let (block, state) = (&mut self.block, &version.value);
        self.names.put_axes(state, block);
        let observed_after = state.updated_at_unix_ms().wrapping_sub(version.written_at);
        let written = version.written_at.wrapping_sub(context.written_at);
        let observed = observed_after.wrapping_sub(context.observed_after);
        put_number(block, folded(written));
        put_number(block, folded(observed));
        let confidence = state.confidence();
        let revision = u64::from(version.revision);
        let gap = context.revision.wrapping_sub(1).wrapping_sub(revision);
        let traits = Traits {
            source: state.source(),
            confidence: match confidence.to_bits() {
                bits if bits == 1_f32.to_bits() => Confidence::Full,
                bits if bits == context.confidence.to_bits() => Confidence::Same,
                _ => Confidence::Follows,
            },
            gap: gap != 0,
        };
        block.push(traits.to_byte());
        if traits.confidence == Confidence::Follows {
            block.extend_from_slice(&confidence.to_le_bytes());
        }
        if traits.gap {
            put_number(block, gap);
        }
        *context = Context {
            revision,
            written_at: version.written_at,
            observed_after,
            confidence,
        };
    }

    fn end_block(&mut self, goes_on: bool) {
        self.blocks.block(Kind::Users, goes_on, &self.block);
        self.block.clear();
        self.names.clear();
    }

    /// Writes what ends the checkpoint. `greatest_removed` is at least the revision of
    /// anything that is not in it because it was removed.
    pub(super) fn end(mut self, greatest_removed: u64) -> Result<Checkpoint, CheckpointError> {
        if !self.block.is_empty() {
            self.end_block(false);
        }
        let closing = Closing {
            greatest_revision: self.greatest_revision.max(greatest_removed),
            users: self.users,
            versions: self.versions,
            blocks: self.blocks.of_users,
            checksum: self.blocks.checksums.clone().finalize(),
        };
        self.blocks.block(Kind::Closing, false, &closing.to_bytes());
        self.blocks.write_out()?;
        self.blocks.writer.flush().map_err(CheckpointError::Write)?;
        Ok(Checkpoint {
            users: self.users,
            versions: self.versions,
            bytes: self.blocks.bytes,
        })
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// How many users are in the checkpoint. One who was removed while it was written, and
    /// came back, may count twice.
    pub users: u64,
    /// How many states of them.
    pub versions: u64,
    /// How many bytes the checkpoint has.
    pub bytes: u64,
}

/// The lists of names that a block has spelled out so far.
#[derive(Default)]
struct NamesOfBlock {
    lists: Vec<AxisNames>,
    numbers: HashMap<Box<[u8]>, usize, DefaultHashBuilder>,
    /// The number of the list that the last state had, which the next one is likely to have.
    last: usize,
}

impl NamesOfBlock {
    fn clear(&mut self) {
        self.lists.clear();
        self.numbers.clear();
    }

    /// Puts the names of a state's axes, or the number of their list, and the values.
    fn put_axes(&mut self, state: &State, block: &mut Vec<u8>) {
        if let Some(names) = self.lists.get(self.last) {
            let before = block.len();
            put_number(block, FIRST_NAMES + self.last as u64);
            if names.append_values(state, block) {
                return;
            }
            block.truncate(before);
        }
        let names = AxisNames::of(state);
        match self.numbers.get(names.as_key()) {
            Some(&number) => {
                put_number(block, FIRST_NAMES + number as u64);
                names.append_values(state, block);
                self.last = number;
            }
            None => {
                put_number(block, NEW_NAMES);
                put_number(block, names.len() as u64);
                for name in names.iter() {
                    put_number(block, name.len() as u64);
                    block.extend_from_slice(name.as_bytes());
                }
                names.append_values(state, block);
                self.last = self.lists.len();
                self.numbers.insert(names.as_key().into(), self.last);
                self.lists.push(names);
            }
        }
    }
}

/// Makes blocks, writes them, and keeps account of them.
struct BlockWriter<W> {
    writer: W,
    compression: Compression,
    /// What the writer is to get.
    pending: Vec<u8>,
    packed: Vec<u8>,
    /// Of the heads, which have the checksums of the payloads.
    checksums: crc32fast::Hasher,
    bytes: u64,
    of_users: u64,
}

impl<W: Write> BlockWriter<W> {
    fn block(&mut self, kind: Kind, goes_on: bool, plain: &[u8]) {
        let (packing, stored) = self.compression.pack(plain, &mut self.packed);
        let head = Head {
            kind,
            packing,
            goes_on,
            // Neither is truncated: no block is so large.
            stored: stored.len() as u32,
            plain: plain.len() as u32,
            checksum: crc32fast::hash(stored),
        };
        let head = head.to_bytes();
        self.checksums.update(without_checksum(&head));
        self.of_users += u64::from(kind == Kind::Users);
        self.pending.extend_from_slice(&head);
        self.pending.extend_from_slice(stored);
    }

    fn write_out(&mut self) -> Result<(), CheckpointError> {
        let written = self.writer.write_all(&self.pending);
        written.map_err(CheckpointError::Write)?;
        self.bytes += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}
