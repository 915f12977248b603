//! Two sides that take turns.

use std::fmt;
use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
pub enum Unit {
    /// How long one takes.
    Each,
    /// How many there are in a second.
    Rate,
}

pub struct Row {
    what: &'static str,
    unit: Unit,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Row {
    pub fn new(what: &'static str, unit: Unit) -> Self {
        Self {
            what,
            unit,
            ours: Vec::new(),
            theirs: Vec::new(),
        }
    }

    pub fn ours_took(&mut self, each: Duration) {
        self.ours.push(each.as_secs_f64());
    }

    pub fn theirs_took(&mut self, each: Duration) {
        self.theirs.push(each.as_secs_f64());
    }

    pub fn ours(&mut self, operations: usize, work: impl FnOnce()) {
        self.ours.push(seconds_each(operations, work));
    }

    pub fn theirs(&mut self, operations: usize, work: impl FnOnce()) {
        self.theirs.push(seconds_each(operations, work));
    }
}

fn seconds_each(operations: usize, work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() / operations as f64
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours, theirs) = (median(&self.ours), median(&self.theirs));
        match self.unit {
            Unit::Each => {
                let micros = |seconds: f64| seconds * 1e6;
                write!(
                    f,
                    "{}: {:.3} and {:.3} us, ratio {:.2}",
                    self.what,
                    micros(ours),
                    micros(theirs),
                    ours / theirs
                )
            }
            Unit::Rate => {
                write!(
                    f,
                    "{}: {:.0} and {:.0} a second, ratio {:.2}",
                    self.what,
                    1.0 / ours,
                    1.0 / theirs,
                    theirs / ours
                )
            }
        }
    }
}
