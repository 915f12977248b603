//! The figures as a picture: reads a second over time, and how many reads took how long.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::done::{Done, share_above};
use crate::format::{nanoseconds, percent, short};
use crate::load::Course;
use crate::names::name;
use crate::pair::{Pair, Which};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 640.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 830.0;

/// Where the upper picture begins and ends, and the lower one.
const RATES: (f64, f64) = (60.0, 280.0);
const TAIL: (f64, f64) = (370.0, 590.0);

/// From 10 ns to 10 s, and from all reads to one in a million.
const LATENCY_DECADES: (i32, i32) = (1, 10);
const SHARE_DECADES: i32 = 6;
const POINTS_PER_DECADE: i32 = 20;

const SIDES: [Which; 2] = [Which::Attuned, Which::DashMap];

pub fn svg(courses: &[Course]) -> String {
    let mut svg = Svg::new();
    svg.legend();
    svg.rates(courses);
    svg.tail(&Pair::by(|which| all_reads(courses, which)));
    svg.end()
}

fn all_reads(courses: &[Course], which: Which) -> Histogram<u64> {
    let mut all = Done::nothing().with;
    for course in courses {
        all += &course.done.get(which).with;
    }
    all
}

fn colour(which: Which) -> &'static str {
    match which {
        Which::Attuned => "#0b7285",
        Which::DashMap => "#d9480f",
    }
}

/// Where the text of a label ends up, seen from its point.
enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing that grows.
struct Svg(String);

impl Svg {
    fn new() -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        ))
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").expect("a string takes everything");
    }

    /// `text` is the program's own: it has nothing to escape.
    fn label(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.push(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#333\">{text}</text>"
        ));
    }

    fn grid(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.push(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#ddd\"/>"
        ));
    }

    fn curve(&mut self, which: Which, points: &[(f64, f64)]) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        self.push(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
            points.join(" "),
            colour(which),
        ));
    }

    fn legend(&mut self) {
        for (which, x) in SIDES.into_iter().zip([600.0, 740.0]) {
            self.curve(which, &[(x, 20.0), (x + 24.0, 20.0)]);
            self.label(x + 30.0, 24.0, Anchor::Start, name(which));
        }
    }

    /// One step a turn, phases side by side, each on a scale of its own.
    fn rates(&mut self, courses: &[Course]) {
        let (top, bottom) = RATES;
        let title = "Reads a second, turn by turn, of the most in each phase";
        self.label(LEFT, top - 36.0, Anchor::Start, title);
        let y_of = |share: f64| bottom - (bottom - top) * share;
        for quarter in 0..=4 {
            let share = f64::from(quarter) / 4.0;
            self.grid((LEFT, y_of(share)), (RIGHT, y_of(share)));
            let text = format!("{:.0} %", 100.0 * share);
            self.label(LEFT - 8.0, y_of(share) + 4.0, Anchor::End, &text);
        }
        let turns: usize = courses
            .iter()
            .map(|course| course.rates.attuned.len())
            .sum();
        let x_of = |turn: usize| LEFT + (RIGHT - LEFT) * turn as f64 / turns.max(1) as f64;
        let mut first = 0;
        for course in courses {
            let peak = course.peak();
            let last = first + course.rates.attuned.len();
            self.grid((x_of(first), top - 20.0), (x_of(first), bottom + 24.0));
            let middle = (x_of(first) + x_of(last)) / 2.0;
            self.label(middle, top - 8.0, Anchor::Middle, course.phase.name);
            let text = format!("{}/s", short(peak));
            self.label(middle, bottom + 18.0, Anchor::Middle, &text);
            for which in SIDES {
                let steps = (first..).zip(course.rates.get(which));
                let points: Vec<(f64, f64)> = steps
                    .map(|(turn, rate)| (turn, y_of(rate / peak)))
                    .flat_map(|(turn, y)| [(x_of(turn), y), (x_of(turn + 1), y)])
                    .collect();
                self.curve(which, &points);
            }
            first = last;
        }
    }

    /// Which share of the reads took longer, both on a scale of powers of ten.
    fn tail(&mut self, with: &Pair<Histogram<u64>>) {
        let (top, bottom) = TAIL;
        let title = "Share of reads (with, all phases together) that took longer than …";
        self.label(LEFT, top - 20.0, Anchor::Start, title);
        let y_of = |share: f64| {
            let decades = -share.log10() / f64::from(SHARE_DECADES);
            top + (bottom - top) * decades.clamp(0.0, 1.0)
        };
        let (first, last) = LATENCY_DECADES;
        let x_of = |nanos: f64| {
            let decades = (nanos.log10() - f64::from(first)) / f64::from(last - first);
            LEFT + (RIGHT - LEFT) * decades
        };
        for decade in 0..=SHARE_DECADES {
            let share = 10_f64.powi(-decade);
            self.grid((LEFT, y_of(share)), (RIGHT, y_of(share)));
            self.label(LEFT - 8.0, y_of(share) + 4.0, Anchor::End, &percent(share));
        }
        for decade in first..=last {
            let nanos = 10_f64.powi(decade);
            self.grid((x_of(nanos), top), (x_of(nanos), bottom));
            let text = nanoseconds(nanos as u64);
            self.label(x_of(nanos), bottom + 18.0, Anchor::Middle, &text);
        }
        for which in SIDES {
            let latencies = with.get(which);
            let points: Vec<(f64, f64)> = (first * POINTS_PER_DECADE..=last * POINTS_PER_DECADE)
                .map(|step| 10_f64.powf(f64::from(step) / f64::from(POINTS_PER_DECADE)))
                .map(|nanos| (nanos, share_above(latencies, nanos as u64)))
                // Nothing to show where no read took longer.
                .take_while(|&(_, share)| share > 0.0)
                .map(|(nanos, share)| (x_of(nanos), y_of(share)))
                .collect();
            self.curve(which, &points);
        }
    }
}
