//! Histories, with every entry read.

use smol_str::SmolStr;

use crate::contenders::Contender;
use crate::rounds::{Entrant, Maker};
use crate::workload::{HISTORY, calls, fill, read_entries};

/// Whole histories of uniformly drawn users by one thread: a call takes the history, reads
/// every entry and drops them. A contender that hands out copies has done so already
/// when the entries are read; one that hands out references has not.
pub fn histories<'a, C: Contender>(
    users: &'a [SmolStr],
    axes: &'static [&'static str],
    steps: usize,
) -> Maker<'a> {
    Box::new(move || {
        let store = C::new(Some(HISTORY), users.len());
        fill(&store, users, axes, HISTORY);
        Entrant::new(C::NAME, move |round| {
            calls(users, 1, steps, round, |id| {
                read_entries(&store.history(id, HISTORY))
            })
        })
    })
}
