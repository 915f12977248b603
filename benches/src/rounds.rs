//! Measuring side by side: all contenders once in each round, so that what
//! disturbs the machine for a while disturbs all of them, and only ratios
//! within a round are compared.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::disturbance::{is_undisturbed, measure_round_trip, with_slowest_pace};
use crate::results::{Ratio, Spread};

/// For how long a turn is repeated, as long as it is disturbed.
const PATIENCE: Duration = Duration::from_millis(500);

/// With fewer undisturbed rounds than this, all are compared.
const ENOUGH_ROUNDS: usize = 7;

static TURNS: AtomicUsize = AtomicUsize::new(0);
static DISTURBED_AT_FIRST: AtomicUsize = AtomicUsize::new(0);

/// One of those that are compared, with what it does in a round.
pub struct Entrant<'a, T = f64> {
    pub name: String,
    /// Takes the number of the round and returns what was measured.
    run: Box<dyn FnMut(usize) -> T + 'a>,
}

impl<'a, T> Entrant<'a, T> {
    pub fn new(name: impl Into<String>, run: impl FnMut(usize) -> T + 'a) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

/// What was measured in an entrant's turn.
pub struct Turn<T> {
    /// At the first try, if that was not the last.
    first: Option<T>,
    /// At the last try.
    value: T,
    /// The slowest pace during the last try.
    pace: f64,
}

impl<T> Turn<T> {
    /// Takes a turn. If some thread's core had less than its full pace, it is repeated
    /// as soon as all have it, until they have it from beginning to end. Nothing but the
    /// pace decides about that.
    pub fn take(mut run: impl FnMut() -> T) -> Self {
        let start = Instant::now();
        let (value, pace) = with_slowest_pace(false, &mut run);
        let mut turn = Self {
            first: None,
            value,
            pace,
        };
        TURNS.fetch_add(1, Ordering::Relaxed);
        if !turn.is_undisturbed() {
            DISTURBED_AT_FIRST.fetch_add(1, Ordering::Relaxed);
        }
        while !turn.is_undisturbed() && start.elapsed() < PATIENCE {
            let (value, pace) = with_slowest_pace(true, &mut run);
            let previous = mem::replace(&mut turn.value, value);
            turn.first.get_or_insert(previous);
            turn.pace = pace;
        }
        turn
    }

    /// At the last try.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// At the first try, whatever the machine was doing.
    fn as_found(&self) -> &T {
        self.first.as_ref().unwrap_or(&self.value)
    }

    fn is_undisturbed(&self) -> bool {
        is_undisturbed(self.pace)
    }
}

/// Which share of all turns was disturbed at the first try; `None` if there were none.
pub fn disturbed_at_first() -> Option<f64> {
    let turns = TURNS.load(Ordering::Relaxed);
    (turns > 0).then(|| DISTURBED_AT_FIRST.load(Ordering::Relaxed) as f64 / turns as f64)
}

/// What an entrant did, a turn for each round.
pub struct Series<T = f64> {
    pub name: String,
    pub turns: Vec<Turn<T>>,
}

impl<T> Series<T> {
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            turns: Vec::new(),
        }
    }

    /// Of the undisturbed turns, if there are enough of them, or else of all; `None` if
    /// none has such a value.
    pub fn spread(&self, of: impl Fn(&T) -> Option<f64>) -> Option<Spread> {
        let calm = self.turns.iter().filter(|turn| turn.is_undisturbed());
        let mut values: Vec<f64> = calm.filter_map(|turn| of(turn.value())).collect();
        if values.len() < ENOUGH_ROUNDS.min(self.turns.len()) {
            values = self
                .turns
                .iter()
                .filter_map(|turn| of(turn.value()))
                .collect();
        }
        (!values.is_empty()).then(|| Spread::of(&values))
    }

    /// This one's values divided by another's of the same round: in those rounds in
    /// which neither was disturbed, if there are enough of them, or else in all.
    /// `None` if there is nothing to divide.
    pub fn ratio(&self, other: &Self, of: impl Fn(&T) -> Option<f64>) -> Option<Ratio> {
        let rounds = || self.turns.iter().zip(&other.turns);
        let divide = |ours: &T, theirs: &T| Some(of(ours)? / of(theirs)?);
        let as_found: Vec<f64> = rounds()
            .filter_map(|(ours, theirs)| divide(ours.as_found(), theirs.as_found()))
            .collect();
        let all: Vec<f64> = rounds()
            .filter_map(|(ours, theirs)| divide(ours.value(), theirs.value()))
            .collect();
        let calm: Vec<f64> = rounds()
            .filter(|(ours, theirs)| ours.is_undisturbed() && theirs.is_undisturbed())
            .filter_map(|(ours, theirs)| divide(ours.value(), theirs.value()))
            .collect();
        if all.is_empty() || as_found.is_empty() {
            return None;
        }
        let disturbed = calm.len() < ENOUGH_ROUNDS.min(all.len());
        Some(Ratio {
            measured: Spread::of(if disturbed { &all } else { &calm }),
            disturbed,
            as_found: Some(Spread::of(&as_found)),
        })
    }
}

/// Runs the rounds, after one that only warms up, and as many again while too few of
/// them were undisturbed. The order within a round rotates, so that nobody always
/// follows the same one.
pub fn interleave<T>(mut entrants: Vec<Entrant<'_, T>>, rounds: usize) -> Vec<Series<T>> {
    let mut interleaved = Interleaved::new(rounds);
    interleaved.run(&mut entrants, usize::MAX);
    interleaved.series
}

/// Makes an entrant, with the store that it is about.
pub type Maker<'a, T = f64> = Box<dyn Fn() -> Entrant<'a, T> + 'a>;

/// Like [`interleave`], with new entrants `placements` times, made in an order that
/// rotates.
///
/// Where a store's memory comes to lie is up to what was there before, and with
/// many users it counts as much as what the store does: of several stores of the same kind in
/// one process, the first one made was read up to a third more slowly than the others.
pub fn interleave_placed<T>(
    makers: &[Maker<'_, T>],
    placements: usize,
    rounds: usize,
) -> Vec<Series<T>> {
    let mut interleaved = Interleaved::new(rounds);
    for placement in 0.. {
        if interleaved.is_done() {
            break;
        }
        let mut entrants = in_rotated_order(makers, placement);
        interleaved.run(&mut entrants, rounds.div_ceil(placements));
    }
    interleaved.series
}

/// What the makers make, in their order, but not made in it.
pub fn in_rotated_order<T>(makers: &[impl Fn() -> T], rotation: usize) -> Vec<T> {
    let mut made: Vec<(usize, T)> = (0..makers.len())
        .map(|place| (place + rotation) % makers.len())
        .map(|maker| (maker, makers[maker]()))
        .collect();
    made.sort_by_key(|&(maker, _)| maker);
    made.into_iter().map(|(_, made)| made).collect()
}

/// Rounds that have been run, of those that are to be.
struct Interleaved<T> {
    rounds: usize,
    taken: usize,
    series: Vec<Series<T>>,
}

impl<T> Interleaved<T> {
    fn new(rounds: usize) -> Self {
        Self {
            rounds,
            taken: 0,
            series: Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        let enough = || undisturbed_rounds(&self.series) >= ENOUGH_ROUNDS.min(self.rounds);
        self.taken >= 2 * self.rounds || (self.taken >= self.rounds && enough())
    }

    /// Runs at most so many of the rounds, after one that only warms up.
    fn run(&mut self, entrants: &mut [Entrant<'_, T>], at_most: usize) {
        if self.series.is_empty() {
            let names = entrants.iter().map(|entrant| &entrant.name);
            self.series = names.map(Series::new).collect();
        }
        for entrant in entrants.iter_mut() {
            (entrant.run)(0);
        }
        let mut left = at_most;
        while left > 0 && !self.is_done() {
            left -= 1;
            self.taken += 1;
            measure_round_trip();
            for place in 0..entrants.len() {
                let turn = (place + self.taken) % entrants.len();
                let (run, round) = (&mut entrants[turn].run, self.taken);
                self.series[turn].turns.push(Turn::take(|| run(round)));
            }
        }
    }
}

/// In how many rounds nobody was disturbed.
fn undisturbed_rounds<T>(series: &[Series<T>]) -> usize {
    let rounds = series.iter().map(|series| series.turns.len()).min();
    (0..rounds.unwrap_or(0))
        .filter(|&round| {
            let mut turns = series.iter().map(|series| &series.turns[round]);
            turns.all(Turn::is_undisturbed)
        })
        .count()
}
