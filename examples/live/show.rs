//! What is shown while it runs: the screen on a terminal, else a line now and then.

use std::time::Duration;

use crate::Result;
use crate::done::Done;
use crate::format::{grouped, quantile, short};
use crate::frame::Frame;
use crate::load::Course;
use crate::names::names;
use crate::pair::{Pair, Which};
use crate::phases::Phase;
use crate::screen::Screen;

/// How often there is a line.
const LINE_EVERY: Duration = Duration::from_secs(1);

pub struct Show<'a> {
    screen: &'a mut Screen,
    phases: &'a [Phase],
    elapsed: Duration,
    of: Duration,
    since_line: Pair<Done>,
}

impl<'a> Show<'a> {
    pub fn new(screen: &'a mut Screen, phases: &'a [Phase], of: Duration) -> Result<Self> {
        screen.line("")?;
        if !screen.redraws() {
            let Pair { attuned, dashmap } = names().short;
            screen.heading(format_args!(
                "{:>31} {:>17} {:>27}",
                "reads/s", "with p99.9", "users"
            ))?;
            screen.heading(format_args!(
                "{:>6}  {:<12} {:>7} {:>7}  {:>7} {:>7}  {:>11} {:>11}",
                "time", "phase", attuned, dashmap, attuned, dashmap, attuned, dashmap,
            ))?;
        }
        Ok(Self {
            screen,
            phases,
            elapsed: Duration::ZERO,
            of,
            since_line: Pair::of(Done::nothing),
        })
    }

    /// One side has worked for a turn, in a phase that has come so far after others.
    pub fn after_turn(
        &mut self,
        over: &[Course],
        now: &Course,
        which: Which,
        done: &Done,
    ) -> Result<()> {
        self.elapsed += done.took;
        if self.screen.redraws() {
            let frame = Frame {
                elapsed: self.elapsed,
                of: self.of,
                phases: self.phases,
                over,
                now,
            };
            let lines = frame.lines(self.screen.style());
            return Ok(self.screen.redraw(&lines)?);
        }
        self.since_line.get_mut(which).add(done);
        let [attuned, dashmap] = self.since_line.both();
        if attuned.took + dashmap.took >= LINE_EVERY {
            self.show_line(now)?;
        }
        Ok(())
    }

    pub fn after_phase(&mut self, course: &Course) -> Result<()> {
        let [attuned, dashmap] = self.since_line.both();
        if attuned.took + dashmap.took > Duration::ZERO {
            self.show_line(course)?;
        }
        Ok(())
    }

    fn show_line(&mut self, course: &Course) -> Result<()> {
        let done = std::mem::replace(&mut self.since_line, Pair::of(Done::nothing));
        let rates = done.map(|done| short(done.reads_per_second()));
        let latencies = done.map(|done| quantile(&done.with, 0.999));
        let users = course.users.map(|&users| grouped(users as u64));
        let line = format!(
            "{:>6}  {:<12} {:>7} {:>7}  {:>7} {:>7}  {:>11} {:>11}",
            format!("{:.1} s", self.elapsed.as_secs_f64()),
            course.phase.name,
            rates.attuned,
            rates.dashmap,
            latencies.attuned,
            latencies.dashmap,
            users.attuned,
            users.dashmap,
        );
        Ok(self.screen.line(line)?)
    }

    pub fn end(self) -> Result<()> {
        Ok(self.screen.clear()?)
    }
}
