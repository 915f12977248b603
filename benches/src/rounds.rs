//! Measuring side by side: all contenders once in each round, so that what
//! disturbs the machine for a while disturbs all of them, and only ratios
//! within a round are compared.

use crate::disturbance::measure_round_trip;

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

/// What an entrant did, a value for each round.
pub struct Series<T = f64> {
    pub name: String,
    pub values: Vec<T>,
}

/// Runs the rounds, after one that only warms up. The order within a round
/// rotates, so that nobody always follows the same one.
pub fn interleave<T>(mut entrants: Vec<Entrant<'_, T>>, rounds: usize) -> Vec<Series<T>> {
    let mut series: Vec<Series<T>> = entrants
        .iter()
        .map(|entrant| Series {
            name: entrant.name.clone(),
            values: Vec::with_capacity(rounds),
        })
        .collect();
    for round in 0..=rounds {
        measure_round_trip();
        for place in 0..entrants.len() {
            let turn = (place + round) % entrants.len();
            let value = (entrants[turn].run)(round);
            if round > 0 {
                series[turn].values.push(value);
            }
        }
    }
    series
}
