//! Puts together what the suites have written: one JSON file, the table of the
//! bars and the plots.

#![forbid(unsafe_code)]

mod plot;
mod table;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use attuned_store_benches::results::{Measurement, Results};
use clap::Parser;

use plot::{Curves, Scale};

const SUITES: [&str; 8] = [
    "contention",
    "threads",
    "tail",
    "memory",
    "instructions",
    "checkpoint",
    "scale",
    "before",
];

#[derive(Parser)]
struct Arguments {
    /// The directory that the suites have written to.
    #[arg(long, default_value = "target/benches")]
    from: PathBuf,

    /// The directory that the report is written to.
    #[arg(long, default_value = "target/benches/report")]
    to: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut suites = Vec::new();
    for suite in SUITES {
        let path = arguments.from.join(format!("{suite}.json"));
        if path.exists() {
            suites.push(Results::read(&path)?);
        } else {
            println!("no {}: left out", path.display());
        }
    }
    fs::create_dir_all(&arguments.to)?;
    let json = serde_json::to_string_pretty(&suites)? + "\n";
    fs::write(arguments.to.join("results.json"), json)?;
    let table = table::markdown(&suites);
    fs::write(arguments.to.join("table.md"), &table)?;
    println!("{table}");

    let measurements: Vec<Measurement> = suites.into_iter().flat_map(measurements).collect();
    let measurements: Vec<&Measurement> = measurements.iter().collect();
    for (file, curves) in curves() {
        plot::lines(&arguments.to.join(file), &curves, &measurements)?;
    }
    for (file, title, group) in BARS {
        plot::bars(&arguments.to.join(file), title, group, &measurements)?;
    }
    println!("wrote {}", arguments.to.display());
    Ok(())
}

/// A suite's, those beside a former state of this library apart from all others: they are
/// of the same groups, and from other rounds.
fn measurements(suite: Results) -> Vec<Measurement> {
    let mut measurements = suite.measurements;
    if suite.suite == "before" {
        for measurement in &mut measurements {
            measurement.group.insert_str(0, "before: ");
        }
    }
    measurements
}

const BARS: [(&str, &str, &str); 2] = [
    (
        "memory-latest.svg",
        "Memory a user: one snapshot of 5 axes, no history",
        "no history, 5 axes, filled",
    ),
    (
        "memory-history.svg",
        "Memory a user: 100 snapshots of 5 axes",
        "history of 100, 100 written, 5 axes, filled",
    ),
];

fn curves() -> Vec<(&'static str, Curves)> {
    let throughput = |title, group| Curves {
        title,
        group,
        x: "threads",
        y: "million operations a second",
        unit: 1e-6,
        scale: Scale::Linear,
    };
    let tail = |title, group| Curves {
        title,
        group,
        x: "percentile",
        y: "latency of a read, ns",
        unit: 1.0,
        scale: Scale::Logarithmic,
    };
    let threads = |title, group, scale| Curves {
        title,
        group,
        x: "other threads that have used the store and sleep",
        y: "ns an upsert",
        unit: 1.0,
        scale,
    };
    let scale = |title, group, y| Curves {
        title,
        group,
        x: "users",
        y,
        unit: 1.0,
        scale: Scale::Linear,
    };
    vec![
        (
            "throughput-hot.svg",
            throughput("4 hot users, 5 % writes", "4 hot users, 5 % writes"),
        ),
        (
            "throughput-uniform.svg",
            throughput("100,000 users, 5 % writes", "uniform, 5 % writes"),
        ),
        (
            "threads.svg",
            threads(
                "An upsert into a full history, 1,000 users",
                "upsert by other threads, 1000 users",
                Scale::Linear,
            ),
        ),
        (
            "threads-before.svg",
            threads(
                "An upsert into a full history, 1,000 users, beside before",
                "before: upsert by other threads, 1000 users",
                Scale::Logarithmic,
            ),
        ),
        (
            "tail-uniform.svg",
            tail(
                "Reads while others write, 100,000 users, 5 % writes, two thirds load",
                "uniform, 5 % writes by others, two thirds load, reads, of 0.2 ms",
            ),
        ),
        (
            "tail-hot.svg",
            tail(
                "Reads while others write, 4 hot users, 5 % writes, two thirds load",
                "4 hot users, 5 % writes by others, two thirds load, reads, of 0.2 ms",
            ),
        ),
        (
            "tail-growth.svg",
            tail(
                "Reads while users grow from none to a million",
                "growth to a million users, reads",
            ),
        ),
        (
            "scale-read.svg",
            scale(
                "A read by the number of users",
                "read by users",
                "ns per read",
            ),
        ),
        (
            "scale-upsert.svg",
            scale(
                "An upsert by the number of users, no history",
                "upsert by users",
                "ns an upsert",
            ),
        ),
    ]
}
