//! Where a state comes from.

use std::fmt;
use std::str::FromStr;

use super::validate::excerpt;

/// How a state was obtained.
///
/// As a text it is the name that the JSON form has: `self_report`, `inferred` or `mixed`.
///
/// ```
/// use attuned_store::Source;
///
/// assert_eq!(Source::default(), Source::SelfReport);
/// assert_eq!(Source::SelfReport.to_string(), "self_report");
/// assert_eq!("inferred".parse(), Ok(Source::Inferred));
///
/// let error = "Inferred".parse::<Source>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"source "Inferred" is unknown: it must be self_report, inferred or mixed"#,
/// );
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
    /// In the order of their indices, which binary formats write.
    pub(super) const ALL: [Self; 3] = [Self::SelfReport, Self::Inferred, Self::Mixed];

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

/// Reads the very name that [`Display`](fmt::Display) writes.
impl FromStr for Source {
    type Err = ParseSourceError;

    fn from_str(name: &str) -> Result<Self, ParseSourceError> {
        Self::ALL
            .into_iter()
            .find(|source| source.name() == name)
            .ok_or_else(|| ParseSourceError {
                name: excerpt(name).into_owned(),
            })
    }
}

/// Why a text is not a [`Source`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("source {name:?} is unknown: it must be self_report, inferred or mixed")]
#[non_exhaustive]
pub struct ParseSourceError {
    /// The text that was given; only its start if it is long.
    pub name: String,
}

/// A source as it lies in memory.
// With a fourth value, any two bits are a value, and no comparison is needed to make
// one of bits. All other values of the byte are to spare.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum PackedSource {
    SelfReport,
    Inferred,
    Mixed,
    /// Nothing makes it, and it counts as mixed.
    Unused,
}

impl PackedSource {
    /// A number for each.
    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    /// Of a number that [`code`](Self::code) has given.
    #[inline]
    pub(super) const fn of_code(code: u8) -> Self {
        match code & 3 {
            0 => Self::SelfReport,
            1 => Self::Inferred,
            2 => Self::Mixed,
            _ => Self::Unused,
        }
    }
}

impl From<Source> for PackedSource {
    fn from(source: Source) -> Self {
        match source {
            Source::SelfReport => Self::SelfReport,
            Source::Inferred => Self::Inferred,
            Source::Mixed => Self::Mixed,
        }
    }
}

impl From<PackedSource> for Source {
    fn from(packed: PackedSource) -> Self {
        match packed {
            PackedSource::SelfReport => Self::SelfReport,
            PackedSource::Inferred => Self::Inferred,
            PackedSource::Mixed | PackedSource::Unused => Self::Mixed,
        }
    }
}
