//! What all the test binaries need.
#![allow(dead_code, reason = "not each of them needs all of it")]

use attuned_store::{State, StateSnapshot, StateSnapshotBuilder};

/// A state that its time tells from others.
pub fn state(at: i64) -> State {
    let state = State::builder().updated_at(at).axis("warmth", 0.25);
    state.build_state().unwrap()
}

/// A snapshot that its time tells from the others of its user.
pub fn snapshot(user_id: &str, at: i64) -> StateSnapshot {
    state(at).into_snapshot(user_id).unwrap()
}

/// Starts a copy that keeps the time, too.
pub fn copy(state: &State) -> StateSnapshotBuilder {
    state.to_builder().updated_at(state.updated_at_unix_ms())
}

/// The same, so large that it has no room beside its user in the map: it is read where
/// it was written, under a guard.
#[allow(dead_code, reason = "not all tests need it")]
pub fn large(snapshot: &StateSnapshot) -> StateSnapshot {
    let name = "a_name_that_alone_takes_more_than_forty_bytes";
    let large = copy(snapshot.state()).axis(name, 0.5);
    large.user_id(snapshot.user_id()).build().unwrap()
}
