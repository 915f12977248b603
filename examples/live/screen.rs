//! Standard output: lines, or a screen that is drawn again and again.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use crate::pair::Which;

/// No line is longer, so that none is broken on a usual terminal.
pub const WIDTH: usize = 78;

/// Errors are returned, not unwrapped as by `println!`: a reader that goes away,
/// as `head` does, is nothing to panic about.
pub struct Screen {
    out: io::Stdout,
    redraws: bool,
    style: Style,
    /// How many lines the picture takes that is shown now.
    shown: usize,
}

impl Screen {
    /// Redraws on a terminal, and anywhere if it must.
    pub fn new(must_redraw: bool) -> Self {
        let out = io::stdout();
        let is_terminal =
            out.is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let wants_style = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            out,
            redraws: is_terminal || must_redraw,
            style: Style {
                on: is_terminal && wants_style,
            },
            shown: 0,
        }
    }

    pub fn redraws(&self) -> bool {
        self.redraws
    }

    pub fn style(&self) -> Style {
        self.style
    }

    pub fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    pub fn heading(&mut self, line: impl Display) -> io::Result<()> {
        let line = self.style.bold(line);
        self.line(line)
    }

    /// Shows these lines in the place of those that were shown this way before.
    pub fn redraw(&mut self, lines: &[String]) -> io::Result<()> {
        let mut picture = self.back();
        for line in lines {
            picture.push_str(line);
            picture.push('\n');
        }
        self.shown = lines.len();
        // In one piece, so that it does not flicker.
        self.out.write_all(picture.as_bytes())?;
        self.out.flush()
    }

    /// Takes away what `redraw` has shown.
    pub fn clear(&mut self) -> io::Result<()> {
        let back = self.back();
        self.shown = 0;
        self.out.write_all(back.as_bytes())
    }

    fn back(&self) -> String {
        match self.shown {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r\x1b[J"),
        }
    }
}

/// Colours, where there are any.
#[derive(Clone, Copy)]
pub struct Style {
    on: bool,
}

impl Style {
    pub fn bold(self, text: impl Display) -> String {
        self.with("1", text)
    }

    /// In the colour of a side.
    pub fn of(self, which: Which, text: impl Display) -> String {
        match which {
            Which::Attuned => self.with("36", text),
            Which::DashMap => self.with("33", text),
        }
    }

    fn with(self, code: &str, text: impl Display) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}
