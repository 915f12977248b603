//! From bytes to blocks.

use std::io::{self, Read};

use super::compression::{NotUnpacked, unpack_lz4};
use super::error::RestoreError;
use super::format::{
    Closing, HEAD_BYTES, Head, Kind, MAGIC, Opening, PROLOGUE_BYTES, Packing, VERSION, WrongHead,
    without_checksum,
};

/// How much room is made for a payload before any of it is there.
const ROOM_IN_ADVANCE: usize = 1 << 17;

/// Reads blocks one after the other, and keeps account of them.
///
/// What it holds is bounded by what it has really read: at most one block.
pub(super) struct BlockReader<R> {
    reader: R,
    /// How far it has read.
    offset: u64,
    checksums: crc32fast::Hasher,
    blocks_of_users: u64,
    /// Whether the last block of users ended in the middle of one.
    goes_on: bool,
}

/// A block as it is stored, whose checksums are right.
pub(super) struct Block {
    kind: Kind,
    packing: Packing,
    /// Whether its last user has more versions in the next one.
    pub(super) goes_on: bool,
    stored: Vec<u8>,
    /// The bytes of the payload uncompressed.
    plain: usize,
    /// Where it begins.
    pub(super) at: u64,
}

impl Block {
    /// Its payload, uncompressed into `scratch` if it is compressed.
    pub(super) fn payload<'b>(
        &'b self,
        scratch: &'b mut Vec<u8>,
    ) -> Result<Payload<'b>, RestoreError> {
        let (bytes, bytes_at) = match self.packing {
            Packing::Plain => (&self.stored, Some(self.at + HEAD_BYTES as u64)),
            Packing::Lz4 => {
                unpack_lz4(&self.stored, self.plain, scratch)
                    .map_err(|wrong| not_unpacked(wrong, self.at))?;
                (&*scratch, None)
            }
        };
        Ok(Payload {
            bytes,
            block_at: self.at,
            bytes_at,
        })
    }
}

/// The payload of a block.
pub(super) struct Payload<'r> {
    pub(super) bytes: &'r [u8],
    /// Where the block begins.
    pub(super) block_at: u64,
    /// Where the payload begins, if its bytes are those of the checkpoint.
    pub(super) bytes_at: Option<u64>,
}

impl Payload<'_> {
    /// Something is wrong where so many bytes of the payload are left.
    #[cold]
    pub(super) fn malformed(&self, left: usize, what: &'static str) -> RestoreError {
        let into = (self.bytes.len() - left) as u64;
        let offset = self.bytes_at.map_or(self.block_at, |at| at + into);
        RestoreError::Malformed { offset, what }
    }
}

/// What comes next.
pub(super) enum Next {
    Users(Block),
    /// The checkpoint is complete, apart from what was in the blocks of users; with where
    /// this block begins.
    Closed(Closing, u64),
}

impl<R: Read> BlockReader<R> {
    /// Reads what comes before the users.
    pub(super) fn begin(reader: R) -> Result<(Self, Opening), RestoreError> {
        let mut blocks = Self {
            reader,
            offset: 0,
            checksums: crc32fast::Hasher::new(),
            blocks_of_users: 0,
            goes_on: false,
        };
        blocks.read_prologue()?;
        let block = blocks.next_block()?;
        let mut scratch = Vec::new();
        let payload = block.payload(&mut scratch)?;
        if block.kind != Kind::Opening {
            return Err(payload.malformed(payload.bytes.len(), "a first block that is no opening"));
        }
        let opening = Opening::of_bytes(payload.bytes).ok_or_else(|| {
            payload.malformed(payload.bytes.len(), "an opening of another length")
        })?;
        Ok((blocks, opening))
    }

    fn read_prologue(&mut self) -> Result<(), RestoreError> {
        let mut prologue = [0; PROLOGUE_BYTES];
        let read = self.read_up_to(&mut prologue)?;
        let [m0, m1, m2, m3, m4, m5, m6, m7, version @ ..] = prologue;
        let magic = [m0, m1, m2, m3, m4, m5, m6, m7];
        if magic != MAGIC {
            // The beginning of a checkpoint, or of something else.
            return Err(match prologue.get(..read) {
                Some(start) if MAGIC.starts_with(start) => self.truncated(),
                _ => RestoreError::NotACheckpoint,
            });
        }
        if read < PROLOGUE_BYTES {
            return Err(self.truncated());
        }
        match u32::from_le_bytes(version) {
            VERSION => Ok(()),
            0 => Err(RestoreError::NotACheckpoint),
            version => Err(RestoreError::TooNew {
                version,
                newest: VERSION,
            }),
        }
    }

    /// The next block of users, or the end, after which
    /// [nothing follows](Self::expect_nothing).
    pub(super) fn next(&mut self) -> Result<Next, RestoreError> {
        let (blocks, checksum) = (self.blocks_of_users, self.checksums.clone().finalize());
        let block = self.next_block()?;
        if block.kind == Kind::Users {
            self.blocks_of_users += 1;
            self.goes_on = block.goes_on;
            return Ok(Next::Users(block));
        }
        let mut scratch = Vec::new();
        let payload = block.payload(&mut scratch)?;
        let malformed = |what| Err(payload.malformed(payload.bytes.len(), what));
        if block.kind == Kind::Opening {
            return malformed("a second opening");
        }
        let Some(closing) = Closing::of_bytes(payload.bytes) else {
            return malformed("a closing of another length");
        };
        if self.goes_on {
            return malformed("a closing in the middle of a user");
        }
        if closing.blocks != blocks {
            return malformed("a closing that counts other blocks");
        }
        if closing.checksum != checksum {
            return malformed("a closing that knows other blocks");
        }
        Ok(Next::Closed(closing, block.at))
    }

    fn next_block(&mut self) -> Result<Block, RestoreError> {
        let at = self.offset;
        let mut bytes = [0; HEAD_BYTES];
        if self.read_up_to(&mut bytes)? < HEAD_BYTES {
            return Err(self.truncated());
        }
        let head = Head::of_bytes(bytes).map_err(|wrong| match wrong {
            WrongHead::Checksum => RestoreError::Damaged {
                offset: at,
                what: "the head of a block",
            },
            WrongHead::Malformed(what) => RestoreError::Malformed { offset: at, what },
        })?;
        self.checksums.update(without_checksum(&bytes));
        let payload_at = self.offset;
        let stored = self.payload(head.stored as usize)?;
        if crc32fast::hash(&stored) != head.checksum {
            return Err(RestoreError::Damaged {
                offset: payload_at,
                what: "the payload of a block",
            });
        }
        Ok(Block {
            kind: head.kind,
            packing: head.packing,
            goes_on: head.goes_on,
            stored,
            plain: head.plain as usize,
            at,
        })
    }

    /// Reads a payload. Makes room for more only as it comes.
    fn payload(&mut self, len: usize) -> Result<Vec<u8>, RestoreError> {
        let mut stored = Vec::with_capacity(len.min(ROOM_IN_ADVANCE));
        let mut payload = self.reader.by_ref().take(len as u64);
        let read = payload.read_to_end(&mut stored);
        self.offset += stored.len() as u64;
        read.map_err(|source| self.unreadable(source))?;
        if stored.len() < len {
            return Err(self.truncated());
        }
        Ok(stored)
    }

    /// Fills the buffer, or as much of it as there is to read.
    fn read_up_to(&mut self, buffer: &mut [u8]) -> Result<usize, RestoreError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..)
            && !rest.is_empty()
        {
            match self.reader.read(rest) {
                Ok(0) => break,
                Ok(read) => {
                    filled += read;
                    self.offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.unreadable(source)),
            }
        }
        Ok(filled)
    }

    pub(super) fn expect_nothing(&mut self) -> Result<(), RestoreError> {
        let offset = self.offset;
        match self.read_up_to(&mut [0])? {
            0 => Ok(()),
            _ => Err(RestoreError::Trailing { offset }),
        }
    }

    fn truncated(&self) -> RestoreError {
        RestoreError::Truncated {
            offset: self.offset,
        }
    }

    fn unreadable(&self, source: io::Error) -> RestoreError {
        RestoreError::Read {
            offset: self.offset,
            source,
        }
    }
}

fn not_unpacked(wrong: NotUnpacked, offset: u64) -> RestoreError {
    match wrong {
        #[cfg(not(feature = "checkpoint-lz4"))]
        NotUnpacked::Unsupported => RestoreError::Compressed { offset },
        #[cfg(feature = "checkpoint-lz4")]
        NotUnpacked::Malformed => RestoreError::Malformed {
            offset,
            what: "a block that cannot be uncompressed",
        },
    }
}
