//! What it takes to write a store out and to read it back, beside lines of JSON and beside
//! the bytes alone; and what readers notice of it.

#![forbid(unsafe_code)]

mod alone;
mod bare;
mod file;
mod json;
mod readers;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use attuned_store::{Compression, MemoryStore};
use attuned_store_benches::arguments::Arguments;
use attuned_store_benches::contenders::{Attuned, Contender as _};
use attuned_store_benches::disturbance::ThreadTimes;
use attuned_store_benches::results::{Bound, Measurement, Results, Spread};
use attuned_store_benches::rounds::{Entrant, Series, interleave};
use attuned_store_benches::workload::{FIVE_AXES, HISTORY, fill, user_ids};
use clap::Parser as _;
use smol_str::SmolStr;

use self::alone::Read;

/// Bars of the times beside JSON and beside the bytes alone, and of the sizes.
const TIMES_OF_JSON: Bound = Bound::AtLeast(5.0);
const TIMES_OF_BYTES: Bound = Bound::AtMost(3.0);
const SIZES: Bound = Bound::AtMost(1.0 / 3.0);

struct Case {
    users: usize,
    /// Of each user.
    snapshots: usize,
}

impl Case {
    fn name(&self) -> String {
        format!("{} users, {} snapshots each", self.users, self.snapshots)
    }
}

fn main() -> io::Result<()> {
    if alone::is_one() {
        return Ok(());
    }
    let arguments = Arguments::parse();
    let mut results = Results::new("checkpoint", arguments.full);
    let rounds = arguments.pick(3, 7);
    let scale = arguments.pick(10, 1);
    let folder = env::temp_dir().join(format!("attuned-checkpoint-{}", process::id()));
    fs::create_dir_all(&folder)?;
    for (users, snapshots) in [(1_000_000, 1), (100_000, HISTORY)] {
        let case = Case {
            users: users / scale,
            snapshots,
        };
        if !arguments.selects(&case.name()) {
            continue;
        }
        let ids = user_ids(case.users);
        let store = Attuned::new(Some(HISTORY), case.users);
        fill(&store, &ids, FIVE_AXES, case.snapshots);
        sizes_and_times(&mut results, &case, &store.0, &ids, &folder, rounds)?;
        readers::rows(
            &mut results,
            &case.name(),
            &store,
            &ids,
            &folder,
            4 * rounds,
        );
    }
    fs::remove_dir_all(&folder)?;
    results.write(&arguments.directory())
}

fn sizes_and_times(
    results: &mut Results,
    case: &Case,
    store: &MemoryStore,
    ids: &[SmolStr],
    folder: &Path,
    rounds: usize,
) -> io::Result<()> {
    let name = case.name();
    let path = |name: &str| folder.join(name);
    let [ours, compressed, lines, bytes] =
        ["checkpoint", "checkpoint-lz4", "lines", "bytes"].map(path);
    store.checkpoint_to(&ours).map_err(io::Error::other)?;
    let lz4 = || store.checkpointer().compression(Compression::Lz4);
    lz4().write_to(&compressed).map_err(io::Error::other)?;
    json::write(store, ids, &lines)?;
    let content = fs::read(&ours)?;

    let size = |path: &Path| fs::metadata(path).map(|file| file.len() as f64);
    for (other, bound) in [(&ours, SIZES), (&compressed, Bound::None)] {
        let what = other.file_name().unwrap_or_default().to_string_lossy();
        let ratio = Spread::exact(size(other)? / size(&lines)?);
        results.bar(
            &name,
            &format!("{what} / serde_json lines, size"),
            ratio,
            bound,
        );
        let value = Spread::exact(size(other)? / case.users as f64);
        results.measurement(figure(
            &name,
            &format!("{what}, size"),
            "bytes a user",
            value,
        ));
    }

    let write = interleave(
        vec![
            timed("checkpoint", || store.checkpoint_to(&ours).map(drop)),
            timed("checkpoint, LZ4", || lz4().write_to(&compressed).map(drop)),
            timed("serde_json lines", || json::write(store, ids, &lines)),
            timed("the bytes alone", || file::replace(&bytes, &content)),
        ],
        rounds,
    );
    report(results, &format!("{name}: write"), &write);

    let alone = |name, what, path| {
        Entrant::new(name, move |_| {
            alone::reading(what, path, case).expect("the process runs to its end")
        })
    };
    let read = interleave(
        vec![
            alone("restore", Read::Checkpoint, &ours),
            alone("restore, LZ4", Read::Checkpoint, &compressed),
            alone("serde_json lines", Read::Json, &lines),
            timed("the bytes alone", || file::replace(&bytes, &content)),
            alone("a bare map filled", Read::Nothing, &ours),
        ],
        rounds,
    );
    report(results, &format!("{name}: read"), &read);
    Ok(())
}

fn timed<'a, T, E: std::fmt::Debug>(
    name: &str,
    mut work: impl FnMut() -> Result<T, E> + 'a,
) -> Entrant<'a> {
    Entrant::new(name, move |_| seconds(&mut work))
}

/// How many seconds the work takes, without those in which this thread waited for a core: it
/// takes so long that on a busy machine these would be most of them. What it makes is dropped
/// after that.
fn seconds<T, E: std::fmt::Debug>(work: impl FnOnce() -> Result<T, E>) -> f64 {
    let (times, start) = (ThreadTimes::now(), Instant::now());
    let done = work();
    let took = start.elapsed();
    let waited = times.map_or(Duration::ZERO, ThreadTimes::account);
    drop(done.expect("the disk has room"));
    took.saturating_sub(waited).as_secs_f64()
}

/// The first of the series is a checkpoint, the third JSON, the fourth the bytes. There may be
/// another one to compare with.
fn report(results: &mut Results, name: &str, series: &[Series]) {
    for series in series {
        if let Some(value) = series.spread(|seconds| Some(1e3 * seconds)) {
            results.measurement(figure(name, &series.name, "ms", value));
        }
    }
    let [ours, _, json, bytes, others @ ..] = series else {
        unreachable!("four or five take part");
    };
    let others = others.iter().map(|other| (ours, other, Bound::None));
    for (above, below, bound) in [(json, ours, TIMES_OF_JSON), (ours, bytes, TIMES_OF_BYTES)]
        .into_iter()
        .chain(others)
    {
        let ratio = format!("{} / {}, time", above.name, below.name);
        if let Some(compared) = above.ratio(below, |seconds| Some(*seconds)) {
            results.bar(name, &ratio, compared, bound);
        }
    }
}

fn figure(group: &str, contender: &str, unit: &str, value: Spread) -> Measurement {
    Measurement {
        group: group.to_owned(),
        contender: contender.to_owned(),
        parameter: String::new(),
        at: 0.0,
        unit: unit.to_owned(),
        value,
    }
}
