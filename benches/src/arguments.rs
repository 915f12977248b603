//! What all suites can be told.

use std::path::PathBuf;

use clap::Parser;

/// How long a suite may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// To see that all is well.
    Short,
    /// For figures to publish.
    Full,
}

#[derive(Clone, Debug, Parser)]
pub struct Arguments {
    /// Measure longer and more, for figures to publish.
    #[arg(long)]
    pub full: bool,

    /// The directory that the results are written to.
    #[arg(long, default_value = "target/benches")]
    pub out: PathBuf,

    /// Measure only what has this in its name. The results go to the directory
    /// `part` in the one for results, so as not to pass for the whole.
    #[arg(long, default_value = "")]
    pub filter: String,
}

impl Arguments {
    pub fn length(&self) -> Length {
        if self.full {
            Length::Full
        } else {
            Length::Short
        }
    }

    /// The one for the length asked for.
    pub fn pick<T>(&self, short: T, full: T) -> T {
        match self.length() {
            Length::Short => short,
            Length::Full => full,
        }
    }

    /// Where the results are to be written.
    pub fn directory(&self) -> PathBuf {
        if self.filter.is_empty() {
            self.out.clone()
        } else {
            self.out.join("part")
        }
    }

    pub fn selects(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }
}
