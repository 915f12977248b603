//! Memory for what is restored, asked of the system in pieces.

use std::hint::black_box;

/// So much is asked for at once. Allocators have a map of their own for much larger pieces, and
/// give those back at once.
const PIECE: usize = 96 << 10;

/// About what a user takes, with the place in the map.
const OF_USER: usize = 144;
/// About what each version takes.
const OF_VERSION: usize = 96;

/// What a thread that restores users has in advance.
///
/// The GNU allocator (2.36) has the heap of a thread, if that is not the process's first one,
/// grow by what an allocation needs: by a system call for each page of 4 KiB, which also keeps
/// the page faults of other threads waiting. That took a sixth of the time of a restore. A
/// piece that was allocated and freed has the heap grow by as much in one call, and stays with
/// the thread. To other allocators it is one allocation in some hundreds.
#[derive(Default)]
pub(super) struct Room {
    left: usize,
}

impl Room {
    /// Before a user with so many versions is put back.
    pub(super) fn make_for_user(&mut self, versions: usize) {
        let needed = OF_USER + versions * OF_VERSION;
        self.left = self.left.checked_sub(needed).unwrap_or_else(|| {
            drop(black_box(Vec::<u8>::with_capacity(PIECE)));
            PIECE.saturating_sub(needed)
        });
    }
}
