//! A value that its owners count, and that can be read without owning it.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::atomic_shared::Tag;
use super::epochs::Guard;
use super::{Step, Unseen, lock};

thread_local! {
    // loom runs all threads of a model on one thread of the system.
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static CHAINED: Cell<usize> = const { Cell::new(0) };
    /// Whether a node is just being given back.
    static GIVING_BACK: Cell<bool> = const { Cell::new(false) };
}

/// How many values have an owner at this moment, in the model that runs on this
/// thread.
pub fn live_values() -> usize {
    LIVE.get()
}

/// How often a value that was given back still owned another one. The real one would
/// have given back the second an epoch or more after the first, the third after that,
/// and so on.
pub fn chained_drops() -> usize {
    CHAINED.get()
}

/// Sets both counts back. For the begin of an execution: one that panics leaves the
/// counts as they are to the next model of the same thread.
pub fn forget_counts() {
    LIVE.set(0);
    CHAINED.set(0);
}

/// For the drop of what owns a value, if it does own one.
pub(super) fn note_drop_of_owner() {
    if GIVING_BACK.get() {
        CHAINED.set(CHAINED.get() + 1);
    }
}

/// A value and the number of its owners. It is this number that decides whether it can
/// be owned once more; the standard library's, which guards share in, only manages
/// the memory.
pub(super) struct Node<T> {
    step: Step,
    owners: Unseen<usize>,
    /// It is made where the value is known to be `'static`, so that the real one's
    /// bounds are enough where it is used.
    keep: Keep<T>,
    /// Until the node is dropped.
    value: Option<T>,
}

type Keep<T> = for<'n, 'g> fn(&'n Arc<Node<T>>, &'g Guard) -> &'g Arc<Node<T>>;

impl<T> Node<T> {
    fn value(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("it is taken when the node is dropped"),
        }
    }
}

impl<T> Drop for Node<T> {
    /// Whatever the value owns is dropped in here. None of it takes a step if the value
    /// owns no other one, so no other thread comes in between.
    fn drop(&mut self) {
        let outside = GIVING_BACK.replace(true);
        drop(self.value.take());
        GIVING_BACK.set(outside);
    }
}

/// For `sdd::Shared`.
///
/// Cloning is no step: who clones is an owner already, so it makes no difference to
/// any other thread whether that happens earlier or later.
pub struct Shared<T>(Arc<Node<T>>);

impl<T: 'static> Shared<T> {
    pub fn new(value: T) -> Self {
        LIVE.set(LIVE.get() + 1);
        Self(Arc::new(Node {
            step: Step::new(),
            owners: Unseen::new(1),
            keep: |node, guard| guard.keep(Arc::clone(node)),
            value: Some(value),
        }))
    }
}

impl<T> Shared<T> {
    pub fn get_guarded_ptr<'g>(&self, guard: &'g Guard) -> Ptr<'g, T> {
        Ptr(Some((self.0.keep)(&self.0, guard)), Tag::None)
    }

    pub fn get_guarded_ref<'g>(&self, guard: &'g Guard) -> &'g T {
        (self.0.keep)(&self.0, guard).value()
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *lock(&self.0.owners) += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Shared<T> {
    /// A step even if nothing else leads to the value at that moment: in another order
    /// something may, and loom finds that order only if there is a step to reverse.
    fn drop(&mut self) {
        self.0.step.take();
        let mut owners = lock(&self.0.owners);
        *owners -= 1;
        if *owners == 0 {
            LIVE.set(LIVE.get() - 1);
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.value()
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// For `sdd::Ptr`.
pub struct Ptr<'g, T>(Option<&'g Arc<Node<T>>>, Tag);

impl<'g, T> Ptr<'g, T> {
    pub fn null() -> Self {
        Self(None, Tag::None)
    }

    pub(super) fn to((shared, tag): &(Option<Shared<T>>, Tag), guard: &'g Guard) -> Self {
        let kept = |shared: &Shared<T>| (shared.0.keep)(&shared.0, guard);
        Self(shared.as_ref().map(kept), *tag)
    }

    /// To what is in a place, as long as nobody can change that.
    pub(super) fn lent((shared, tag): &'g (Option<Shared<T>>, Tag)) -> Self {
        Self(shared.as_ref().map(|shared| &shared.0), *tag)
    }

    pub fn tag(&self) -> Tag {
        self.1
    }

    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    pub fn as_ref(&self) -> Option<&'g T> {
        self.0.map(|node| node.value())
    }

    pub fn get_shared(self) -> Option<Shared<T>> {
        let node = self.0?;
        node.step.take();
        let mut owners = lock(&node.owners);
        if *owners == 0 {
            return None;
        }
        *owners += 1;
        Some(Shared(Arc::clone(node)))
    }
}

impl<T> Clone for Ptr<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ptr<'_, T> {}

/// No other value can have got the address in between: the guard keeps this one.
impl<T> PartialEq for Ptr<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.1 == other.1
            && match (self.0, other.0) {
                (Some(this), Some(other)) => Arc::ptr_eq(this, other),
                (None, None) => true,
                _ => false,
            }
    }
}

impl<T> Eq for Ptr<'_, T> {}

impl<T> fmt::Debug for Ptr<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_null() { "Ptr(null)" } else { "Ptr" })
    }
}
