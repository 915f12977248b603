//! The file: replaced as a whole or not at all, whatever the disk does.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{env, thread};

use attuned_store::{CheckpointError, MemoryStore, RestoreError};

use super::{folder, names_in, snapshot, with_history};

fn of(users: usize) -> MemoryStore {
    let store = with_history(2);
    for user in 0..users {
        store.insert(snapshot(&format!("user_{user}"), 1)).unwrap();
    }
    store
}

fn users_in(path: &Path) -> usize {
    MemoryStore::builder().restore_from(path).unwrap().len()
}

/// What went wrong, with which file of the folder, and what the system said.
#[track_caller]
fn of_file(error: &CheckpointError) -> (&'static str, String, ErrorKind) {
    match error {
        CheckpointError::File {
            action,
            path,
            source,
            ..
        } => {
            let name = path.file_name().unwrap().to_str().unwrap();
            (action, name.to_owned(), source.kind())
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_file_is_replaced() {
    let folder = folder("replaced");
    let path = folder.join("users");
    of(10).checkpoint_to(&path).unwrap();
    assert_eq!(users_in(&path), 10);
    of(20).checkpoint_to(&path).unwrap();
    assert_eq!(users_in(&path), 20);
    assert_eq!(names_in(&folder), ["users"]);
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let path = folder("owner").join("users");
    of(1).checkpoint_to(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_path_without_a_folder_is_in_the_present_one() {
    // The tests of a package run in its folder.
    let name = format!("checkpoint-{}.test", std::process::id());
    let written = of(1).checkpoint_to(&name);
    let users = written.map(|_| users_in(Path::new(&name)));
    let _ = fs::remove_file(&name);
    assert_eq!(users.unwrap(), 1);
}

#[test]
fn what_cannot_be_replaced_is_named() {
    let folder = folder("named");
    // A folder that is gone.
    let gone = folder.join("gone").join("users");
    let error = of(1).checkpoint_to(&gone).unwrap_err();
    let (action, name, kind) = of_file(&error);
    assert_eq!((action, kind), ("create", ErrorKind::NotFound));
    assert!(name.starts_with(".users."), "{name}");
    // One that is none, which refuses new files to root, too.
    fs::write(folder.join("file"), "").unwrap();
    let error = of(1)
        .checkpoint_to(folder.join("file").join("users"))
        .unwrap_err();
    let (action, _, kind) = of_file(&error);
    assert_eq!((action, kind), ("create", ErrorKind::NotADirectory));
    // Where the file should come, there is a folder.
    fs::create_dir(folder.join("taken")).unwrap();
    fs::write(folder.join("taken").join("file"), "").unwrap();
    let error = of(1).checkpoint_to(folder.join("taken")).unwrap_err();
    let (action, name, _) = of_file(&error);
    assert_eq!((action, name.as_str()), ("replace", "taken"));
    // No name at all.
    let error = of(1).checkpoint_to(folder.join("..")).unwrap_err();
    assert!(error.to_string().starts_with("cannot replace "), "{error}");
    // Nothing is left behind.
    assert_eq!(names_in(&folder), ["file", "taken"]);
}

/// Folders that refuse new files to everybody, root included.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_is_named() {
    let error = of(1).checkpoint_to("/proc/self/users").unwrap_err();
    let (action, name, _) = of_file(&error);
    assert_eq!(action, "create");
    assert!(name.starts_with(".users."), "{name}");
}

#[test]
fn an_absent_file_is_not_found() {
    let path = folder("absent").join("users");
    let error = MemoryStore::builder().restore_from(&path).unwrap_err();
    let RestoreError::File {
        path: named,
        source,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((named, source.kind()), (path, ErrorKind::NotFound));
    // A folder can be opened, but not read.
    let error = MemoryStore::builder()
        .restore_from(env::temp_dir())
        .unwrap_err();
    assert!(
        matches!(
            error,
            RestoreError::Read { offset: 0, .. } | RestoreError::File { .. }
        ),
        "{error}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_fails_a_writer() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let error = of(10).checkpoint(full).unwrap_err();
    let CheckpointError::Write(source) = error else {
        panic!("{error}");
    };
    assert_eq!(source.kind(), ErrorKind::StorageFull);
}

/// In a process of its own, which may not make files larger than some kilobytes: the system
/// then stops in the middle of a write, as on a full disk, and that needs no disk.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_grow_leaves_the_old_one() {
    let folder = folder("full");
    let path = folder.join("users");
    of(10).checkpoint_to(&path).unwrap();
    let status = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 64; exec "$0" "$@""#])
        .arg(env::current_exe().unwrap())
        .args([
            "--exact",
            "files::in_a_process_that_cannot_make_large_files",
            "--ignored",
        ])
        .env("ATTUNED_CHECKPOINT", &path)
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(users_in(&path), 10);
    assert_eq!(names_in(&folder), ["users"]);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "for a process that another test starts"]
fn in_a_process_that_cannot_make_large_files() {
    let Some(path) = env::var_os("ATTUNED_CHECKPOINT") else {
        return;
    };
    let error = of(100_000).checkpoint_to(&path).unwrap_err();
    let (action, name, kind) = of_file(&error);
    assert_eq!((action, kind), ("write", ErrorKind::FileTooLarge));
    assert!(name.starts_with(".users."), "{name}");
    // Others are small enough.
    of(10).checkpoint_to(&path).unwrap();
}

/// A file system of 1 MiB that is full, where the test may mount one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_old_one() {
    let folder = folder("full-disk");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&folder)
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("no file system could be mounted, so none could be full");
        return;
    }
    let path = folder.join("users");
    let old = of(10).checkpoint_to(&path);
    let error = of(100_000).checkpoint_to(&path).map(drop);
    let users = old.map(|_| users_in(&path));
    let names = names_in(&folder);
    let again = of(20).checkpoint_to(&path).map(|_| users_in(&path));
    let unmounted = Command::new("umount").arg(&folder).status();
    assert!(unmounted.unwrap().success());

    let error = error.unwrap_err();
    let (action, _, kind) = of_file(&error);
    assert_eq!((action, kind), ("write", ErrorKind::StorageFull));
    assert_eq!(users.unwrap(), 10);
    assert_eq!(names, ["users"]);
    assert_eq!(again.unwrap(), 20);
}

#[test]
fn several_at_once_leave_one_whole() {
    let folder = folder("several");
    let path = folder.join("users");
    let stores: Vec<_> = (1..=4).map(|store| of(store * 1_000)).collect();
    stores[0].checkpoint_to(&path).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = stores
            .iter()
            .map(|store| {
                scope.spawn(|| {
                    for _ in 0..20 {
                        store.checkpoint_to(&path).unwrap();
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Relaxed) || seen == 0 {
                let users = users_in(&path);
                assert!([1_000, 2_000, 3_000, 4_000].contains(&users), "{users}");
                seen += 1;
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(names_in(&folder), ["users"]);
}

#[test]
fn what_a_killed_process_left_behind_is_removed_and_nothing_else() {
    let folder = folder("left-behind");
    let path = folder.join("users");
    let left_behind = [".users.1-0.tmp", ".users.4000000-12.tmp"];
    let others = [
        ".other.1-0.tmp",
        ".users.1-0.tmp.old",
        ".users.mine.tmp",
        "users.1-0.tmp",
    ];
    for name in left_behind.iter().chain(&others) {
        fs::write(folder.join(name), "half of a checkpoint").unwrap();
    }
    // This one is being written by somebody.
    let busy = ".users.2-0.tmp";
    let file = File::create(folder.join(busy)).unwrap();
    file.lock().unwrap();

    of(1).checkpoint_to(&path).unwrap();
    let mut expected = [&others[..], &[busy, "users"]].concat();
    expected.sort_unstable();
    assert_eq!(names_in(&folder), expected);
}
