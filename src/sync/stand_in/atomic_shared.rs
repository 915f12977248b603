//! A place for an owner that threads can exchange.

use std::{fmt, mem};

use loom::sync::atomic::Ordering;

use super::epochs::Guard;
use super::shared::{Ptr, Shared, note_drop_of_owner};
use super::{Step, Unseen, lock};

/// For `sdd::Tag`: those that the crate uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    None,
    First,
}

/// What an exchange returns: an owner that is now the caller's, and what is there.
pub type OwnerAndFound<'g, T> = (Option<Shared<T>>, Ptr<'g, T>);

/// For `sdd::AtomicShared`. Whatever the orderings, it is as if all were the strongest.
pub struct AtomicShared<T> {
    step: Step,
    current: Unseen<(Option<Shared<T>>, Tag)>,
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
            current: Unseen::new((current, Tag::None)),
        }
    }

    pub fn is_null(&self, _: Ordering) -> bool {
        self.step.take();
        lock(&self.current).0.is_none()
    }

    pub fn load<'g>(&self, _: Ordering, guard: &'g Guard) -> Ptr<'g, T> {
        self.step.take();
        Ptr::to(&lock(&self.current), guard)
    }

    pub fn swap(&self, new: (Option<Shared<T>>, Tag), _: Ordering) -> (Option<Shared<T>>, Tag) {
        self.step.take();
        mem::replace(&mut *lock(&self.current), new)
    }

    /// One step: the real one goes round until the condition and the change are of the same
    /// moment.
    pub fn update_tag_if(
        &self,
        tag: Tag,
        mut condition: impl FnMut(Ptr<'_, T>) -> bool,
        _set: Ordering,
        _fetch: Ordering,
    ) -> bool {
        self.step.take();
        let mut place = lock(&self.current);
        let is_met = condition(Ptr::lent(&place));
        if is_met {
            place.1 = tag;
        }
        is_met
    }

    pub fn compare_exchange<'g>(
        &self,
        current: Ptr<'g, T>,
        new: (Option<Shared<T>>, Tag),
        _success: Ordering,
        _failure: Ordering,
        guard: &'g Guard,
    ) -> Result<OwnerAndFound<'g, T>, OwnerAndFound<'g, T>> {
        self.step.take();
        let mut place = lock(&self.current);
        let found = Ptr::to(&place, guard);
        if found != current {
            return Err((new.0, found));
        }
        let stored = Ptr::to(&new, guard);
        Ok((mem::replace(&mut *place, new).0, stored))
    }
}

impl<T> Drop for AtomicShared<T> {
    /// No step of its own: nobody else can be looking any more.
    fn drop(&mut self) {
        if lock(&self.current).0.is_some() {
            note_drop_of_owner();
        }
    }
}

impl<T> fmt::Debug for AtomicShared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtomicShared")
    }
}
