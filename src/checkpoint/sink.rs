//! Where the blocks of a checkpoint go.

use std::io::{self, Write};

/// Takes blocks, and gives them to a writer at times that suit the writer.
pub(super) trait Sink {
    /// About how many users of one state there is room for between two [drains](Self::drain).
    const USERS_AT_A_TIME: usize;

    /// How many bytes there is room for between two drains. A block more may come.
    fn room(&self) -> u64;

    /// Takes bytes. This runs under a pin, so it does not wait for whom the bytes are for.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Gives away what was taken. This runs outside of any pin, and may wait.
    fn drain(&mut self) -> io::Result<()>;

    /// Gives away all that is left.
    fn end(self) -> io::Result<()>;
}

/// The least and the most that is held: 8 and 32 MiB.
const HELD_BITS: (u32, u32) = (23, 25);
/// About what a user with one state takes.
const BYTES_OF_USER: u64 = 64;
/// One block more may come. A vector is not made twice as large for that.
const ROOM_FOR_BLOCK: u64 = 1 << 18;

/// For a writer of which nothing is known: it may wait for somebody far away. So blocks are
/// held in memory, and the writer gets them when it may wait.
pub(super) struct Held<W> {
    writer: W,
    blocks: Vec<u8>,
    room: u64,
}

impl<W: Write> Held<W> {
    /// For about so many users.
    pub(super) fn new(writer: W, about_users: u64) -> Self {
        let (least, most) = HELD_BITS;
        let of_all = about_users.saturating_mul(BYTES_OF_USER);
        let room = 1 << of_all.max(1).ilog2().clamp(least, most);
        // Not truncated: either is at most 32 MiB.
        let held = of_all.min(room) as usize;
        Self {
            writer,
            blocks: Vec::with_capacity(held),
            room: room - ROOM_FOR_BLOCK,
        }
    }
}

impl<W: Write> Sink for Held<W> {
    const USERS_AT_A_TIME: usize = 1 << 19;

    fn room(&self) -> u64 {
        self.room
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.blocks.extend_from_slice(bytes);
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.blocks)?;
        self.blocks.clear();
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        self.drain()?;
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_gets_nothing_before_it_may_wait() {
        let mut written = Vec::new();
        let mut held = Held::new(&mut written, 10);
        held.take(b"one").unwrap();
        held.take(b"two").unwrap();
        assert!(held.writer.is_empty());
        held.drain().unwrap();
        assert_eq!(*held.writer, b"onetwo");
        held.take(b"three").unwrap();
        held.end().unwrap();
        assert_eq!(written, b"onetwothree");
    }

    #[test]
    fn what_is_held_grows_with_the_users_up_to_a_bound() {
        let room = |about_users| Held::new(io::sink(), about_users).room();
        assert!(room(0) >= 7 << 20);
        assert!(room(300_000) > room(100_000));
        assert_eq!(room(1 << 20), room(u64::MAX));
        assert!(room(u64::MAX) <= 32 << 20);
        assert!(Held::new(io::sink(), u64::MAX).blocks.capacity() <= 33 << 20);
    }
}
