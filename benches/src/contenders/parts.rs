//! The parts of which this library's store consists, with nothing around them: a lookup,
//! a swap and a push that evicts. They keep less than a store
//! has to: histories cannot be read, and latest and history change one after the other.

use std::sync::Arc;

use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;
use foldhash::quality::RandomState;
use smol_str::SmolStr;

use super::{Contender, Snapshot};

pub struct Parts {
    users: papaya::HashMap<SmolStr, User, RandomState>,
    superseded: usize,
}

struct User {
    latest: ArcSwap<Counted>,
    superseded: ArrayQueue<Arc<Counted>>,
}

/// As large as a small snapshot of this library, but behind one counted pointer.
#[derive(Clone)]
pub struct PlainSnapshot(Arc<Counted>);

struct Counted {
    user_id: SmolStr,
    at: i64,
    confidence: f32,
    _axes: [u8; 60],
}

const _: () = assert!(size_of::<Counted>() == 96);

impl Snapshot for PlainSnapshot {
    fn build(user_id: &str, _axes: &[&str], at: i64) -> Self {
        Self(Arc::new(Counted {
            user_id: SmolStr::new(user_id),
            at,
            confidence: 0.75,
            _axes: [0; 60],
        }))
    }

    fn user_id(&self) -> &str {
        &self.0.user_id
    }

    fn at(&self) -> i64 {
        self.0.at
    }

    fn confidence(&self) -> f32 {
        self.0.confidence
    }
}

impl Contender for Parts {
    const NAME: &'static str = "papaya, arc-swap and ArrayQueue alone";
    const KEEPS_HISTORY: bool = false;
    type Snapshot = PlainSnapshot;

    fn new(history: Option<usize>, capacity: usize) -> Self {
        Self {
            users: super::papaya::map(capacity),
            superseded: history.unwrap_or(1).saturating_sub(1).max(1),
        }
    }

    fn upsert(&self, PlainSnapshot(snapshot): PlainSnapshot) {
        let users = self.users.pin();
        match users.get(snapshot.user_id.as_str()) {
            Some(user) => {
                let superseded = user.latest.swap(snapshot);
                drop(user.superseded.force_push(superseded));
            }
            None => {
                let user_id = snapshot.user_id.clone();
                let user = User {
                    latest: ArcSwap::new(snapshot),
                    superseded: ArrayQueue::new(self.superseded),
                };
                users.insert(user_id, user);
            }
        }
    }

    fn latest(&self, user_id: &str) -> Option<PlainSnapshot> {
        let users = self.users.pin();
        let user = users.get(user_id)?;
        Some(PlainSnapshot(user.latest.load_full()))
    }

    fn with_latest<R>(&self, user_id: &str, read: impl FnOnce(&PlainSnapshot) -> R) -> Option<R> {
        self.latest(user_id).map(|latest| read(&latest))
    }

    fn history(&self, _user_id: &str, _limit: usize) -> Vec<PlainSnapshot> {
        Vec::new()
    }

    fn remove(&self, user_id: &str) -> bool {
        self.users.pin().remove(user_id).is_some()
    }
}
