//! Throughput, contenders interleaved in rounds: the bars, and curves over the
//! number of threads.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::io;

use attuned_store::StateStore;
use attuned_store_benches::arguments::Arguments;
use attuned_store_benches::contenders::{
    Attuned, Contender, DashMap, Papaya, Parts, Published, StdRwLock, ThroughTrait,
};
use attuned_store_benches::for_all_contenders;
use attuned_store_benches::results::{Bound, Measurement, Results};
use attuned_store_benches::rounds::{Entrant, Maker, Series, interleave, interleave_placed};
use attuned_store_benches::workload::{
    ALL_AXES, Access, FIVE_AXES, HISTORY, HOT_USERS, Mix, fill, poll, seed, throughput,
    timed_threads, user_ids,
};
use clap::Parser as _;
use smol_str::SmolStr;

/// Where many users are read or written at random.
const MANY_USERS: usize = 100_000;
/// Where most of them are only there to fill the map, or take much memory.
const FEW_USERS: usize = 1_000;
const OPS_PER_SEC: &str = "operations/s";

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut suite = Suite {
        rounds: arguments.pick(7, 31),
        placements: arguments.pick(2, 4),
        steps: arguments.pick(200_000, 400_000),
        results: Results::new("contention", arguments.full),
        arguments,
    };
    suite.trait_reads();
    suite.hot_users();
    suite.scaling();
    suite.growth();
    suite.full_histories();
    suite.curves();
    suite.results.write(&suite.arguments.directory())
}

struct Suite {
    arguments: Arguments,
    rounds: usize,
    /// How often stores are made anew, in an order that rotates, where making them takes
    /// long.
    placements: usize,
    /// Operations of a thread in a turn on hot users; fewer where they take longer. That
    /// makes some 5 to 50 ms: a core that is shared with strangers is one's own for
    /// short times only.
    steps: usize,
    results: Results,
}

impl Suite {
    /// A bar on how much faster the first of two series is.
    fn faster(&mut self, name: &str, ours: &Series, other: &Series, bound: Bound) {
        for series in [ours, other] {
            let Some(value) = series.spread(itself) else {
                continue;
            };
            self.results.measurement(Measurement {
                group: name.to_owned(),
                contender: series.name.clone(),
                parameter: String::new(),
                at: 0.0,
                unit: OPS_PER_SEC.to_owned(),
                value,
            });
        }
        let ratio = format!("{} / {}, {OPS_PER_SEC}", ours.name, other.name);
        if let Some(compared) = ours.ratio(other, itself) {
            self.results.bar(name, &ratio, compared, bound);
        }
    }

    /// A bar on how much more time the first of two series takes.
    fn slower(&mut self, name: &str, ours: &Series, other: &Series, bound: Bound) {
        let ratio = format!("{} / {}, time", ours.name, other.name);
        if let Some(compared) = ours.ratio(other, |rate| Some(1.0 / rate)) {
            self.results.bar(name, &ratio, compared, bound);
        }
    }

    /// Through `dyn`, which is the only interface of the published store.
    fn trait_reads(&mut self) {
        for (axes, latest_bar, history_bar) in [(FIVE_AXES, 5.0, 15.0), (ALL_AXES, 20.0, 60.0)] {
            // Few enough to be in the caches, and as many as a service has.
            for (users, bound) in [
                (FEW_USERS, Bound::AtLeast(latest_bar)),
                (MANY_USERS, Bound::None),
            ] {
                let latest = format!("get_latest through dyn, {} axes, {users} users", axes.len());
                if !self.arguments.selects(&latest) {
                    continue;
                }
                let users = user_ids(users);
                let (ours, published) = behind_dyn(None, &users, axes, 1);
                let papaya = Papaya::new(None, users.len());
                fill(&papaya, &users, axes, 1);
                let papaya: Box<dyn StateStore> = Box::new(ThroughTrait(papaya));
                let steps = self.steps / if users.len() == MANY_USERS { 16 } else { 8 };
                let series = interleave(
                    vec![
                        Entrant::new(Attuned::NAME, |round| {
                            calls(&users, steps, round, |id| poll(ours.get_latest(id)))
                        }),
                        Entrant::new(Published::NAME, |round| {
                            calls(&users, steps, round, |id| poll(published.get_latest(id)))
                        }),
                        Entrant::new(Papaya::NAME, |round| {
                            calls(&users, steps, round, |id| poll(papaya.get_latest(id)))
                        }),
                    ],
                    self.rounds,
                );
                self.faster(&latest, &series[0], &series[1], bound);
                // What the boxed future and a reference count leave of it.
                let ceiling = format!("{latest}, a bare map behind the same trait");
                self.faster(&ceiling, &series[2], &series[1], Bound::None);
            }
            // Of histories that are read again and again, and of those that must
            // be fetched from further away each time.
            for (users, bound) in [
                (HOT_USERS, Bound::AtLeast(history_bar)),
                (FEW_USERS, Bound::None),
            ] {
                let history = format!(
                    "get_history(100) through dyn, {} axes, {users} users",
                    axes.len()
                );
                if !self.arguments.selects(&history) {
                    continue;
                }
                let users = user_ids(users);
                let (ours, published) = behind_dyn(Some(HISTORY), &users, axes, HISTORY);
                let steps = self.steps / 800;
                let series = interleave(
                    vec![
                        Entrant::new(Attuned::NAME, |round| {
                            calls(&users, steps, round, |id| {
                                poll(ours.get_history(id, HISTORY))
                            })
                        }),
                        Entrant::new(Published::NAME, |round| {
                            calls(&users, steps, round, |id| {
                                poll(published.get_history(id, HISTORY))
                            })
                        }),
                    ],
                    self.rounds,
                );
                self.faster(&history, &series[0], &series[1], bound);
            }
        }
    }

    fn hot_users(&mut self) {
        let read_only = "4 hot users, 2 threads, with_latest only";
        if self.arguments.selects(read_only) {
            let hot = Hot::new(0.0, 2, self.steps);
            let series = interleave(
                vec![
                    hot.entrant::<Attuned>(),
                    hot.entrant::<DashMap>(),
                    hot.entrant::<Papaya>(),
                ],
                self.rounds,
            );
            self.faster(read_only, &series[0], &series[1], Bound::AtLeast(3.0));
            // What can be reached with this map, this hasher and this machine.
            let ceiling = format!("{read_only}, the ceiling");
            self.faster(&ceiling, &series[2], &series[1], Bound::None);
        }
        let writes = "4 hot users, 2 threads, 1 % writes";
        if self.arguments.selects(writes) {
            let hot = Hot::new(1.0, 2, self.steps);
            let series = interleave(
                vec![
                    hot.entrant::<Attuned>(),
                    hot.entrant::<DashMap>(),
                    hot.entrant::<StdRwLock>(),
                ],
                self.rounds,
            );
            self.faster(
                &format!("{writes}, DashMap"),
                &series[0],
                &series[1],
                Bound::AtLeast(1.7),
            );
            self.faster(
                &format!("{writes}, std RwLock"),
                &series[0],
                &series[2],
                Bound::AtLeast(2.5),
            );
        }
    }

    fn scaling(&mut self) {
        let name = "4 hot users, with_latest, 2 threads against 1";
        if !self.arguments.selects(name) {
            return;
        }
        let alone = Hot::new(0.0, 1, self.steps);
        let both = Hot::new(0.0, 2, self.steps);
        let series = interleave(
            vec![
                both.entrant::<Attuned>(),
                alone.entrant::<Attuned>(),
                both.entrant::<DashMap>(),
                alone.entrant::<DashMap>(),
                // What the machine gives a read that shares nothing.
                both.entrant::<Papaya>(),
                alone.entrant::<Papaya>(),
            ],
            self.rounds,
        );
        for (pair, bound) in [(0, Bound::AtLeast(1.8)), (2, Bound::None), (4, Bound::None)] {
            let (two, one) = (&series[pair], &series[pair + 1]);
            if let Some(compared) = two.ratio(one, itself) {
                let name = format!("{name}, {}", two.name);
                let ratio = format!("2 threads / 1 thread, {OPS_PER_SEC}");
                self.results.bar(&name, &ratio, compared, bound);
            }
        }
    }

    fn growth(&mut self) {
        let name = "with_latest after growth by upserts, uniform";
        if !self.arguments.selects(name) {
            return;
        }
        let users = user_ids(MANY_USERS);
        let mix = Mix {
            access: Access::Uniform,
            write_percent: 0.0,
            axes: FIVE_AXES,
        };
        // A new store in each round: where a map puts its keys is up to chance.
        let entrant = |name: &str, capacity| {
            let (users, steps) = (&users, self.steps / 4);
            Entrant::new(name, move |round| {
                let store = Attuned::new(None, capacity);
                fill(&store, users, FIVE_AXES, 1);
                throughput(&store, users, mix, 1, steps, round)
            })
        };
        let entrants = vec![entrant("grown", 0), entrant("presized", MANY_USERS)];
        let series = interleave(entrants, self.rounds);
        self.slower(name, &series[0], &series[1], Bound::AtMost(1.1));
    }

    /// The steady state of a store with history: each write evicts. A
    /// store takes some 1.5 GB, and there are up to three.
    fn full_histories(&mut self) {
        let users = user_ids(MANY_USERS);
        for (name, write_percent, threads) in [
            (
                "100,000 users uniform, 2 threads, 5 % writes, full histories",
                5.0,
                2,
            ),
            (
                "upsert, full history of 100, 100,000 users uniform",
                100.0,
                1,
            ),
        ] {
            if !self.arguments.selects(name) {
                continue;
            }
            let mix = Mix {
                access: Access::Uniform,
                write_percent,
                axes: FIVE_AXES,
            };
            let steps = self.steps / 8;
            let makers = [
                filled::<Attuned>(&users, mix, HISTORY, threads, steps),
                filled::<DashMap>(&users, mix, HISTORY, threads, steps),
                if threads == 1 {
                    filled::<Parts>(&users, mix, HISTORY, threads, steps)
                } else {
                    // Keeps none.
                    filled::<Papaya>(&users, mix, 1, threads, steps)
                },
            ];
            let series = interleave_placed(&makers, self.placements, self.rounds);
            if threads == 1 {
                self.slower(name, &series[0], &series[1], Bound::AtMost(1.3));
                // What of it is the parts', which leave out what makes it a store.
                let floor = format!("{name}, its parts alone");
                self.slower(&floor, &series[2], &series[1], Bound::None);
            } else {
                self.faster(name, &series[0], &series[1], Bound::AtLeast(1.0));
                // What can be reached with this map.
                let ceiling = format!("{name}, a bare map without them");
                self.faster(&ceiling, &series[2], &series[1], Bound::None);
            }
        }
    }

    /// All contenders over the number of threads.
    fn curves(&mut self) {
        let mixes: &[f64] = self.arguments.pick(&[5.0], &[0.0, 5.0, 50.0]);
        for access in [Access::Hot, Access::Uniform] {
            for &write_percent in mixes {
                let group = format!("{}, {write_percent} % writes", access.name());
                if !self.arguments.selects(&group) {
                    continue;
                }
                for threads in [1, 2, 4, 8] {
                    self.curve_point(&group, access, write_percent, threads);
                }
            }
        }
    }

    fn curve_point(&mut self, group: &str, access: Access, write_percent: f64, threads: usize) {
        // As many for each thread whatever their number: with less to do, the
        // threads that share a core would be through one after the other.
        let steps = match access {
            // Fewer where spinning locks take minutes for more.
            Access::Hot if threads > 4 => 200_000,
            Access::Hot => 400_000,
            Access::Uniform | Access::Zipf => self.steps / 4,
        };
        let rounds = 3;
        let series = if access == Access::Hot {
            let hot = Hot::new(write_percent, threads, steps);
            fn entrant<'a, C: Contender>(hot: &'a Hot) -> Entrant<'a> {
                hot.entrant::<C>()
            }
            interleave(for_all_contenders!(entrant(&hot)), rounds)
        } else {
            let users = user_ids(MANY_USERS);
            let mix = Mix {
                access,
                write_percent,
                axes: FIVE_AXES,
            };
            // Two snapshots a user, so that what a second one makes a store
            // allocate is there.
            let makers = for_all_contenders!(filled(&users, mix, 2, threads, steps));
            interleave_placed(&makers, rounds, rounds)
        };
        for series in &series {
            let Some(value) = series.spread(itself) else {
                continue;
            };
            self.results.measurement(Measurement {
                group: group.to_owned(),
                contender: series.name.clone(),
                parameter: "threads".to_owned(),
                at: threads as f64,
                unit: OPS_PER_SEC.to_owned(),
                value,
            });
        }
    }
}

/// Of a series whose values are what is compared.
fn itself(value: &f64) -> Option<f64> {
    Some(*value)
}

/// A load on few users with full histories, among others who are only there.
struct Hot {
    users: Vec<SmolStr>,
    mix: Mix,
    threads: usize,
    steps: usize,
}

impl Hot {
    fn new(write_percent: f64, threads: usize, steps: usize) -> Self {
        Self {
            users: user_ids(FEW_USERS),
            mix: Mix {
                access: Access::Hot,
                write_percent,
                axes: FIVE_AXES,
            },
            threads,
            steps,
        }
    }

    /// With a new store in each round: where the hot users come to lie, and
    /// with it which of them share a lock, is up to chance.
    fn entrant<C: Contender>(&self) -> Entrant<'_> {
        Entrant::new(C::NAME, |round| {
            let store = C::new(Some(HISTORY), FEW_USERS);
            fill(&store, &self.users, self.mix.axes, 1);
            fill(&store, &self.users[..HOT_USERS], self.mix.axes, HISTORY);
            throughput(
                &store,
                &self.users,
                self.mix,
                self.threads,
                self.steps,
                round,
            )
        })
    }
}

/// Makes a store with so many snapshots a user.
fn filled<C: Contender>(
    users: &[SmolStr],
    mix: Mix,
    versions: usize,
    threads: usize,
    steps: usize,
) -> Maker<'_> {
    Box::new(move || {
        let store = C::new(Some(HISTORY), users.len());
        fill(&store, users, mix.axes, versions);
        Entrant::new(C::NAME, move |round| {
            throughput(&store, users, mix, threads, steps, round)
        })
    })
}

/// Both stores that have a trait, filled.
fn behind_dyn(
    history: Option<usize>,
    users: &[SmolStr],
    axes: &[&str],
    versions: usize,
) -> (Box<dyn StateStore>, Box<dyn attuned_store_v1::StateStore>) {
    let ours = Attuned::new(history, users.len());
    let published = Published::new(history, users.len());
    fill(&ours, users, axes, versions);
    fill(&published, users, axes, versions);
    (Box::new(ours.0), Box::new(published.0))
}

/// Calls one thread's operation on uniformly drawn users; calls a second.
fn calls<R>(users: &[SmolStr], count: usize, round: usize, call: impl Fn(&str) -> R + Sync) -> f64 {
    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    let elapsed = timed_threads(
        1,
        |thread| {
            let mut rng = SmallRng::seed_from_u64(seed(round, thread));
            black_box(call(&users[0]));
            let drawn = (0..count).map(|_| rng.random_range(0..users.len()));
            drawn.collect::<Vec<_>>()
        },
        |drawn| {
            for user in drawn {
                black_box(call(&users[user]));
            }
        },
    );
    count as f64 / elapsed.as_secs_f64()
}
