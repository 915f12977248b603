//! What outlives a run: checkpoints, and going on with one.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use attuned_store::{CheckpointError, MemoryStore};

use crate::check::is_in_order;
use crate::format::counted;
use crate::rival::Rival;
use crate::screen::Screen;
use crate::side::{Side as _, Sides};
use crate::users::Users;
use crate::{Error, Result};

/// How long after a checkpoint the next one is written.
const PERIOD: Duration = Duration::from_secs(1);

/// Begins with what the checkpoint has, in both maps. Returns the users, and whether what
/// came out of it is sound.
pub fn restore(
    path: &Path,
    history: u32,
    sides: &mut Sides<MemoryStore, Rival>,
    screen: &mut Screen,
) -> Result<(Users, bool)> {
    let start = Instant::now();
    let builder = MemoryStore::builder().history(history as usize);
    let restored = builder.restore_from(path);
    sides.attuned = restored.map_err(|error| Error::Checkpoint(error.to_string()))?;
    let took = start.elapsed();

    let (mut users, mut states, mut wrong) = (Vec::new(), 0, 0);
    for id in sides.attuned.user_ids() {
        let history = sides.attuned.history(&id, usize::MAX);
        let latest = sides.attuned.get(&id);
        let is_sound =
            is_in_order(&history) && history.first().map(|newest| &newest.value) == latest.as_ref();
        wrong += u64::from(!is_sound);
        states += history.len() as u64;
        users.push((id.clone(), history.len() as u32));
        for entry in history.into_iter().rev() {
            let snapshot = entry.value.into_snapshot(&id);
            sides.dashmap.insert(snapshot.expect("the id of a user"));
        }
    }
    // In an order that does not change from run to run.
    users.sort_unstable();
    let verdict = match wrong {
        0 => "each history is in order and ends with the latest state".to_owned(),
        wrong => format!("FAILED: {} wrong", counted(wrong, "user")),
    };
    screen.line(format_args!(
        "restored: {}, {}, in {:.2} s: {verdict}",
        counted(users.len() as u64, "user"),
        counted(states, "state"),
        took.as_secs_f64(),
    ))?;
    Ok((Users::new(users, states), wrong == 0))
}

/// Checkpoints that are written while the maps are worked on.
pub struct Checkpoints {
    path: PathBuf,
    store: MemoryStore,
    end: Sender<()>,
    thread: JoinHandle<std::result::Result<u64, CheckpointError>>,
}

impl Checkpoints {
    pub fn start(path: &Path, sides: &Sides<MemoryStore, Rival>) -> Result<Self> {
        let (end, ended) = mpsc::channel();
        let (path, store) = (path.to_owned(), sides.attuned.clone());
        let again_and_again = {
            let (path, store) = (path.clone(), store.clone());
            move || {
                let mut checkpoints = 0;
                loop {
                    store.checkpoint_to(&path)?;
                    checkpoints += 1;
                    if ended.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout) {
                        return Ok(checkpoints);
                    }
                }
            }
        };
        let thread = thread::Builder::new().spawn(again_and_again);
        Ok(Self {
            path,
            store,
            end,
            thread: thread.map_err(Error::Thread)?,
        })
    }

    /// Writes the last one.
    pub fn end(self, screen: &mut Screen) -> Result<()> {
        drop(self.end);
        let checkpoints = self.thread.join().expect("no checkpoint panics");
        let written = checkpoints.and_then(|before| {
            let last = self.store.checkpoint_to(&self.path)?;
            Ok((before + 1, last))
        });
        let (checkpoints, last) = written.map_err(|error| Error::Checkpoint(error.to_string()))?;
        screen.line(format_args!(
            "checkpoints: {checkpoints}, the last one of {}, {} and {}",
            counted(last.users, "user"),
            counted(last.versions, "state"),
            counted(last.bytes, "byte"),
        ))?;
        Ok(())
    }
}
