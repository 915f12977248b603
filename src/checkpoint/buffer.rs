//! A block while it is being filled.

/// How many bytes can be put into a [`Tail`]. A power of two.
const TAIL_BYTES: usize = 128;
/// How many of them at once.
const AT_ONCE: usize = 32;

/// The bytes of a block, and zeros where more of them will be.
///
/// Most of what a block has are numbers of a few bytes. A vector would look for room at each of
/// them, and would store its length and load it again.
#[derive(Default)]
pub(super) struct BlockBuffer {
    bytes: Vec<u8>,
    /// How many of the bytes are put.
    len: usize,
}

impl BlockBuffer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes],
            len: 0,
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if end > self.bytes.len() {
            self.grow(end);
        }
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        }
    }

    /// Puts a few numbers and bytes: at most 128 bytes in all.
    #[inline]
    pub(super) fn put(&mut self, put: impl FnOnce(&mut Tail<'_>)) {
        if self.free().is_none() {
            self.grow(self.len + TAIL_BYTES + AT_ONCE);
        }
        if let Some(bytes) = self.free() {
            let mut tail = Tail { bytes, len: 0 };
            put(&mut tail);
            self.len += tail.len;
        }
    }

    #[inline]
    fn free(&mut self) -> Option<&mut [u8; TAIL_BYTES + AT_ONCE]> {
        self.bytes.get_mut(self.len..)?.first_chunk_mut()
    }

    #[cold]
    fn grow(&mut self, least: usize) {
        self.bytes.resize(least.next_power_of_two(), 0);
    }
}

/// What is put behind the bytes of a [`BlockBuffer`].
pub(super) struct Tail<'b> {
    bytes: &'b mut [u8; TAIL_BYTES + AT_ONCE],
    len: usize,
}

impl Tail<'_> {
    /// The first `len` of these bytes.
    #[inline]
    pub(super) fn bytes<const N: usize>(&mut self, bytes: [u8; N], len: usize) {
        const { assert!(N <= AT_ONCE) };
        debug_assert!(self.len + len <= TAIL_BYTES && len <= N);
        // The remainder tells the compiler that there is a place for all of them.
        let at = self.len % TAIL_BYTES;
        self.bytes[at..at + N].copy_from_slice(&bytes);
        self.len += len;
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes([byte], 1);
    }

    /// A number in groups of seven bits, the least significant first, each with a mark that
    /// another one follows (LEB128).
    #[inline]
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_and_can_be_filled_anew() {
        let mut buffer = BlockBuffer::default();
        let mut bytes = Vec::new();
        for round in 0..2 {
            for number in 0..=u8::MAX {
                let text = vec![number; usize::from(number)];
                buffer.extend(&text);
                buffer.put(|tail| {
                    tail.byte(number);
                    tail.number(300);
                    tail.bytes([1, 2, 3, 4], 2);
                    tail.bytes([5; AT_ONCE], AT_ONCE);
                });
                bytes.extend(text);
                bytes.extend([number, 300_u16 as u8 | 0x80, 2, 1, 2]);
                bytes.extend([5; AT_ONCE]);
            }
            assert_eq!(buffer.as_slice(), bytes, "{round}");
            assert_eq!(buffer.len(), bytes.len());
            buffer.clear();
            bytes.clear();
            assert!(buffer.as_slice().is_empty());
        }
    }
}
