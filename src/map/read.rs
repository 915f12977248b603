//! Reads of one key, on a timeline that the map has.
//!
//! In a map with a time to live the mirror has nothing, so every read comes to the head,
//! where it is seen whether the key has expired.
//!
//! A closed timeline means that the key was removed. That is the answer
//! although the key may have been written again since: the timeline was in
//! the map when it was found there, and as long as it is, nothing can have
//! taken its place. So there was a moment, after the call began, at which
//! the key was absent.

use super::expiry::Expiry;
use super::retention::Retention;
use super::revisions::{RevisionBase, RevisionFloor};
use super::small_value::Mirroring;
use super::timeline::{Extent, Timeline};
use super::version::Version;
use crate::range::{AsOf, VersionRange};
use crate::revision::Revision;
use crate::sync::epochs;
use crate::timestamp::Timestamp;
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
    expiry: Option<&Expiry>,
    read: impl FnOnce(&V) -> R,
) -> Option<R> {
    match mirrored::<V, M>(timeline) {
        Some(value) => Some(read(&value)),
        None => with_not_mirrored::<V, M, R>(timeline, expiry, read),
    }
}

/// The latest value, which was not in the mirror. Takes effect where the mirror is looked
/// into, or the head is found.
// Apart, so that it is not in the way of what is read from the mirror.
#[inline(never)]
pub(super) fn not_mirrored<V: Clone + 'static, M: Mirroring<V>>(
    timeline: &Timeline<V>,
    expiry: Option<&Expiry>,
) -> Option<V> {
    if let Some(value) = mirrored_again::<V, M>(timeline) {
        return Some(value);
    }
    let guard = epochs::enter();
    let latest = timeline.present(expiry, &guard);
    latest.as_ref().map(|version| version.value().clone())
}

/// The same for a closure, which sees the value where it is stored.
// Apart for the same reason.
#[inline(never)]
fn with_not_mirrored<V: 'static, M: Mirroring<V>, R>(
    timeline: &Timeline<V>,
    expiry: Option<&Expiry>,
    read: impl FnOnce(&V) -> R,
) -> Option<R> {
    if let Some(value) = mirrored_again::<V, M>(timeline) {
        return Some(read(&value));
    }
    let guard = epochs::enter();
    let latest = timeline.present(expiry, &guard);
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
    expiry: Option<&Expiry>,
    floor: &RevisionFloor,
) -> Option<Versioned<V>> {
    let guard = epochs::enter();
    let latest = timeline.present(expiry, &guard);
    let latest = latest.as_ref()?;
    let base = timeline.revision_base(floor);
    Some(copied(latest, base))
}

/// The newest versions, newest first.
pub(super) fn history<V: Clone + 'static>(
    timeline: &Timeline<V>,
    limit: usize,
    retention: &Retention,
    expiry: Option<&Expiry>,
    floor: &RevisionFloor,
) -> Vec<Versioned<V>> {
    let guard = epochs::enter();
    let walked = timeline.history(limit, retention, expiry, &guard, |version| version);
    let base = timeline.revision_base(floor);
    copies(&walked, move |version| copied(version, base))
}

/// Copies of what a walk has met.
///
/// Made after the walk, and not on the way: a walk is a chain of loads of which each waits
/// for the one before, and copies of known length are written to where they are to be.
pub(super) fn copies<V, T>(walked: &[&Version<V>], copy: impl Fn(&Version<V>) -> T) -> Vec<T> {
    walked.iter().map(|version| copy(version)).collect()
}

/// Whether there is a latest value.
#[inline]
pub(super) fn contains<V: 'static>(timeline: &Timeline<V>, expiry: Option<&Expiry>) -> bool {
    if expiry.is_none() {
        return !timeline.is_closed();
    }
    let guard = epochs::enter();
    !timeline.present(expiry, &guard).is_null()
}

/// How many references to versions a walk makes room for at once, which does not know how
/// far it goes.
const ROOM: usize = 64;

/// The versions of a range, in its order. Copies those alone.
pub(super) fn versions<V: Clone + 'static>(
    timeline: &Timeline<V>,
    range: VersionRange,
    retention: &Retention,
    expiry: Option<&Expiry>,
    floor: &RevisionFloor,
) -> Vec<Versioned<V>> {
    if range.is_empty() {
        return Vec::new();
    }
    let guard = epochs::enter();
    let base = timeline.revision_base(floor);
    let known = |version: &Version<V>| {
        let revision = Revision::from(base.revision(version));
        (revision, version.written_at())
    };
    // Revisions and times are in the order of the chain, as the walk needs it.
    let is_too_old = |version: &Version<V>| {
        let (revision, written_at) = known(version);
        range.is_too_old(revision, written_at)
    };
    let extent = Extent {
        limit: range.newest_needed(),
        room: ROOM,
    };
    let walked = timeline.walk(extent, retention, expiry, &guard, is_too_old, |met| met);
    let picked = range.pick(walked, |version| known(version));
    copies(&picked, move |version| copied(version, base))
}

/// What was the latest at this time. Copies that one alone.
pub(super) fn as_of<V: Clone + 'static>(
    timeline: &Timeline<V>,
    time: Timestamp,
    retention: &Retention,
    expiry: Option<&Expiry>,
    floor: &RevisionFloor,
) -> AsOf<V> {
    let guard = epochs::enter();
    let was_there = |version: &Version<V>| version.written_at() <= time.as_unix_ms();
    let extent = Extent {
        limit: usize::MAX,
        room: ROOM,
    };
    let walked = timeline.walk(extent, retention, expiry, &guard, was_there, |met| met);
    match walked.last() {
        Some(version) if was_there(version) => {
            AsOf::Was(copied(version, timeline.revision_base(floor)))
        }
        Some(oldest) if !oldest.is_the_first() => AsOf::Evicted,
        _ => AsOf::NotThere,
    }
}

/// A copy of a version, in a timeline with this base of its revisions.
pub(super) fn copied<V: Clone>(version: &Version<V>, base: RevisionBase<'_>) -> Versioned<V> {
    Versioned {
        value: version.value().clone(),
        revision: Revision::from(base.revision(version)),
        written_at: version.written_at(),
    }
}

#[cfg(all(test, not(attuned_loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use proptest::prelude::*;

    use super::*;
    use crate::map::timeline::Facts;
    use crate::map::version::Unpublished;

    /// A range of some revisions around those from 1 to 12, and of times around the same.
    fn ranges() -> impl Strategy<Value = VersionRange> {
        let end = || prop::option::of(0_u64..14);
        let limit = prop::option::of(0_usize..8);
        let parts = (end(), end(), end(), end(), limit, any::<bool>());
        parts.prop_map(|(after, before, since, until, limit, oldest_first)| {
            let mut range = VersionRange::all();
            if let Some(after) = after {
                range = range.after(after.into());
            }
            if let Some(before) = before {
                range = range.before(before.into());
            }
            if let Some(since) = since {
                range = range.since(since as i64);
            }
            if let Some(until) = until {
                range = range.until(until as i64);
            }
            if let Some(limit) = limit {
                range = range.limit(limit);
            }
            if oldest_first {
                range = range.oldest_first();
            }
            range
        })
    }

    /// A timeline whose writes come when the clock shows these times, and the plain model
    /// of it: all that was written, newest first.
    fn written_at(clock: &[i64], retention: &Retention) -> (Timeline<usize>, Vec<(u64, i64)>) {
        assert!(epochs::usable(|| ()), "this thread is not about to end");
        let timeline = Timeline::starting_with(Unpublished::Value(0), None, clock[0]);
        let mut model = vec![(1, clock[0])];
        for (index, &now) in clock.iter().enumerate().skip(1) {
            let guard = epochs::enter();
            let value = Unpublished::Value(index);
            let published = timeline.publish(value, Facts { words: &None, now }, retention, &guard);
            assert!(published.is_ok(), "the timeline is open");
            // A clock that goes back is not followed.
            let last = model[0].1;
            model.insert(0, (index as u64 + 1, now.max(last)));
        }
        (timeline, model)
    }

    proptest! {
        #[test]
        fn versions_and_as_of_are_what_a_plain_list_has(
            clock in prop::collection::vec(0_i64..13, 1..14),
            retention in 1_usize..20,
            range in ranges(),
        ) {
            let retention = Retention::new(retention);
            let (timeline, model) = written_at(&clock, &retention);
            let floor = RevisionFloor::default();
            // The first revision of all is above the floor and the base.
            let base = timeline.revision_base(&floor);
            prop_assert_eq!(base.revision_written(1), 2);
            let kept: Vec<_> = model
                .iter()
                .take(retention.versions() as usize)
                .map(|&(sequence, at)| {
                    let revision = Revision::from(base.revision_written(sequence));
                    Versioned::new(sequence as usize - 1, revision, at)
                })
                .collect();

            prop_assert_eq!(
                versions(&timeline, range, &retention, None, &floor),
                range.select(&kept)
            );
            for time in -1..14 {
                let last = kept.iter().find(|version| version.written_at <= time);
                let expected = match last {
                    Some(version) => AsOf::Was(*version),
                    None if kept.len() < model.len() => AsOf::Evicted,
                    None => AsOf::NotThere,
                };
                prop_assert_eq!(as_of(&timeline, time.into(), &retention, None, &floor), expected);
            }
        }
    }

    /// A value that counts its clones.
    #[derive(Debug)]
    struct Counted(Arc<AtomicUsize>);

    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, Relaxed);
            Self(Arc::clone(&self.0))
        }
    }

    #[test]
    fn what_is_returned_is_cloned_and_nothing_else() {
        let clones = Arc::new(AtomicUsize::new(0));
        let value = || Unpublished::Value(Counted(Arc::clone(&clones)));
        assert!(epochs::usable(|| ()), "this thread is not about to end");
        let (retention, floor) = (Retention::new(100), RevisionFloor::default());
        let timeline = Timeline::starting_with(value(), None, 1);
        for now in 2..=100 {
            let guard = epochs::enter();
            let published =
                timeline.publish(value(), Facts { words: &None, now }, &retention, &guard);
            assert!(published.is_ok(), "the timeline is open");
        }

        let all = VersionRange::all;
        for (range, returned) in [
            (all(), 100),
            (all().since(98), 3),
            (all().since(40).until(41), 2),
            (all().until(20).limit(5), 5),
            (all().until(20).limit(5).oldest_first(), 5),
            (all().since(101), 0),
        ] {
            clones.store(0, Relaxed);
            let found = versions(&timeline, range, &retention, None, &floor);
            assert_eq!(
                (found.len(), clones.load(Relaxed)),
                (returned, returned),
                "{range:?}"
            );
        }
        clones.store(0, Relaxed);
        assert!(matches!(
            as_of(&timeline, 50.into(), &retention, None, &floor),
            AsOf::Was(_)
        ));
        assert_eq!(clones.load(Relaxed), 1);
    }
}
