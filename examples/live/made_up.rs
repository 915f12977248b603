//! Events that are made up.

use attuned_store::StateSnapshot;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::input::parse;

/// When the first one is said to have been.
pub const EPOCH_UNIX_MS: i64 = 1_700_000_000_000;

/// Makes events up: the same ones in every run, for each seed.
pub struct MadeUp {
    random: SmallRng,
    updated_at_unix_ms: i64,
}

impl MadeUp {
    /// One every millisecond from `first_unix_ms`.
    pub fn new(seed: u64, first_unix_ms: i64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
            updated_at_unix_ms: first_unix_ms,
        }
    }

    /// The next event, for this user. Goes through JSON as any other does.
    pub fn event(&mut self, user_id: &str) -> StateSnapshot {
        let json = self.json(user_id);
        self.updated_at_unix_ms += 1;
        parse(json.as_bytes()).expect("a made-up event follows the wire format")
    }

    fn json(&mut self, user_id: &str) -> String {
        let updated_at = self.updated_at_unix_ms;
        let mut thousandths = || self.random.random_range(0..1000);
        format!(
            r#"{{"user_id":"{user_id}","updated_at_unix_ms":{updated_at},"source":"inferred","confidence":0.{:03},"axes":{{"directness_preference":0.{:03},"formality":0.{:03},"tolerance_for_complexity":0.{:03},"urgency_sensitivity":0.{:03},"verbosity_preference":0.{:03}}}}}"#,
            thousandths(),
            thousandths(),
            thousandths(),
            thousandths(),
            thousandths(),
            thousandths(),
        )
    }
}
