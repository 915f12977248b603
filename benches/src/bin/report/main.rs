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

const SUITES: [&str; 5] = ["contention", "tail", "memory", "instructions", "scale"];

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

    let measurements: Vec<&Measurement> = suites
        .iter()
        .flat_map(|suite| &suite.measurements)
        .collect();
    for (file, curves) in curves() {
        plot::lines(&arguments.to.join(file), &curves, &measurements)?;
    }
    for (file, title, group) in BARS {
        plot::bars(&arguments.to.join(file), title, group, &measurements)?;
    }
    println!("wrote {}", arguments.to.display());
    Ok(())
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
                "ns a read",
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
