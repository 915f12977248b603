//! Turns the primitives of `src/sync.rs` into their loom-visible stand-ins.
//!
//! The cfg is the crate's own, not the customary `loom`: that one, set through
//! RUSTFLAGS, would reach every dependency that uses the same name.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(attuned_loom)");
    // Features of the crate that the models do without.
    let others = r#""attuned", "checkpoint", "conformance", "jetstream", "metrics", "sweep""#;
    println!("cargo::rustc-check-cfg=cfg(feature, values({others}))");
    println!("cargo::rustc-cfg=attuned_loom");
}
