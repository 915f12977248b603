//! Entity tags from revisions, and what a condition expects.

use std::hash::{BuildHasher, RandomState};

use attuned_store::{Expected, Revision};

/// Makes the entity tags of one run of the service.
///
/// The revisions of a store in memory begin anew with the process. A tag of an earlier run
/// must not match by chance, so tags name the run. Those of a log go on, and are the same for
/// all processes.
#[derive(Clone, Copy)]
pub struct Tags {
    run: u64,
}

/// Why a request's condition cannot be put to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No write of this run has such a tag, so it cannot be met.
    Unmet,
    /// [`Expected`] cannot say it.
    Unsupported,
}

impl Tags {
    /// With a random number for the run.
    pub fn of_this_run() -> Self {
        let run = RandomState::new().hash_one(());
        Self { run }
    }

    /// For a store whose revisions outlive the service.
    #[cfg(feature = "jetstream")]
    pub fn of_all_runs() -> Self {
        Self { run: 0 }
    }

    /// The tag of what the write of this revision stored.
    pub fn of(self, revision: Revision) -> String {
        format!("\"{:x}-{revision}\"", self.run)
    }

    /// What a write or a removal with these headers expects to find.
    pub fn expected(
        self,
        if_match: Option<&str>,
        if_none_match: Option<&str>,
    ) -> Result<Expected, Condition> {
        match (if_match, if_none_match) {
            (None, None) => Ok(Expected::Any),
            (None, Some("*")) => Ok(Expected::Absent),
            (Some(tag), None) if tag != "*" && !tag.contains(',') => {
                let revision = self.revision(tag).ok_or(Condition::Unmet)?;
                Ok(Expected::At(revision))
            }
            _ => Err(Condition::Unsupported),
        }
    }

    /// Whether the list of an `If-None-Match` header names the tag of this revision.
    pub fn listed(self, if_none_match: &str, revision: Revision) -> bool {
        let current = self.of(revision);
        if_none_match
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
    }

    /// The revision that a tag of this run was made of.
    pub fn revision(self, tag: &str) -> Option<Revision> {
        let (_, number) = tag.strip_suffix('"')?.rsplit_once('-')?;
        let revision = number.parse().ok()?;
        (self.of(revision) == tag).then_some(revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGS: Tags = Tags { run: 0xada };

    #[test]
    fn conditions_become_expectations() {
        let at_five = Ok(Expected::At(Revision::from(5)));
        for (if_match, if_none_match, expected) in [
            (None, None, Ok(Expected::Any)),
            (None, Some("*"), Ok(Expected::Absent)),
            (Some("\"ada-5\""), None, at_five),
            // Other runs, weak tags, other spellings, and what is no tag of ours.
            (Some("\"adb-5\""), None, Err(Condition::Unmet)),
            (Some("W/\"ada-5\""), None, Err(Condition::Unmet)),
            (Some("\"ada-05\""), None, Err(Condition::Unmet)),
            (Some("\"ada-+5\""), None, Err(Condition::Unmet)),
            (Some("\"ada-\""), None, Err(Condition::Unmet)),
            (Some("ada-5"), None, Err(Condition::Unmet)),
            (Some("\""), None, Err(Condition::Unmet)),
            (Some(""), None, Err(Condition::Unmet)),
            (Some("*"), None, Err(Condition::Unsupported)),
            (
                Some("\"ada-5\", \"ada-6\""),
                None,
                Err(Condition::Unsupported),
            ),
            (None, Some("\"ada-5\""), Err(Condition::Unsupported)),
            (Some("\"ada-5\""), Some("*"), Err(Condition::Unsupported)),
        ] {
            assert_eq!(
                TAGS.expected(if_match, if_none_match),
                expected,
                "{if_match:?}"
            );
        }
    }

    #[test]
    fn lists_are_searched() {
        let five = Revision::from(5);
        for list in ["*", "\"ada-5\"", "W/\"ada-5\"", "\"x\" , \"ada-5\",\"y\""] {
            assert!(TAGS.listed(list, five), "{list}");
        }
        for list in ["", "\"ada-6\"", "\"ada-55\"", "ada-5", "\"adb-5\""] {
            assert!(!TAGS.listed(list, five), "{list}");
        }
    }

    #[test]
    fn runs_differ() {
        let five = Revision::from(5);
        assert_ne!(Tags::of_this_run().of(five), Tags::of_this_run().of(five));
    }
}
