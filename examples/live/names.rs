//! What the two sides are called.

use std::sync::OnceLock;

use crate::pair::{Pair, Which};

pub struct Names {
    /// Of the run.
    pub heading: &'static str,
    /// Alone.
    pub long: Pair<&'static str>,
    /// Above a narrow column.
    pub short: Pair<&'static str>,
    /// In a sentence.
    pub spoken: Pair<&'static str>,
}

const WITH_DASHMAP: Names = Names {
    heading: "attuned-store beside a DashMap",
    long: Pair {
        attuned: "attuned-store",
        dashmap: "DashMap",
    },
    short: Pair {
        attuned: "attuned",
        dashmap: "DashMap",
    },
    spoken: Pair {
        attuned: "attuned-store",
        dashmap: "the DashMap",
    },
};

#[cfg(feature = "jetstream")]
const WITH_LOG: Names = Names {
    heading: "attuned-store on a log beside one in memory",
    long: Pair {
        attuned: "JetStreamStore",
        dashmap: "MemoryStore",
    },
    short: Pair {
        attuned: "log",
        dashmap: "memory",
    },
    spoken: Pair {
        attuned: "the store on a log",
        dashmap: "the store in memory",
    },
};

/// Said once, before anything is shown, if it is not a store in memory beside a DashMap.
static NAMES: OnceLock<Names> = OnceLock::new();

#[cfg(feature = "jetstream")]
pub fn with_log() {
    NAMES.get_or_init(|| WITH_LOG);
}

pub fn names() -> &'static Names {
    NAMES.get_or_init(|| WITH_DASHMAP)
}

pub fn name(which: Which) -> &'static str {
    names().long.get(which)
}
