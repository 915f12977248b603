//! Reads of one key, on a timeline that the map has.
//!
//! A closed timeline means that the key was removed. That is the answer
//! although the key may have been written again since: the timeline was in
//! the map when it was found there, and as long as it is, nothing can have
//! taken its place. So there was a moment, after the call began, at which
//! the key was absent.

use super::retention::Retention;
use super::small_value::Mirroring;
use super::timeline::{RevisionFloor, Timeline};
use super::version::Version;
use crate::revision::Revision;
use crate::sync::epochs;
use crate::versioned::Versioned;

/// The latest value as the mirror has it. Takes effect where the mirror is looked into.
#[inline]
pub(super) fn mirrored<V: 'static, M: Mirroring<V>>(timeline: &Timeline<V>) -> Option<V> {
    if !M::MIRRORS {
        return None;
    }
    let (_, words) = timeline.mirrored()?;
    M::from_words(words)
}

/// Calls `read` with the latest value. Takes effect where the mirror is looked into, or
/// the head is found.
#[inline]
pub(super) fn with<V: 'static, M: Mirroring<V>, R>(
    timeline: &Timeline<V>,
    read: impl FnOnce(&V) -> R,
) -> Option<R> {
    match mirrored::<V, M>(timeline) {
        Some(value) => Some(read(&value)),
        None => with_not_mirrored::<V, M, R>(timeline, read),
    }
}

/// The latest value, which was not in the mirror. Takes effect where the mirror is looked
/// into, or the head is found.
// Apart, so that it is not in the way of what is read from the mirror.
#[inline(never)]
pub(super) fn not_mirrored<V: Clone + 'static, M: Mirroring<V>>(
    timeline: &Timeline<V>,
) -> Option<V> {
    if let Some(value) = mirrored_again::<V, M>(timeline) {
        return Some(value);
    }
    let guard = epochs::enter();
    let latest = timeline.latest(&guard);
    latest.as_ref().map(|version| version.value().clone())
}

/// The same for a closure, which sees the value where it is stored.
// Apart for the same reason.
#[inline(never)]
fn with_not_mirrored<V: 'static, M: Mirroring<V>, R>(
    timeline: &Timeline<V>,
    read: impl FnOnce(&V) -> R,
) -> Option<R> {
    if let Some(value) = mirrored_again::<V, M>(timeline) {
        return Some(read(&value));
    }
    let guard = epochs::enter();
    let latest = timeline.latest(&guard);
    latest.as_ref().map(|version| read(version.value()))
}

#[inline]
fn mirrored_again<V: 'static, M: Mirroring<V>>(timeline: &Timeline<V>) -> Option<V> {
    if !M::MIRRORS {
        return None;
    }
    let (_, words) = timeline.mirrored_again()?;
    M::from_words(words)
}

/// The latest value with what is known of its writing. The mirror does not have that.
pub(super) fn versioned<V: Clone + 'static>(
    timeline: &Timeline<V>,
    floor: &RevisionFloor,
) -> Option<Versioned<V>> {
    let guard = epochs::enter();
    let latest = timeline.latest(&guard);
    let latest = latest.as_ref()?;
    let base = timeline.revision_base(floor);
    Some(copied(latest, base))
}

/// The newest versions, newest first.
pub(super) fn history<V: Clone + 'static>(
    timeline: &Timeline<V>,
    limit: usize,
    retention: &Retention,
    floor: &RevisionFloor,
) -> Vec<Versioned<V>> {
    let guard = epochs::enter();
    let base = timeline.revision_base(floor);
    timeline.history(limit, retention, &guard, |version| copied(version, base))
}

/// A copy of a version, in a timeline with this base of its revisions.
fn copied<V: Clone>(version: &Version<V>, revision_base: u64) -> Versioned<V> {
    let revision = Revision::from(revision_base + version.sequence());
    Versioned::new(version.value().clone(), revision, version.written_at())
}
