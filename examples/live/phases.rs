//! What is shown one after the other.

use crate::args::Args;
use crate::format::counted;

/// How much the writers of the default phases write.
const WRITE_PERCENT: u8 = 5;
/// How many of the reads are of histories in the default phase.
const HISTORY_PERCENT: u8 = 20;
/// How many threads sleep in the default phase.
const SLEEPERS: u16 = 200;
/// How many users are hot in the default phases.
const HOT_USERS: u32 = 4;
/// How many times as many users come as there are.
const GROWTH: u32 = 2;
const MAX_NEWCOMERS: u32 = 10_000_000;

/// A kind of load.
#[derive(Clone, Copy, Default)]
pub struct Phase {
    pub name: &'static str,
    /// Of all operations, that of new users apart.
    pub write_percent: u8,
    /// Of all reads.
    pub history_percent: u8,
    pub newcomers: u32,
    pub sleepers: u16,
    /// Only so many users are read and written.
    pub hot: Option<u32>,
}

/// The phases that the arguments ask for, for so many users.
pub fn phases(args: &Args, users: usize) -> Vec<Phase> {
    match asked_for(args, users) {
        Some(phase) => vec![phase],
        None => all(users),
    }
}

fn asked_for(args: &Args, users: usize) -> Option<Phase> {
    let is_one = args.writes.is_some()
        || args.histories.is_some()
        || args.grow.is_some()
        || args.sleepers.is_some()
        || args.hot.is_some();
    is_one.then(|| Phase {
        name: "as asked for",
        write_percent: args.writes.unwrap_or(0),
        history_percent: args.histories.unwrap_or(0),
        newcomers: args
            .grow
            .map_or(0, |count| count.unwrap_or(newcomers(users))),
        sleepers: args.sleepers.unwrap_or(0),
        hot: args.hot,
    })
}

fn all(users: usize) -> Vec<Phase> {
    let many = Phase {
        name: "readers",
        ..Phase::default()
    };
    let writers = Phase {
        name: "writers",
        write_percent: WRITE_PERCENT,
        ..many
    };
    let hot = Phase {
        name: "hot",
        hot: Some(HOT_USERS),
        ..many
    };
    let histories = Phase {
        name: "histories",
        history_percent: HISTORY_PERCENT,
        ..writers
    };
    let growth = Phase {
        name: "growth",
        newcomers: newcomers(users),
        ..writers
    };
    let sleepers = Phase {
        name: "sleepers",
        sleepers: SLEEPERS,
        ..writers
    };
    let hot_writers = Phase {
        name: "hot+writes",
        write_percent: WRITE_PERCENT,
        ..hot
    };
    vec![many, writers, histories, growth, sleepers, hot, hot_writers]
}

fn newcomers(users: usize) -> u32 {
    let users = u32::try_from(users).unwrap_or(u32::MAX);
    users.saturating_mul(GROWTH).min(MAX_NEWCOMERS)
}

impl Phase {
    /// What is done in it.
    pub fn description(&self) -> String {
        let mut parts = vec![match self.write_percent {
            0 => "no writes".to_owned(),
            percent => format!("{percent} % writes"),
        }];
        if self.history_percent > 0 {
            parts.push(format!("{} % histories", self.history_percent));
        }
        if self.newcomers > 0 {
            parts.push(counted(self.newcomers.into(), "new user"));
        }
        if self.sleepers > 0 {
            parts.push(counted(self.sleepers.into(), "sleeper"));
        }
        parts.push(match self.hot {
            Some(hot) => counted(hot.into(), "hot user"),
            None => "many users".to_owned(),
        });
        parts.join("; ")
    }
}
