//! The file for the picture.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::load::Course;
use crate::screen::Screen;
use crate::svg::svg;
use crate::{Error, Result};

/// Open from the start: that it cannot be written is to be known before the work.
pub struct Drawing<'a> {
    name: &'a Path,
    file: File,
}

impl<'a> Drawing<'a> {
    pub fn create(name: &'a Path) -> Result<Self> {
        match File::create(name) {
            Ok(file) => Ok(Self { name, file }),
            Err(source) => Err(Error::Svg {
                name: name.to_owned(),
                source,
            }),
        }
    }

    pub fn draw(mut self, courses: &[Course], screen: &mut Screen) -> Result<()> {
        let written = self.file.write_all(svg(courses).as_bytes());
        written.map_err(|source| Error::Svg {
            name: self.name.to_owned(),
            source,
        })?;
        screen.line(format_args!("drawn: {}", self.name.display()))?;
        Ok(())
    }
}
