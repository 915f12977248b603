//! What the figures depend on beside the code.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Serialize};

const LOCK: &str = include_str!("../../Cargo.lock");
/// The packages whose versions are worth noting, `arc-swap` for a former state of this library.
const PACKAGES: [&str; 13] = [
    "arc-swap",
    "attuned-core",
    "attuned-store",
    "crossbeam-queue",
    "dashmap",
    "hashbrown",
    "papaya",
    "parking_lot",
    "scc",
    "sdd",
    "seize",
    "smol_str",
    "tracing",
];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environment {
    pub processor: String,
    /// Hardware threads that this process may use.
    pub cores: usize,
    pub kernel: String,
    pub rustc: String,
    pub target: String,
    pub allocator: String,
    pub hasher: String,
    /// All versions of each package that are in the lock file.
    pub packages: BTreeMap<String, Vec<String>>,
    pub date: String,
    pub command: String,
    pub commit: String,
}

impl Environment {
    pub fn current() -> Self {
        Self {
            processor: processor(),
            cores: thread::available_parallelism().map_or(0, usize::from),
            kernel: output("uname", &["-sr"]),
            rustc: env!("BENCH_RUSTC").to_owned(),
            target: env!("BENCH_TARGET").to_owned(),
            allocator: "the system's".to_owned(),
            hasher: "foldhash (attuned-store 1.0.1: SipHash-1-3)".to_owned(),
            packages: packages(LOCK),
            date: output("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
            command: command(),
            commit: output("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
        }
    }
}

/// The program by its name: its path is of this machine only.
fn command() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    std::iter::once(program)
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(':'))
        .map_or_else(
            || "unknown".to_owned(),
            |(_, model)| model.trim().to_owned(),
        )
}

fn output(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// Those of a lock file that are worth noting.
pub fn packages(lock: &str) -> BTreeMap<String, Vec<String>> {
    let mut packages: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(value) = quoted(line, "name") {
            name = value;
        } else if let Some(version) = quoted(line, "version")
            && PACKAGES.contains(&name)
        {
            packages
                .entry(name.to_owned())
                .or_default()
                .push(version.to_owned());
        }
    }
    packages
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?
        .strip_prefix(" = \"")?
        .strip_suffix('"')
}
