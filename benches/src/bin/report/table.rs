//! The table of the bars, and what they were measured on.

use std::fmt::Write as _;

use attuned_store_benches::results::{Bar, Bound, Results};

pub fn markdown(suites: &[Results]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_tables(&mut text, suites);
    text
}

fn write_tables(text: &mut String, suites: &[Results]) -> std::fmt::Result {
    for suite in suites {
        let environment = &suite.environment;
        let length = if suite.full { "full" } else { "short" };
        writeln!(text, "## {} ({length})\n", suite.suite)?;
        writeln!(
            text,
            "{}, {} cores; {}; {}; commit {}; {}.",
            environment.processor,
            environment.cores,
            environment.kernel,
            environment.rustc,
            environment.commit,
            environment.date,
        )?;
        if let Some(share) = suite.waited_for_a_core {
            writeln!(
                text,
                "The threads waited for a core {:.1} % of the time.",
                100.0 * share
            )?;
        }
        if let Some(round_trip) = &suite.round_trip_ns {
            writeln!(
                text,
                "A cache line took {:.0} ns from one core to the other and back (quartiles {:.0} and {:.0}).",
                round_trip.median, round_trip.lower_quartile, round_trip.upper_quartile
            )?;
        }
        if let Some(share) = suite.disturbed_at_first {
            writeln!(
                text,
                "In {:.0} % of the turns some thread shared its core at the first try.",
                100.0 * share
            )?;
        }
        writeln!(text)?;
        if suite.bars.is_empty() {
            writeln!(text, "No bars; see `results.json`.\n")?;
            continue;
        }
        writeln!(
            text,
            "| what | ratio | median | quartiles | from – to | rounds | as found | bar | |"
        )?;
        writeln!(text, "|---|---|--:|--:|--:|--:|--:|--:|---|")?;
        for bar in &suite.bars {
            row(text, bar)?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn row(text: &mut String, bar: &Bar) -> std::fmt::Result {
    let spread = &bar.measured;
    let bound = match bar.bound {
        Bound::AtLeast(bound) => format!("≥ {bound}"),
        Bound::AtMost(bound) => format!("≤ {bound}"),
        Bound::None => String::new(),
    };
    let verdict = match bar.met {
        Some(true) => "pass",
        Some(false) => "**miss**",
        None => "",
    };
    let disturbed = if bar.disturbed { ", disturbed" } else { "" };
    let as_found = match &bar.as_found {
        Some(as_found) => format!("{:.3}", as_found.median),
        None => String::new(),
    };
    writeln!(
        text,
        "| {} | {} | {:.3} | {:.3} – {:.3} | {:.3} – {:.3} | {}{disturbed} | {as_found} | {bound} | {verdict} |",
        bar.name,
        bar.ratio,
        spread.median,
        spread.lower_quartile,
        spread.upper_quartile,
        spread.min,
        spread.max,
        spread.rounds,
    )
}
