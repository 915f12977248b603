//! Instructions an operation takes, by callgrind: the same on a busy machine
//! as on a quiet one, so that a change can be held to them.
//!
//! The program runs itself in callgrind. An empty operation is counted in the
//! same way and subtracted, and with it the loop and the call. Hashes are keyed
//! at random in each process, which moves the counts a little; several processes
//! are averaged.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use attuned_store::{StateSnapshot, StateStore};
use attuned_store_benches::contenders::{
    Attuned, Contender, DashMap, Papaya, Snapshot, ThroughTrait, Value,
};
use attuned_store_benches::instructions::{count, counted};
use attuned_store_benches::results::{Bound, Measurement, Results, Spread};
use attuned_store_benches::workload::{FIVE_AXES, HISTORY, fill, poll, user_id, user_ids};
use clap::Parser;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

const USERS: usize = 1_000;
/// Calls of each operation in a process.
const ITERATIONS: usize = 1_000;
/// Processes whose counts are averaged.
const PROCESSES: usize = 4;
/// How much an operation may take more than what is recorded.
const TOLERANCE: f64 = 0.03;

#[derive(Parser)]
struct Arguments {
    /// Compare with the recorded counts; fail if one has risen above 3 %.
    #[arg(long, conflicts_with = "bless")]
    check: bool,

    /// Record the counts as those to compare with.
    #[arg(long)]
    bless: bool,

    /// This program, built with the feature `spans-compiled-out`: compares what
    /// disabled spans cost.
    #[arg(long)]
    without_spans: Option<PathBuf>,

    /// For uniformity with the other suites: the counts need no longer version.
    #[arg(long)]
    full: bool,

    /// The directory that the results are written to.
    #[arg(long, default_value = "target/benches")]
    out: PathBuf,

    /// Perform the operations: what runs in callgrind.
    #[arg(long, hide = true)]
    perform: bool,
}

/// What `instructions.json` holds.
#[derive(Serialize, Deserialize)]
struct Recorded {
    rustc: String,
    target: String,
    instructions: BTreeMap<String, f64>,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.perform {
        Performance::default().all();
        return Ok(ExitCode::SUCCESS);
    }
    let found = Recorded {
        rustc: env!("BENCH_RUSTC").to_owned(),
        target: env!("BENCH_TARGET").to_owned(),
        instructions: average(&std::env::current_exe()?, &arguments.out)?,
    };
    if arguments.check {
        return check(&found);
    }
    report(&arguments, &found)?;
    if arguments.bless {
        let text = serde_json::to_string_pretty(&found)? + "\n";
        fs::write(recorded_path(), text)?;
        println!("recorded in {}", recorded_path().display());
    }
    Ok(ExitCode::SUCCESS)
}

fn recorded_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

/// Each operation's instructions per call, over several processes.
fn average(program: &Path, out: &Path) -> io::Result<BTreeMap<String, f64>> {
    let names = Performance::names();
    // Two at a time would be as good; four is what a small machine bears.
    let counts: Vec<Vec<u64>> = thread::scope(|scope| {
        let processes: Vec<_> = (0..PROCESSES)
            .map(|process| {
                let scratch = out.join(format!("callgrind-{process}"));
                scope.spawn(move || count(program, &["--perform"], &scratch))
            })
            .collect();
        processes
            .into_iter()
            .map(|process| process.join().expect("counting does not panic"))
            .collect::<io::Result<_>>()
    })?;
    if counts.iter().any(|counts| counts.len() != names.len()) {
        return Err(io::Error::other(
            "callgrind wrote another number of profiles than there are operations",
        ));
    }
    let calls = (PROCESSES * ITERATIONS) as f64;
    let mean = |operation: usize| {
        let total: u64 = counts.iter().map(|counts| counts[operation]).sum();
        total as f64 / calls
    };
    let empty = mean(0);
    Ok(names
        .into_iter()
        .enumerate()
        .skip(1)
        .map(|(operation, name)| (name, mean(operation) - empty))
        .collect())
}

fn check(found: &Recorded) -> io::Result<ExitCode> {
    let text = fs::read_to_string(recorded_path()).map_err(|error| {
        let path = recorded_path();
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    })?;
    let recorded: Recorded = serde_json::from_str(&text)?;
    println!(
        "{:40} {:>10} {:>10} {:>8}",
        "operation", "recorded", "now", ""
    );
    let mut risen = false;
    for (name, now) in &found.instructions {
        let Some(before) = recorded.instructions.get(name) else {
            println!("{name:40} {:>10} {now:>10.1} new", "");
            continue;
        };
        let change = now / before - 1.0;
        let mark = if change > TOLERANCE { " RISEN" } else { "" };
        risen |= change > TOLERANCE;
        println!(
            "{name:40} {before:>10.1} {now:>10.1} {:>+7.1} %{mark}",
            100.0 * change
        );
    }
    if (&recorded.rustc, &recorded.target) != (&found.rustc, &found.target) {
        println!(
            "Recorded with {} for {}, counted with {} for {}: the counts of different compilers \
             do not compare.",
            recorded.rustc, recorded.target, found.rustc, found.target
        );
        return Ok(ExitCode::SUCCESS);
    }
    if risen {
        println!("Risen by more than {} %.", 100.0 * TOLERANCE);
        return Ok(ExitCode::FAILURE);
    }
    println!("None has risen by more than {} %.", 100.0 * TOLERANCE);
    Ok(ExitCode::SUCCESS)
}

fn report(arguments: &Arguments, found: &Recorded) -> io::Result<()> {
    let mut results = Results::new("instructions", arguments.full);
    for (name, &instructions) in &found.instructions {
        results.measurement(Measurement {
            group: "instructions".to_owned(),
            contender: name.clone(),
            parameter: String::new(),
            at: 0.0,
            unit: "instructions".to_owned(),
            value: Spread::exact(instructions),
        });
    }
    let ratio = |numerator: &str, denominator: &str| {
        Spread::exact(found.instructions[numerator] / found.instructions[denominator])
    };
    results.bar(
        "get against bare papaya get and clone",
        "get / papaya get and clone, instructions",
        ratio("get", "papaya: get and clone"),
        Bound::AtMost(1.15),
    );
    results.bar(
        "upsert with a full history against DashMap",
        "attuned-store / DashMap, instructions",
        ratio(
            "upsert, full history of 100",
            "DashMap: upsert, full history of 100",
        ),
        Bound::None,
    );
    if let Some(without_spans) = &arguments.without_spans {
        let without = average(without_spans, &arguments.out)?;
        results.bar(
            "disabled span on get_latest",
            "with spans, disabled / without spans, instructions",
            Spread::exact(found.instructions["get_latest, dyn"] / without["get_latest, dyn"]),
            Bound::AtMost(1.05),
        );
    }
    results.write(&arguments.out)
}

/// Goes through the operations: to perform them, or only to tell their names.
#[derive(Default)]
struct Performance {
    only_names: Option<Vec<String>>,
}

impl Performance {
    fn names() -> Vec<String> {
        let mut performance = Self {
            only_names: Some(Vec::new()),
        };
        performance.all();
        performance.only_names.unwrap_or_default()
    }

    /// `prepare` makes what is called, with all that it needs.
    fn operation<F: FnMut(usize)>(&mut self, name: &str, prepare: impl FnOnce() -> F) {
        match &mut self.only_names {
            Some(names) => names.push(name.to_owned()),
            None => counted(ITERATIONS, &mut prepare()),
        }
    }

    fn all(&mut self) {
        // First: it is subtracted from the others.
        self.operation("empty", || {
            |iteration| {
                black_box(iteration);
            }
        });
        self.reads();
        self.writes();
        self.snapshots();
        self.others();
    }

    fn reads(&mut self) {
        let users = user_ids(USERS);
        let store = self.filled::<Attuned>(Some(HISTORY), HISTORY);
        let store = &store.0;
        let visit = |iteration| visited(&users, iteration);
        self.operation("with", || {
            |iteration| {
                black_box(store.with(visit(iteration), Value::confidence));
            }
        });
        self.operation("get", || {
            |iteration| {
                black_box(store.get(visit(iteration)));
            }
        });
        store.pin(|view| {
            self.operation("get, pinned", || {
                |iteration| {
                    black_box(view.get(visit(iteration)));
                }
            });
        });
        let object: &dyn StateStore = store;
        self.operation("get_latest, dyn", || {
            |iteration| {
                black_box(poll(object.get_latest(visit(iteration))).is_ok());
            }
        });
        self.operation("history of 100", || {
            |iteration| {
                black_box(store.history(visit(iteration), HISTORY));
            }
        });
        self.upsert("upsert, full history of 100", |snapshot| {
            store.insert(snapshot).unwrap();
        });
        self.operation("remove", || {
            |iteration| {
                black_box(store.remove(visit(iteration)).unwrap());
            }
        });
    }

    fn writes(&mut self) {
        let plain = self.filled::<Attuned>(None, 1);
        self.upsert("upsert, no history", |snapshot| {
            plain.upsert(snapshot);
        });
        let growing = Attuned::new(Some(HISTORY), 2 * ITERATIONS);
        self.upsert("upsert of a new user", |snapshot| {
            growing.upsert(snapshot);
        });
    }

    fn snapshots(&mut self) {
        let id = user_id(0);
        self.operation("snapshot: build, 5 axes", || {
            |iteration| {
                black_box(StateSnapshot::build(&id, FIVE_AXES, iteration as i64));
            }
        });
        let snapshot = StateSnapshot::build(&id, FIVE_AXES, 0);
        self.operation("snapshot: clone and drop", || {
            |_| {
                black_box(snapshot.clone());
            }
        });
    }

    fn others(&mut self) {
        let users = user_ids(USERS);
        let papaya: Papaya = self.filled(None, 1);
        self.operation("papaya: get and clone", || {
            |iteration| {
                black_box(papaya.get(visited(&users, iteration)));
            }
        });
        // As the row of `contention` has it.
        let papaya = self.filled::<Papaya<StateSnapshot>>(None, 1);
        let object: &dyn StateStore = &ThroughTrait(papaya);
        self.operation("papaya: get_latest, dyn", || {
            |iteration| {
                black_box(poll(object.get_latest(visited(&users, iteration))).is_ok());
            }
        });
        let dashmap = self.filled::<DashMap>(Some(HISTORY), HISTORY);
        self.operation("DashMap: get", || {
            |iteration| {
                black_box(dashmap.get(visited(&users, iteration)));
            }
        });
        self.upsert("DashMap: upsert, full history of 100", |snapshot| {
            dashmap.upsert(snapshot);
        });
    }

    /// Writes snapshots that are made beforehand, each for another user.
    fn upsert(&mut self, name: &str, upsert: impl Fn(StateSnapshot)) {
        self.operation(name, || {
            let users = user_ids(USERS);
            let mut snapshots: Vec<Option<StateSnapshot>> = (0..ITERATIONS)
                .map(|iteration| {
                    let user = visited(&users, iteration);
                    Some(StateSnapshot::build(user, FIVE_AXES, iteration as i64))
                })
                .collect();
            move |iteration| {
                if let Some(snapshot) = snapshots[iteration].take() {
                    upsert(snapshot);
                }
            }
        });
    }

    /// An empty store if only names are asked for.
    fn filled<C: Contender>(&self, history: Option<usize>, versions: usize) -> C {
        let store = C::new(history, USERS);
        if self.only_names.is_none() {
            fill(&store, &user_ids(USERS), FIVE_AXES, versions);
            // A thread's first removal makes bookkeeping, too.
            let id = user_id(USERS + 1);
            store.upsert(C::Snapshot::build(&id, FIVE_AXES, 0));
            store.remove(&id);
        }
        store
    }
}

/// Each user once in 1,000 calls, in a fixed order.
fn visited(users: &[SmolStr], iteration: usize) -> &str {
    &users[iteration * 719 % users.len()]
}
