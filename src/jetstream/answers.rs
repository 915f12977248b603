//! What servers answer to the messages of this process.
//!
//! All answers come to one place, whose task tells those who wait. A request of the client's
//! own for each message would do the same, and wake a writer for an acknowledgement that
//! it does not need.

use std::fmt;
use std::sync::Arc;

use async_nats::Subscriber;
use futures_util::StreamExt;

use super::Core;
use super::own::Attempt;

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The barrier with this number.
    Barrier(u64),
    Write(Attempt),
}

/// As a token of a subject.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Barrier(number) => write!(f, "b{number}"),
            Self::Write(Attempt { number, attempt }) => write!(f, "{number}-{attempt}"),
        }
    }
}

impl Asked {
    /// How long a token is at most.
    pub const LONGEST: usize = 31;

    pub fn read(token: &str) -> Option<Self> {
        if let Some(number) = token.strip_prefix('b') {
            return Some(Self::Barrier(number.parse().ok()?));
        }
        let (number, attempt) = token.split_once('-')?;
        Some(Self::Write(Attempt {
            number: number.parse().ok()?,
            attempt: attempt.parse().ok()?,
        }))
    }
}

/// Takes the answers as they come.
pub(super) async fn receive(core: Arc<Core>, mut answers: Subscriber) {
    while let Some(answer) = answers.next().await {
        match core.link.read_answer(&answer) {
            Some((Asked::Barrier(number), answer)) => core.barriers.learn(number, answer),
            Some((Asked::Write(attempt), answer)) => core.own_writes.answered(attempt, answer),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tell_what_was_asked() {
        let attempt = Attempt {
            number: 12,
            attempt: 3,
        };
        for asked in [Asked::Barrier(7), Asked::Write(attempt)] {
            assert_eq!(Asked::read(&asked.to_string()), Some(asked));
        }
        let longest = Asked::Write(Attempt {
            number: u64::MAX,
            attempt: u32::MAX,
        });
        assert_eq!(longest.to_string().len(), Asked::LONGEST);
        for other in ["", "b", "7", "-", "7-", "7-x"] {
            assert_eq!(Asked::read(other), None, "{other}");
        }
    }
}
