//! A load on few users with full histories, among others who are only there.

use smol_str::SmolStr;

use crate::contenders::Contender;
use crate::rounds::Entrant;
use crate::suite::FEW_USERS;
use crate::workload::{Access, HISTORY, HOT_USERS, Mix, calls, fill, throughput, user_ids};

/// Each round has a new store: where the hot users come to lie, and
/// with it which of them share a lock, is up to chance.
pub struct Hot {
    users: Vec<SmolStr>,
    mix: Mix,
    threads: usize,
    steps: usize,
}

impl Hot {
    pub fn new(
        axes: &'static [&'static str],
        write_percent: f64,
        threads: usize,
        steps: usize,
    ) -> Self {
        Self {
            users: user_ids(FEW_USERS),
            mix: Mix {
                access: Access::Hot,
                write_percent,
                axes,
            },
            threads,
            steps,
        }
    }

    fn store<C: Contender>(&self) -> C {
        let store = C::new(Some(HISTORY), FEW_USERS);
        fill(&store, &self.users, self.mix.axes, 1);
        fill(&store, &self.users[..HOT_USERS], self.mix.axes, HISTORY);
        store
    }

    /// Reads are `with`.
    pub fn mix<C: Contender>(&self) -> Entrant<'_> {
        Entrant::new(C::NAME, |round| {
            let store = self.store::<C>();
            let (mix, threads) = (self.mix, self.threads);
            throughput(&store, &self.users, mix, threads, self.steps, round)
        })
    }

    /// `get` only, whatever the share of writes; each copy is dropped at once.
    pub fn copies<C: Contender>(&self) -> Entrant<'_> {
        Entrant::new(C::NAME, |round| {
            let store = self.store::<C>();
            let users = &self.users[..HOT_USERS];
            calls(users, self.threads, self.steps, round, |id| store.get(id))
        })
    }
}
