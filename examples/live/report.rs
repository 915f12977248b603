//! What is shown: a line a second, and a summary.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::{Done, HISTORY_LIMIT, HISTORY_PERCENT, READS_PER_SAMPLE, clock_cost_nanos};

const BAR_WIDTH: u64 = 40;

/// Standard output: plain, or with some style if it is a terminal.
///
/// Errors are returned, not unwrapped as by `println!`: a reader that goes away,
/// as `head` does, is nothing to panic about.
pub struct Screen {
    out: io::Stdout,
    styled: bool,
}

impl Screen {
    pub fn new() -> Self {
        let out = io::stdout();
        let styled = out.is_terminal()
            && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { out, styled }
    }

    pub fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    pub fn heading(&mut self, line: impl Display) -> io::Result<()> {
        if self.styled {
            writeln!(self.out, "\x1b[1m{line}\x1b[0m")
        } else {
            self.line(line)
        }
    }

    /// Shows how far things are, on a terminal, until [`Self::clear_progress`].
    pub fn progress(&mut self, done: u64, of: u64) -> io::Result<()> {
        if !self.styled {
            return Ok(());
        }
        let filled = (BAR_WIDTH * done / of) as usize;
        let rest = BAR_WIDTH as usize - filled;
        write!(
            self.out,
            " {}\x1b[2m{}\x1b[0m {done} of {of} s",
            "━".repeat(filled),
            "─".repeat(rest),
        )?;
        self.out.flush()
    }

    pub fn clear_progress(&mut self) -> io::Result<()> {
        if self.styled {
            write!(self.out, "\r\x1b[2K")?;
        }
        Ok(())
    }
}

pub fn table_head() -> String {
    format!(
        "{:>6} {:>11} {:>12} {:>10} {:>10} {:>9} {:>9}",
        "time", "users", "reads/s", "writes/s", "read p50", "p99", "p99.9",
    )
}

/// What was done in one second.
pub fn table_row(second: u64, users: usize, done: &Done) -> String {
    let reads = done.latencies.reads();
    format!(
        "{:>6} {:>11} {:>12} {:>10} {:>10} {:>9} {:>9}",
        format!("{second} s"),
        grouped(users as u64),
        per_second(done.reads, done.took),
        per_second(done.writes, done.took),
        quantile(&reads, 0.5),
        quantile(&reads, 0.99),
        quantile(&reads, 0.999),
    )
}

/// What was done in all, in lines.
pub fn summary(done: &Done) -> String {
    let mix = format!(
        "{} % with_latest, {HISTORY_PERCENT} % history({HISTORY_LIMIT})",
        100 - HISTORY_PERCENT,
    );
    let operations = (done.reads + done.writes).max(1);
    let share = format!(
        "{:.1} % of all operations",
        100.0 * done.writes as f64 / operations as f64,
    );
    let latencies = &done.latencies;
    [
        total_row("reads", done.reads, done.took, &mix),
        total_row("writes", done.writes, done.took, &share),
        String::new(),
        row_of_five(["latency", "p50", "p99", "p99.9", "max"]),
        latency_row("reads", &latencies.reads()),
        latency_row("  with_latest", &latencies.latest),
        latency_row(&format!("  history({HISTORY_LIMIT})"), &latencies.history),
        latency_row("writes (upsert)", &latencies.upsert),
        format!("  One read in {READS_PER_SAMPLE} was timed, and every write, without parsing its event."),
        format!("  The clock itself takes some {} ns of each.", clock_cost_nanos()),
    ]
    .join("\n")
}

fn total_row(name: &str, count: u64, took: Duration, note: &str) -> String {
    let rate = per_second(count, took);
    format!("  {name:<8} {:>15} {rate:>12}/s   {note}", grouped(count))
}

fn latency_row(name: &str, latencies: &Histogram<u64>) -> String {
    let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(|at| quantile(latencies, at));
    row_of_five([name, &p50, &p99, &p999, &max])
}

fn row_of_five([name, p50, p99, p999, max]: [&str; 5]) -> String {
    format!("  {name:<16} {p50:>9} {p99:>9} {p999:>9} {max:>9}")
}

fn quantile(latencies: &Histogram<u64>, quantile: f64) -> String {
    if latencies.is_empty() {
        return "-".to_owned();
    }
    nanoseconds(latencies.value_at_quantile(quantile))
}

/// Three digits and a unit, from `87 ns` to `1.25 s`.
fn nanoseconds(nanos: u64) -> String {
    let (value, unit) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        _ => (nanos as f64 / 1e9, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

fn per_second(count: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds == 0.0 {
        return "-".to_owned();
    }
    grouped((count as f64 / seconds) as u64)
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count and what is counted: `1 reader`, `2 readers`.
pub fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}
