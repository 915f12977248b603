//! The users, and which of them are read and written.

use std::ops::Range;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Zipf};
use smol_str::{SmolStr, format_smolstr};

use crate::side::{Side, Sides};

/// How unevenly active the users are.
pub const ZIPF_EXPONENT: f64 = 0.99;
/// How many users are drawn beforehand. Drawing one takes a good part of the
/// time of reading one, so the threads only go through what was drawn.
const DRAWS: usize = 1 << 20;

pub struct Users {
    /// The most active first.
    pub ids: Vec<SmolStr>,
    /// How many events of each were kept before the load.
    pub before: Vec<u32>,
    /// How many events were stored before, with those that no history has any more.
    pub events: u64,
    /// How many of them may be read and written: the others are new.
    active: usize,
    invited: usize,
}

impl Users {
    /// Of each its id, and how many events of it are kept.
    ///
    /// Shuffles them: who is the most active has nothing to do with their order, in which
    /// they may lie side by side in memory.
    pub fn new(mut users: Vec<(impl AsRef<str>, u32)>, events: u64) -> Self {
        users.shuffle(&mut SmallRng::seed_from_u64(0));
        Self {
            ids: users.iter().map(|(id, _)| SmolStr::new(id)).collect(),
            before: users.iter().map(|&(_, before)| before).collect(),
            events,
            active: users.len(),
            invited: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Names so many new users, which are not there yet.
    pub fn invite(&mut self, count: usize, sides: &Sides<impl Side, impl Side>) -> Range<usize> {
        let first = self.ids.len();
        while self.ids.len() < first + count {
            let id = format_smolstr!("new_user_{:07}", self.invited);
            self.invited += 1;
            // An input can have users of any name.
            if sides.attuned.with(&id, |_| ()).is_none() {
                self.ids.push(id);
                self.before.push(0);
            }
        }
        first..self.ids.len()
    }

    /// Draws users from all, by a Zipf distribution.
    pub fn draw(&self) -> Vec<u32> {
        let mut random = SmallRng::seed_from_u64(1);
        let zipf = Zipf::new(self.active as f64, ZIPF_EXPONENT).expect("there are users");
        // It counts from 1, in floating point.
        let last = self.active - 1;
        (0..DRAWS)
            .map(|_| (zipf.sample(&mut random) as usize - 1).min(last) as u32)
            .collect()
    }

    /// Draws users from the first few, all equally often.
    pub fn draw_hot(&self, hot: usize) -> Vec<u32> {
        let mut random = SmallRng::seed_from_u64(1);
        let hot = hot.min(self.active) as u32;
        let draws = DRAWS.min(1024 * hot as usize);
        (0..draws).map(|_| random.random_range(0..hot)).collect()
    }
}
