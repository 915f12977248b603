//! That all contenders keep the same semantics: no figure may come from keeping
//! less.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use attuned_store::{StateSnapshot, StateStore};
use attuned_store_benches::contenders::{
    Attuned, Contender, DashMap, Papaya, ParkingLotRwLock, Parts, Published, Scc, Snapshot,
    StdRwLock, ThroughTrait,
};
use attuned_store_benches::workload::{poll, user_id};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

const AXES: &[&str] = &["warmth"];
const USERS: usize = 5;

fn times<S: Snapshot>(history: &[S]) -> Vec<i64> {
    history.iter().map(Snapshot::at).collect()
}

/// Random operations, each compared with a map of plain vectors.
fn agrees_with_the_model<C: Contender>(history: Option<usize>) {
    let mut rng = SmallRng::seed_from_u64(42);
    let store = C::new(history, 2);
    // Newest first, without a bound.
    let mut model: HashMap<usize, Vec<i64>> = HashMap::new();
    for at in 0..5_000 {
        let user = rng.random_range(0..USERS);
        let id = user_id(user);
        if rng.random_bool(0.02) {
            assert_eq!(store.remove(&id), model.remove(&user).is_some());
        } else if rng.random_bool(0.5) {
            store.upsert(C::Snapshot::build(&id, AXES, at));
            model.entry(user).or_default().insert(0, at);
        }
        let written = model.get(&user).map_or(&[][..], Vec::as_slice);
        let latest = store.latest(&id);
        assert_eq!(latest.as_ref().map(Snapshot::at), written.first().copied());
        assert!(latest.is_none_or(|latest| latest.user_id() == id));
        assert_eq!(
            store.with_latest(&id, Snapshot::at),
            written.first().copied()
        );
        let limit = rng.random_range(0..8);
        let kept = history.filter(|_| C::KEEPS_HISTORY).unwrap_or(0);
        let expected = &written[..written.len().min(limit).min(kept)];
        assert_eq!(times(&store.history(&id, limit)), expected);
    }
}

/// Two writers of the same user, and a reader: a history is newest first by
/// each writer's own count, without gaps, and when the latest snapshot is the
/// same before and after, it is the newest entry.
fn latest_is_the_newest_entry<C: Contender>() {
    const WRITES: i64 = 20_000;
    let id = user_id(0);
    let store = C::new(Some(10), 1);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (store, id) = (&store, &id);
                scope.spawn(move || {
                    for count in 0..WRITES {
                        store.upsert(C::Snapshot::build(id, AXES, 2 * count + writer));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let before = store.latest(&id).map(|latest| latest.at());
                let history = times(&store.history(&id, 10));
                let after = store.latest(&id).map(|latest| latest.at());
                if before == after {
                    assert_eq!(history.first().copied(), after);
                }
                for writer in 0..2 {
                    let own: Vec<_> = history.iter().filter(|at| *at % 2 == writer).collect();
                    assert!(own.windows(2).all(|two| *two[0] == two[1] + 2), "{own:?}");
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let history = times(&store.history(&id, 100));
    assert_eq!(history.len(), 10);
    assert_eq!(
        store.latest(&id).map(|latest| latest.at()),
        history.first().copied()
    );
    assert!(store.remove(&id));
    assert!(store.latest(&id).is_none() && store.history(&id, 10).is_empty());
}

fn latest_agrees_with_the_model_through_the_trait<C>()
where
    C: Contender<Snapshot = StateSnapshot>,
{
    let store: Box<dyn StateStore> = Box::new(ThroughTrait(C::new(Some(3), 0)));
    let id = user_id(0);
    for at in 0..5 {
        poll(store.upsert_latest(Snapshot::build(&id, AXES, at))).unwrap();
    }
    let latest = poll(store.get_latest(&id)).unwrap();
    assert_eq!(latest.map(|latest| latest.at()), Some(4));
    if C::KEEPS_HISTORY {
        assert_eq!(times(&poll(store.get_history(&id, 9)).unwrap()), [4, 3, 2]);
    }
    assert!(poll(store.delete(&id)).unwrap());
    assert!(!poll(store.delete(&id)).unwrap());
    assert!(poll(store.get_latest("not an id")).is_err());
}

macro_rules! all_semantics {
    ($($module:ident: $contender:ty),* $(,)?) => {$(
        mod $module {
            use super::*;

            #[test]
            fn agrees_with_the_model() {
                for history in [None, Some(1), Some(2), Some(5)] {
                    super::agrees_with_the_model::<$contender>(history);
                }
            }

            #[test]
            fn latest_is_the_newest_entry() {
                super::latest_is_the_newest_entry::<$contender>();
            }

            #[test]
            fn keeps_the_contract_behind_the_trait() {
                latest_agrees_with_the_model_through_the_trait::<$contender>();
            }
        }
    )*};
}

all_semantics! {
    attuned: Attuned,
    dashmap: DashMap,
    std_rwlock: StdRwLock,
    parking_lot_rwlock: ParkingLotRwLock,
    scc: Scc,
}

/// It keeps no history, so there is nothing for the latest to disagree with.
mod papaya {
    use super::*;

    #[test]
    fn agrees_with_the_model() {
        super::agrees_with_the_model::<Papaya>(None);
    }

    #[test]
    fn keeps_the_contract_behind_the_trait() {
        latest_agrees_with_the_model_through_the_trait::<Papaya>();
    }
}

/// Nor has this one a history that could be read.
#[test]
fn the_parts_alone_agree_with_the_model() {
    agrees_with_the_model::<Parts>(None);
}

/// Not held to the semantics under racing writers, which it is known to break.
#[test]
fn the_published_store_agrees_with_the_model_while_nobody_races() {
    for history in [None, Some(1), Some(2), Some(5)] {
        agrees_with_the_model::<Published>(history);
    }
}
