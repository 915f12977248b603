//! Users that are made up.

use std::thread;
use std::time::{Duration, Instant};

use crate::made_up::{EPOCH_UNIX_MS, MadeUp};
use crate::side::{Side, Sides};
use crate::users::Users;
use crate::{Error, Result};

/// How many events each user begins with, so that there is some history.
pub const EVENTS_PER_USER: u32 = 4;

/// How many are handed over at once.
const AT_ONCE: usize = 256;

/// Gives each of so many users a first few events, in both maps.
pub fn fill(
    sides: &Sides<impl Side, impl Side>,
    users: u32,
    threads: usize,
) -> Result<(Users, Duration)> {
    let start = Instant::now();
    let ids: Vec<String> = (0..users).map(|user| format!("user_{user:06}")).collect();
    thread::scope(|scope| -> Result<()> {
        for (seed, ids) in (0..).zip(ids.chunks(ids.len().div_ceil(threads))) {
            thread::Builder::new()
                .spawn_scoped(scope, move || fill_some(sides, ids, seed))
                .map_err(Error::Thread)?;
        }
        Ok(())
    })?;
    let events = u64::from(users) * u64::from(EVENTS_PER_USER);
    let users = ids.into_iter().map(|id| (id, EVENTS_PER_USER)).collect();
    Ok((Users::new(users, events), start.elapsed()))
}

fn fill_some(sides: &Sides<impl Side, impl Side>, ids: &[String], seed: u64) {
    let mut events = MadeUp::new(seed, EPOCH_UNIX_MS);
    for _ in 0..EVENTS_PER_USER {
        for ids in ids.chunks(AT_ONCE) {
            sides.insert_many(ids.iter().map(|id| events.event(id)).collect());
        }
    }
}
