//! What all the test binaries need.

use attuned_store::StateSnapshot;

/// A snapshot that its time tells from the others of its user.
pub fn snapshot(user_id: &str, at: i64) -> StateSnapshot {
    StateSnapshot::builder()
        .user_id(user_id)
        .updated_at(at)
        .axis("warmth", 0.25)
        .build()
        .unwrap()
}
