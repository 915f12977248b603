//! Counting instructions with callgrind.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// What callgrind looks for: counting is on while this function runs, and the
/// counters are written and reset when it returns.
const COUNTED: &str = "attuned_store_benches::instructions::counted";
/// The same, spelled otherwise: of two options with the same pattern callgrind
/// heeds one.
const COUNTED_TOO: &str = "*::instructions::counted";

/// Calls `operation` this many times, counted if the process runs in callgrind.
#[inline(never)]
pub fn counted(iterations: usize, operation: &mut dyn FnMut(usize)) {
    for iteration in 0..iterations {
        operation(iteration);
    }
}

/// Runs a program in callgrind; the instructions of each call of [`counted`],
/// in the order of the calls.
///
/// # Errors
///
/// If valgrind cannot be run, the program fails, or something else than a
/// profile comes out.
pub fn count(program: &Path, arguments: &[&str], scratch: &Path) -> io::Result<Vec<u64>> {
    if scratch.exists() {
        fs::remove_dir_all(scratch)?;
    }
    fs::create_dir_all(scratch)?;
    let profile = scratch.join("profile");
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg("--collect-atstart=no")
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--dump-after={COUNTED_TOO}"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("valgrind: {error}")))?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("valgrind failed:\n{messages}")));
    }
    let mut counts = Vec::new();
    loop {
        let part = scratch.join(format!("profile.{}", counts.len() + 1));
        if !part.exists() {
            break;
        }
        counts.push(total(&fs::read_to_string(part)?)?);
    }
    // A last part, which is empty, is written when the program ends.
    Ok(counts)
}

fn total(profile: &str) -> io::Result<u64> {
    profile
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .and_then(|total| total.trim().parse().ok())
        .ok_or_else(|| io::Error::other("a callgrind profile without a total"))
}
