//! How blocks are made smaller.

use super::format::Packing;

/// How a checkpoint is compressed. Each block is compressed on its own, and stays as it is
/// where that does not make it smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all, which is the default: the format is compact as it is.
    #[default]
    None,

    /// By LZ4. Builds without the feature `checkpoint-lz4` refuse such a checkpoint.
    #[cfg(feature = "checkpoint-lz4")]
    Lz4,
}

impl Compression {
    /// What is to be stored of a block.
    pub(super) fn pack<'b>(self, plain: &'b [u8], scratch: &'b mut Vec<u8>) -> (Packing, &'b [u8]) {
        match self {
            Self::None => {
                let _ = scratch;
                (Packing::Plain, plain)
            }
            #[cfg(feature = "checkpoint-lz4")]
            Self::Lz4 => {
                // As much as it is, and no more: then it would be of no use.
                scratch.resize(lz4_flex::block::get_maximum_output_size(plain.len()), 0);
                let packed = lz4_flex::block::compress_into(plain, scratch).ok();
                match packed.and_then(|len| scratch.get(..len)) {
                    Some(packed) if packed.len() < plain.len() => (Packing::Lz4, packed),
                    _ => (Packing::Plain, plain),
                }
            }
        }
    }
}

/// Why a block could not be unpacked.
#[derive(Clone, Copy, Debug)]
pub(super) enum NotUnpacked {
    #[cfg(not(feature = "checkpoint-lz4"))]
    Unsupported,
    #[cfg(feature = "checkpoint-lz4")]
    Malformed,
}

/// Unpacks what LZ4 has made of a block of this length into `plain`.
pub(super) fn unpack_lz4(
    stored: &[u8],
    len: usize,
    plain: &mut Vec<u8>,
) -> Result<(), NotUnpacked> {
    #[cfg(feature = "checkpoint-lz4")]
    {
        plain.clear();
        plain.resize(len, 0);
        match lz4_flex::block::decompress_into(stored, plain) {
            Ok(written) if written == len => Ok(()),
            _ => Err(NotUnpacked::Malformed),
        }
    }
    #[cfg(not(feature = "checkpoint-lz4"))]
    {
        let _ = (stored, len, plain);
        Err(NotUnpacked::Unsupported)
    }
}
