//! Reads and writes in a mix, on stores that were filled before.

use smol_str::SmolStr;

use crate::contenders::Contender;
use crate::rounds::{Entrant, Maker};
use crate::workload::{HISTORY, Mix, fill, throughput};

/// A load on stores in which each user has so many versions.
#[derive(Clone, Copy)]
pub struct Filled<'a> {
    pub users: &'a [SmolStr],
    pub mix: Mix,
    pub versions: usize,
    pub threads: usize,
    /// Of each thread, in a turn.
    pub steps: usize,
}

impl<'a> Filled<'a> {
    fn store<C: Contender>(self) -> C {
        let store = C::new(Some(HISTORY), self.users.len());
        fill(&store, self.users, self.mix.axes, self.versions);
        store
    }

    fn throughput<C: Contender>(self, store: &C, round: usize) -> f64 {
        throughput(store, self.users, self.mix, self.threads, self.steps, round)
    }

    /// With a store for all rounds, where making one takes long.
    pub fn maker<C: Contender>(self) -> Maker<'a> {
        Box::new(move || {
            let store = self.store::<C>();
            Entrant::new(C::NAME, move |round| self.throughput(&store, round))
        })
    }
}

/// With a new store in each round, where it is up to chance which users share a lock.
pub fn fresh<C: Contender>(load: Filled<'_>) -> Entrant<'_> {
    Entrant::new(C::NAME, move |round| {
        load.throughput(&load.store::<C>(), round)
    })
}
