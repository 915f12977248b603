//! What a snapshot takes in memory, beside the published one.
//!
//! `cargo test --test snapshot_memory -- --nocapture` prints the numbers.

use allocation_counter::{AllocationInfo, measure};
use attuned_store::{Source, StateSnapshot};

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

fn ours(user_id: &str, axes: &[&str]) -> StateSnapshot {
    StateSnapshot::builder()
        .user_id(user_id)
        .updated_at(1_388_331_986_000)
        .source(Source::Inferred)
        .axes(axes.iter().map(|name| (name, 0.25)))
        .build()
        .unwrap()
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
fn five_canonical_axes_take_one_allocation_and_under_half_the_bytes() {
    let (ours, published) = compare(&FIVE_AXES);
    assert_eq!(ours.allocations, 1);
    assert!(2 * ours.total() < published.total());
    // As the documentation of `StateSnapshot` says.
    #[cfg(target_pointer_width = "64")]
    assert_eq!((ours.handle, ours.heap), (80, 112));
}

#[test]
fn all_canonical_axes_take_two_allocations_and_under_half_the_bytes() {
    let (ours, published) = compare(&canonical_axes());
    assert_eq!(ours.allocations, 2);
    assert!(2 * ours.total() < published.total());
}

#[test]
fn long_ids_and_many_axes_take_an_allocation_each() {
    let axes = canonical_axes();
    let (short, long) = ("x".repeat(23), "x".repeat(24));
    for (user_id, axes, allocations) in [
        (&short, &axes[..8], 1),
        (&short, &axes[..9], 2),
        (&long, &axes[..8], 2),
        (&long, &axes[..9], 3),
    ] {
        let footprint = Footprint::of(|| ours(user_id, axes));
        assert_eq!(footprint.allocations, allocations, "{user_id} {axes:?}");
    }
}

#[test]
fn custom_names_add_their_length() {
    let names: Vec<_> = (10..20).map(|n| format!("axis_{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let with_axes = Footprint::of(|| ours(USER_ID, &names));
    let without = Footprint::of(|| ours(USER_ID, &[]));
    assert_eq!(
        with_axes.heap - without.heap,
        10 * (1 + "axis_10".len() + 4)
    );
}

/// One allocation is the builder's list of axes, the other the snapshot.
#[test]
fn building_allocates_nothing_for_canonical_names() {
    let longest = canonical_axes().into_iter().max_by_key(|name| name.len());
    let info = measure(|| drop(ours(USER_ID, longest.as_slice())));
    assert_eq!(info.count_total, 2);
}

#[test]
fn clones_and_reads_allocate_nothing() {
    let snapshot = ours(USER_ID, &FIVE_AXES);
    let info = measure(|| {
        let clone = snapshot.clone();
        assert_eq!(clone.user_id(), USER_ID);
        assert_eq!(clone.axes().count(), 5);
        assert_eq!(clone.get_axis("warmth"), 0.25);
        assert!(clone == snapshot);
    });
    assert_eq!(info, AllocationInfo::default());
}
