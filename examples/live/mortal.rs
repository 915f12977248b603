//! In the place of checkpoints, in a build without them.

use std::path::Path;

use attuned_store::MemoryStore;

use crate::rival::Rival;
use crate::screen::Screen;
use crate::side::Sides;
use crate::users::Users;
use crate::{Error, Result};

fn absent() -> Error {
    Error::Checkpoint(
        "this build has no checkpoints; build it with --features checkpoint".to_owned(),
    )
}

pub fn restore(
    _: &Path,
    _: u32,
    _: &mut Sides<MemoryStore, Rival>,
    _: &mut Screen,
) -> Result<(Users, bool)> {
    Err(absent())
}

pub enum Checkpoints {}

impl Checkpoints {
    pub fn start(_: &Path, _: &Sides<MemoryStore, Rival>) -> Result<Self> {
        Err(absent())
    }

    pub fn end(self, _: &mut Screen) -> Result<()> {
        match self {}
    }
}
