//! What a guard protects, kept for as long as the guard is there.

use std::cell::OnceCell;

/// Lends out what it was given, and can be given more meanwhile.
pub(super) struct Kept<T> {
    first: Place<T>,
}

type Place<T> = OnceCell<Box<Link<T>>>;

struct Link<T> {
    value: T,
    next: Place<T>,
}

impl<T> Kept<T> {
    pub(super) fn new() -> Self {
        Self {
            first: Place::new(),
        }
    }

    pub(super) fn keep(&self, value: T) -> &T {
        let mut place = &self.first;
        while let Some(link) = place.get() {
            place = &link.next;
        }
        let link = Link {
            value,
            next: Place::new(),
        };
        &place.get_or_init(|| Box::new(link)).value
    }
}
