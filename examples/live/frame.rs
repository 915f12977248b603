//! The screen while it runs.

use std::time::Duration;

use crate::chart::over_time;
use crate::done::Done;
use crate::format::{self, NONE, QUANTILES, grouped, quantile};
use crate::load::Course;
use crate::names::name;
use crate::pair::Pair;
use crate::phases::Phase;
use crate::screen::{Style, WIDTH};

/// What goes into the screen.
pub struct Frame<'a> {
    pub elapsed: Duration,
    pub of: Duration,
    pub phases: &'a [Phase],
    pub over: &'a [Course],
    pub now: &'a Course,
}

impl Frame<'_> {
    pub fn lines(&self, style: Style) -> Vec<String> {
        let mut lines = self.head(style);
        lines.push(String::new());
        lines.extend(table(self.now, style));
        lines.push(String::new());
        let courses: Vec<&Course> = self.over.iter().chain([self.now]).collect();
        lines.extend(over_time(&courses, style));
        lines
    }

    fn head(&self, style: Style) -> Vec<String> {
        let (elapsed, of) = (self.elapsed.as_secs_f64(), self.of.as_secs());
        let time = format!("{elapsed:.1} of {of} s");
        let room = WIDTH - time.len();
        let description = format!("  {}", self.now.phase.description());
        // What is asked for can be more than fits.
        let description = format!("{description:<room$.room$}{time}");
        vec![self.names(style), description]
    }

    /// Of all phases; that of this one stands out.
    fn names(&self, style: Style) -> String {
        let name = |(index, phase): (usize, &Phase)| {
            let name = format!("{} {}", index + 1, phase.name);
            if index == self.over.len() {
                style.bold(format!("[{name}]"))
            } else {
                name
            }
        };
        let names: Vec<String> = self.phases.iter().enumerate().map(name).collect();
        names.join("  ")
    }
}

fn table(course: &Course, style: Style) -> Vec<String> {
    let done = &course.done;
    let latest = Pair {
        attuned: course.rates.attuned.last().copied().unwrap_or(0.0),
        dashmap: course.rates.dashmap.last().copied().unwrap_or(0.0),
    };
    let mut lines = vec![
        style.bold(row("", &Pair::by(|which| name(which).to_owned()), "ratio")),
        rate_row("reads/s, last turn", latest),
        rate_row("reads/s, this phase", done.map(Done::reads_per_second)),
        rate_row("writes/s, this phase", done.map(Done::writes_per_second)),
    ];
    for (name, at) in QUANTILES {
        let latency = done.map(|done| done.with.value_at_quantile(at) as f64);
        let shown = done.map(|done| quantile(&done.with, at));
        let ratio = format::ratio(latency.ratio());
        lines.push(row(&format!("with, {name}"), &shown, &ratio));
    }
    let users = course.users.map(|&users| grouped(users as u64));
    let history = course.history.map(|&length| grouped(length as u64));
    lines.push(row("users", &users, ""));
    lines.push(row("history, busiest user", &history, ""));
    lines
}

fn rate_row(name: &str, rates: Pair<f64>) -> String {
    let shown = rates.map(|&rate| match rate {
        ..1.0 => NONE.to_owned(),
        _ => grouped(rate as u64),
    });
    row(name, &shown, &format::ratio(rates.ratio()))
}

fn row(name: &str, cells: &Pair<String>, ratio: &str) -> String {
    let [attuned, dashmap] = cells.both();
    let row = format!("  {name:<22} {attuned:>16} {dashmap:>16} {ratio:>10}");
    row.trim_end().to_owned()
}
