//! What a restored store is made of, without reading anything: places in a map, and memory.

use std::convert::Infallible;
use std::thread;

use foldhash::fast::RandomState;
use papaya::HashMap;
use smol_str::SmolStr;

/// A user as large as one of a store: what is beside the id, and the newest version.
pub type User = ([u64; 12], Option<Box<Version>>);

pub struct Version {
    _before: Option<Box<Self>>,
    _content: [u64; 10],
}

/// A map of so many users with so many versions each, filled by a thread for each core.
pub fn filled(
    ids: &[SmolStr],
    versions: usize,
) -> Result<HashMap<SmolStr, User, RandomState>, Infallible> {
    let map = HashMap::with_capacity_and_hasher(ids.len(), RandomState::default());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for ids in ids.chunks(ids.len().div_ceil(cores).max(1)) {
            let map = &map;
            scope.spawn(move || {
                let pinned = map.pin();
                for id in ids {
                    pinned.insert(id.clone(), user(versions));
                }
            });
        }
    });
    Ok(map)
}

fn user(versions: usize) -> User {
    let version = |before, number: usize| {
        Some(Box::new(Version {
            _before: before,
            _content: [number as u64; 10],
        }))
    };
    ([1; 12], (0..versions).fold(None, version))
}
