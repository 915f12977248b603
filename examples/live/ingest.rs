//! Storing the events of an input.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};
use std::{iter, thread};

use attuned_store::StateSnapshot;

use crate::input::{Input, Line, Lines, Malformed};
use crate::replay::Replay;
use crate::side::{Side, Sides};
use crate::{Error, Result, warn};

/// How many malformed lines are shown; the others are only counted.
const MALFORMED_SHOWN: u64 = 10;

/// How many events may wait for each writer.
const QUEUE: usize = 1024;

/// How many are handed over at once.
const AT_ONCE: usize = 256;

/// What was in the input.
#[derive(Default)]
pub struct Ingested {
    pub lines: u64,
    pub events: u64,
    pub malformed: u64,
    pub blank: u64,
    pub took: Duration,
}

/// Stores all events of the input in both maps and replays them aside.
///
/// The events of one user all go to the same writer, so their order is kept.
pub fn ingest(
    input: Input,
    sides: &Sides<impl Side, impl Side>,
    writers: usize,
    replay: &mut Replay,
) -> Result<Ingested> {
    let start = Instant::now();
    let mut ingested = thread::scope(|scope| {
        let mut queues = Vec::with_capacity(writers);
        for _ in 0..writers {
            let (queue, events) = mpsc::sync_channel(QUEUE);
            thread::Builder::new()
                .spawn_scoped(scope, || insert_all(events, sides))
                .map_err(Error::Thread)?;
            queues.push(queue);
        }
        distribute(input, &queues, replay)
    })?;
    ingested.took = start.elapsed();
    Ok(ingested)
}

fn insert_all(events: Receiver<StateSnapshot>, sides: &Sides<impl Side, impl Side>) {
    while let Ok(first) = events.recv() {
        let waiting = events.try_iter().take(AT_ONCE - 1);
        sides.insert_many(iter::once(first).chain(waiting).collect());
    }
}

/// Hands each event to the writer of its user.
fn distribute(
    input: Input,
    queues: &[SyncSender<StateSnapshot>],
    replay: &mut Replay,
) -> Result<Ingested> {
    let Input { name, reader } = input;
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut seen = Ingested::default();
    for line in Lines::new(reader) {
        let line = line.map_err(|source| Error::Input {
            name: name.clone(),
            source,
        })?;
        seen.lines += 1;
        match line {
            Line::Blank => seen.blank += 1,
            Line::Malformed(reason) => {
                seen.malformed += 1;
                report_malformed(seen.lines, seen.malformed, &reason);
            }
            Line::Event(event) => {
                seen.events += 1;
                replay.apply(event.clone());
                let writer = hasher.hash_one(event.user_id()) % queues.len() as u64;
                queues[writer as usize]
                    .send(event)
                    .expect("a writer takes events until there are no more");
            }
        }
    }
    Ok(seen)
}

fn report_malformed(line: u64, count: u64, reason: &Malformed) {
    if count <= MALFORMED_SHOWN {
        warn(format_args!("line {line}: {reason}"));
    } else if count == MALFORMED_SHOWN + 1 {
        warn("more malformed lines are counted, not shown");
    }
}
