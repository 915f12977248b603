//! A place for an owner that threads can exchange.

use std::{fmt, mem};

use loom::sync::atomic::Ordering;

use super::epochs::Guard;
use super::shared::{Ptr, Shared, note_drop_of_owner};
use super::{Step, Unseen, lock};

/// For `sdd::Tag`. The crate tags nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    None,
}

/// What an exchange returns: an owner that is now the caller's, and what is there.
pub type OwnerAndFound<'g, T> = (Option<Shared<T>>, Ptr<'g, T>);

/// For `sdd::AtomicShared`. Whatever the orderings, it is as if all were the strongest.
pub struct AtomicShared<T> {
    step: Step,
    current: Unseen<Option<Shared<T>>>,
}

impl<T: 'static> AtomicShared<T> {
    pub fn new(value: T) -> Self {
        Self::from(Shared::new(value))
    }
}

impl<T> AtomicShared<T> {
    pub fn from(shared: Shared<T>) -> Self {
        Self::holding(Some(shared))
    }

    pub fn null() -> Self {
        Self::holding(None)
    }

    fn holding(current: Option<Shared<T>>) -> Self {
        Self {
            step: Step::new(),
            current: Unseen::new(current),
        }
    }

    pub fn is_null(&self, _: Ordering) -> bool {
        self.step.take();
        lock(&self.current).is_none()
    }

    pub fn load<'g>(&self, _: Ordering, guard: &'g Guard) -> Ptr<'g, T> {
        self.step.take();
        Ptr::to(lock(&self.current).as_ref(), guard)
    }

    pub fn swap(
        &self,
        (new, _): (Option<Shared<T>>, Tag),
        _: Ordering,
    ) -> (Option<Shared<T>>, Tag) {
        self.step.take();
        let former = mem::replace(&mut *lock(&self.current), new);
        (former, Tag::None)
    }

    pub fn compare_exchange<'g>(
        &self,
        current: Ptr<'g, T>,
        (new, _): (Option<Shared<T>>, Tag),
        _success: Ordering,
        _failure: Ordering,
        guard: &'g Guard,
    ) -> Result<OwnerAndFound<'g, T>, OwnerAndFound<'g, T>> {
        self.step.take();
        let mut place = lock(&self.current);
        let found = Ptr::to(place.as_ref(), guard);
        if found != current {
            return Err((new, found));
        }
        let stored = Ptr::to(new.as_ref(), guard);
        Ok((mem::replace(&mut *place, new), stored))
    }
}

impl<T> Drop for AtomicShared<T> {
    /// No step of its own: nobody else can be looking any more.
    fn drop(&mut self) {
        if lock(&self.current).is_some() {
            note_drop_of_owner();
        }
    }
}

impl<T> fmt::Debug for AtomicShared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtomicShared")
    }
}
