//! What is in the stream: its subjects, and the messages on them.
//!
//! | subject | message |
//! |---|---|
//! | `<stream>.u.<user id>` | a snapshot in the published JSON form, or nothing: the user is deleted |
//! | `<stream>.b.<process>` | a barrier: its number, or nothing if no replica waits for it |
//!
//! User ids need no encoding, since none of them has a dot, a space or a wildcard.

use async_nats::Message;
use async_nats::header::{HeaderMap, HeaderName};
use smol_str::SmolStr;

use crate::map::HasSmallPart;
use crate::removal::RemovalCause;
use crate::snapshot::{State, StateSnapshot, validate_user_id};

/// Says in which form a snapshot is; absent means the first.
pub(super) const SCHEMA: &str = "Attuned-Schema";
pub(super) const SCHEMA_VERSION: &str = "1";

/// Tells the writes of all processes apart.
pub(super) const WRITE_ID: &str = "Attuned-Write";

/// Why a message says that its user is gone; absent means that it was deleted.
pub(super) const REMOVAL: &str = "Attuned-Removal";
pub(super) const EXPIRED: &str = "expired";

/// The server's own word on that.
const MARKER_REASON: &str = "Nats-Marker-Reason";

/// The same where the message may be sent again: the server knows this header, and does not
/// take a message twice.
pub(super) const MESSAGE_ID: &str = "Nats-Msg-Id";

/// A header's name. As a `str` it would be checked and copied each time.
pub(super) const fn name(header: &'static str) -> HeaderName {
    HeaderName::from_static(header)
}

/// The subjects of a stream, and of this process in it.
#[derive(Debug)]
pub(super) struct Subjects {
    users: String,
    /// Where this process publishes its barriers.
    pub barrier: String,
}

impl Subjects {
    pub fn new(stream: &str, process: &str) -> Self {
        Self {
            users: format!("{stream}.u."),
            barrier: format!("{stream}.b.{process}"),
        }
    }

    /// All subjects of a stream.
    pub fn all_of(stream: &str) -> Vec<String> {
        vec![format!("{stream}.u.*"), format!("{stream}.b.*")]
    }

    pub fn of_user(&self, user_id: &str) -> String {
        format!("{}{user_id}", self.users)
    }

    /// Which barrier of this process a message is, if it has a number.
    pub fn barrier_of(&self, message: &Message) -> Option<u64> {
        if message.subject.as_str() != self.barrier {
            return None;
        }
        std::str::from_utf8(&message.payload).ok()?.parse().ok()
    }

    /// The user that the subject is of; `None` for barriers, and for what is no user id.
    pub fn user_of<'s>(&self, subject: &'s str) -> Option<&'s str> {
        let user_id = subject.strip_prefix(self.users.as_str())?;
        validate_user_id(user_id).is_ok().then_some(user_id)
    }
}

/// What a message says of its user.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    State(State),
    /// The user is gone. A client says so by an empty message; the server does so, too, when
    /// it removes the last message of a user.
    Removal(RemovalCause),
    /// The message is of another program, or of a later version of this one.
    Unreadable,
}

impl Content {
    pub fn read(user_id: &str, headers: Option<&HeaderMap>, payload: &[u8]) -> Self {
        if payload.is_empty() {
            return Self::Removal(cause(headers));
        }
        let schema = headers.and_then(|headers| headers.get(name(SCHEMA)));
        if schema.is_some_and(|schema| schema.as_str() != SCHEMA_VERSION) {
            return Self::Unreadable;
        }
        match serde_json::from_slice::<StateSnapshot>(payload) {
            Ok(snapshot) if snapshot.user_id() == user_id => Self::State(snapshot.into_state()),
            _ => Self::Unreadable,
        }
    }
}

/// The id of the write that a message is of, if a store has made it.
pub(super) fn write_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers
        .get(name(WRITE_ID))
        .or_else(|| headers.get(name(MESSAGE_ID)))?;
    Some(id.as_str())
}

/// Whether a message that came without its payload has none.
pub(super) fn has_no_payload(headers: Option<&HeaderMap>) -> bool {
    let size = headers.and_then(|headers| headers.get(name("Nats-Msg-Size")));
    size.is_some_and(|size| size.as_str() == "0")
}

fn cause(headers: Option<&HeaderMap>) -> RemovalCause {
    let is = |header: &'static str, value: &str| {
        let found = headers.and_then(|headers| headers.get(name(header)));
        found.is_some_and(|found| found.as_str() == value)
    };
    if is(REMOVAL, EXPIRED) || is(MARKER_REASON, "MaxAge") {
        RemovalCause::Expired
    } else {
        RemovalCause::Deleted
    }
}

/// What the stream has of a user at one sequence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// The message's sequence in the stream.
    pub revision: u64,
    /// When the server took it, in milliseconds since the Unix epoch.
    pub written_at: i64,
    /// Which one of the user it is since there was nothing, from 1; less if messages were
    /// removed from the stream before the replica came to them.
    pub number: u64,
    /// `None` if it is unreadable.
    pub state: Option<State>,
}

/// Most readers need no more than the state.
impl HasSmallPart for Entry {
    type Part = State;

    fn small_part(&self) -> Option<&State> {
        self.state.as_ref()
    }
}

/// A message as it was delivered.
#[derive(Debug)]
pub(super) struct Delivered {
    pub sequence: u64,
    pub written_at: i64,
    /// The user and what is said of it; `None` if it is of no user.
    pub of_user: Option<(SmolStr, Content)>,
    /// Its number, if this process has written it.
    pub own: Option<u64>,
    /// How many messages are behind it in the stream, as far as the server knew.
    pub pending: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> StateSnapshot {
        let snapshot = StateSnapshot::builder().user_id("ada").axis("warmth", 0.7);
        snapshot.updated_at(5).build().unwrap()
    }

    #[test]
    fn subjects_are_of_users_and_barriers() {
        let subjects = Subjects::new("USERS", "p1");
        assert_eq!(subjects.barrier, "USERS.b.p1");
        assert_eq!(subjects.of_user("用户"), "USERS.u.用户");
        assert_eq!(subjects.user_of("USERS.u.用户"), Some("用户"));
        for other in [
            "USERS.b.p1",
            "USERS.u.",
            "USERS.u.a.b",
            "USERS.u.a b",
            "OTHER.u.ada",
        ] {
            assert_eq!(subjects.user_of(other), None, "{other}");
        }
    }

    #[test]
    fn snapshots_and_removals_are_read() {
        let json = serde_json::to_vec(&snapshot()).unwrap();
        let state = snapshot().into_state();
        let mut headers = HeaderMap::new();
        assert_eq!(
            Content::read("ada", None, &json),
            Content::State(state.clone())
        );
        headers.insert(SCHEMA, SCHEMA_VERSION);
        assert_eq!(
            Content::read("ada", Some(&headers), &json),
            Content::State(state)
        );
        assert_eq!(
            Content::read("ada", Some(&headers), b""),
            Content::Removal(RemovalCause::Deleted)
        );
    }

    #[test]
    fn a_removal_says_why() {
        for (name, value, cause) in [
            ("Nats-Rollup", "sub", RemovalCause::Deleted),
            (REMOVAL, EXPIRED, RemovalCause::Expired),
            (MARKER_REASON, "MaxAge", RemovalCause::Expired),
            (MARKER_REASON, "Purge", RemovalCause::Deleted),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value);
            let removal = Content::read("ada", Some(&headers), b"");
            assert_eq!(removal, Content::Removal(cause), "{name}: {value}");
        }
    }

    #[test]
    fn what_is_foreign_or_corrupt_is_told() {
        let json = serde_json::to_vec(&snapshot()).unwrap();
        let mut later = HeaderMap::new();
        later.insert(SCHEMA, "2");
        for (user_id, headers, payload) in [
            ("ada", Some(&later), &json[..]),
            ("grace", None, &json[..]),
            ("ada", None, &json[..json.len() - 1]),
            ("ada", None, b"{}"),
            ("ada", None, b" "),
        ] {
            assert_eq!(
                Content::read(user_id, headers, payload),
                Content::Unreadable
            );
        }
    }
}
