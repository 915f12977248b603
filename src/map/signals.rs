//! What a thread that changes a key sets, and a watcher waits for.
//!
//! [`watchers`](super::watchers) has the argument.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use smol_str::SmolStr;

use super::hasher::DefaultHashBuilder;
use crate::removal::RemovalCause;
use crate::revision::Revision;
use crate::sync::{Mutex, MutexGuard};

/// Of a key that is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removal {
    pub(super) revision: Revision,
    pub(super) cause: RemovalCause,
}

/// Says that a key has changed since its watcher looked.
pub(super) struct Signal(Mutex<Change>);

struct Change {
    changed: bool,
    /// The last one of which it is known.
    removal: Option<Removal>,
    ended: bool,
    waker: Option<Waker>,
}

impl Signal {
    /// Set already, so that the watcher begins with a look.
    pub(super) fn set() -> Self {
        Self(Mutex::new(Change {
            changed: true,
            removal: None,
            ended: false,
            waker: None,
        }))
    }

    pub(super) fn notify(&self, removal: Option<Removal>) -> Option<Waker> {
        let Self(change) = self;
        let mut change = locked(change);
        change.changed = true;
        change.removal = later(change.removal, removal);
        change.waker.take()
    }

    pub(super) fn end(&self) -> Option<Waker> {
        let Self(change) = self;
        let mut change = locked(change);
        change.ended = true;
        change.waker.take()
    }

    /// Ready if the key has changed since this was ready the last time; with `None` once the
    /// map is gone.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<()>> {
        let waker = context.waker().clone();
        let Self(change) = self;
        let before = {
            let mut change = locked(change);
            if change.ended {
                return Poll::Ready(None);
            }
            if mem::take(&mut change.changed) {
                return Poll::Ready(Some(()));
            }
            change.waker.replace(waker)
        };
        drop(before);
        Poll::Pending
    }

    /// What this was ready for could not be looked at.
    pub(super) fn put_back(&self) {
        let Self(change) = self;
        locked(change).changed = true;
    }

    /// For a watcher that has looked and found nothing.
    pub(super) fn removal(&self) -> Option<Removal> {
        let Self(change) = self;
        locked(change).removal
    }
}

/// Says which keys have changed since their watcher looked, each of them once.
#[derive(Default)]
pub(super) struct Backlog(Mutex<Changes>);

#[derive(Default)]
struct Changes {
    /// In the order in which they changed first; `None` stands behind those that were there
    /// when the watch began.
    order: VecDeque<Option<SmolStr>>,
    /// Those in the queue, with what is known of their removal.
    changed: HashMap<SmolStr, Option<Removal>, DefaultHashBuilder>,
    ended: bool,
    waker: Option<Waker>,
}

impl Changes {
    /// Takes account of a change. Returns whether the key is to be put into the queue, since it
    /// was not there.
    fn note(&mut self, key: &SmolStr, removal: Option<Removal>) -> bool {
        match self.changed.entry(key.clone()) {
            Entry::Occupied(mut known) => {
                let removal = later(*known.get(), removal);
                known.insert(removal);
                false
            }
            Entry::Vacant(new) => {
                new.insert(removal);
                true
            }
        }
    }
}

/// What a watcher of all keys is to do next.
pub(super) enum Next {
    Look(SmolStr, Option<Removal>),
    SayCaughtUp,
}

impl Backlog {
    pub(super) fn notify(&self, key: SmolStr, removal: Option<Removal>) -> Option<Waker> {
        let Self(backlog) = self;
        let mut backlog = locked(backlog);
        if !backlog.note(&key, removal) {
            return None;
        }
        backlog.order.push_back(Some(key));
        backlog.waker.take()
    }

    /// A key that was taken out and could not be looked at.
    pub(super) fn put_back(&self, key: SmolStr, removal: Option<Removal>) {
        let Self(backlog) = self;
        let mut backlog = locked(backlog);
        if backlog.note(&key, removal) {
            backlog.order.push_front(Some(key));
        }
    }

    /// What was there when the watch began is in the queue now.
    pub(super) fn caught_up(&self) {
        let Self(backlog) = self;
        locked(backlog).order.push_back(None);
    }

    pub(super) fn end(&self) -> Option<Waker> {
        let Self(backlog) = self;
        let mut backlog = locked(backlog);
        backlog.ended = true;
        backlog.waker.take()
    }

    /// `None` once the map is gone.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Next>> {
        let waker = context.waker().clone();
        let Self(backlog) = self;
        let before = {
            let mut backlog = locked(backlog);
            if backlog.ended {
                return Poll::Ready(None);
            }
            match backlog.order.pop_front() {
                Some(Some(key)) => {
                    let removal = backlog.changed.remove(&key).flatten();
                    return Poll::Ready(Some(Next::Look(key, removal)));
                }
                Some(None) => return Poll::Ready(Some(Next::SayCaughtUp)),
                None => backlog.waker.replace(waker),
            }
        };
        drop(before);
        Poll::Pending
    }
}

/// The later one of two removals. Those who made them come here in any order.
fn later(one: Option<Removal>, other: Option<Removal>) -> Option<Removal> {
    let revision = |removal: &Option<Removal>| removal.map(|removal| removal.revision);
    if revision(&other) > revision(&one) {
        other
    } else {
        one
    }
}

pub(super) fn locked<T>(data: &Mutex<T>) -> MutexGuard<'_, T> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}
