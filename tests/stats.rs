//! The figures of a store, against a plain count.

mod common;
#[path = "common/threads.rs"]
mod threads;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst, fence};

use attuned_store::{Expected, MemoryStore, Revision, Source, StateSnapshot, Stats};
use common::snapshot;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use threads::together;

const USERS: [&str; 3] = ["ada", "grace", "größe-語"];

fn store_with(history: Option<usize>) -> MemoryStore {
    let builder = MemoryStore::builder();
    match history {
        Some(entries) => builder.history(entries),
        None => builder,
    }
    .build()
    .unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(&'static str),
    /// With what is there expected, or something else.
    UpsertIf(&'static str, bool),
    Update(&'static str),
    Decline(&'static str),
    /// Another writer comes in between.
    UpdateTwice(&'static str),
    Patch(&'static str),
    Remove(&'static str),
    RetainOthers(&'static str),
    Clear,
    Read(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let user = || select(USERS.as_slice());
    prop_oneof![
        6 => user().prop_map(Step::Upsert),
        4 => (user(), any::<bool>()).prop_map(|(user, fits)| Step::UpsertIf(user, fits)),
        2 => user().prop_map(Step::Update),
        1 => user().prop_map(Step::Decline),
        2 => user().prop_map(Step::UpdateTwice),
        1 => user().prop_map(Step::Patch),
        2 => user().prop_map(Step::Remove),
        1 => user().prop_map(Step::RetainOthers),
        1 => Just(Step::Clear),
        1 => user().prop_map(Step::Read),
    ]
}

/// The plain count: what each user's history has, and what happened.
#[derive(Default)]
struct Count {
    versions: HashMap<&'static str, u64>,
    upserts: u64,
    evictions: u64,
    deletes: u64,
    conflicts: u64,
}

impl Count {
    fn upsert(&mut self, user: &'static str, retention: u64) {
        self.upserts += 1;
        let versions = self.versions.entry(user).or_default();
        if *versions == retention {
            self.evictions += 1;
        } else {
            *versions += 1;
        }
    }

    fn remove(&mut self, user: &str) {
        self.deletes += u64::from(self.versions.remove(user).is_some());
    }

    /// The same figures, in the same order as those of [`figures`].
    fn figures(&self) -> [u64; 6] {
        [
            self.versions.len() as u64,
            self.versions.values().sum(),
            self.upserts,
            self.evictions,
            self.deletes,
            self.conflicts,
        ]
    }
}

fn figures(stats: Stats) -> [u64; 6] {
    let Stats {
        users,
        versions,
        upserts,
        evictions,
        deletes,
        conflicts,
        ..
    } = stats;
    [users, versions, upserts, evictions, deletes, conflicts]
}

fn run(store: &MemoryStore, count: &mut Count, step: &Step, retention: u64) {
    let change = |_: Option<&StateSnapshot>| StateSnapshot::builder();
    match *step {
        Step::Upsert(user) => {
            store.upsert(snapshot(user, 1)).unwrap();
            count.upsert(user, retention);
        }
        Step::UpsertIf(user, true) => {
            let expected = Expected::unchanged(store.versioned(user).as_ref());
            store.upsert_if(snapshot(user, 1), expected).unwrap();
            count.upsert(user, retention);
        }
        Step::UpsertIf(user, false) => {
            let expected = Expected::At(Revision::from(u64::MAX));
            store.upsert_if(snapshot(user, 1), expected).unwrap_err();
            count.conflicts += 1;
        }
        Step::Update(user) => {
            store.update(user, change).unwrap();
            count.upsert(user, retention);
        }
        Step::Decline(user) => {
            let decline = |_: Option<&StateSnapshot>| None;
            store.update(user, decline).unwrap();
        }
        Step::UpdateTwice(user) => {
            let mut calls = 0;
            let change = |_: Option<&StateSnapshot>| {
                calls += 1;
                if calls == 1 {
                    store.upsert(snapshot(user, 1)).unwrap();
                }
                StateSnapshot::builder()
            };
            store.update(user, change).unwrap();
            assert_eq!(calls, 2);
            count.upsert(user, retention);
            count.upsert(user, retention);
        }
        Step::Patch(user) => {
            let axes = [("warmth", 0.5)];
            store.patch(user, &axes, Source::SelfReport, 1.0).unwrap();
            count.upsert(user, retention);
        }
        Step::Remove(user) => {
            store.remove(user);
            count.remove(user);
        }
        Step::RetainOthers(user) => {
            store.retain(|snapshot| snapshot.user_id() != user);
            count.remove(user);
        }
        Step::Clear => {
            store.clear();
            USERS.iter().for_each(|user| count.remove(user));
        }
        Step::Read(user) => {
            let _ = (store.latest(user), store.history(user, 9));
            let _ = (store.versioned(user), store.contains(user));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn figures_are_those_of_a_plain_count(
        history in select(&[None, Some(1), Some(3)][..]),
        steps in vec(step(), 0..60),
    ) {
        let store = store_with(history);
        let mut count = Count::default();
        prop_assert_eq!(store.stats(), Stats::default());
        for step in &steps {
            run(&store, &mut count, step, history.unwrap_or(1) as u64);
            prop_assert_eq!(figures(store.stats()), count.figures());
            prop_assert_eq!(store.pin().stats(), store.stats());
            prop_assert_eq!(store.stats().users, store.len() as u64);
        }
    }
}

#[test]
fn a_clone_has_the_figures_of_its_store() {
    let store = store_with(None);
    store.clone().upsert(snapshot("ada", 1)).unwrap();
    assert_eq!(store.stats().upserts, 1);
    assert_eq!(store.clone().stats(), store.stats());
}

/// Counts a writer off, after a panic too: those who wait for it shall end.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// While users come and go. What counts events never goes down and is never
/// ahead of what was begun; when all is done, it is exact.
#[test]
fn counts_never_go_down_and_never_run_ahead() {
    const WRITERS: usize = 2;
    const ROUNDS: u64 = 4_000;

    let store = store_with(Some(2));
    let begun = AtomicU64::new(0);
    let removed = AtomicU64::new(0);
    let writing = AtomicUsize::new(WRITERS);
    together(WRITERS + 2, |thread| {
        if thread < WRITERS {
            let _done = Done(&writing);
            for round in 0..ROUNDS {
                let user = USERS[(round % 3) as usize];
                begun.fetch_add(1, SeqCst);
                fence(SeqCst);
                store.upsert(snapshot(user, 1)).unwrap();
                if round % 7 == 0 {
                    removed.fetch_add(u64::from(store.remove(user)), SeqCst);
                }
                if round % 11 == 0 {
                    let expected = Expected::At(Revision::from(u64::MAX));
                    store.upsert_if(snapshot(user, 1), expected).unwrap_err();
                }
            }
            return;
        }
        let mut last = Stats::default();
        loop {
            let over = writing.load(SeqCst) == 0;
            let stats = store.stats();
            for (before, after) in [
                (last.upserts, stats.upserts),
                (last.evictions, stats.evictions),
                (last.deletes, stats.deletes),
                (last.conflicts, stats.conflicts),
            ] {
                assert!(before <= after, "{last:?}, then {stats:?}");
            }
            assert!(stats.evictions <= stats.upserts, "{stats:?}");
            // The store's counts order nothing by themselves.
            fence(SeqCst);
            let begun = begun.load(SeqCst);
            assert!(stats.upserts <= begun, "{begun} begun, {stats:?}");
            last = stats;
            if over {
                return;
            }
        }
    });

    let stats = store.stats();
    assert_eq!(stats.upserts, WRITERS as u64 * ROUNDS);
    assert_eq!(stats.deletes, removed.load(SeqCst));
    assert_eq!(stats.conflicts, WRITERS as u64 * ROUNDS.div_ceil(11));
    assert_eq!(stats.users, store.len() as u64);
    let kept: usize = USERS.map(|user| store.history(user, 9).len()).iter().sum();
    assert_eq!(stats.versions, kept as u64);
}
