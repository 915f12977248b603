//! A file of each version of the format, which every later version of this crate must read.

use std::fmt::Write as _;

use attuned_store::MemoryStore;

const VERSION_1: &[u8] = include_bytes!("version-1.checkpoint");
const VERSION_1_CONTENTS: &str = include_str!("version-1.txt");

#[test]
fn version_1_is_read() {
    let store = MemoryStore::builder()
        .history(10)
        .restore(VERSION_1)
        .unwrap();
    assert_eq!(contents(&store), VERSION_1_CONTENTS);
}

#[cfg(feature = "checkpoint-lz4")]
#[test]
fn version_1_with_lz4_is_read() {
    let bytes: &[u8] = include_bytes!("version-1-lz4.checkpoint");
    let store = MemoryStore::builder().history(10).restore(bytes).unwrap();
    assert_eq!(contents(&store), VERSION_1_CONTENTS);
}

#[cfg(not(feature = "checkpoint-lz4"))]
#[test]
fn version_1_with_lz4_is_refused_by_name() {
    use attuned_store::RestoreError;

    let bytes: &[u8] = include_bytes!("version-1-lz4.checkpoint");
    let error = MemoryStore::builder()
        .history(10)
        .restore(bytes)
        .unwrap_err();
    assert!(
        matches!(error, RestoreError::Compressed { offset: 48 }),
        "{error}"
    );
}

/// All that is in the store, as a text.
fn contents(store: &MemoryStore) -> String {
    let mut ids = store.user_ids();
    ids.sort_unstable();
    let mut text = String::new();
    for id in ids {
        writeln!(text, "{id}").unwrap();
        for entry in store.history(&id, usize::MAX) {
            let state = &entry.value;
            let axes: Vec<_> = state.axes().collect();
            writeln!(
                text,
                "  revision {} written at {} observed at {} {} confidence {} {axes:?}",
                entry.revision,
                entry.written_at,
                state.updated_at_unix_ms(),
                state.source(),
                state.confidence(),
            )
            .unwrap();
        }
    }
    text
}

/// How the files came about. It must not be run again: what it writes is of another day.
#[test]
#[ignore = "writes a file of today for a new version of the format"]
#[cfg(feature = "checkpoint-lz4")]
fn write_the_files_of_today() {
    use attuned_store::{Compression, Source, StateSnapshot};
    use std::fs;
    use std::path::Path;

    let mut store = MemoryStore::builder().history(4).build().unwrap();
    let write = |store: &MemoryStore, id: &str, at: i64| {
        let sources = [Source::SelfReport, Source::Inferred, Source::Mixed];
        let state = StateSnapshot::builder()
            .user_id(id)
            .updated_at(at)
            .source(sources[at as usize % 3])
            .confidence(if at % 2 == 0 { 1.0 } else { 0.75 })
            .axis("warmth", 0.25)
            .axis(format!("axis_{}", at % 4), 0.5);
        store.insert(state.build().unwrap()).unwrap();
    };
    for at in 0..6 {
        write(&store, "ada", at);
        write(&store, "Ελένη", at);
        write(&store, "removed", at);
    }
    store.remove("removed").unwrap();
    write(&store, "removed-and-back", 1);
    store.remove("removed-and-back").unwrap();
    write(&store, "removed-and-back", 2);
    // Of two generations, so that revisions have gaps.
    let mut bytes = Vec::new();
    store.checkpoint(&mut bytes).unwrap();
    store = MemoryStore::builder()
        .history(4)
        .restore(bytes.as_slice())
        .unwrap();
    write(&store, "ada", 7);
    for user in 0..40 {
        write(&store, &format!("user_{user:02}"), 1_700_000_000_000 + user);
    }

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint");
    let file = |name: &str| fs::File::create(folder.join(name)).unwrap();
    store.checkpoint(file("version-1.checkpoint")).unwrap();
    let compressed = store.checkpointer().compression(Compression::Lz4);
    compressed.write(file("version-1-lz4.checkpoint")).unwrap();
    fs::write(folder.join("version-1.txt"), contents(&store)).unwrap();
}
