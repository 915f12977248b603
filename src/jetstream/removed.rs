//! The users that were deleted, as long as the stream remembers them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use smol_str::SmolStr;

use crate::removal::RemovalCause;

/// The server looks for what has expired now and then, and its clocks need not agree. So here
/// markers are kept for twice their lifetime and this.
const SPARE_MS: i64 = 60_000;

/// How a user went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removal {
    /// That of the marker.
    pub sequence: u64,
    pub cause: RemovalCause,
}

/// The markers that deletions have left on the subjects of users.
///
/// A user who comes again is written on top of the marker, if it is still there. Only the
/// server knows that exactly: what is kept here is a guess, on the side of too long.
#[derive(Debug)]
pub(super) struct Removed {
    markers: HashMap<SmolStr, Removal>,
    /// The same in the order of the log, with the times.
    by_age: VecDeque<(i64, u64, SmolStr)>,
    kept_ms: i64,
}

impl Removed {
    /// Markers expire on the server some time after this one.
    pub fn new(lifetime: Duration) -> Self {
        let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
        Self {
            markers: HashMap::new(),
            by_age: VecDeque::new(),
            kept_ms: lifetime.saturating_mul(2).saturating_add(SPARE_MS),
        }
    }

    /// The sequence of the newest marker of a user.
    pub fn marker(&self, user_id: &str) -> Option<u64> {
        self.of_user(user_id).map(|removal| removal.sequence)
    }

    /// How a user went the last time.
    pub fn of_user(&self, user_id: &str) -> Option<Removal> {
        self.markers.get(user_id).copied()
    }

    pub fn note(&mut self, user_id: SmolStr, removal: Removal, written_at: i64) {
        self.markers.insert(user_id.clone(), removal);
        self.by_age
            .push_back((written_at, removal.sequence, user_id));
    }

    /// Forgets what has expired, when the log has come to this time.
    pub fn forget_before(&mut self, now_ms: i64) {
        while let Some((written_at, ..)) = self.by_age.front()
            && now_ms.saturating_sub(*written_at) > self.kept_ms
            && let Some((_, sequence, user_id)) = self.by_age.pop_front()
        {
            // Unless the user was deleted once more since.
            if self.marker(&user_id) == Some(sequence) {
                self.markers.remove(&user_id);
            }
        }
    }

    pub fn forget_all(&mut self) {
        self.markers.clear();
        self.by_age.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(sequence: u64) -> Removal {
        let cause = RemovalCause::Deleted;
        Removal { sequence, cause }
    }

    #[test]
    fn markers_are_kept_for_twice_their_lifetime_and_some_more() {
        let mut removed = Removed::new(Duration::from_secs(1));
        removed.note("ada".into(), deleted(3), 1_000);
        removed.note("grace".into(), deleted(4), 1_500);
        removed.forget_before(63_000);
        assert_eq!(removed.marker("ada"), Some(3));
        removed.forget_before(63_001);
        assert_eq!(removed.marker("ada"), None);
        assert_eq!(removed.marker("grace"), Some(4));
    }

    #[test]
    fn the_newest_marker_of_a_user_counts() {
        let mut removed = Removed::new(Duration::from_secs(1));
        removed.note("ada".into(), deleted(3), 1_000);
        removed.note("ada".into(), deleted(9), 2_000);
        removed.forget_before(63_500);
        assert_eq!(removed.marker("ada"), Some(9));
        removed.forget_before(64_001);
        assert_eq!(removed.marker("ada"), None);
        assert!(removed.by_age.is_empty());
    }
}
