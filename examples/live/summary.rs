//! What all phases have shown, in the end.

use std::mem;

use hdrhistogram::Histogram;

use crate::chart::{over_time, tail};
use crate::done::{Done, clock_cost_nanos};
use crate::format::{self, QUANTILES, quantile, short};
use crate::load::Course;
use crate::names::names;
use crate::pair::Pair;
use crate::screen::{Style, WIDTH};
use crate::worker::{HISTORY_LIMIT, READS_PER_SAMPLE};

/// From this share on, what the threads waited for a core is worth a word.
const MUCH_WAITING: f64 = 0.02;
/// From this share on, two threads on two cores are seldom at work at the same moment.
const TOO_MUCH_WAITING: f64 = 0.25;

pub struct Summary<'a> {
    pub courses: &'a [Course],
    pub threads: usize,
    pub cores: usize,
}

impl Summary<'_> {
    pub fn lines(&self, style: Style) -> Vec<String> {
        let all = self.all();
        let Pair { attuned, dashmap } = names().spoken;
        let courses: Vec<&Course> = self.courses.iter().collect();
        let mut lines = vec![style.bold(format!(
            "Summary of {:.1} s with {attuned} and {:.1} s with {dashmap}",
            all.attuned.took.as_secs_f64(),
            all.dashmap.took.as_secs_f64(),
        ))];
        let waited = waited(&all);
        if waited > TOO_MUCH_WAITING {
            lines.push(style.bold(format!(
                "  Not to be relied on: the threads waited for a core {} of the time.",
                format::percent(waited),
            )));
        }
        lines.extend(self.throughput(style));
        lines.push(String::new());
        lines.extend(self.latencies("with", |done| &done.with, style));
        if all.both().iter().any(|done| done.writes > 0) {
            lines.push(String::new());
            lines.extend(self.latencies("insert", |done| &done.insert, style));
        }
        lines.push(String::new());
        lines.extend(over_time(&courses, style));
        lines.push(String::new());
        let with = Pair {
            attuned: &all.attuned.with,
            dashmap: &all.dashmap.with,
        };
        lines.extend(tail(with, style));
        lines.push(String::new());
        lines.extend(lines_of(&self.notes(&all)));
        lines
    }

    /// Of all phases together.
    fn all(&self) -> Pair<Done> {
        Pair::by(|which| {
            let mut all = Done::nothing();
            for course in self.courses {
                all.add(course.done.get(which));
            }
            all
        })
    }

    fn throughput(&self, style: Style) -> Vec<String> {
        let row = |name: &str, cells: [&str; 6]| {
            let [a, b, c, d, e, f] = cells;
            format!("  {name:<15} {a:>9} {b:>9} {c:>7}   {d:>9} {e:>9} {f:>7}")
        };
        let Pair { attuned, dashmap } = names().short;
        let names = [attuned, dashmap, "ratio", attuned, dashmap, "waited"];
        let mut lines = vec![
            format!("  {:<15} {:>27}   {:>19}", "", "reads/s", "writes/s"),
            style.bold(row("phase", names)),
        ];
        for (number, course) in (1..).zip(self.courses) {
            let reads = course.done.map(Done::reads_per_second);
            let writes = course.done.map(Done::writes_per_second);
            let cells = [
                &short(reads.attuned),
                &short(reads.dashmap),
                &format::ratio(reads.ratio()),
                &short(writes.attuned),
                &short(writes.dashmap),
                &format::percent(waited(&course.done)),
            ];
            let name = format!("{number} {}", course.phase.name);
            lines.push(row(&name, cells.map(String::as_str)));
        }
        lines
    }

    fn latencies(
        &self,
        operation: &str,
        of: impl Fn(&Done) -> &Histogram<u64>,
        style: Style,
    ) -> Vec<String> {
        let Pair { attuned, dashmap } = crate::names::names().short;
        let mut head = format!("  {operation:<13}");
        let mut names = format!("  {:<13}", "phase");
        for (quantile, _) in QUANTILES {
            head.push_str(&format!(" {quantile:>15}"));
            names.push_str(&format!(" {attuned:>7} {dashmap:>7}"));
        }
        let mut lines = vec![head, style.bold(names)];
        for (number, course) in (1..).zip(self.courses) {
            let mut line = format!("  {:<13}", format!("{number} {}", course.phase.name));
            for (_, at) in QUANTILES {
                for done in course.done.both() {
                    line.push_str(&format!(" {:>7}", quantile(of(done), at)));
                }
            }
            lines.push(line);
        }
        lines
    }

    /// What the figures are, and what they do not say.
    fn notes(&self, all: &Pair<Done>) -> String {
        let Pair { attuned, dashmap } = names().spoken;
        let mut notes = format!(
            "A ratio is that of {attuned} by that of {dashmap}, in this run: of reads a second, \
             more than 1 is better. Reads are with, those of histories history({HISTORY_LIMIT}). \
             One read in {READS_PER_SAMPLE} is timed, a with; some of the writes are timed, \
             and all of new users. The clock itself takes some {} ns of each. \
             Every thread reads and writes in turns: slower reads make fewer writes, and slower \
             writes fewer reads. \
             Waited is the share of its time in which a thread had no core, where the system \
             tells.",
            clock_cost_nanos(),
        );
        if cfg!(debug_assertions) {
            notes.push_str(
                " This build is not optimized (one with --release is): its figures say little.",
            );
        }
        if self.threads > self.cores {
            notes.push_str(" There are more threads than cores: they wait for each other.");
        }
        let waited = waited(all);
        if waited > MUCH_WAITING {
            notes.push_str(&format!(
                " The threads waited for a core {} of the time: all figures have that in them, \
                 p99.9 and max above all.",
                format::percent(waited),
            ));
        }
        if waited > TOO_MUCH_WAITING {
            notes.push_str(
                " So they seldom ran at the same moment: this run hardly shows what threads do \
                 to each other.",
            );
        }
        notes
    }
}

/// Which share of the time the threads waited for a core, on both sides together.
fn waited(done: &Pair<Done>) -> f64 {
    let mut cores = done.attuned.cores;
    cores += done.dashmap.cores;
    cores.waited_share().unwrap_or(0.0)
}

/// Breaks a text into indented lines.
fn lines_of(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::from(" ");
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(mem::replace(&mut line, String::from(" ")));
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push(line);
    lines
}
