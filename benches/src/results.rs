//! The form in which suites hand on what they measured.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disturbance::{round_trips, waited_for_a_core};
use crate::environment::Environment;
use crate::rounds::disturbed_at_first;

/// How the values of several rounds are distributed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub lower_quartile: f64,
    pub upper_quartile: f64,
    pub min: f64,
    pub max: f64,
    pub rounds: usize,
}

impl Spread {
    /// # Panics
    ///
    /// If there are no values.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: quantile(&sorted, 0.5),
            lower_quartile: quantile(&sorted, 0.25),
            upper_quartile: quantile(&sorted, 0.75),
            min: quantile(&sorted, 0.0),
            max: quantile(&sorted, 1.0),
            rounds: sorted.len(),
        }
    }

    /// A value that does not vary, such as a count.
    pub fn exact(value: f64) -> Self {
        Self::of(&[value])
    }
}

/// Interpolates linearly between the two nearest values.
fn quantile(sorted: &[f64], quantile: f64) -> f64 {
    let position = quantile * (sorted.len() - 1) as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    below + (above - below) * position.fract()
}

/// What a ratio is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Reported for comparison.
    None,
}

impl Bound {
    pub fn met_by(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(bound) => Some(value >= bound),
            Self::AtMost(bound) => Some(value <= bound),
            Self::None => None,
        }
    }
}

/// How what two contenders did compares.
#[derive(Clone, Debug)]
pub struct Ratio {
    pub measured: Spread,
    /// Whether what was measured is from rounds in which a core was shared.
    pub disturbed: bool,
    /// What each round gave at the first try, if it could be disturbed at all.
    pub as_found: Option<Spread>,
}

impl From<Spread> for Ratio {
    /// For what no disturbance changes, such as a count.
    fn from(measured: Spread) -> Self {
        Self {
            measured,
            disturbed: false,
            as_found: None,
        }
    }
}

/// A ratio between this library and another contender, and what it should be.
/// The bound is met if the median meets it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bar {
    pub name: String,
    /// What is divided by what.
    pub ratio: String,
    pub measured: Spread,
    /// See [`Ratio`].
    pub disturbed: bool,
    /// See [`Ratio`].
    pub as_found: Option<Spread>,
    pub bound: Bound,
    pub met: Option<bool>,
}

impl Bar {
    pub fn new(name: &str, ratio: &str, compared: Ratio, bound: Bound) -> Self {
        let Ratio {
            measured,
            disturbed,
            as_found,
        } = compared;
        let met = bound.met_by(measured.median);
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        println!(
            "  {name}: {ratio} = {:.3} [{:.3} to {:.3}]{}{} {bound:?} {verdict}",
            measured.median,
            measured.lower_quartile,
            measured.upper_quartile,
            if disturbed { " disturbed" } else { "" },
            as_found
                .as_ref()
                .map_or_else(String::new, |as_found| format!(
                    ", as found {:.3}",
                    as_found.median
                )),
        );
        Self {
            name: name.to_owned(),
            ratio: ratio.to_owned(),
            measured,
            disturbed,
            as_found,
            bound,
            met,
        }
    }
}

/// One contender's figure: a point of a plot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// What was measured; the points of one plot have this in common.
    pub group: String,
    pub contender: String,
    /// What is varied within the group, and its value.
    pub parameter: String,
    pub at: f64,
    pub unit: String,
    pub value: Spread,
}

impl Measurement {
    pub fn print(&self) {
        println!(
            "  {} | {} {} | {}: {:.1} {} [{:.1} to {:.1}]",
            self.group,
            self.parameter,
            self.at,
            self.contender,
            self.value.median,
            self.unit,
            self.value.lower_quartile,
            self.value.upper_quartile,
        );
    }
}

/// All that one run of a suite found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    pub suite: String,
    /// Whether this was the full version.
    pub full: bool,
    pub environment: Environment,
    /// Which share of their time the threads waited for a core, although there
    /// were enough: if it is more than a few percent, others were at work and
    /// the figures are not to be trusted.
    pub waited_for_a_core: Option<f64>,
    /// Nanoseconds that a cache line took from one core to another and back,
    /// measured once in each round.
    pub round_trip_ns: Option<Spread>,
    /// In which share of the turns some thread shared its core with another one, at the
    /// first try.
    pub disturbed_at_first: Option<f64>,
    pub bars: Vec<Bar>,
    pub measurements: Vec<Measurement>,
}

impl Results {
    pub fn new(suite: &str, full: bool) -> Self {
        Self {
            suite: suite.to_owned(),
            full,
            environment: Environment::current(),
            waited_for_a_core: None,
            round_trip_ns: None,
            disturbed_at_first: None,
            bars: Vec::new(),
            measurements: Vec::new(),
        }
    }

    pub fn bar(&mut self, name: &str, ratio: &str, compared: impl Into<Ratio>, bound: Bound) {
        self.bars
            .push(Bar::new(name, ratio, compared.into(), bound));
    }

    pub fn measurement(&mut self, measurement: Measurement) {
        measurement.print();
        self.measurements.push(measurement);
    }

    /// Writes `<suite>.json` into a directory, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If that cannot be written.
    pub fn write(&mut self, directory: &Path) -> io::Result<()> {
        self.waited_for_a_core = waited_for_a_core();
        if let Some(share) = self.waited_for_a_core {
            println!(
                "{}: waited for a core {:.1} % of the time",
                self.suite,
                100.0 * share
            );
        }
        self.round_trip_ns = round_trips();
        if let Some(round_trip) = &self.round_trip_ns {
            println!(
                "{}: a cache line took {:.0} ns [{:.0} to {:.0}] from core to core and back",
                self.suite, round_trip.median, round_trip.lower_quartile, round_trip.upper_quartile
            );
        }
        self.disturbed_at_first = disturbed_at_first();
        if let Some(share) = self.disturbed_at_first {
            println!(
                "{}: {:.0} % of the turns were disturbed at the first try",
                self.suite,
                100.0 * share
            );
        }
        fs::create_dir_all(directory)?;
        let path = directory.join(format!("{}.json", self.suite));
        fs::write(&path, serde_json::to_string_pretty(&self)?)?;
        println!("wrote {}", path.display());
        Ok(())
    }

    /// # Errors
    ///
    /// If the file cannot be read or has another form.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
    }
}
