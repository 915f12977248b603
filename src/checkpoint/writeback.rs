//! A file that is on its way to the disk while more of it is written.

use std::fs::File;
use std::io::{self, Write};

use super::sink::Sink;

/// So much is written by one call: whole pages, which the system copies faster than parts.
const BUFFER_BYTES: usize = 1 << 18;
/// So much is sent on its way to the disk at once.
const PORTION: u64 = 1 << 20;
/// So much may be on its way before somebody waits for it.
const UNDER_WAY: u64 = 1 << 27;

/// For a file: a write of it is a copy into memory of the system, which writes back later.
/// So blocks go to the file at once, and none are held.
///
/// The system is told to write back what is written, portion by portion, and not waited for: what
/// is left to wait for in the end is the last portion. No other thread is needed, which would take
/// a core from threads that read.
///
/// A system may have writers wait that write much faster than the disk. Then `take` waits, too. It
/// waits for the disk of this machine alone, and for no more than the [room](Sink::room) between
/// two drains.
pub(super) struct FileSink<'f> {
    file: &'f File,
    buffer: Vec<u8>,
    /// How much of the file is written, has been sent on its way, and was waited for.
    written: u64,
    on_its_way: u64,
    on_the_disk: u64,
    most_under_way: u64,
}

impl<'f> FileSink<'f> {
    pub(super) fn new(file: &'f File) -> Self {
        Self {
            file,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            written: 0,
            on_its_way: 0,
            on_the_disk: 0,
            most_under_way: UNDER_WAY,
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.on_its_way >= PORTION {
            send(self.file, self.on_its_way, self.written);
            self.on_its_way = self.written;
        }
        Ok(())
    }
}

impl Sink for FileSink<'_> {
    const USERS_AT_A_TIME: usize = 1 << 20;

    fn room(&self) -> u64 {
        1 << 26
    }

    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((now, later)) = bytes.split_at_checked(BUFFER_BYTES - self.buffer.len()) {
            self.buffer.extend_from_slice(now);
            self.write()?;
            bytes = later;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Waits for the disk if much is on its way, so that the system does not have to make
    /// anybody wait.
    fn drain(&mut self) -> io::Result<()> {
        if self.written - self.on_the_disk >= self.most_under_way {
            self.file.sync_data()?;
            self.on_the_disk = self.written;
        }
        Ok(())
    }

    /// The rest of the way is that of the one who synchronizes the file.
    fn end(mut self) -> io::Result<()> {
        self.write()
    }
}

/// Tells the system that a part of a file will not be needed soon. Linux then starts to write back
/// what it has not written of it (`mm/fadvise.c`), and drops what it has: nothing, when a part was
/// just written. So all of it stays in memory, for a restore. A file system that does nothing of
/// the kind loses nothing: all is synchronized in the end.
#[cfg(target_os = "linux")]
fn send(file: &File, from: u64, to: u64) {
    use std::num::NonZeroU64;

    use rustix::fs::{Advice, fadvise};

    if let Some(len) = NonZeroU64::new(to - from) {
        let _ = fadvise(file, from, Some(len), Advice::DontNeed);
    }
}

/// Elsewhere the system writes back when it is time.
#[cfg(not(target_os = "linux"))]
fn send(_: &File, _: u64, _: u64) {}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_has_all_that_was_taken_and_is_waited_for_now_and_then() {
        let path = std::env::temp_dir().join(format!("attuned-writeback-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let mut sink = FileSink::new(&file);
        sink.most_under_way = 4 << 20;
        let block: Vec<u8> = (0..=255).cycle().take(300_001).collect();
        sink.take(&block).unwrap();
        assert_eq!(sink.written, BUFFER_BYTES as u64);
        sink.drain().unwrap();
        assert_eq!(sink.on_the_disk, 0, "so little is not waited for");
        let mut blocks = 1;
        while sink.written < sink.most_under_way {
            sink.take(&block).unwrap();
            blocks += 1;
        }
        sink.drain().unwrap();
        assert_eq!(sink.on_the_disk, sink.written);
        sink.take(b"the end").unwrap();
        sink.end().unwrap();
        let written = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(written == [&*block.repeat(blocks), b"the end"].concat());
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error() {
        let path = std::env::temp_dir().join(format!("attuned-readonly-{}", std::process::id()));
        fs::write(&path, "old").unwrap();
        let file = File::open(&path).unwrap();
        let mut sink = FileSink::new(&file);
        assert!(sink.take(&vec![0; BUFFER_BYTES]).is_err());
        let mut sink = FileSink::new(&file);
        sink.take(b"new").unwrap();
        assert!(sink.end().is_err());
        let left = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(left, b"old");
    }
}
