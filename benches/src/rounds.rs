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
    let mut series: Vec<Series<T>> = entrants
        .iter()
        .map(|entrant| Series::new(&entrant.name))
        .collect();
    for round in 0..=2 * rounds {
        if round > rounds && undisturbed_rounds(&series) >= ENOUGH_ROUNDS.min(rounds) {
            break;
        }
        measure_round_trip();
        for place in 0..entrants.len() {
            let turn = (place + round) % entrants.len();
            let run = &mut entrants[turn].run;
            if round == 0 {
                run(round);
            } else {
                series[turn].turns.push(Turn::take(|| run(round)));
            }
        }
    }
    series
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
