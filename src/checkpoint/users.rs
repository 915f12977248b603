//! From blocks to users.

use std::hash::BuildHasher;
use std::mem;

use smol_str::SmolStr;

use super::error::RestoreError;
use super::format::{Confidence, Context, END, FIRST_NAMES, FROM_THE_FIRST, NEW_NAMES, Traits};
use super::numbers::{take_number, unfolded};
use super::read::{Block, Payload};
use super::room::Room;
use crate::map::GREATEST_REVISION;
use crate::memory::{Portion, Restorer};
use crate::revision::Revision;
use crate::snapshot::{
    AxisNames, MAX_AXES, MAX_AXIS_NAME_BYTES, MAX_USER_ID_BYTES, State, validate_user_id,
};
use crate::versioned::Versioned;

/// No write has a lesser revision.
const LEAST_REVISION: u64 = 2;

/// Reads users out of blocks, and puts them into a map.
///
/// Of several readers each may get some of the blocks, in order, if it gets with a block that
/// goes on the next one, too.
pub(super) struct UserReader<'r, S: BuildHasher + Send + Sync> {
    into: &'r Restorer<'r, S>,
    begun_at: i64,
    scratch: Vec<u8>,
    /// The user whose versions are being read.
    current: Option<User>,
    /// The versions of that user, newest first: no more than one more than can be kept.
    kept: Vec<Versioned<State>>,
    room: Room,
    read: Counts,
}

/// What has been read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) users: u64,
    pub(super) versions: u64,
    /// How many of the users were left out because their time to live was over.
    pub(super) expired: u64,
    pub(super) greatest_revision: u64,
}

impl Counts {
    /// Of two readers together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            users: self.users + other.users,
            versions: self.versions + other.versions,
            expired: self.expired + other.expired,
            greatest_revision: self.greatest_revision.max(other.greatest_revision),
        }
    }
}

struct User {
    id: SmolStr,
    revision: u64,
    from_the_first: bool,
    /// How many there have been, kept or not.
    versions: u64,
    context: Context,
}

impl<'r, S: BuildHasher + Send + Sync> UserReader<'r, S> {
    pub(super) fn new(into: &'r Restorer<'r, S>, begun_at: i64) -> Self {
        Self {
            into,
            begun_at,
            scratch: Vec::new(),
            current: None,
            kept: Vec::new(),
            room: Room::default(),
            read: Counts::default(),
        }
    }

    /// What was read of all blocks.
    pub(super) fn counts(&self) -> Counts {
        self.read
    }

    pub(super) fn block(&mut self, block: &Block) -> Result<(), RestoreError> {
        let mut scratch = mem::take(&mut self.scratch);
        let payload = block.payload(&mut scratch)?;
        self.payload(&payload)?;
        if self.current.is_some() != block.goes_on {
            let what = "a block that ends elsewhere than it says";
            return Err(payload.malformed(0, what));
        }
        self.scratch = scratch;
        Ok(())
    }

    fn payload(&mut self, payload: &Payload<'_>) -> Result<(), RestoreError> {
        let of_map = |error| RestoreError::of_map(error, payload.block_at);
        let mut portion = self.into.portion().map_err(of_map)?;
        let malformed = |left: &[u8], what| payload.malformed(left.len(), what);
        let mut names = Vec::new();
        let mut rest = payload.bytes;
        let mut current = self.current.take();
        while !rest.is_empty() {
            let before = rest;
            let user = match &mut current {
                Some(user) => user,
                None => {
                    let user = self.user(&mut rest);
                    current.insert(user.map_err(|what| malformed(before, what))?)
                }
            };
            let is_complete = self
                .versions(user, &mut names, &mut rest)
                .map_err(|(left, what)| malformed(left, what))?;
            if is_complete && let Some(user) = current.take() {
                self.put_back(user, &mut portion, payload)?;
            }
        }
        self.current = current;
        portion.end().map_err(of_map)
    }

    /// Reads the versions of a user that are in the block. Returns whether there are no more in
    /// the next one. An error comes with what is left from the version on that has it.
    fn versions<'b>(
        &mut self,
        user: &mut User,
        names: &mut Vec<AxisNames>,
        rest: &mut &'b [u8],
    ) -> Result<bool, (&'b [u8], &'static str)> {
        while !rest.is_empty() {
            let before = *rest;
            let names_of = take_number(rest).ok_or((before, "a version without names"))?;
            if names_of == END {
                return Ok(true);
            }
            let version = user.version(names_of, names, rest);
            let version = version.map_err(|what| (before, what))?;
            // One more than are kept tells that there were more.
            if self.kept.len() as u64 <= self.into.history_len() {
                self.kept.push(version);
            }
        }
        Ok(false)
    }

    fn user(&self, rest: &mut &[u8]) -> Result<User, &'static str> {
        let id = take_text(rest, MAX_USER_ID_BYTES).ok_or("a user without an id")?;
        validate_user_id(id).map_err(|_| "an id that is no user id")?;
        let flags = match rest.split_first() {
            Some((&flags, after)) if flags <= FROM_THE_FIRST => {
                *rest = after;
                flags
            }
            _ => return Err("a user with unknown flags"),
        };
        let revision = take_number(rest)
            .filter(|&revision| revision < GREATEST_REVISION)
            .ok_or("a user without a revision")?;
        Ok(User {
            id: SmolStr::new(id),
            revision,
            from_the_first: flags & FROM_THE_FIRST != 0,
            versions: 0,
            context: Context::new(revision, self.begun_at),
        })
    }

    fn put_back(
        &mut self,
        user: User,
        portion: &mut Portion<'_, S>,
        payload: &Payload<'_>,
    ) -> Result<(), RestoreError> {
        if user.versions == 0 {
            return Err(RestoreError::Malformed {
                offset: payload.block_at,
                what: "a user without a state",
            });
        }
        let cut = !user.from_the_first;
        self.read.users += 1;
        self.read.versions += user.versions;
        self.read.greatest_revision = self.read.greatest_revision.max(user.revision);
        self.room.make_for_user(self.kept.len());
        let put_back = portion.put_back(user.id, &mut self.kept, cut);
        self.read.expired += u64::from(!put_back);
        Ok(())
    }
}

impl User {
    /// The next older version.
    #[inline]
    fn version(
        &mut self,
        names_of: u64,
        names: &mut Vec<AxisNames>,
        rest: &mut &[u8],
    ) -> Result<Versioned<State>, &'static str> {
        if names_of == NEW_NAMES {
            names.push(take_names(rest).ok_or("names that are none of axes")?);
        }
        let names = match names_of {
            NEW_NAMES => names.last(),
            number => usize::try_from(number - FIRST_NAMES)
                .ok()
                .and_then(|number| names.get(number)),
        };
        let names = names.ok_or("names that were not spelled out")?;
        let values = take(rest, names.values_len()).ok_or("a state without its values")?;
        let written = take_number(rest).ok_or("a version without a time")?;
        let observed = take_number(rest).ok_or("a state without a time")?;
        let traits = take(rest, 1)
            .and_then(|traits| Traits::of_byte(*traits.first()?))
            .ok_or("a state without a source")?;

        let before = self.context;
        let written_at = before.written_at.wrapping_add(unfolded(written));
        if self.versions > 0 && written_at > before.written_at {
            return Err("a version that is written after the next one");
        }
        let observed_after = before.observed_after.wrapping_add(unfolded(observed));
        let confidence = match traits.confidence {
            Confidence::Full => 1.0,
            Confidence::Same => before.confidence,
            Confidence::Follows => take(rest, size_of::<f32>())
                .and_then(|bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?)))
                .ok_or("a state without a confidence")?,
        };
        let gap = if traits.gap {
            take_number(rest).ok_or("a version without a revision")?
        } else {
            0
        };
        let revision = before
            .revision
            .checked_sub(1)
            .and_then(|next| next.checked_sub(gap));
        let revision = revision
            .filter(|&revision| revision >= LEAST_REVISION)
            .ok_or("a version with an impossible revision")?;
        self.context = Context {
            revision,
            written_at,
            observed_after,
            confidence,
        };
        self.versions += 1;
        let updated_at = written_at.wrapping_add(observed_after);
        let state = names.state(updated_at, traits.source, confidence, values);
        let state = state.ok_or("a number that is not from 0 to 1")?;
        Ok(Versioned::new(state, Revision::from(revision), written_at))
    }
}

/// So many bytes off the front.
fn take<'r>(rest: &mut &'r [u8], len: usize) -> Option<&'r [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

/// A text of at most so many bytes, behind its length.
fn take_text<'r>(rest: &mut &'r [u8], max: usize) -> Option<&'r str> {
    let len = usize::try_from(take_number(rest)?).ok()?;
    let bytes = take(rest, len.min(max + 1))?;
    str::from_utf8(bytes).ok().filter(|_| len <= max)
}

/// Names of axes, behind their number.
fn take_names(rest: &mut &[u8]) -> Option<AxisNames> {
    let count = take_number(rest).filter(|&count| count <= MAX_AXES as u64)?;
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(take_text(rest, MAX_AXIS_NAME_BYTES)?);
    }
    AxisNames::new(names.into_iter())
}
