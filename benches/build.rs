//! Hands on which compiler and target the benchmarks are built with: figures of
//! different ones do not compare.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var("RUSTC").expect("cargo sets RUSTC");
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("the compiler that builds this runs");
    let version = String::from_utf8(version.stdout).expect("a version is text");
    println!("cargo::rustc-env=BENCH_RUSTC={}", version.trim());
    println!(
        "cargo::rustc-env=BENCH_TARGET={}",
        env::var("TARGET").expect("cargo sets TARGET")
    );
}
