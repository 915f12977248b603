//! The rules that every snapshot keeps, and the errors that name the broken one.

use std::borrow::Cow;

/// The longest user id, in bytes of UTF-8.
pub const MAX_USER_ID_BYTES: usize = 256;

/// How many axes a state may have.
///
/// With names of the greatest length they take some 70 kB. A state is a few figures that
/// are read and written together, and each change copies all of them; what grows with use
/// belongs elsewhere.
pub const MAX_AXES: usize = 1_024;

/// The longest axis name, in bytes.
pub(crate) const MAX_AXIS_NAME_BYTES: usize = 64;

/// Why a [`StateSnapshot`](crate::StateSnapshot) or a [`State`](crate::State)
/// could not be built.
///
/// The message names the field, what was wrong with it and the rule. It never
/// holds a user id, since those can be personal data.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// No user id was given.
    #[error("user_id is missing")]
    MissingUserId,

    /// The user id breaks the rules for user ids.
    #[error(transparent)]
    InvalidUserId(#[from] UserIdError),

    /// The confidence is not a number from 0 to 1.
    #[error("confidence is {value}, but must be from 0 to 1")]
    ConfidenceOutOfRange {
        /// The value that was given; it can be NaN, which is unequal to itself.
        value: f32,
    },

    /// There are more axes than a state may have.
    ///
    /// Axes with one name count once. What takes axes one after the other counts the names
    /// at the end and whenever it has 2,048 entries, and stops when there are too many.
    #[error("axes are too many: at most {max} are allowed")]
    TooManyAxes {
        /// How many are allowed: [`MAX_AXES`].
        max: usize,
    },

    /// An axis name is not 1 to 64 ASCII lowercase letters, digits and
    /// underscores, or has an underscore at either end.
    #[error(
        "axis name {axis:?} is invalid: it must be 1 to {MAX_AXIS_NAME_BYTES} of a-z, 0-9 and _, \
         without _ at either end"
    )]
    InvalidAxisName {
        /// The name that was given; only its start if it is too long.
        axis: String,
    },

    /// The value of an axis is not a number from 0 to 1.
    #[error("axis {axis:?} is {value}, but must be from 0 to 1")]
    AxisOutOfRange {
        /// The name of the axis.
        axis: String,
        /// The value that was given; it can be NaN, which is unequal to itself.
        value: f32,
    },

    /// The source is none of [`Source`](crate::Source); only from a conversion
    /// of an `attuned_core::Source`, to which later versions can add.
    #[cfg(feature = "attuned")]
    #[error("source {name:?} is unknown")]
    UnknownSource {
        /// The name of the source.
        name: String,
    },
}

/// Why a text is not a user id.
///
/// A user id has 1 to [`MAX_USER_ID_BYTES`] bytes. It consists of characters that
/// [`char::is_alphanumeric`] accepts, underscores and hyphens; see
/// [`validate_user_id`] for what that means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserIdError {
    /// The text is empty.
    #[error("user_id is empty")]
    Empty,

    /// The text is too long.
    #[error("user_id has {length} bytes, but at most {max} are allowed")]
    TooLong {
        /// The length of the text in bytes.
        length: usize,
        /// The longest length allowed, in bytes: [`MAX_USER_ID_BYTES`].
        max: usize,
    },

    /// A character is not allowed in user ids.
    #[error(
        "user_id has {character:?} at byte {position}, but only alphanumeric characters, _ and - \
         are allowed"
    )]
    InvalidCharacter {
        /// The first character that is not allowed.
        character: char,
        /// Where it starts, in bytes from the start of the text.
        position: usize,
    },
}

/// Checks that a text is a user id, as building a snapshot does.
///
/// It is for backends and services that get a user id without a snapshot.
/// Allocates nothing, and looks at no more than [`MAX_USER_ID_BYTES`].
///
/// ```
/// use attuned_store::{UserIdError, validate_user_id};
///
/// assert_eq!(validate_user_id("dev_42"), Ok(()));
/// assert_eq!(validate_user_id(""), Err(UserIdError::Empty));
/// ```
///
/// # Alphanumeric characters
///
/// A user id consists of alphanumeric characters, underscores and hyphens. Alphanumeric is
/// what [`char::is_alphanumeric`] accepts: what Unicode calls alphabetic or a number, of
/// any script.
///
/// Numbers are more than the digits: `①`, `½` and `Ⅷ` are accepted. Letters are
/// alphabetic, and so are some marks that combine with a letter, such as the vowel
/// sign in `कि`. Other such marks are refused: accents, viramas and tone marks for
/// instance. So many words of Hindi and Thai are no user ids.
///
/// A newer compiler can know a newer version of Unicode
/// ([`char::UNICODE_VERSION`]) and thus accept more characters.
///
/// Ids are compared byte by byte, and nothing normalizes them. `é` is accepted
/// where it is one character (NFC), and refused where it is an `e` and an accent
/// (NFD).
///
/// ```
/// use attuned_store::{UserIdError, validate_user_id};
///
/// for id in ["漢字", "Ελένη", "कि", "٣", "①", "½", "\u{e9}"] {
///     assert_eq!(validate_user_id(id), Ok(()));
/// }
/// for (id, character, position) in [
///     ("हिन्दी", '\u{94d}', 9),
///     ("น้ำ", '\u{e49}', 3),
///     ("e\u{301}", '\u{301}', 1),
/// ] {
///     let error = UserIdError::InvalidCharacter { character, position };
///     assert_eq!(validate_user_id(id), Err(error));
/// }
/// ```
///
/// # Errors
///
/// The first rule of [`UserIdError`] that the text breaks.
pub fn validate_user_id(user_id: &str) -> Result<(), UserIdError> {
    if user_id.is_empty() {
        return Err(UserIdError::Empty);
    }
    // Before the characters are looked at, so that the cost is bounded.
    if user_id.len() > MAX_USER_ID_BYTES {
        return Err(UserIdError::TooLong {
            length: user_id.len(),
            max: MAX_USER_ID_BYTES,
        });
    }
    // Nearly all are like that, and a byte is told sooner than a character.
    if user_id.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        return Ok(());
    }
    match user_id
        .char_indices()
        .find(|&(_, character)| !(character.is_alphanumeric() || matches!(character, '_' | '-')))
    {
        Some((position, character)) => Err(UserIdError::InvalidCharacter {
            character,
            position,
        }),
        None => Ok(()),
    }
}

/// Which bytes are the characters that user ids mostly consist of.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < plain.len() {
        plain[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'_' | b'-');
        byte += 1;
    }
    plain
};

pub(crate) fn validate_confidence(value: f32) -> Result<(), SnapshotError> {
    if in_unit_range(value) {
        Ok(())
    } else {
        Err(SnapshotError::ConfidenceOutOfRange { value })
    }
}

pub(super) fn validate_axis_name(name: &str) -> Result<(), SnapshotError> {
    if is_axis_name(name) {
        Ok(())
    } else {
        Err(SnapshotError::InvalidAxisName {
            axis: excerpt(name).into_owned(),
        })
    }
}

pub(crate) fn validate_axis_value(name: &str, value: f32) -> Result<(), SnapshotError> {
    if in_unit_range(value) {
        Ok(())
    } else {
        Err(SnapshotError::AxisOutOfRange {
            axis: name.to_owned(),
            value,
        })
    }
}

pub(super) fn is_axis_name(name: &str) -> bool {
    (1..=MAX_AXIS_NAME_BYTES).contains(&name.len())
        && !name.starts_with('_')
        && !name.ends_with('_')
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// False for NaN, which compares with nothing.
pub(super) fn in_unit_range(value: f32) -> bool {
    (0.0..=1.0).contains(&value)
}

/// A text up to the length of an axis name, so that a message stays short
/// whatever the input was.
pub(super) fn excerpt(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_AXIS_NAME_BYTES {
        return Cow::Borrowed(text);
    }
    let start = (0..=MAX_AXIS_NAME_BYTES)
        .rev()
        .find_map(|end| text.get(..end))
        .unwrap_or_default();
    Cow::Owned(format!("{start}…"))
}
