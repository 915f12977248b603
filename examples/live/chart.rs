//! Pictures made of characters.

use hdrhistogram::Histogram;

use crate::done::share_above;
use crate::format::{NONE, nanoseconds, percent};
use crate::load::Course;
use crate::names::name;
use crate::pair::{Pair, Which};
use crate::screen::Style;

/// How wide the columns over time may be, all together.
const COLUMNS: usize = 60;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How long reads take longer than, in nanoseconds.
const THRESHOLDS: [u64; 11] = [
    100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000,
];
/// What a bar shows begins at a share of one in a million.
const DECADES: f64 = 6.0;
const CELLS_PER_DECADE: f64 = 3.0;

/// Reads a second over time, a column a turn, phases side by side.
pub fn over_time(courses: &[&Course], style: Style) -> Vec<String> {
    let turns = |course: &&Course| course.rates.attuned.len();
    let turns: usize = courses.iter().map(turns).sum();
    let merged = turns.div_ceil(COLUMNS).max(1);
    let mut numbers = String::new();
    let mut bars = Pair::<String>::default();
    for (number, course) in (1..).zip(courses) {
        // Some phases are ten times as fast as others.
        let peak = course.peak();
        for which in [Which::Attuned, Which::DashMap] {
            let means = means(course.rates.get(which), merged);
            let levels = means.into_iter().map(|rate| level(rate, peak));
            bars.get_mut(which).extend(levels);
        }
        let width = course.rates.attuned.len().div_ceil(merged);
        numbers.push_str(&format!("{number:<width$}"));
    }
    let row = |which| {
        let bars = style.of(which, bars.get(which));
        format!("  {:<14} {bars}", name(which))
    };
    vec![
        "  reads/s, turn by turn, each phase on a scale of its own".to_owned(),
        row(Which::Attuned),
        row(Which::DashMap),
        format!("  {:<14} {}", "phase", numbers.trim_end()),
    ]
}

/// How many reads took longer than some times.
pub fn tail(with: Pair<&Histogram<u64>>, style: Style) -> Vec<String> {
    let width = (DECADES * CELLS_PER_DECADE) as usize + 1;
    let mut lines = vec![
        "  with took longer than … (three cells more: ten times as many)".to_owned(),
        format!(
            "  {:>8}  {:<28} {}",
            "",
            name(Which::Attuned),
            name(Which::DashMap)
        ),
    ];
    for threshold in THRESHOLDS {
        let cell = |which| {
            let share = share_above(with.get(which), threshold);
            let bar = style.of(which, format!("{:<width$}", bar(share)));
            format!("{bar}{:>8}", percent(share))
        };
        let [attuned, dashmap] = [cell(Which::Attuned), cell(Which::DashMap)];
        let threshold = nanoseconds(threshold);
        lines.push(format!("  {threshold:>8}  {attuned}  {dashmap}"));
    }
    lines
}

fn means(rates: &[f64], of: usize) -> Vec<f64> {
    rates
        .chunks(of)
        .map(|some| some.iter().sum::<f64>() / some.len() as f64)
        .collect()
}

fn level(rate: f64, peak: f64) -> char {
    let level = (rate / peak * LEVELS.len() as f64).ceil() as usize;
    LEVELS[level.clamp(1, LEVELS.len()) - 1]
}

fn bar(share: f64) -> String {
    if share <= 0.0 {
        return NONE.to_owned();
    }
    let cells = (DECADES + share.log10()) * CELLS_PER_DECADE;
    "█".repeat((cells.ceil() as usize).max(1))
}
