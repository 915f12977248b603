//! From users to bytes.

use std::collections::HashMap;

use super::buffer::{BlockBuffer, Tail};
use super::compression::Compression;
use super::error::CheckpointError;
use super::format::{
    BLOCK_BYTES, Closing, Confidence, Context, END, FIRST_NAMES, FROM_THE_FIRST, Head, Kind, MAGIC,
    MANY_BYTES, NEW_NAMES, Opening, Traits, VERSION, without_checksum,
};
use super::numbers::folded;
use super::sink::Sink;
use crate::map::{DefaultHashBuilder, Kept};
use crate::snapshot::{AxisNames, State, ValuesInPlace};
use crate::versioned::Versioned;

/// Fewer bytes are not worth a call of the writer.
const WORTHWHILE_BYTES: u64 = 1 << 18;

/// Writes a checkpoint, one user after the other.
pub(super) struct CheckpointWriter<K> {
    blocks: BlockWriter<K>,
    begun_at: i64,
    /// The block that is being filled.
    block: BlockBuffer,
    names: NamesOfBlock,
    greatest_revision: u64,
    users: u64,
    versions: u64,
}

impl<K: Sink> CheckpointWriter<K> {
    pub(super) fn begin(
        sink: K,
        compression: Compression,
        opening: Opening,
    ) -> Result<Self, CheckpointError> {
        let mut out = Output {
            sink,
            taken: 0,
            drained: 0,
        };
        out.put(&MAGIC)?;
        out.put(&VERSION.to_le_bytes())?;
        let mut blocks = BlockWriter {
            out,
            compression,
            packed: Vec::new(),
            plain: 0,
            checksums: crc32fast::Hasher::new(),
            of_users: 0,
        };
        blocks.block(Kind::Opening, false, &opening.to_bytes())?;
        Ok(Self {
            blocks,
            begun_at: opening.begun_at,
            block: BlockBuffer::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8),
            names: NamesOfBlock::default(),
            greatest_revision: 0,
            users: 0,
            versions: 0,
        })
    }

    /// How many users have been taken.
    pub(super) fn users(&self) -> u64 {
        self.users
    }

    /// How many bytes there are of the blocks that are complete.
    pub(super) fn bytes(&self) -> u64 {
        self.blocks.out.taken
    }

    /// Whether more can be taken before [`make_room`](Self::make_room). Counted uncompressed: that
    /// tells how long it took, too.
    pub(super) fn has_room(&self) -> bool {
        self.blocks.plain < self.blocks.out.sink.room()
    }

    /// Gives the blocks that are complete away, if they are worth it. Returns whether they were.
    pub(super) fn make_room(&mut self) -> Result<bool, CheckpointError> {
        self.blocks.plain = 0;
        let is_worthwhile = self.blocks.out.undrained() >= WORTHWHILE_BYTES;
        if is_worthwhile {
            self.blocks.out.drain()?;
        }
        Ok(is_worthwhile)
    }

    /// Takes a user. A block ends with a user, unless the history is so long that the block
    /// would become large.
    pub(super) fn user(&mut self, user: Kept<'_, State>) -> Result<(), CheckpointError> {
        let Some(newest) = user.versions.first() else {
            return Ok(());
        };
        let revision = u64::from(newest.revision);
        let flags = if user.from_the_first {
            FROM_THE_FIRST
        } else {
            0
        };
        self.block.put(|tail| tail.number(user.key.len() as u64));
        self.block.extend(user.key.as_bytes());
        self.block.put(|tail| {
            tail.byte(flags);
            tail.number(revision);
        });
        let mut context = Context::new(revision, self.begun_at);
        for version in user.versions {
            self.version(version, &mut context);
            if self.block.len() >= MANY_BYTES {
                self.end_block(true)?;
            }
        }
        self.block.put(|tail| tail.number(END));
        if self.block.len() >= BLOCK_BYTES {
            self.end_block(false)?;
        }
        self.greatest_revision = self.greatest_revision.max(revision);
        self.users += 1;
        self.versions += user.versions.len() as u64;
        Ok(())
    }

    /// Each number is a difference to the context, and modulo 2^64: any time has one.
    fn version(&mut self, version: &Versioned<State>, context: &mut Context) {
        let state = &version.value;
        let observed_after = state.updated_at_unix_ms().wrapping_sub(version.written_at);
        let written = version.written_at.wrapping_sub(context.written_at);
        let observed = observed_after.wrapping_sub(context.observed_after);
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
        let put_others = |tail: &mut Tail<'_>| {
            tail.number(folded(written));
            tail.number(folded(observed));
            tail.byte(traits.to_byte());
            if traits.confidence == Confidence::Follows {
                tail.bytes(confidence.to_le_bytes(), size_of::<f32>());
            }
            if traits.gap {
                tail.number(gap);
            }
        };
        // Nearly all states are like the one before, and all of them fits into one tail.
        if let Some((number, values)) = self.names.of_last(state) {
            self.block.put(|tail| {
                tail.number(number);
                tail.bytes(values.bytes, values.len);
                put_others(tail);
            });
        } else {
            self.names.put_axes(state, &mut self.block);
            self.block.put(put_others);
        }
        *context = Context {
            revision,
            written_at: version.written_at,
            observed_after,
            confidence,
        };
    }

    fn end_block(&mut self, goes_on: bool) -> Result<(), CheckpointError> {
        self.blocks
            .block(Kind::Users, goes_on, self.block.as_slice())?;
        self.block.clear();
        self.names.clear();
        Ok(())
    }

    /// Writes what ends the checkpoint. `greatest_removed` is at least the revision of
    /// anything that is not in it because it was removed.
    pub(super) fn end(mut self, greatest_removed: u64) -> Result<Checkpoint, CheckpointError> {
        if self.block.len() > 0 {
            self.end_block(false)?;
        }
        let closing = Closing {
            greatest_revision: self.greatest_revision.max(greatest_removed),
            users: self.users,
            versions: self.versions,
            blocks: self.blocks.of_users,
            checksum: self.blocks.checksums.clone().finalize(),
        };
        self.blocks
            .block(Kind::Closing, false, &closing.to_bytes())?;
        let written = Checkpoint {
            users: self.users,
            versions: self.versions,
            bytes: self.blocks.out.taken,
        };
        self.blocks.out.sink.end().map_err(CheckpointError::Write)?;
        Ok(written)
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

    /// The number of the list that the last state had, and the values, if this one has the same and
    /// has them in place.
    #[inline]
    fn of_last(&self, state: &State) -> Option<(u64, ValuesInPlace)> {
        let values = self.lists.get(self.last)?.values_in_place(state)?;
        Some((FIRST_NAMES + self.last as u64, values))
    }

    /// Puts the names of a state's axes, or the number of their list, and the values.
    fn put_axes(&mut self, state: &State, block: &mut BlockBuffer) {
        if let Some(values) = self
            .lists
            .get(self.last)
            .and_then(|names| names.values(state))
        {
            block.put(|tail| tail.number(FIRST_NAMES + self.last as u64));
            return block.extend(&values);
        }
        let names = AxisNames::of(state);
        let known = self.numbers.get(names.as_key()).copied();
        self.last = known.unwrap_or(self.lists.len());
        match known {
            Some(number) => block.put(|tail| tail.number(FIRST_NAMES + number as u64)),
            None => put_names(&names, block),
        }
        block.extend(&names.values(state).unwrap_or_default());
        if known.is_none() {
            self.numbers.insert(names.as_key().into(), self.last);
            self.lists.push(names);
        }
    }
}

fn put_names(names: &AxisNames, block: &mut BlockBuffer) {
    block.put(|tail| {
        tail.number(NEW_NAMES);
        tail.number(names.len() as u64);
    });
    for name in names.iter() {
        block.put(|tail| tail.number(name.len() as u64));
        block.extend(name.as_bytes());
    }
}

/// Makes blocks, and keeps account of them.
struct BlockWriter<K> {
    out: Output<K>,
    compression: Compression,
    packed: Vec<u8>,
    /// Bytes of the blocks made since there was room for all, uncompressed.
    plain: u64,
    /// Of the heads, which have the checksums of the payloads.
    checksums: crc32fast::Hasher,
    of_users: u64,
}

impl<K: Sink> BlockWriter<K> {
    fn block(&mut self, kind: Kind, goes_on: bool, plain: &[u8]) -> Result<(), CheckpointError> {
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
        self.plain += plain.len() as u64;
        self.out.put(&head)?;
        self.out.put(stored)
    }
}

/// A sink, and how many bytes it has taken and given away.
struct Output<K> {
    sink: K,
    taken: u64,
    drained: u64,
}

impl<K: Sink> Output<K> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        self.sink.take(bytes).map_err(CheckpointError::Write)?;
        self.taken += bytes.len() as u64;
        Ok(())
    }

    fn undrained(&self) -> u64 {
        self.taken - self.drained
    }

    fn drain(&mut self) -> Result<(), CheckpointError> {
        self.sink.drain().map_err(CheckpointError::Write)?;
        self.drained = self.taken;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::revision::Revision;

    /// Has room for two blocks, and forgets them.
    struct Small;

    impl Sink for Small {
        const USERS_AT_A_TIME: usize = 1;

        fn room(&self) -> u64 {
            2 * BLOCK_BYTES as u64
        }

        fn take(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn drain(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn end(self) -> io::Result<()> {
            Ok(())
        }
    }

    fn users_until_there_is_no_room(compression: Compression) -> u64 {
        let opening = Opening {
            begun_at: 0,
            about_users: 0,
        };
        let mut writer = CheckpointWriter::begin(Small, compression, opening).unwrap();
        writer.make_room().unwrap();
        let state = State::builder().updated_at(5).build_state().unwrap();
        let versions = [Versioned::new(state, Revision::from(9), 5)];
        while writer.has_room() {
            let kept = Kept {
                key: "somebody_whose_id_is_long",
                versions: &versions,
                from_the_first: true,
            };
            writer.user(kept).unwrap();
        }
        writer.make_room().unwrap();
        assert!(writer.has_room());
        writer.users()
    }

    #[test]
    fn compression_makes_no_room() {
        let users = users_until_there_is_no_room(Compression::None);
        assert!(users > 1_000);
        #[cfg(feature = "checkpoint-lz4")]
        assert_eq!(users_until_there_is_no_room(Compression::Lz4), users);
    }
}
