//! The format of checkpoints: what the bytes mean. The chapter
//! [`docs::checkpoints`](crate::docs::checkpoints) has it for readers without this code.

use crate::snapshot::{MAX_AXES, MAX_AXIS_NAME_BYTES, MAX_USER_ID_BYTES, Source};

/// What every checkpoint begins with. The first byte is in no text, and the line ends do not
/// survive a transfer as text.
pub(super) const MAGIC: [u8; 8] = *b"\x89atst\r\n\x1a";

/// The version of the format that is written, and the newest that can be read.
pub(super) const VERSION: u32 = 1;

/// Magic and version.
pub(super) const PROLOGUE_BYTES: usize = MAGIC.len() + size_of::<u32>();

/// What introduces a block.
pub(super) const HEAD_BYTES: usize = 20;

/// A head without its own checksum. The checksum of heads is over these: that of bytes
/// which each end with their own CRC would be the same in any order, whatever the bytes are.
pub(super) fn without_checksum(head: &[u8; HEAD_BYTES]) -> &[u8] {
    head.get(..HEAD_BYTES - 4).unwrap_or_default()
}

/// A block of users is written when it has so many bytes and a user is complete. It bounds
/// what one spelling of the names serves for.
pub(super) const BLOCK_BYTES: usize = 1 << 16;

/// With so many bytes it is written in the middle of a user.
pub(super) const MANY_BYTES: usize = 2 * BLOCK_BYTES;

/// No block is larger, neither as it is nor uncompressed: 1 MiB.
pub(super) const MAX_BLOCK_BYTES: usize = 1 << 20;

// A block that is not full yet has room for any user and any state. Numbers are a few bytes.
const _: () = {
    let state = MAX_AXES * (1 + MAX_AXIS_NAME_BYTES + size_of::<f32>());
    assert!(MANY_BYTES + MAX_USER_ID_BYTES + state + 100 <= MAX_BLOCK_BYTES);
};

/// What LZ4 makes of a byte at the most.
pub(super) const MAX_LZ4_RATIO: usize = 255;

/// No user takes fewer bytes: the length and one byte of the id, the flags, the revision, a
/// version of four numbers, and the end.
pub(super) const MIN_USER_BYTES: u64 = 9;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Opening = 1,
    Users = 2,
    Closing = 3,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Self> {
        [Self::Opening, Self::Users, Self::Closing]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// How the payload of a block is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Packing {
    Plain = 0,
    Lz4 = 1,
}

impl Packing {
    fn of(byte: u8) -> Option<Self> {
        [Self::Plain, Self::Lz4]
            .into_iter()
            .find(|packing| *packing as u8 == byte)
    }
}

/// What introduces a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) packing: Packing,
    /// Whether the last user has more versions in the next block.
    pub(super) goes_on: bool,
    /// The bytes of the payload as they follow.
    pub(super) stored: u32,
    /// The bytes of the payload uncompressed.
    pub(super) plain: u32,
    /// The checksum of the payload as it follows.
    pub(super) checksum: u32,
}

/// Why a head is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrongHead {
    Checksum,
    Malformed(&'static str),
}

impl Head {
    pub(super) fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let words = [
            [
                self.kind as u8,
                self.packing as u8,
                u8::from(self.goes_on),
                0,
            ],
            self.stored.to_le_bytes(),
            self.plain.to_le_bytes(),
            self.checksum.to_le_bytes(),
        ];
        let own_checksum = crc32fast::hash(words.as_flattened()).to_le_bytes();
        let mut bytes = [0; HEAD_BYTES];
        let places = bytes.as_chunks_mut().0.iter_mut();
        for (place, word) in places.zip(words.into_iter().chain([own_checksum])) {
            *place = word;
        }
        bytes
    }

    pub(super) fn of_bytes(bytes: [u8; HEAD_BYTES]) -> Result<Self, WrongHead> {
        let ([what, stored, plain, checksum, own_checksum], []) = bytes.as_chunks() else {
            return Err(WrongHead::Malformed("a block without a head"));
        };
        let covered = [*what, *stored, *plain, *checksum];
        if crc32fast::hash(covered.as_flattened()) != u32::from_le_bytes(*own_checksum) {
            return Err(WrongHead::Checksum);
        }
        let &[kind, packing, goes_on @ 0..=1, 0] = what else {
            return Err(WrongHead::Malformed("a block with unknown flags"));
        };
        let head = Self {
            kind: Kind::of(kind).ok_or(WrongHead::Malformed("a block of an unknown kind"))?,
            packing: Packing::of(packing)
                .ok_or(WrongHead::Malformed("a block with an unknown compression"))?,
            goes_on: goes_on == 1,
            stored: u32::from_le_bytes(*stored),
            plain: u32::from_le_bytes(*plain),
            checksum: u32::from_le_bytes(*checksum),
        };
        let (stored, plain) = (head.stored as usize, head.plain as usize);
        let is_possible = plain <= MAX_BLOCK_BYTES
            && match head.packing {
                Packing::Plain => stored == plain,
                Packing::Lz4 => stored < plain && plain / MAX_LZ4_RATIO <= stored,
            };
        if head.goes_on && head.kind != Kind::Users {
            Err(WrongHead::Malformed("a block that nothing can go on from"))
        } else if is_possible {
            Ok(head)
        } else {
            Err(WrongHead::Malformed("a block of an impossible length"))
        }
    }
}

/// The payload of the first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    /// When the checkpoint was begun: milliseconds since the Unix epoch.
    pub(super) begun_at: i64,
    /// About how many users there are.
    pub(super) about_users: u64,
}

/// The payload of the last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closing {
    /// At least every revision in the checkpoint, and that of everything that was removed
    /// before its user would have been written.
    pub(super) greatest_revision: u64,
    pub(super) users: u64,
    pub(super) versions: u64,
    /// Of users.
    pub(super) blocks: u64,
    /// Of all heads before, [without their own](without_checksum), but with those of payloads.
    pub(super) checksum: u32,
}

impl Opening {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.begun_at.to_le_bytes());
        bytes.extend(self.about_users.to_le_bytes());
        bytes
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.as_chunks() else {
            return None;
        };
        let [begun_at, about_users] = words else {
            return None;
        };
        Some(Self {
            begun_at: i64::from_le_bytes(*begun_at),
            about_users: u64::from_le_bytes(*about_users),
        })
    }
}

impl Closing {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let words = [
            self.greatest_revision,
            self.users,
            self.versions,
            self.blocks,
        ];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(self.checksum.to_le_bytes());
        bytes
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, checksum) = bytes.as_chunks();
        let [greatest_revision, users, versions, blocks] = words else {
            return None;
        };
        Some(Self {
            greatest_revision: u64::from_le_bytes(*greatest_revision),
            users: u64::from_le_bytes(*users),
            versions: u64::from_le_bytes(*versions),
            blocks: u64::from_le_bytes(*blocks),
            checksum: u32::from_le_bytes(checksum.try_into().ok()?),
        })
    }
}

/// In the flags of a user: the oldest version here is the first since the user came.
pub(super) const FROM_THE_FIRST: u8 = 1;

/// In the place of the names of a version: the user has no more versions.
pub(super) const END: u64 = 0;
/// A list of names follows, which the block has not had yet.
pub(super) const NEW_NAMES: u64 = 1;
/// The first list of names in the block; the others follow.
pub(super) const FIRST_NAMES: u64 = 2;

/// What the confidence of a state is, beside its source in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confidence {
    /// It is 1.
    Full,
    /// That of the version before in the checkpoint.
    Same,
    /// Four bytes follow.
    Follows,
}

/// What a version has beside times and axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) source: Source,
    pub(super) confidence: Confidence,
    /// Whether its revision is not the one before that of the version before in the
    /// checkpoint. Then how many are between them follows.
    pub(super) gap: bool,
}

impl Traits {
    pub(super) fn to_byte(self) -> u8 {
        let source = match self.source {
            Source::SelfReport => 0,
            Source::Inferred => 1,
            Source::Mixed => 2,
        };
        source | (self.confidence as u8) << 2 | u8::from(self.gap) << 4
    }

    pub(super) fn of_byte(byte: u8) -> Option<Self> {
        let source = match byte & 3 {
            0 => Source::SelfReport,
            1 => Source::Inferred,
            2 => Source::Mixed,
            _ => return None,
        };
        let confidence = match byte >> 2 & 3 {
            0 => Confidence::Full,
            1 => Confidence::Same,
            2 => Confidence::Follows,
            _ => return None,
        };
        let gap = match byte >> 4 {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self {
            source,
            confidence,
            gap,
        })
    }
}

/// What a version is told by differences to: the version before in the checkpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) revision: u64,
    pub(super) written_at: i64,
    /// How much later than written the state was observed.
    pub(super) observed_after: i64,
    pub(super) confidence: f32,
}

impl Context {
    /// That of the first version of a user, which has this revision.
    pub(super) fn new(revision: u64, begun_at: i64) -> Self {
        Self {
            revision: revision.wrapping_add(1),
            written_at: begun_at,
            observed_after: 0,
            confidence: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_their_neighbours() {
        let head = Head {
            kind: Kind::Users,
            packing: Packing::Plain,
            goes_on: true,
            stored: 70_000,
            plain: 70_000,
            checksum: 0x0102_0304,
        };
        assert_eq!(Head::of_bytes(head.to_bytes()), Ok(head));
        for bit in 0..HEAD_BYTES * 8 {
            let mut bytes = head.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::of_bytes(bytes), Err(WrongHead::Checksum));
        }
        for (packing, stored, plain) in [
            (Packing::Plain, 1, 2),
            (Packing::Plain, MAX_BLOCK_BYTES + 1, MAX_BLOCK_BYTES + 1),
            (Packing::Lz4, 5, 5),
            (Packing::Lz4, 10, 10_000),
            (Packing::Lz4, MAX_BLOCK_BYTES, MAX_BLOCK_BYTES + 1),
        ] {
            let (stored, plain) = (stored as u32, plain as u32);
            let head = Head {
                packing,
                stored,
                plain,
                ..head
            };
            assert!(matches!(
                Head::of_bytes(head.to_bytes()),
                Err(WrongHead::Malformed(_))
            ));
        }
    }

    #[test]
    fn traits_come_back() {
        let bytes: Vec<_> = (0..=255)
            .filter(|&byte| Traits::of_byte(byte).is_some())
            .collect();
        assert_eq!(bytes.len(), 3 * 3 * 2);
        for byte in bytes {
            assert_eq!(Traits::of_byte(byte).unwrap().to_byte(), byte);
        }
    }

    #[test]
    fn the_ends_of_a_checkpoint_come_back() {
        let opening = Opening {
            begun_at: -5,
            about_users: 7,
        };
        assert_eq!(Opening::of_bytes(&opening.to_bytes()), Some(opening));
        assert_eq!(Opening::of_bytes(&opening.to_bytes()[1..]), None);
        let closing = Closing {
            greatest_revision: 1,
            users: 2,
            versions: 3,
            blocks: 4,
            checksum: 5,
        };
        assert_eq!(Closing::of_bytes(&closing.to_bytes()), Some(closing));
        assert_eq!(Closing::of_bytes(&closing.to_bytes()[..35]), None);
    }
}
