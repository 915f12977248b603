//! Upserts while many other threads, which have used the store once, sleep.
//!
//! What a library keeps for each thread it mostly keeps for the whole process, and some of
//! it for ever. So each contender with each number of sleepers has a process of its own: the
//! suite's program runs itself again, and tells those processes, one at a time, to do
//! their turn. Rounds are interleaved as they are within one process, and a turn that was
//! disturbed is repeated.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::contenders::{Contender, DashMap, Snapshot};
use crate::disturbance::{Found, Known, for_another_process};
use crate::results::{Bound, Measurement};
use crate::rounds::{Entrant, Maker, Series, interleave_placed};
use crate::suite::{FEW_USERS, Suite};
use crate::workload::{
    Access, FIVE_AXES, HISTORY, HOT_USERS, Mix, fill, read, throughput, user_ids,
};

/// How many other threads sleep, in the rows of the suite.
pub const SLEEPERS: [usize; 6] = [0, 1, 16, 64, 256, 512];

/// What a sleeper does before it sleeps: so many reads, upserts and histories.
const USES: usize = 8;

/// What a process does, as the suite tells it on its command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub contender: String,
    pub sleepers: usize,
    /// All with full histories.
    pub users: usize,
    /// Upserts of one thread in a turn.
    pub steps: usize,
}

/// The rows of the suite: this library first, then DashMap, which the bars are about, then
/// others beside which it is reported.
pub fn rows(suite: &mut Suite, contenders: &[fn(usize, usize, usize) -> Maker<'static>]) {
    for (users, has_bars) in [(FEW_USERS, true), (HOT_USERS, false)] {
        let name = |sleepers: usize| {
            let others = match sleepers {
                1 => "1 other thread".to_owned(),
                _ => format!("{sleepers} other threads"),
            };
            format!("upsert after {others}, full history of {HISTORY}, {users} users")
        };
        let selected = SLEEPERS.into_iter().filter(|&n| suite.selects(&name(n)));
        let selected: Vec<usize> = selected.collect();
        if selected.is_empty() {
            continue;
        }
        // Some 5 to 10 ms.
        let steps = suite.steps / if users == FEW_USERS { 16 } else { 8 };
        let of = |&sleepers: &usize| {
            contenders
                .iter()
                .map(move |maker| maker(sleepers, users, steps))
        };
        let makers: Vec<Maker> = selected.iter().flat_map(of).collect();
        let series = interleave_placed(&makers, suite.placements, suite.rounds);
        let series: Vec<&[Series]> = series.chunks(contenders.len()).collect();
        for (&sleepers, series) in selected.iter().zip(&series) {
            for series in *series {
                point(suite, sleepers, users, series);
            }
            let bound = match sleepers {
                _ if !has_bars => Bound::None,
                0 => Bound::None,
                512 => Bound::AtMost(1.25),
                _ => Bound::AtMost(1.0),
            };
            let name = name(sleepers);
            for other in &series[1..] {
                let is_dashmap = other.name == DashMap::NAME;
                let bound = if is_dashmap { bound } else { Bound::None };
                suite.slower(&name, &series[0], other, bound);
            }
        }
        let Some(none) = selected.iter().position(|&sleepers| sleepers == 0) else {
            continue;
        };
        for (&sleepers, with) in selected.iter().zip(&series) {
            for (place, (with, without)) in with.iter().zip(series[none]).enumerate() {
                if sleepers == 0 {
                    continue;
                }
                let bound = match (has_bars, place, sleepers) {
                    (true, 0, 512) => Bound::AtMost(1.4),
                    _ => Bound::None,
                };
                let name = format!("{}, {} beside itself", name(sleepers), with.name);
                let ratio = format!("{sleepers} / 0 other threads, time");
                if let Some(compared) = with.ratio(without, |rate| Some(1.0 / rate)) {
                    suite.results.bar(&name, &ratio, compared, bound);
                }
            }
        }
    }
}

/// Of the plot over the number of sleepers.
fn point(suite: &mut Suite, sleepers: usize, users: usize, series: &Series) {
    if let Some(value) = series.spread(|rate| Some(1e9 / rate)) {
        suite.results.measurement(Measurement {
            group: format!("upsert by other threads, {users} users"),
            contender: series.name.clone(),
            parameter: "other threads".to_owned(),
            at: sleepers as f64,
            unit: "ns".to_owned(),
            value,
        });
    }
}

#[derive(Serialize, Deserialize)]
struct Order {
    round: usize,
    known: Known,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    operations_per_second: f64,
    found: Found,
}

/// In the suite: makes an entrant with a process of its own, which runs this program with
/// `--serve` and the task.
pub fn maker<'a, C: Contender>(sleepers: usize, users: usize, steps: usize) -> Maker<'a> {
    let task = Task {
        contender: C::NAME.to_owned(),
        sleepers,
        users,
        steps,
    };
    Box::new(move || {
        let mut process = Process::start(&task).expect("the program runs again");
        Entrant::new(C::NAME, move |round| {
            process.take_turn(round).expect("the process answers")
        })
    })
}

struct Process {
    child: Child,
    /// `None` when the process is to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Returns as soon as the process is ready, so that it is quiet from then on.
    fn start(task: &Task) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .arg(serde_json::to_string(task)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let mut process = Self {
            child,
            orders,
            answers: BufReader::new(answers.ok_or_else(|| io::Error::other("no pipe"))?),
        };
        process.answer::<()>()?;
        Ok(process)
    }

    fn take_turn(&mut self, round: usize) -> io::Result<f64> {
        let known = Known::here();
        if let Some(orders) = &mut self.orders {
            send(orders, &Order { round, known })?;
        }
        let answer: Answer = self.answer()?;
        answer.found.account();
        Ok(answer.operations_per_second)
    }

    fn answer<T: for<'a> Deserialize<'a>>(&mut self) -> io::Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It ends when there are no more orders.
        let _ = self.child.wait();
    }
}

fn send(mut to: impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(what)?;
    line.push('\n');
    to.write_all(line.as_bytes())?;
    to.flush()
}

/// In the process: makes the store, has the threads use it and sleep, and takes its turns
/// until there are no more.
///
/// # Errors
///
/// If the suite cannot be heard or answered.
pub fn serve<C: Contender>(task: &Task) -> io::Result<()> {
    let users = user_ids(task.users);
    let store = C::new(Some(HISTORY), users.len());
    fill(&store, &users, FIVE_AXES, HISTORY);
    let mix = Mix {
        access: Access::Uniform,
        write_percent: 100.0,
        axes: FIVE_AXES,
    };
    thread::scope(|scope| {
        let mut alarms = Vec::new();
        for sleeper in 0..task.sleepers {
            let (sleeps, is_asleep) = mpsc::channel();
            let (alarm, alarmed) = mpsc::channel::<()>();
            let (store, users) = (&store, &users);
            thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn_scoped(scope, move || {
                    use_once(store, users, sleeper);
                    // Nobody listens any more if the suite has ended.
                    let _ = sleeps.send(());
                    let _ = alarmed.recv();
                })?;
            // One after the other, so that all are there at the same time.
            let _ = is_asleep.recv();
            alarms.push(alarm);
        }
        send(io::stdout(), &())?;
        for order in io::stdin().lines() {
            let Order { round, known } = serde_json::from_str(&order?)?;
            let turn = || throughput(&store, &users, mix, 1, task.steps, round);
            let (operations_per_second, found) = for_another_process(known, turn);
            let answer = Answer {
                operations_per_second,
                found,
            };
            send(io::stdout(), &answer)?;
        }
        // Wakes them.
        drop(alarms);
        Ok(())
    })
}

fn use_once<C: Contender>(store: &C, users: &[SmolStr], sleeper: usize) {
    for time in 0..USES {
        let user = &users[(sleeper * USES + time) % users.len()];
        store.upsert(C::Snapshot::build(user, FIVE_AXES, time as i64));
        read(store, user);
        drop(store.history(user, HISTORY));
    }
}
