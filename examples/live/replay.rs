//! What an input leaves, by the plainest means.

use std::collections::{HashMap, VecDeque};

use attuned_store::StateSnapshot;

use crate::side::Side;
use crate::users::Users;

/// What both sides must hold.
pub struct Replay {
    /// How many events of a user are kept.
    history: usize,
    events: u64,
    /// Of each user, the oldest event first.
    users: HashMap<String, VecDeque<StateSnapshot>>,
}

impl Replay {
    pub fn new(history: usize) -> Self {
        Self {
            history,
            events: 0,
            users: HashMap::new(),
        }
    }

    pub fn apply(&mut self, event: StateSnapshot) {
        self.events += 1;
        let user_id = event.user_id().to_owned();
        let events = self.users.entry(user_id).or_default();
        events.push_back(event);
        if events.len() > self.history {
            events.pop_front();
        }
    }

    /// How many users a side has wrong: missing, too many, or with another latest state
    /// or history than here.
    pub fn differences(&self, side: &impl Side) -> usize {
        let wrong = self
            .users
            .iter()
            .filter(|(user_id, events)| !self.agrees(side, user_id, events))
            .count();
        wrong + side.len().saturating_sub(self.users.len())
    }

    fn agrees(&self, side: &impl Side, user_id: &str, events: &VecDeque<StateSnapshot>) -> bool {
        let latest = side.with(user_id, Clone::clone);
        let history = side.history(user_id, self.history + 1);
        let kept = history.iter().map(|entry| &entry.value);
        let expected = events.iter().rev().map(StateSnapshot::state);
        latest.as_ref() == events.back().map(StateSnapshot::state) && kept.eq(expected)
    }

    /// The users, in an order that does not change from run to run.
    pub fn into_users(self) -> Users {
        let mut users: Vec<(String, u32)> = self
            .users
            .into_iter()
            .map(|(user_id, events)| (user_id, events.len() as u32))
            .collect();
        users.sort_unstable();
        Users::new(users, self.events)
    }
}
