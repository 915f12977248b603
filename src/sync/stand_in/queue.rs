//! The queue, and how much of it the kernel uses.

use std::collections::VecDeque;

use super::{Step, Unseen, lock};

/// For `crossbeam_queue::ArrayQueue`.
#[derive(Debug)]
pub struct ArrayQueue<T> {
    step: Step,
    entries: Unseen<VecDeque<T>>,
    capacity: usize,
}

impl<T> ArrayQueue<T> {
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "capacity must be non-zero");
        Self {
            step: Step::new(),
            entries: Unseen::new(VecDeque::new()),
            capacity,
        }
    }

    pub fn push(&self, entry: T) -> Result<(), T> {
        self.step.take();
        let mut entries = lock(&self.entries);
        if entries.len() == self.capacity {
            return Err(entry);
        }
        entries.push_back(entry);
        Ok(())
    }

    pub fn pop(&self) -> Option<T> {
        self.step.take();
        lock(&self.entries).pop_front()
    }
}

/// For the function of that name. None, so that what the real one makes rare
/// happens in the models, with two writers and a small window.
pub fn slack(_in_window: usize) -> usize {
    0
}

/// For the function of that name. A smaller stride in a smaller window, so that the
/// models have both.
pub fn stride(in_window: usize) -> u64 {
    if in_window >= 2 { 2 } else { 1 }
}
