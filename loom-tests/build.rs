//! Turns the primitives of `src/sync.rs` into their loom-visible stand-ins.
//!
//! The cfg is the crate's own, not the customary `loom`: that one, set through
//! RUSTFLAGS, would reach every dependency that uses the same name.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(attuned_loom)");
    // Features of the crate that the models do without.
    println!(
        "cargo::rustc-check-cfg=cfg(feature, values(\"attuned\", \"checkpoint\", \"conformance\", \"metrics\", \"sweep\"))"
    );
    println!("cargo::rustc-cfg=attuned_loom");
}
