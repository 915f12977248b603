//! Bytes that a user takes: all that is allocated, the map included, as asked
//! of the allocator (what it rounds up to is not counted).

#![forbid(unsafe_code)]

use std::io;

use attuned_store_benches::arguments::Arguments;
use attuned_store_benches::contenders::{Attuned, Contender, Published};
use attuned_store_benches::for_all_contenders;
use attuned_store_benches::results::{Bound, Measurement, Results, Spread};
use attuned_store_benches::workload::{ALL_AXES, FIVE_AXES, HISTORY, fill, user_ids};
use clap::Parser as _;
use peak_alloc::PeakAlloc;
use smol_str::SmolStr;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const USERS: usize = 10_000;

/// Bytes a user.
#[derive(Clone, Copy)]
struct Footprint {
    contender: &'static str,
    /// The most at any moment while users were written.
    peak: f64,
    /// When all were written.
    filled: f64,
    /// When half of the users were deleted; still for each of those written.
    half_deleted: f64,
}

#[derive(Clone, Copy)]
struct Case {
    history: Option<usize>,
    snapshots: usize,
    axes: &'static [&'static str],
}

impl Case {
    fn name(self) -> String {
        let history = match self.history {
            Some(_) => format!("history of {HISTORY}, {} written", self.snapshots),
            None => "no history".to_owned(),
        };
        format!("{history}, {} axes", self.axes.len())
    }
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut results = Results::new("memory", arguments.full);
    let users = user_ids(USERS);
    for axes in [FIVE_AXES, ALL_AXES] {
        for (history, snapshots) in [
            (None, 1),
            (Some(HISTORY), 1),
            (Some(HISTORY), 10),
            (Some(HISTORY), HISTORY),
        ] {
            let case = Case {
                history,
                snapshots,
                axes,
            };
            if arguments.selects(&case.name()) {
                measure_all(&mut results, case, &users);
            }
        }
    }
    results.write(&arguments.directory())
}

fn measure_all(results: &mut Results, case: Case, users: &[SmolStr]) {
    let footprints: Vec<Footprint> = for_all_contenders!(measure(case, users))
        .into_iter()
        .flatten()
        .collect();
    for footprint in &footprints {
        for (when, bytes) in [
            ("peak", footprint.peak),
            ("filled", footprint.filled),
            ("half deleted", footprint.half_deleted),
        ] {
            results.measurement(Measurement {
                group: format!("{}, {when}", case.name()),
                contender: footprint.contender.to_owned(),
                parameter: "snapshots".to_owned(),
                at: case.snapshots as f64,
                unit: "bytes/user".to_owned(),
                value: Spread::exact(bytes),
            });
        }
    }
    let filled = |name| {
        footprints
            .iter()
            .find(|footprint| footprint.contender == name)
            .map(|footprint| footprint.filled)
    };
    let bound = match (case.history, case.snapshots, case.axes.len()) {
        (None, _, 5) => Bound::AtMost(0.45),
        (Some(_), HISTORY, 5) => Bound::AtMost(0.23),
        _ => Bound::None,
    };
    if let (Some(ours), Some(published)) = (filled(Attuned::NAME), filled(Published::NAME)) {
        results.bar(
            &format!("memory a user, {}", case.name()),
            &format!("{} / {}, bytes", Attuned::NAME, Published::NAME),
            Spread::exact(ours / published),
            bound,
        );
    }
}

/// `None` for a contender that does not keep what the case is about.
fn measure<C: Contender>(case: Case, users: &[SmolStr]) -> Option<Footprint> {
    if case.history.is_some() && !C::KEEPS_HISTORY {
        return None;
    }
    // What a first use makes for good is no user's.
    {
        let store = C::new(case.history, 0);
        fill(&store, &users[..2], case.axes, 2);
        store.remove(&users[0]);
    }
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let a_user = |bytes: usize| bytes.saturating_sub(before) as f64 / users.len() as f64;

    let store = C::new(case.history, 0);
    fill(&store, users, case.axes, case.snapshots);
    let (peak, filled) = (ALLOCATOR.peak_usage(), ALLOCATOR.current_usage());
    for user in users.iter().step_by(2) {
        store.remove(user);
    }
    let half_deleted = ALLOCATOR.current_usage();
    Some(Footprint {
        contender: C::NAME,
        peak: a_user(peak),
        filled: a_user(filled),
        half_deleted: a_user(half_deleted),
    })
}
