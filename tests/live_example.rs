//! Runs `examples/live` as a user would, and reads what it prints.

#![cfg(feature = "serde")]

use std::env::{self, consts::EXE_SUFFIX};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The longest line that the example takes, without its end.
const MAX_LINE_BYTES: usize = 1 << 20;

/// The example's program with these arguments and nothing on standard input.
///
/// Cargo builds the examples for a `cargo test` of the package, not for one that
/// names this test.
fn live(arguments: &[&str]) -> Command {
    let test = env::current_exe().expect("this test's path");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/test");
    let program = profile.join(format!("examples/live{EXE_SUFFIX}"));
    assert!(
        program.exists(),
        "{} is missing; build it with `cargo build --example live`, for the same profile",
        program.display(),
    );
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a run printed, and how it ended.
struct Run {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(command: &mut Command) -> Self {
        Self::ended(command.output().expect("the example runs"))
    }

    fn ended(output: Output) -> Self {
        let run = Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("plain text"),
            stderr: String::from_utf8(output.stderr).expect("plain text"),
        };
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        assert!(!run.stdout.contains('\x1b'), "style without a terminal");
        run
    }

    #[track_caller]
    fn expect(&self, status: i32, lines: &[&str]) -> &Self {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(self.status, Some(status), "{stdout}\n{stderr}");
        for line in lines {
            assert!(stdout.contains(line), "no {line:?} in\n{stdout}\n{stderr}");
        }
        self
    }
}

/// A file for one test, with this content.
fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the target folder can be written to");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn event(user_id: &str, updated_at: i64) -> String {
    format!(
        r#"{{"user_id":"{user_id}","updated_at_unix_ms":{updated_at},"source":"inferred","confidence":0.8,"axes":{{"formality":0.25}}}}"#
    )
}

/// An event of so many bytes: spaces do not change it.
fn event_of_length(user_id: &str, bytes: usize) -> String {
    let event = event(user_id, 1);
    format!("{}{event}", " ".repeat(bytes - event.len()))
}

#[test]
fn runs_without_input() {
    let run = Run::of(&mut live(&["--seconds", "1", "--users", "1000"]));
    run.expect(
        0,
        &[
            "filled: 1,000 users with 4 snapshots each",
            "\n   1 s       1,000 ",
            "\nSummary of ",
            "store    1,000 users, ",
            "check    every read found its user",
        ],
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn skips_the_load_if_it_is_to_take_no_time() {
    let run = Run::of(&mut live(&["--seconds", "0", "--users", "1"]));
    run.expect(0, &["filled: 1 user with 4 snapshots each"]);
    assert!(!run.stdout.contains("Summary"));
}

#[test]
fn stores_an_input_and_then_reads_and_writes_its_users() {
    let events: String = (0..500)
        .map(|n| event(&format!("user_{}", n % 7 * (n % 5)), n) + "\n")
        .collect();
    let path = file("clean.jsonl", events);
    let run = Run::of(&mut live(&[
        "--seconds",
        "1",
        "--readers",
        "3",
        "--writers",
        "3",
        "--input",
        text(&path),
    ]));
    run.expect(
        0,
        &[
            "3 readers, 3 writers, ",
            "stored: 500 events of 500 lines in ",
            "0 malformed, 0 blank",
            "check: 16 users, 500 events: latest and history equal a plain replay",
            "\n   1 s          16 ",
            "check    every read found its user",
        ],
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn reports_malformed_lines_and_goes_on() {
    for (name, end) in [("lf.jsonl", "\n"), ("crlf.jsonl", "\r\n")] {
        let lines = good_and_bad_lines(MAX_LINE_BYTES + 1 - end.len());
        let contents: Vec<&[u8]> = lines.iter().map(|(line, _)| line.as_slice()).collect();
        // The last line has no end.
        let path = file(name, contents.join(end.as_bytes()));

        let run = Run::of(&mut live(&[
            "--seconds",
            "0",
            "--history",
            "2",
            "--input",
            text(&path),
        ]));

        run.expect(
            0,
            &[
                "stored: 5 events of 15 lines in ",
                "8 malformed, 2 blank",
                "check: 2 users, 5 events: latest and history equal a plain replay",
            ],
        );
        let mut shown = run.stderr.lines();
        for (number, (_, reason)) in (1..).zip(&lines) {
            if !reason.is_empty() {
                let shown = shown.next().expect("a report of each malformed line");
                let expected = format!("line {number}: {reason}");
                assert!(shown.starts_with(&expected), "{shown:?}, not {expected:?}");
                assert!(shown.len() < 300, "{shown:?}");
            }
        }
        assert_eq!(shown.next(), None);
    }
}

/// Lines, and how the reason begins for which each is malformed: empty for those
/// that are not.
fn good_and_bad_lines(longest: usize) -> Vec<(Vec<u8>, &'static str)> {
    let good = event("ada", 1);
    let out_of_range = good.replace("0.8", "1.5");
    let of_another_type = good.replace("0.8", &format!("\"{}\"", "x".repeat(5000)));
    // JSON parsers need not look into what they skip, as an unknown field.
    let mut not_utf8_where_skipped = br#"{"note":""#.to_vec();
    not_utf8_where_skipped.extend_from_slice(b"\xff\",");
    not_utf8_where_skipped.extend_from_slice(&good.as_bytes()[1..]);
    vec![
        (good.clone().into(), ""),
        (b"".into(), ""),
        (b"\xff\xfe".into(), "invalid UTF-8 at byte 1"),
        (event("ada", 2).into(), ""),
        (b" \t ".into(), ""),
        (
            event_of_length("ada", MAX_LINE_BYTES + 1).into(),
            "longer than 1 MiB",
        ),
        (event("grace", 1).into(), ""),
        (
            b"{\"user_id\":\"ada\"".into(),
            "EOF while parsing an object (column 16)",
        ),
        (
            b"{\"user_id\":\"ada\"}".into(),
            "missing field `updated_at_unix_ms` (column 17)",
        ),
        (out_of_range.into(), "confidence is 1.5"),
        (good.repeat(2).into(), "trailing characters (column "),
        (of_another_type.into(), "invalid type: string "),
        (not_utf8_where_skipped, "invalid UTF-8 at byte 10"),
        (event_of_length("grace", longest).into(), ""),
        (event("ada", 3).into(), ""),
    ]
}

#[test]
fn shows_ten_malformed_lines_and_counts_the_others() {
    let path = file("malformed.jsonl", "nothing\n".repeat(25));
    let run = Run::of(&mut live(&["--input", text(&path)]));
    run.expect(
        0,
        &[
            "stored: 0 events of 25 lines in ",
            "25 malformed, 0 blank",
            "check: 0 users, 0 events: latest and history equal a plain replay",
            "no users, so there is nothing to read or write",
        ],
    );
    assert_eq!(run.stderr.matches("line ").count(), 10, "{}", run.stderr);
    assert!(run.stderr.contains("line 10: "), "{}", run.stderr);
    assert!(
        run.stderr.contains("more malformed lines are counted"),
        "{}",
        run.stderr
    );
}

/// Runs the example with this on a pipe to its standard input.
fn with_pipe(arguments: &[&str], content: &str) -> Run {
    let mut program = live(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example runs");
    let mut pipe = program.stdin.take().expect("a pipe");
    pipe.write_all(content.as_bytes())
        .expect("the example reads its input");
    drop(pipe);
    Run::ended(program.wait_with_output().expect("the example ends"))
}

#[test]
fn reads_standard_input_if_told_to() {
    let lines = event("ada", 1) + "\n" + &event("grace", 2);
    with_pipe(&["--seconds", "0", "--input", "-"], &lines).expect(
        0,
        &[
            "reading standard input",
            "check: 2 users, 2 events: latest and history equal a plain replay",
        ],
    );
    with_pipe(&["--seconds", "0", "--input", "-"], "").expect(0, &["check: 0 users, 0 events"]);
}

#[test]
fn reads_standard_input_untold_if_it_has_content() {
    let arguments = ["--seconds", "0"];
    let lines = event("ada", 1) + "\n" + &event("ada", 2);
    let verdict = "check: 1 user, 2 events: latest and history equal a plain replay";
    with_pipe(&arguments, &lines).expect(0, &["reading standard input", verdict]);

    let redirected = File::open(file("redirected.jsonl", lines)).expect("the file just written");
    Run::of(live(&arguments).stdin(redirected)).expect(0, &["reading standard input", verdict]);
}

#[test]
fn an_empty_standard_input_is_no_input() {
    let arguments = ["--seconds", "0", "--users", "10"];
    let filled = ["filled: 10 users"];
    with_pipe(&arguments, "").expect(0, &filled);
    Run::of(live(&arguments).stdin(Stdio::null())).expect(0, &filled);
    let empty = File::open(file("empty.jsonl", "")).expect("the file just written");
    Run::of(live(&arguments).stdin(empty)).expect(0, &filled);
}

#[test]
fn a_silent_pipe_does_not_stop_it() {
    let mut program = live(&["--seconds", "0", "--users", "10"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example runs");
    // Held open: `wait_with_output` closes only a pipe that is still in there.
    let pipe = program.stdin.take().expect("a pipe");
    let run = Run::ended(program.wait_with_output().expect("the example ends"));
    drop(pipe);
    run.expect(0, &["filled: 10 users"]);
    assert!(
        run.stderr.contains("nothing on standard input so far"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_input_that_cannot_be_read_is_an_error() {
    let run = Run::of(&mut live(&["--input", "no/such/file.jsonl"]));
    run.expect(2, &[]);
    assert_eq!(run.stdout, "");
    assert!(
        run.stderr
            .starts_with("error: cannot read no/such/file.jsonl: "),
        "{}",
        run.stderr
    );
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);

    let folder = Run::of(&mut live(&["--input", env!("CARGO_TARGET_TMPDIR")]));
    folder.expect(2, &[]);
    assert!(
        folder.stderr.starts_with("error: cannot read "),
        "{}",
        folder.stderr
    );
    assert_eq!(folder.stderr.lines().count(), 1, "{}", folder.stderr);
}

#[test]
fn refuses_options_that_make_no_sense() {
    for (option, value) in [
        ("--seconds", "-1"),
        ("--seconds", "18446744073709551616"),
        ("--users", "0"),
        ("--users", "4000000000"),
        ("--readers", "0"),
        ("--readers", "65536"),
        ("--writers", "0"),
        ("--writers", "1000"),
        ("--history", "0"),
        ("--history", "1001"),
        ("--history", "many"),
    ] {
        let run = Run::of(&mut live(&[&format!("{option}={value}")]));
        run.expect(2, &[]);
        assert_eq!(run.stdout, "");
        let message = format!("error: invalid value '{value}' for '{option} ");
        assert!(run.stderr.starts_with(&message), "{}", run.stderr);
    }
}

#[test]
fn explains_its_options() {
    Run::of(&mut live(&["--help"])).expect(
        0,
        &[
            "--seconds",
            "--users",
            "--readers",
            "--writers",
            "--history",
            "--input",
            "user_id",
        ],
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut program = live(&["--seconds", "3", "--users", "10"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example runs");
    let mut first = String::new();
    BufReader::new(program.stdout.take().expect("a pipe"))
        .read_line(&mut first)
        .expect("a first line");
    assert!(first.starts_with("attuned-store live: "), "{first:?}");

    let run = Run::ended(program.wait_with_output().expect("the example ends"));
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
}
