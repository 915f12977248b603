//! A user id in `Debug` output.

use std::fmt;

/// Shows just enough of a user id to tell log lines apart.
pub(crate) struct Redacted<'a>(pub(crate) &'a str);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By characters: a byte index can fall inside one.
        let shown = self
            .0
            .char_indices()
            .nth(4)
            .and_then(|(end, _)| self.0.get(..end));
        match shown {
            Some(shown) => write!(f, "\"{}...\"", shown.escape_debug()),
            None => f.write_str("\"[redacted]\""),
        }
    }
}
