//! The figures of a store, against a plain count.

mod common;
#[path = "common/threads.rs"]
mod threads;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst, fence};

use attuned_store::{Expected, MemoryStore, Patch, Revision, Source, State, Stats};
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
    Insert(&'static str),
    /// With what is there expected, or something else.
    InsertIf(&'static str, bool),
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
        6 => user().prop_map(Step::Insert),
        4 => (user(), any::<bool>()).prop_map(|(user, fits)| Step::InsertIf(user, fits)),
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
    writes: u64,
    evictions: u64,
    removals: u64,
    conflicts: u64,
}

impl Count {
    fn insert(&mut self, user: &'static str, retention: u64) {
        self.writes += 1;
        let versions = self.versions.entry(user).or_default();
        if *versions == retention {
            self.evictions += 1;
        } else {
            *versions += 1;
        }
    }

    fn remove(&mut self, user: &str) {
        self.removals += u64::from(self.versions.remove(user).is_some());
    }

    /// The same figures, in the same order as those of [`figures`].
    fn figures(&self) -> [u64; 6] {
        [
            self.versions.len() as u64,
            self.versions.values().sum(),
            self.writes,
            self.evictions,
            self.removals,
            self.conflicts,
        ]
    }
}

fn figures(stats: Stats) -> [u64; 6] {
    let Stats {
        keys,
        versions,
        writes,
        evictions,
        removals,
        conflicts,
        ..
    } = stats;
    [keys, versions, writes, evictions, removals, conflicts]
}

fn run(store: &MemoryStore, count: &mut Count, step: &Step, retention: u64) {
    let change = |_: Option<&State>| State::builder();
    match *step {
        Step::Insert(user) => {
            store.insert(snapshot(user, 1)).unwrap();
            count.insert(user, retention);
        }
        Step::InsertIf(user, true) => {
            let expected = Expected::from(store.get_versioned(user).as_ref());
            store.insert_if(snapshot(user, 1), expected).unwrap();
            count.insert(user, retention);
        }
        Step::InsertIf(user, false) => {
            let expected = Expected::At(Revision::from(u64::MAX));
            store.insert_if(snapshot(user, 1), expected).unwrap_err();
            count.conflicts += 1;
        }
        Step::Update(user) => {
            store.update(user, change).unwrap();
            count.insert(user, retention);
        }
        Step::Decline(user) => {
            let decline = |_: Option<&State>| None;
            store.update(user, decline).unwrap();
        }
        Step::UpdateTwice(user) => {
            let mut calls = 0;
            let change = |_: Option<&State>| {
                calls += 1;
                if calls == 1 {
                    store.insert(snapshot(user, 1)).unwrap();
                }
                State::builder()
            };
            store.update(user, change).unwrap();
            assert_eq!(calls, 2);
            count.insert(user, retention);
            count.insert(user, retention);
        }
        Step::Patch(user) => {
            let patch = Patch::new(Source::SelfReport).axis("warmth", 0.5);
            store.patch(user, &patch).unwrap();
            count.insert(user, retention);
        }
        Step::Remove(user) => {
            store.remove(user).unwrap();
            count.remove(user);
        }
        Step::RetainOthers(user) => {
            store.retain(|user_id, _| user_id != user);
            count.remove(user);
        }
        Step::Clear => {
            store.clear();
            USERS.iter().for_each(|user| count.remove(user));
        }
        Step::Read(user) => {
            let _ = (store.get(user), store.history(user, 9));
            let _ = (store.get_versioned(user), store.contains(user));
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
            prop_assert_eq!(store.stats().keys, store.len() as u64);
        }
    }
}

#[test]
fn a_clone_has_the_figures_of_its_store() {
    let store = store_with(None);
    store.clone().insert(snapshot("ada", 1)).unwrap();
    assert_eq!(store.stats().writes, 1);
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
                store.insert(snapshot(user, 1)).unwrap();
                if round % 7 == 0 {
                    removed.fetch_add(u64::from(store.remove(user).unwrap()), SeqCst);
                }
                if round % 11 == 0 {
                    let expected = Expected::At(Revision::from(u64::MAX));
                    store.insert_if(snapshot(user, 1), expected).unwrap_err();
                }
            }
            return;
        }
        let mut last = Stats::default();
        loop {
            let over = writing.load(SeqCst) == 0;
            let stats = store.stats();
            for (before, after) in [
                (last.writes, stats.writes),
                (last.evictions, stats.evictions),
                (last.removals, stats.removals),
                (last.conflicts, stats.conflicts),
            ] {
                assert!(before <= after, "{last:?}, then {stats:?}");
            }
            assert!(stats.evictions <= stats.writes, "{stats:?}");
            // The store's counts order nothing by themselves.
            fence(SeqCst);
            let begun = begun.load(SeqCst);
            assert!(stats.writes <= begun, "{begun} begun, {stats:?}");
            last = stats;
            if over {
                return;
            }
        }
    });

    let stats = store.stats();
    assert_eq!(stats.writes, WRITERS as u64 * ROUNDS);
    assert_eq!(stats.removals, removed.load(SeqCst));
    assert_eq!(stats.conflicts, WRITERS as u64 * ROUNDS.div_ceil(11));
    assert_eq!(stats.keys, store.len() as u64);
    let kept: usize = USERS.map(|user| store.history(user, 9).len()).iter().sum();
    assert_eq!(stats.versions, kept as u64);
}
