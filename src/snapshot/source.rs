//! Where a state comes from.

use std::fmt;

/// How the state in a snapshot was obtained.
///
/// ```
/// use attuned_store::Source;
///
/// assert_eq!(Source::default(), Source::SelfReport);
/// assert_eq!(Source::SelfReport.to_string(), "self_report");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The user stated it: the most trustworthy source.
    #[default]
    SelfReport,
    /// It was inferred from behaviour or context.
    Inferred,
    /// Some of it was stated and some inferred.
    Mixed,
}

impl Source {
    /// A number for each.
    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    /// Of a number that [`code`](Self::code) has given.
    pub(super) const fn of_code(code: u8) -> Self {
        match code {
            0 => Self::SelfReport,
            1 => Self::Inferred,
            _ => Self::Mixed,
        }
    }

    /// The name in the published form.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SelfReport => "self_report",
            Self::Inferred => "inferred",
            Self::Mixed => "mixed",
        }
    }
}

/// Writes the name that the JSON form has: `self_report`, `inferred` or `mixed`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
