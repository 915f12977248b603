//! Numbers of any length in few bytes.

/// Takes a number off the front, as [`Tail::number`](super::buffer::Tail::number) puts it;
/// `None` if there is none, or it is not in its shortest form.
#[inline]
pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    match bytes.split_first() {
        Some((&byte, rest)) if byte < 0x80 => {
            *bytes = rest;
            Some(byte.into())
        }
        _ => take_long_number(bytes),
    }
}

fn take_long_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return (byte != 0 || shift == 0).then_some(number);
        }
    }
    None
}

/// A difference, so that those near zero become small numbers (zigzag).
#[inline]
pub(super) fn folded(difference: i64) -> u64 {
    (difference << 1 ^ difference >> 63).cast_unsigned()
}

#[inline]
pub(super) fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::buffer::BlockBuffer;

    #[test]
    fn numbers_come_back() {
        let powers = (0..64).map(|power| 1_u64 << power);
        for number in powers
            .flat_map(|power| [power - 1, power, power + 1])
            .chain([u64::MAX])
        {
            let mut bytes = BlockBuffer::default();
            bytes.put(|tail| {
                tail.number(number);
                tail.byte(7);
            });
            let mut rest = bytes.as_slice();
            assert_eq!(take_number(&mut rest), Some(number));
            assert_eq!(rest, [7]);
        }
        for difference in [0, 1, -1, 63, -64, i64::MAX, i64::MIN] {
            assert_eq!(unfolded(folded(difference)), difference);
        }
        assert_eq!(folded(-1), 1);
    }

    #[test]
    fn other_bytes_are_no_number() {
        let long = [0xff; 10];
        let large = [&[0xff; 9][..], &[2]].concat();
        for bytes in [&[][..], &[0x80], &[0x80, 0], &long, &large] {
            let mut rest = bytes;
            assert_eq!(take_number(&mut rest), None, "{bytes:?}");
        }
    }
}
