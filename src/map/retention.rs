//! How many versions of a key are kept, and what follows from it for the queue.

use crate::sync::{slack, stride};

/// The numbers that a history of some length has for the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    versions: u64,
    stride: u64,
    anchors: usize,
    together: usize,
}

impl Retention {
    /// Of a history of so many versions, at least 1, the latest included.
    pub(super) fn new(versions: usize) -> Self {
        let superseded = versions.saturating_sub(1);
        let stride = stride(superseded);
        let anchors_in = |versions: usize| versions.div_ceil(stride as usize);
        Self {
            versions: versions as u64,
            stride,
            anchors: anchors_in(superseded) + anchors_in(slack(superseded)),
            together: anchors_in(slack(superseded).div_ceil(2)).max(1),
        }
    }

    /// How many versions a history shows at the most.
    pub(super) fn versions(&self) -> u64 {
        self.versions
    }

    /// Whether anything is kept beside the latest version.
    pub(super) fn keeps_superseded(&self) -> bool {
        self.versions > 1
    }

    /// Whether the version with this sequence goes into the queue when it is
    /// superseded: one in [`stride`] does.
    pub(super) fn is_anchor(&self, sequence: u64) -> bool {
        sequence.is_multiple_of(self.stride)
    }

    /// How many anchors the queue has room for.
    ///
    /// This bounds a timeline: while no writer is at work on it, it keeps at most
    /// `(anchors + 1) * stride + 1` versions. Take the newest anchor that the chain was cut
    /// behind; the chain still owns it. All superseded anchors after it are in the queue,
    /// because an anchor leaves the queue for good only when the chain is cut behind it. So
    /// those are at most as many as the queue has room for. After the last of them come at
    /// most a stride of versions. An anchor from before the cut may still be in the queue,
    /// too, but it takes the place of one from after it.
    pub(super) fn anchors(&self) -> usize {
        self.anchors
    }

    /// How many anchors a writer takes out of a full queue at once.
    pub(super) fn together(&self) -> usize {
        self.together
    }

    /// Whether all that is older than `sequence` has left the window that ends with
    /// `newest`.
    pub(super) fn is_at_the_end(&self, sequence: u64, newest: u64) -> bool {
        newest.saturating_sub(sequence) >= self.versions.saturating_sub(1)
    }

    /// How many of the versions up to `newest` have left the window.
    pub(super) fn evicted(&self, newest: u64) -> u64 {
        newest.saturating_sub(self.versions)
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use super::*;
    use crate::map::MAX_HISTORY;

    fn all() -> impl Iterator<Item = usize> {
        (2..=300).chain([1_000, MAX_HISTORY - 1, MAX_HISTORY])
    }

    /// The superseded anchors that are not at the end of the window.
    fn inside(retention: &Retention, newest: u64) -> Vec<u64> {
        (1..newest)
            .rev()
            .take_while(|&sequence| !retention.is_at_the_end(sequence, newest))
            .filter(|&sequence| retention.is_anchor(sequence))
            .collect()
    }

    /// Otherwise a writer that has one more of them in hand would look for room for ever.
    #[test]
    fn the_queue_has_room_for_all_anchors_that_are_not_at_the_end() {
        for versions in all() {
            let retention = Retention::new(versions);
            for newest in (versions as u64 * 2..).take(4) {
                let inside = inside(&retention, newest).len();
                assert!(inside <= retention.anchors(), "{versions}: {inside}");
            }
        }
    }

    #[test]
    fn an_anchor_is_at_the_end_when_all_before_it_has_left_the_window_and_not_earlier() {
        for versions in all() {
            let retention = Retention::new(versions);
            for newest in (1..=20).chain((versions as u64..).take(20)) {
                let oldest_shown = retention.evicted(newest) + 1;
                for sequence in oldest_shown.saturating_sub(3).max(1)..=oldest_shown + 3 {
                    assert_eq!(
                        retention.is_at_the_end(sequence, newest),
                        sequence <= oldest_shown && newest >= versions as u64,
                        "{versions}, {sequence} of {newest}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_leaves_a_full_queue_together_is_at_the_end() {
        for versions in all() {
            let retention = Retention::new(versions);
            let stride = stride(versions - 1);
            let anchors = retention.anchors() as u64;
            // The writer that finds it full has put this one into the place of another.
            let newest = (anchors + 1) * stride + 1;
            let last = retention.together() as u64 * stride;
            assert!(retention.is_at_the_end(last, newest), "{versions}");
        }
    }
}
