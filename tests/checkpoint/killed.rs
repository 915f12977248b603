//! A process that is killed at a random moment leaves a whole checkpoint, and the next one
//! goes on with it.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use attuned_store::{Expected, MemoryStore, RestoreError};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::depth::Depth;

use super::{folder, names_in, snapshot};

const USERS: i64 = 400;

/// How long a process lives at the most: some twenty checkpoints.
const LONGEST_LIFE: Duration = Duration::from_millis(60);

#[test]
fn killed_at_any_moment_it_leaves_a_whole_checkpoint() {
    let folder = folder("killed");
    let path = folder.join("users");
    let kills = Depth::of_this_run().choose(10, 100);
    let mut random = SmallRng::seed_from_u64(17);
    let (mut generation, mut found_half) = (0, 0);
    for kill in 0..kills {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "killed::writes_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("ATTUNED_CHECKPOINT", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It has restored the checkpoint, and written a first one.
        let first = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| done(&line));
        assert!(
            first.is_some_and(|first| first > generation),
            "kill {kill}: {first:?}"
        );
        let life = random.random_range(Duration::ZERO..LONGEST_LIFE);
        thread::sleep(life);
        // SIGKILL, on Unix.
        child.kill().unwrap();
        child.wait().unwrap();
        let told = lines
            .map_while(Result::ok)
            .filter_map(|line| done(&line))
            .last();
        let told = told.or(first).unwrap();

        found_half += usize::from(names_in(&folder).len() > 1);
        generation = whole(&path);
        // The one that was told is on the disk, and the next one may be.
        assert!(
            (told..=told + 1).contains(&generation),
            "{generation}, told {told}"
        );
        assert!(names_in(&folder).len() <= 2, "{:?}", names_in(&folder));
    }
    println!("{kills} kills, {found_half} of them in the middle of a checkpoint");
    fs::remove_dir_all(folder).unwrap();
}

fn done(line: &str) -> Option<i64> {
    line.strip_prefix("done ")?.parse().ok()
}

/// The generation of a checkpoint: all users are of it, with the one before.
fn whole(path: &Path) -> i64 {
    let store = MemoryStore::builder()
        .history(2)
        .restore_from(path)
        .unwrap();
    assert_eq!(store.len(), USERS as usize);
    let generation = store.get("user_0").unwrap().updated_at_unix_ms();
    store.for_each(|_, state| assert_eq!(state.updated_at_unix_ms(), generation));
    if generation > 1 {
        for id in store.user_ids() {
            let history = store.history(&id, 9);
            assert_eq!(history[1].value.updated_at_unix_ms(), generation - 1);
        }
    }
    generation
}

#[test]
#[ignore = "for a process that another test starts, and kills"]
fn writes_until_it_is_killed() {
    let Some(path) = env::var_os("ATTUNED_CHECKPOINT") else {
        return;
    };
    let builder = MemoryStore::builder().history(2);
    let store = match builder.clone().restore_from(&path) {
        Err(RestoreError::File { .. }) => builder.build().unwrap(),
        restored => restored.unwrap(),
    };
    let mut generation = store
        .get("user_0")
        .map_or(0, |state| state.updated_at_unix_ms());
    let mut revisions: Vec<_> = (0..USERS)
        .map(|user| {
            store
                .get_versioned(&format!("user_{user}"))
                .map(|latest| latest.revision)
        })
        .collect();
    loop {
        generation += 1;
        for (user, revision) in (0..USERS).zip(&mut revisions) {
            let snapshot = snapshot(&format!("user_{user}"), generation);
            // On what was there, also before the process.
            let expected = Expected::from(*revision);
            *revision = Some(store.insert_if(snapshot, expected).unwrap());
        }
        store.checkpoint_to(&path).unwrap();
        // At the beginning of a line, whatever the harness has printed.
        writeln!(std::io::stdout(), "\ndone {generation}").unwrap();
    }
}
