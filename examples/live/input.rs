//! Where events come from: lines of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use attuned_store::StateSnapshot;

use crate::{Error, Result};

/// No event is anywhere near as long; what is longer is not kept in memory.
const MAX_LINE_BYTES: usize = 1 << 20;

/// How long a pipe may take to show that there is something in it. A pipe that
/// nobody writes to, as some CI systems leave open, must not stop the program.
const PIPE_PATIENCE: Duration = Duration::from_secs(1);

/// Lines of events from outside.
pub struct Input {
    pub name: String,
    pub reader: Box<dyn BufRead>,
}

impl Input {
    /// The input that was asked for, or else what there is on standard input.
    pub fn open(path: Option<&Path>) -> Result<Option<Self>> {
        match path {
            Some(path) if path == Path::new("-") => Ok(Some(Self::stdin())),
            Some(path) => Self::file(path).map(Some),
            None => Ok(stdin_has_content().then(Self::stdin)),
        }
    }

    fn stdin() -> Self {
        Self {
            name: "standard input".to_owned(),
            reader: Box::new(io::stdin().lock()),
        }
    }

    fn file(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Ok(Self {
                name,
                reader: Box::new(BufReader::new(file)),
            }),
            Err(source) => Err(Error::Input { name, source }),
        }
    }
}

/// Whether there is something to read on standard input, other than a terminal.
///
/// Looks ahead without consuming anything. `/dev/null` and an empty or closed
/// input say no at once. A pipe that stays silent is given up; the thread that
/// waits for it ends with the program.
fn stdin_has_content() -> bool {
    if io::stdin().is_terminal() {
        return false;
    }
    let (answer, answered) = mpsc::channel();
    thread::spawn(move || {
        let has_content = io::stdin()
            .lock()
            .fill_buf()
            .is_ok_and(|content| !content.is_empty());
        // Nobody listens any more if it took too long.
        let _ = answer.send(has_content);
    });
    answered.recv_timeout(PIPE_PATIENCE).unwrap_or_else(|_| {
        crate::warn(
            "note: nothing on standard input so far, going on without it (--input - waits)",
        );
        false
    })
}

/// One line of input.
pub enum Line {
    Blank,
    Event(StateSnapshot),
    Malformed(Malformed),
}

/// Why a line is not an event.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error("longer than {} MiB", MAX_LINE_BYTES >> 20)]
    TooLong,

    #[error("invalid UTF-8 at byte {}", .0.valid_up_to() + 1)]
    NotUtf8(#[source] std::str::Utf8Error),

    #[error("{}", without_line(.0))]
    NotAnEvent(#[source] serde_json::Error),
}

/// The error's message without its line, which is always 1: it saw one line.
fn without_line(error: &serde_json::Error) -> String {
    /// A message can quote a value of the input, which can be long.
    const MAX_CHARS: usize = 200;

    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let Some(reason) = message.strip_suffix(&position) else {
        return message.chars().take(MAX_CHARS).collect();
    };
    let reason: String = reason.chars().take(MAX_CHARS).collect();
    format!("{reason} (column {})", error.column())
}

/// Parses an event in the wire format: the one way by which snapshots come
/// about here.
pub fn parse(line: &[u8]) -> std::result::Result<StateSnapshot, Malformed> {
    // JSON parsers do not look into the strings of fields that they skip.
    let line = str::from_utf8(line).map_err(Malformed::NotUtf8)?;
    serde_json::from_str(line).map_err(Malformed::NotAnEvent)
}

/// The lines of an input, in order. Ends at the first error of the input.
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
        }
    }

    fn read_line(&mut self) -> io::Result<Option<Line>> {
        self.buffer.clear();
        // Room for the longest line and its end, which tells that it is not cut.
        let limit = MAX_LINE_BYTES as u64 + 1;
        let mut start = self.reader.by_ref().take(limit);
        if start.read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        if self.buffer.len() > MAX_LINE_BYTES && !self.buffer.ends_with(b"\n") {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(Line::Malformed(Malformed::TooLong)));
        }
        // Only at the end, so that the columns in errors are those of the input.
        let line = self.buffer.trim_ascii_end();
        if line.is_empty() {
            return Ok(Some(Line::Blank));
        }
        Ok(Some(match parse(line) {
            Ok(event) => Line::Event(event),
            Err(reason) => Line::Malformed(reason),
        }))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_line().transpose()
    }
}
