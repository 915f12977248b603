//! What states and snapshots take in memory, beside the published snapshot.
//!
//! `cargo test --test snapshot_memory -- --nocapture` prints the numbers.

use allocation_counter::{AllocationInfo, measure};
use attuned_store::{Source, State, StateSnapshot, StateSnapshotBuilder};

const USER_ID: &str = "dev_99c3fdcbb49b";
const FIVE_AXES: [&str; 5] = [
    "cognitive_load",
    "warmth",
    "formality",
    "verbosity_preference",
    "urgency_sensitivity",
];

/// What remains allocated for a value, and the value's own bytes.
struct Footprint {
    handle: usize,
    heap: usize,
    allocations: usize,
}

impl Footprint {
    fn of<T>(make: impl FnOnce() -> T) -> Self {
        let mut kept = None;
        let info = measure(|| kept = Some(make()));
        assert!(kept.is_some());
        Self {
            handle: size_of::<T>(),
            heap: usize::try_from(info.bytes_current).unwrap(),
            allocations: usize::try_from(info.count_current).unwrap(),
        }
    }

    fn total(&self) -> usize {
        self.handle + self.heap
    }

    fn print(&self, name: &str) {
        println!(
            "{name}: {} bytes = {} of the handle and {} in {} allocation(s)",
            self.total(),
            self.handle,
            self.heap,
            self.allocations,
        );
    }
}

fn builder(axes: &[&str]) -> StateSnapshotBuilder {
    State::builder()
        .updated_at(1_388_331_986_000)
        .source(Source::Inferred)
        .axes(axes.iter().map(|name| (name, 0.25)))
}

fn ours(user_id: &str, axes: &[&str]) -> StateSnapshot {
    builder(axes).user_id(user_id).build().unwrap()
}

fn state(axes: &[&str]) -> State {
    builder(axes).build_state().unwrap()
}

fn published(axes: &[&str]) -> attuned_core::StateSnapshot {
    attuned_core::StateSnapshot::builder()
        .user_id(USER_ID)
        .updated_at(1_388_331_986_000)
        .source(attuned_core::Source::Inferred)
        .axes(axes.iter().map(|&name| (name.to_owned(), 0.25)))
        .build()
        .unwrap()
}

fn canonical_axes() -> Vec<&'static str> {
    attuned_core::CANONICAL_AXES
        .iter()
        .map(|axis| axis.name)
        .collect()
}

fn compare(axes: &[&str]) -> (Footprint, Footprint) {
    let ours = Footprint::of(|| ours(USER_ID, axes));
    let published = Footprint::of(|| published(axes));
    println!("{} axes:", axes.len());
    ours.print("  attuned-store");
    published.print("  attuned-core ");
    (ours, published)
}

#[test]
fn five_canonical_axes_take_no_allocation_and_under_a_quarter_of_the_bytes() {
    let (ours, published) = compare(&FIVE_AXES);
    assert_eq!((ours.allocations, ours.heap), (0, 0));
    assert!(4 * ours.total() < published.total());
    // As the documentation of `StateSnapshot` says.
    #[cfg(target_pointer_width = "64")]
    assert_eq!(ours.handle, 80);
}

#[test]
fn all_canonical_axes_take_one_allocation_and_under_a_quarter_of_the_bytes() {
    let (ours, published) = compare(&canonical_axes());
    assert_eq!(ours.allocations, 1);
    assert!(4 * ours.total() < published.total());
}

#[test]
fn long_ids_and_many_axes_take_an_allocation_each() {
    let axes = canonical_axes();
    let (short, long) = ("x".repeat(23), "x".repeat(24));
    for (user_id, axes, allocations) in [
        (&short, &axes[..8], 0),
        (&short, &axes[..9], 1),
        (&long, &axes[..8], 1),
        (&long, &axes[..9], 2),
    ] {
        let footprint = Footprint::of(|| ours(user_id, axes));
        assert_eq!(footprint.allocations, allocations, "{user_id} {axes:?}");
        let of_state = Footprint::of(|| state(axes));
        assert_eq!(of_state.allocations, usize::from(axes.len() > 8));
    }
}

#[test]
fn custom_names_add_their_length() {
    let names: Vec<_> = (10..20).map(|n| format!("axis_{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let with_axes = Footprint::of(|| ours(USER_ID, &names));
    // The counts of references are there, too.
    let counts = 2 * size_of::<usize>();
    assert_eq!(with_axes.heap - counts, 10 * (1 + "axis_10".len() + 4));
}

/// The allocations that `make` makes, also those that it frees again.
fn allocations<T>(make: impl FnOnce() -> T) -> u64 {
    let mut kept = None;
    let info = measure(|| kept = Some(make()));
    assert!(kept.is_some());
    info.count_total
}

#[test]
fn building_a_small_snapshot_allocates_nothing() {
    let mut canonical = canonical_axes();
    canonical.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for axes in [
        &[],
        // The longest names, as many as there is room for.
        &canonical[..8],
        // 40 bytes.
        &["an_axis_of_my_own_one", "warmth", "a_b"],
    ] {
        let short = "x".repeat(23);
        assert_eq!(allocations(|| ours(&short, axes)), 0, "{axes:?}");
        assert_eq!(allocations(|| state(axes)), 0, "{axes:?}");
        let snapshot = ours(&short, axes);
        assert_eq!(allocations(|| snapshot.to_builder().build()), 0, "{axes:?}");
    }
}

/// As the documentation of the builder says.
#[test]
fn building_a_large_snapshot_allocates_few_times() {
    let (short, long) = ("x".repeat(23), "x".repeat(24));
    let canonical = canonical_axes();
    // The axes that the state keeps, those before they are shared, and the list.
    assert_eq!(allocations(|| state(&canonical[..9])), 3);
    assert_eq!(allocations(|| ours(&short, &canonical[..9])), 3);
    assert_eq!(allocations(|| ours(&long, &canonical[..9])), 4);
    assert_eq!(allocations(|| ours(&long, &canonical[..8])), 1);
    // The name, which then fits in.
    assert_eq!(allocations(|| state(&["an_axis_of_just_24_bytes"])), 1);
    assert_eq!(allocations(|| state(&["an_axis_of_only_23_byte"])), 0);
}

#[test]
fn giving_a_state_to_a_user_allocates_for_a_long_id_only() {
    for axes in [&FIVE_AXES[..], &canonical_axes()] {
        let state = state(axes);
        let (short, long) = ("x".repeat(23), "x".repeat(24));
        assert_eq!(allocations(|| state.clone().into_snapshot(&short)), 0);
        assert_eq!(allocations(|| state.clone().into_snapshot(&long)), 1);
        let snapshot = ours(&long, axes);
        assert_eq!(allocations(|| snapshot.into_state()), 0);
    }
}

#[test]
fn clones_and_reads_allocate_nothing() {
    let long = "x".repeat(256);
    let canonical = canonical_axes();
    for (user_id, axes) in [
        (USER_ID, &FIVE_AXES[..]),
        (USER_ID, &canonical),
        (&long, &FIVE_AXES),
        (&long, &canonical),
    ] {
        let snapshot = ours(user_id, axes);
        let info = measure(|| {
            let clone = snapshot.clone();
            assert_eq!(clone.user_id(), user_id);
            assert_eq!(clone.axes().count(), axes.len());
            assert_eq!(clone.get_axis("warmth"), 0.25);
            assert!(clone == snapshot);

            let state = snapshot.state().clone();
            assert_eq!(state.axes().count(), axes.len());
            assert_eq!(state.get_axis("warmth"), 0.25);
            assert!(state == clone.into_state());
        });
        assert_eq!(info, AllocationInfo::default());
    }
}
