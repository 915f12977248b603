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
        run
    }

    #[track_caller]
    fn expect(&self, status: i32, lines: &[&str]) -> &Self {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(self.status, Some(status), "{stdout}\n{stderr}");
        assert!(!stdout.contains('\x1b'), "style without a terminal");
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

/// What is said in the end if all is well.
const VERDICT: &str = "Every read found its user.";

#[test]
fn runs_through_all_phases() {
    let run = Run::of(&mut live(&["--seconds", "1", "--users", "1000"]));
    run.expect(
        0,
        &[
            "attuned-store beside a DashMap: ",
            "filled: 1,000 users with 4 events each",
            "\nSummary of ",
            "\n  1 readers ",
            "\n  2 writers ",
            "\n  3 histories ",
            "\n  4 growth ",
            "\n  5 sleepers ",
            "\n  6 hot ",
            "\n  7 hot+writes ",
            "\n  reads/s, turn by turn",
            "\n  with took longer than",
            "\ncheck  attuned-store  ",
            "\ncheck  DashMap        ",
            VERDICT,
        ],
    );
    assert_eq!(run.stderr, "");
    for line in run.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line:?} is long");
    }
}

#[test]
fn skips_the_load_if_it_is_to_take_no_time() {
    let run = Run::of(&mut live(&["--seconds", "0", "--users", "1"]));
    run.expect(0, &["filled: 1 user with 4 events each"]);
    assert!(!run.stdout.contains("Summary"));
}

#[cfg(feature = "jetstream")]
#[path = "jetstream/server.rs"]
#[allow(dead_code, reason = "the tests of the store need more of it")]
mod server;

/// For the module above.
#[cfg(feature = "jetstream")]
fn announce(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(feature = "jetstream")]
#[test]
fn runs_on_a_log() {
    let Some(servers) = server::Servers::start(1) else {
        return;
    };
    let address = servers.addresses().join(",");
    // The second run begins without the users of the first one.
    for users in ["200", "100"] {
        let seconds = ["--seconds", "2", "--users", users];
        let run = Run::of(&mut live(
            &[&seconds[..], &["--jetstream", &address]].concat(),
        ));
        run.expect(
            0,
            &[
                "attuned-store on a log beside one in memory: ",
                "\n  7 hot+writes ",
                "\ncheck  JetStreamStore ",
                "\ncheck  MemoryStore    ",
                VERDICT,
                "through the contract, 128 reads at once",
                "\n  JetStreamStore ",
            ],
        );
        assert_eq!(run.stderr, "");
    }
    drop(servers);
    let run = Run::of(&mut live(&["--jetstream", &address]));
    run.expect(2, &[]);
    assert!(
        run.stderr.starts_with("error: cannot use the log: "),
        "{}",
        run.stderr
    );
}

/// Runs the one phase that these switches ask for, with ten users.
fn one_phase(switches: &[&str], expected: &[&str]) -> Run {
    let few = ["--seconds", "1", "--users", "10"];
    let run = Run::of(&mut live(&[&few, switches].concat()));
    run.expect(0, expected);
    run.expect(0, &["\n  1 as asked for ", VERDICT]);
    assert!(!run.stdout.contains("\n  2 "), "{}", run.stdout);
    assert_eq!(run.stderr, "");
    run
}

/// Begins the latencies of writes in the summary.
const WRITES: &str = "\n  insert ";

#[test]
fn writers_can_be_switched_on() {
    one_phase(&["--writes", "50"], &[WRITES]);
    one_phase(
        &["--writes", "99", "--threads", "5"],
        &[WRITES, "5 threads"],
    );
    let readers = one_phase(
        &["--writes", "0"],
        &["\ncheck  DashMap        10 users, 40 states"],
    );
    assert!(!readers.stdout.contains(WRITES), "{}", readers.stdout);
}

#[test]
fn reads_of_histories_can_be_switched_on() {
    one_phase(&["--histories", "50"], &[]);
    let only = one_phase(&["--histories", "100", "--history", "1"], &["1 state kept"]);
    assert!(
        only.stdout.contains("10 users, 10 states"),
        "{}",
        only.stdout
    );
}

#[test]
fn growth_can_be_switched_on() {
    one_phase(
        &["--grow", "40"],
        &[
            WRITES,
            "\ncheck  attuned-store  50 users, 80 states",
            "\ncheck  DashMap        50 users, 80 states",
        ],
    );
    one_phase(
        &["--grow", "--threads", "1"],
        &["1 thread,", " 30 users, 60 states"],
    );
}

#[test]
fn sleeping_threads_can_be_switched_on() {
    one_phase(&["--sleepers", "30"], &[]);
}

#[test]
fn few_users_can_be_switched_on() {
    one_phase(&["--hot", "1"], &[]);
    // There are no more than ten.
    one_phase(&["--hot", "1000000"], &[]);
}

#[test]
fn switches_go_together() {
    let all = [
        "--writes=30",
        "--histories=10",
        "--grow=20",
        "--sleepers=3",
        "--hot=2",
        "--history=3",
        "--threads=3",
    ];
    one_phase(&all, &[WRITES, " 30 users, "]);
}

#[test]
fn redraws_the_screen_if_told_to() {
    let run = Run::of(&mut live(&["--seconds", "1", "--users", "10", "--redraw"]));
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let mut frames: Vec<&str> = run.stdout.split("\x1b[J").collect();
    let summary = frames.pop().expect("what comes after the last frame");
    assert!(summary.contains("Summary of "), "{summary}");
    assert!(!summary.contains('\x1b'), "{summary}");
    // One a turn: at least one of each side in each phase.
    assert!(frames.len() >= 14, "{}", run.stdout);
    for shown in [
        "[7 hot+writes]",
        "reads/s, last turn ",
        "writes/s, this phase ",
        "with, p50 ",
        "with, p99 ",
        "with, p99.9 ",
        "with, max ",
        "users ",
        "history, busiest user ",
    ] {
        let last = frames.last().expect("a frame");
        assert!(last.contains(shown), "no {shown:?} in {last}");
    }
    for frame in frames {
        // It goes back by as many lines as it has, the first one to be kept.
        let (lines, back) = frame.rsplit_once("\x1b[").expect("it goes back");
        let back: usize = back.trim_end_matches("A\r").parse().expect("a number");
        let drawn = lines
            .rsplit("kept a user\n")
            .next()
            .unwrap_or(lines)
            .lines();
        assert!(drawn.clone().count() >= back && back < 24, "{frame}");
        for line in drawn {
            assert!(line.chars().count() <= 80, "{line:?} is long");
        }
    }
}

#[test]
fn draws_the_figures_into_a_file() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live.svg");
    let run = Run::of(&mut live(&[
        "--seconds",
        "1",
        "--users",
        "10",
        "--svg",
        text(&path),
    ]));
    run.expect(0, &[&format!("drawn: {}", path.display())]);
    let svg = fs::read_to_string(&path).expect("the file just drawn");
    assert!(svg.starts_with("<svg xmlns="), "{svg}");
    assert!(svg.ends_with("</svg>\n"), "{svg}");
    for wrong in ["NaN", "inf", "&"] {
        assert!(!svg.contains(wrong), "{wrong} in {svg}");
    }
    // Of each side one in the legend, one a phase, and one of the latencies.
    assert_eq!(svg.matches("<polyline ").count(), 2 * (1 + 7 + 1), "{svg}");
    assert_eq!(
        svg.matches("<text ").count(),
        svg.matches("</text>").count()
    );
    for label in ["attuned-store<", "DashMap<", "hot+writes<", "1.00 ms<"] {
        assert!(svg.contains(label), "no {label} in {svg}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    let arguments = ["--seconds", "1", "--users", "10", "--hot", "1", "--svg"];
    let mut files = vec!["no/such/folder.svg"];
    // Opens, and takes nothing.
    if Path::new("/dev/full").exists() {
        files.push("/dev/full");
    }
    for file in files {
        let run = Run::of(&mut live(&[&arguments[..], &[file]].concat()));
        run.expect(2, &[]);
        let message = format!("error: cannot write {file}: ");
        assert!(run.stderr.starts_with(&message), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
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
        "--threads",
        "3",
        "--input",
        text(&path),
    ]));
    run.expect(
        0,
        &[
            "3 threads, ",
            "stored: 500 events of 500 lines in ",
            "0 malformed, 0 blank",
            "check: 16 users, 500 events: latest and history equal a plain replay",
            "\nSummary of ",
            "\ncheck  attuned-store  48 users, ",
            VERDICT,
        ],
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn an_input_can_have_users_of_any_name() {
    let long = "x".repeat(256);
    let names = ["new_user_0000000", "user_000000", "-", &long];
    let events: Vec<String> = names.iter().map(|name| event(name, 1)).collect();
    let path = file("names.jsonl", events.join("\n"));
    let arguments = ["--seconds", "1", "--grow", "3", "--input", text(&path)];
    Run::of(&mut live(&arguments)).expect(
        0,
        &[
            "check: 4 users, 4 events: latest and history equal a plain replay",
            "\ncheck  attuned-store  7 users, 7 states",
            "\ncheck  DashMap        7 users, 7 states",
            VERDICT,
        ],
    );
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
        ("--threads", "0"),
        ("--threads", "1000"),
        ("--threads", "65536"),
        ("--writes", "100"),
        ("--writes", "-1"),
        ("--writes", "half"),
        ("--histories", "101"),
        ("--grow", "0"),
        ("--grow", "10000001"),
        ("--sleepers", "0"),
        ("--sleepers", "10001"),
        ("--hot", "0"),
        ("--hot", "few"),
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
fn refuses_what_is_no_option() {
    for arguments in [
        &["--quick"][..],
        &["events.jsonl"],
        &["--svg"],
        &["--input"],
    ] {
        let run = Run::of(&mut live(arguments));
        run.expect(2, &[]);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }
}

#[test]
fn explains_its_options() {
    Run::of(&mut live(&["--help"])).expect(
        0,
        &[
            "--seconds",
            "--users",
            "--threads",
            "--history",
            "--writes",
            "--histories",
            "--grow",
            "--sleepers",
            "--hot",
            "--input",
            "--redraw",
            "--svg",
            "user_id",
        ],
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for lines in [0, 1, 6] {
        for redraw in [&[][..], &["--redraw"]] {
            let arguments = ["--seconds", "2", "--users", "10"];
            let run = read_lines(lines, &[&arguments, redraw].concat());
            assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
        }
    }
    assert_eq!(read_lines(0, &["--help"]).status, Some(0));
}

/// Runs the example while somebody reads so many lines of what it prints, and no more.
fn read_lines(lines: usize, arguments: &[&str]) -> Run {
    let mut program = live(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example runs");
    let mut stdout = BufReader::new(program.stdout.take().expect("a pipe"));
    for number in 0..lines {
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        assert!(
            number > 0 || line.starts_with("attuned-store beside"),
            "{line:?}"
        );
    }
    drop(stdout);
    Run::ended(program.wait_with_output().expect("the example ends"))
}

#[test]
fn nobody_has_to_read_the_errors() {
    let path = file("unread.jsonl", "nothing\n".repeat(25));
    let mut program = live(&["--input", text(&path)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example runs");
    drop(program.stderr.take());
    let run = Run::ended(program.wait_with_output().expect("the example ends"));
    run.expect(0, &["25 malformed, 0 blank"]);
}

/// A run that is killed while it works, and one that goes on with what it has left.
#[cfg(feature = "checkpoint")]
#[test]
fn goes_on_with_the_last_checkpoint_after_it_was_killed() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live.checkpoint");
    let _ = fs::remove_file(&path);
    let name = text(&path);
    let working = ["--users", "500", "--seconds", "600", "--writes", "20"];
    let mut killed = live(&[&working[..], &["--checkpoint", name]].concat())
        .stdout(Stdio::null())
        .spawn()
        .expect("the example runs");
    while !path.exists() {
        assert!(killed.try_wait().expect("a child").is_none(), "it works");
        std::thread::yield_now();
    }
    // SIGKILL, on Unix.
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");

    let goes_on = [
        "--restore",
        name,
        "--checkpoint",
        name,
        "--seconds",
        "1",
        "--writes",
        "20",
    ];
    let run = Run::of(&mut live(&goes_on));
    run.expect(
        0,
        &[
            "restored: 500 users, ",
            ": each history is in order and ends with the latest state",
            "\ncheckpoints: ",
            VERDICT,
        ],
    );
    // With another length of the histories.
    let again = ["--restore", name, "--seconds", "1", "--history", "3"];
    Run::of(&mut live(&again)).expect(0, &["restored: 500 users, 1,500 states, in ", VERDICT]);
}

#[cfg(feature = "checkpoint")]
#[test]
fn a_checkpoint_that_is_none_is_an_error() {
    let path = file("no.checkpoint", "something else");
    let run = Run::of(&mut live(&["--restore", text(&path)]));
    run.expect(2, &[]);
    assert!(run.stderr.contains("not a checkpoint"), "{}", run.stderr);
}
