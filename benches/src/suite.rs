//! What the suites that compare in rounds have in common: how long they take, and how
//! a row of the table comes about.

use std::io;

use crate::arguments::Arguments;
use crate::results::{Bound, Measurement, Results};
use crate::rounds::{Maker, Series, interleave_placed};

/// Where many users are read or written at random.
pub const MANY_USERS: usize = 100_000;
/// Where most of them are only there to fill the map, or take much memory.
pub const FEW_USERS: usize = 1_000;

const OPS_PER_SEC: &str = "operations/s";

pub struct Suite {
    pub arguments: Arguments,
    pub rounds: usize,
    /// How often stores are made anew, in an order that rotates, where making them takes
    /// long.
    pub placements: usize,
    /// Operations of a thread in a turn on hot users; fewer where they take longer. That
    /// makes some 5 to 50 ms: a core that is shared with strangers is one's own for
    /// short times only.
    pub steps: usize,
    pub results: Results,
}

impl Suite {
    pub fn new(name: &str, arguments: Arguments) -> Self {
        Self {
            rounds: arguments.pick(7, 31),
            placements: arguments.pick(2, 4),
            steps: arguments.pick(200_000, 400_000),
            results: Results::new(name, arguments.full),
            arguments,
        }
    }

    pub fn selects(&self, name: &str) -> bool {
        self.arguments.selects(name)
    }

    /// # Errors
    ///
    /// If the results cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.results.write(&self.arguments.directory())
    }

    /// Rows on how much more time the first of the contenders takes than each of the others,
    /// unless the row is left out.
    pub fn times(&mut self, name: &str, rounds: usize, makers: &[Maker<'_>], bounds: &[Bound]) {
        if !self.selects(name) {
            return;
        }
        let series = interleave_placed(makers, self.placements, rounds);
        for (other, &bound) in series[1..].iter().zip(bounds) {
            self.slower(name, &series[0], other, bound);
        }
    }

    /// A row on how much faster the first of two series of operations a second is.
    pub fn faster(&mut self, name: &str, ours: &Series, other: &Series, bound: Bound) {
        for series in [ours, other] {
            self.figure(name, series, OPS_PER_SEC, itself);
        }
        let ratio = format!("{} / {}, {OPS_PER_SEC}", ours.name, other.name);
        if let Some(compared) = ours.ratio(other, itself) {
            self.results.bar(name, &ratio, compared, bound);
        }
    }

    /// A row on how much more time the first of two series of operations a second takes.
    pub fn slower(&mut self, name: &str, ours: &Series, other: &Series, bound: Bound) {
        for series in [ours, other] {
            self.figure(name, series, "ns", |rate| Some(1e9 / rate));
        }
        let ratio = format!("{} / {}, time", ours.name, other.name);
        if let Some(compared) = ours.ratio(other, |rate| Some(1.0 / rate)) {
            self.results.bar(name, &ratio, compared, bound);
        }
    }

    /// A series' own figure, unless it has been noted already under this name.
    pub fn figure<T>(
        &mut self,
        name: &str,
        series: &Series<T>,
        unit: &str,
        of: impl Fn(&T) -> Option<f64>,
    ) {
        let mut noted = self.results.measurements.iter();
        if noted.any(|noted| noted.group == name && noted.contender == series.name) {
            return;
        }
        if let Some(value) = series.spread(of) {
            self.results.measurement(Measurement {
                group: name.to_owned(),
                contender: series.name.clone(),
                parameter: String::new(),
                at: 0.0,
                unit: unit.to_owned(),
                value,
            });
        }
    }
}

/// Of a series whose values are what is compared.
pub fn itself(value: &f64) -> Option<f64> {
    Some(*value)
}
