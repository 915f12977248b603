//! That all contenders keep the same semantics: no figure may come from keeping
//! less.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use attuned_store::{Revision, State, StateSnapshot, StateStore, Versioned};
use attuned_store_benches::contenders::{
    Attuned, Contender, DashMap, History, Papaya, ParkingLotRwLock, Parts, Published, Retain, Scc,
    Snapshot, StdRwLock, ThroughTrait, Value,
};
use attuned_store_benches::workload::{poll, user_id};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

const AXES: &[&str] = &["warmth"];
const USERS: usize = 5;

fn times(history: &impl History) -> Vec<i64> {
    history.values().map(|value| value.at()).collect()
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
        let latest = store.get(&id);
        assert_eq!(latest.as_ref().map(Value::at), written.first().copied());
        assert_eq!(
            store.with(&id, |latest| latest.at()),
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
                let before = store.get(&id).map(|latest| latest.at());
                let history = times(&store.history(&id, 10));
                let after = store.get(&id).map(|latest| latest.at());
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
        store.get(&id).map(|latest| latest.at()),
        history.first().copied()
    );
    assert!(store.remove(&id));
    assert!(store.get(&id).is_none() && times(&store.history(&id, 10)).is_empty());
}

/// Two writers of the same user and a third thread that removes it now and then: each
/// write has a greater revision than all that its thread saw before, and comes back
/// with it and with the time of the write.
fn revisions_never_repeat<C>()
where
    C: Contender<Snapshot = StateSnapshot, History = Vec<Versioned<State>>, Written = Revision>,
{
    const WRITES: i64 = 5_000;
    let id = user_id(0);
    let store = C::new(Some(10), 1);
    let before = unix_ms();
    let written: Vec<Vec<Revision>> = thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let (store, id) = (&store, &id);
                scope.spawn(move || {
                    let write = |at| store.upsert(StateSnapshot::build(id, AXES, at));
                    (0..WRITES).map(write).collect()
                })
            })
            .collect();
        scope.spawn(|| {
            for _ in 0..WRITES / 10 {
                store.remove(&id);
                let history = store.history(&id, 10);
                let in_order = |newer: &Versioned<_>, older: &Versioned<_>| {
                    newer.revision > older.revision && newer.written_at >= older.written_at
                };
                assert!(history.is_sorted_by(in_order));
                thread::yield_now();
            }
        });
        let join = |writer: thread::ScopedJoinHandle<'_, _>| writer.join().unwrap();
        writers.into_iter().map(join).collect()
    });
    for written in &written {
        assert!(written.is_sorted_by(|earlier, later| earlier < later));
    }
    let mut all = written.concat();
    all.sort_unstable();
    assert!(all.windows(2).all(|two| two[0] != two[1]));

    let last = store.upsert(StateSnapshot::build(&id, AXES, 7));
    assert!(all.last().is_some_and(|greatest| *greatest < last));
    let history = store.history(&id, 10);
    let newest = history.first().expect("it was written");
    assert_eq!((newest.revision, newest.value.at()), (last, 7));
    let written_since = before..=unix_ms();
    assert!(
        history
            .iter()
            .all(|entry| written_since.contains(&entry.written_at))
    );
}

fn unix_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_millis()).unwrap()
}

fn retain_removes_what_is_not_kept<C: Retain>() {
    let store = C::new(Some(3), 0);
    for at in 0..2 {
        for user in 0..100 {
            store.upsert(C::Snapshot::build(
                &user_id(user),
                AXES,
                10 * user as i64 + at,
            ));
        }
    }
    // Of those whose number is even, and shown with their latest state only.
    let removed = store.retain(|id, value| {
        let user = value.at() / 10;
        assert_eq!((id, value.at() % 10), (&*user_id(user as usize), 1));
        user % 2 == 0
    });
    assert_eq!(removed, 50);
    for user in 0..100 {
        let kept = if user % 2 == 0 { 2 } else { 0 };
        assert_eq!(times(&store.history(&user_id(user), 9)).len(), kept);
    }
}

fn latest_agrees_with_the_model_through_the_trait<C>()
where
    C: Contender<Snapshot = StateSnapshot>,
    ThroughTrait<C>: StateStore,
{
    let store: Box<dyn StateStore> = Box::new(ThroughTrait(C::new(Some(3), 0)));
    let id = user_id(0);
    for at in 0..5 {
        poll(store.upsert_latest(Snapshot::build(&id, AXES, at))).unwrap();
    }
    let latest = poll(store.get_latest(&id)).unwrap();
    let latest = latest.expect("it was written");
    assert_eq!((latest.user_id(), latest.updated_at_unix_ms()), (&*id, 4));
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
            fn revisions_never_repeat() {
                super::revisions_never_repeat::<$contender>();
            }

            #[test]
            fn retain_removes_what_is_not_kept() {
                super::retain_removes_what_is_not_kept::<$contender>();
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
        super::agrees_with_the_model::<Papaya<StateSnapshot>>(None);
    }

    #[test]
    fn keeps_the_contract_behind_the_trait() {
        latest_agrees_with_the_model_through_the_trait::<Papaya<StateSnapshot>>();
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
