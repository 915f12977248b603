//! A box that is filled once.

use std::sync::OnceLock;

use super::Step;

/// For `once_cell::race::OnceBox`.
#[derive(Debug)]
pub struct OnceBox<T> {
    step: Step,
    value: OnceLock<Box<T>>,
}

impl<T> OnceBox<T> {
    pub fn new() -> Self {
        Self {
            step: Step::new(),
            value: OnceLock::new(),
        }
    }

    pub fn get(&self) -> Option<&T> {
        self.step.take();
        self.value.get().map(Box::as_ref)
    }

    pub fn get_or_init(&self, init: impl FnOnce() -> Box<T>) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        // The real one makes the value before it races to put it in.
        let value = init();
        self.step.take();
        self.value.get_or_init(|| value)
    }
}
