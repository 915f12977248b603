//! Random stores beside a plain model.

use std::collections::{BTreeMap, VecDeque};

use attuned_store::{MAX_AXES, MemoryStore, Source, State, Versioned};
use proptest::prelude::*;

use super::{bytes_of, restored, with_history};

/// What a store must have: of each user the versions, newest first.
#[derive(Default)]
struct Model(BTreeMap<String, VecDeque<Versioned<State>>>);

impl Model {
    fn expect(&self, store: &MemoryStore, entries: usize) {
        assert_eq!(store.len(), self.0.len());
        for (id, versions) in &self.0 {
            let expected: Vec<_> = versions.iter().take(entries).cloned().collect();
            assert_eq!(store.history(id, usize::MAX), expected);
            assert_eq!(store.get(id), Some(expected[0].value.clone()));
            assert_eq!(store.get_versioned(id), Some(expected[0].clone()));
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize, State),
    Remove(usize),
}

const IDS: [&str; 6] = [
    "ada",
    "g",
    "Ελένη",
    "an_id_of_more_than_23_bytes_that_takes_an_allocation",
    "alan-turing_1912",
    "z9",
];

fn states() -> impl Strategy<Value = State> {
    let name = prop_oneof![
        4 => prop::sample::select(vec!["warmth", "formality", "urgency_sensitivity"])
            .prop_map(str::to_owned),
        1 => "[a-z]([a-z0-9_]{0,20}[a-z0-9])?",
    ];
    let number = prop_oneof![
        2 => 0.0_f32..=1.0,
        1 => prop::sample::select(vec![0.0, -0.0, 1.0, f32::MIN_POSITIVE]),
    ];
    let time = prop_oneof![
        2 => 1_700_000_000_000_i64..1_700_000_100_000,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, -1, 0, i64::MAX]),
    ];
    (
        time,
        prop::sample::select(vec![Source::SelfReport, Source::Inferred, Source::Mixed]),
        number.clone(),
        prop::collection::vec((name, number), 0..12),
    )
        .prop_map(|(time, source, confidence, axes)| {
            let state = State::builder().updated_at(time).source(source);
            let state = state.confidence(confidence).axes(axes);
            state.build_state().unwrap()
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..IDS.len(), states()).prop_map(|(user, state)| Step::Write(user, state)),
        1 => (0..IDS.len()).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..120)
}

fn apply(steps: Vec<Step>, store: &MemoryStore, model: &mut Model, entries: usize) {
    for step in steps {
        match step {
            Step::Write(user, state) => {
                let id = IDS[user];
                let snapshot = state.into_snapshot(id).unwrap();
                let revision = store.insert(snapshot).unwrap();
                let written = store.get_versioned(id).unwrap();
                assert_eq!(written.revision, revision);
                let versions = model.0.entry(id.to_owned()).or_default();
                versions.push_front(written);
                versions.truncate(entries);
            }
            Step::Remove(user) => {
                let was_there = model.0.remove(IDS[user]).is_some();
                assert_eq!(store.remove(IDS[user]).unwrap(), was_there);
            }
        }
    }
}

/// The bits of the numbers, which equality does not compare.
fn bits(store: &MemoryStore) -> Vec<Vec<u32>> {
    let bits_of = |state: &State| {
        let values = state.axes().map(|(_, value)| value.to_bits());
        values.chain([state.confidence().to_bits()]).collect()
    };
    let histories = IDS.iter().map(|id| store.history(id, usize::MAX));
    histories
        .flatten()
        .map(|entry| bits_of(&entry.value))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_restored_store_is_like_the_former_one_and_goes_on_like_it(
        before in steps(),
        after in steps(),
        entries in prop::sample::select(vec![1, 2, 5, 20, 70]),
        shorter in 1_usize..6,
    ) {
        let store = with_history(entries);
        let mut model = Model::default();
        apply(before, &store, &mut model, entries);
        let bytes = bytes_of(&store);

        let copy = restored(entries, &bytes).unwrap();
        model.expect(&copy, entries);
        prop_assert_eq!(bits(&copy), bits(&store));
        let stats = copy.stats();
        prop_assert_eq!(stats.keys, store.stats().keys);
        prop_assert_eq!(stats.versions, store.stats().versions);

        // The newest entries, if there is room for no more.
        let kept = entries.min(shorter);
        model.expect(&restored(shorter, &bytes).unwrap(), kept);
        // Without history the latest.
        let latest = MemoryStore::builder().restore(bytes.as_slice()).unwrap();
        prop_assert_eq!(latest.len(), model.0.len());
        for (id, versions) in &model.0 {
            prop_assert_eq!(latest.get_versioned(id), versions.front().cloned());
        }

        // A checkpoint of what was restored, after more writes and removals.
        apply(after, &copy, &mut model, entries);
        model.expect(&copy, entries);
        let again = restored(entries, &bytes_of(&copy)).unwrap();
        model.expect(&again, entries);
    }
}

/// Many blocks.
#[test]
fn many_users_come_back() {
    let store = with_history(3);
    let users = 140_000_usize;
    for user in 0..users {
        for at in 0..=(user % 4) {
            let snapshot = super::snapshot(&format!("user_{user}"), (user * 10 + at) as i64);
            store.insert(snapshot).unwrap();
        }
    }
    // Beside the store there are some megabytes, and what has been written goes elsewhere.
    let memory = allocation_counter::measure(|| {
        store.checkpoint(std::io::sink()).unwrap();
    });
    assert!(memory.bytes_max < 14 << 20, "{}", memory.bytes_max);
    let bytes = bytes_of(&store);
    let copy = restored(3, &bytes).unwrap();
    assert_eq!(copy.stats(), {
        let mut stats = copy.stats();
        stats.keys = users as u64;
        stats.versions = store.stats().versions;
        stats
    });
    for user in 0..users {
        let id = format!("user_{user}");
        assert_eq!(copy.history(&id, 9), store.history(&id, 9), "{id}");
    }
}

/// A history that takes many blocks.
#[test]
fn a_long_history_comes_back() {
    let store = with_history(20_000);
    for at in 0..30_000 {
        store.insert(super::snapshot("ada", at * at)).unwrap();
    }
    store.insert(super::snapshot("grace", 1)).unwrap();
    let bytes = bytes_of(&store);
    assert!(bytes.len() > 3 << 16);
    let copy = restored(20_000, &bytes).unwrap();
    let history = copy.history("ada", usize::MAX);
    assert_eq!(history.len(), 20_000);
    assert_eq!(history, store.history("ada", usize::MAX));
    assert_eq!(copy.history("grace", 9), store.history("grace", 9));
}

/// A single state that is larger than a block is meant to be.
#[test]
fn a_state_of_many_axes_comes_back() {
    let store = with_history(2);
    let axes: Vec<_> = (0..MAX_AXES)
        .map(|n| {
            (
                format!("{:a<59}_{n:04}", "the_longest_name_that_there_is_"),
                0.5,
            )
        })
        .collect();
    let state = State::builder()
        .updated_at(1)
        .axes(axes)
        .build_state()
        .unwrap();
    for _ in 0..2 {
        store
            .insert(state.clone().into_snapshot("ada").unwrap())
            .unwrap();
    }
    let copy = restored(2, &bytes_of(&store)).unwrap();
    assert_eq!(copy.history("ada", 9), store.history("ada", 9));
}
