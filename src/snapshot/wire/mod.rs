//! The published form of snapshots, and states in the same form, through serde.
//!
//! Written by hand so that errors name the field: each part is read by a
//! visitor that knows what it is reading. Formats report a wrong type, and
//! where in the input it is, through the visitor's `expecting`. Wrapping their
//! errors instead would hide whether the input was malformed, ended too early
//! or could not be read.
//!
//! An error that a format makes before it calls a visitor does not name the
//! field. In JSON such errors are about malformed text, a number too large for
//! an `f64`, and half a surrogate pair.

mod parts;

use std::fmt;

use serde_core::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_core::ser::{Serialize, SerializeStruct, Serializer};
use smol_str::SmolStr;

use self::parts::{AxesAsMap, AxesVisitor, NumberVisitor, UpdatedAtVisitor, UserIdVisitor};
use super::axes::AxisList;
use super::builder::StateSnapshotBuilder;
use super::{Source, State, StateSnapshot};
use crate::timestamp::Timestamp;

const USER_ID: &str = "user_id";
const UPDATED_AT: &str = "updated_at_unix_ms";
const SOURCE: &str = "source";
const CONFIDENCE: &str = "confidence";
const AXES: &str = "axes";

/// In the order in which they are written, and in which formats without field
/// names read them.
const FIELDS: &[&str] = &[USER_ID, UPDATED_AT, SOURCE, CONFIDENCE, AXES];
const STATE_FIELDS: &[&str] = &[UPDATED_AT, SOURCE, CONFIDENCE, AXES];

impl Serialize for StateSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("StateSnapshot", FIELDS.len())?;
        fields.serialize_field(USER_ID, self.user_id())?;
        serialize_parts(self.state(), &mut fields)?;
        fields.end()
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("State", STATE_FIELDS.len())?;
        serialize_parts(self, &mut fields)?;
        fields.end()
    }
}

fn serialize_parts<F: SerializeStruct>(state: &State, fields: &mut F) -> Result<(), F::Error> {
    fields.serialize_field(UPDATED_AT, &state.updated_at_unix_ms())?;
    fields.serialize_field(SOURCE, &state.source())?;
    fields.serialize_field(CONFIDENCE, &state.confidence())?;
    fields.serialize_field(AXES, &AxesAsMap(state.axes()))
}

impl<'de> Deserialize<'de> for StateSnapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("StateSnapshot", FIELDS, SnapshotVisitor)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("State", STATE_FIELDS, StateVisitor)
    }
}

struct SnapshotVisitor;

impl<'de> Visitor<'de> for SnapshotVisitor {
    type Value = StateSnapshot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a state snapshot")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut user_id = None;
        let mut parts = Parts::default();
        while let Some(field) = map.next_key_seed(FieldVisitor(FIELDS))? {
            if field == Some(USER_ID) {
                absent(&user_id, USER_ID)?;
                user_id = Some(map.next_value_seed(UserIdVisitor)?);
            } else {
                parts.read(field, &mut map)?;
            }
        }
        let user_id: SmolStr = required(user_id, USER_ID)?;
        Ok(StateSnapshot::from_parts(user_id, parts.state()?))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let user_id = required(seq.next_element_seed(UserIdVisitor)?, USER_ID)?;
        let state = Parts::of_seq(seq)?.state()?;
        Ok(StateSnapshot::from_parts(user_id, state))
    }
}

struct StateVisitor;

impl<'de> Visitor<'de> for StateVisitor {
    type Value = State;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a state")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<State, A::Error> {
        let mut parts = Parts::default();
        while let Some(field) = map.next_key_seed(FieldVisitor(STATE_FIELDS))? {
            parts.read(field, &mut map)?;
        }
        parts.state()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<State, A::Error> {
        Parts::of_seq(seq)?.state()
    }
}

/// What was read of a state.
#[derive(Default)]
struct Parts {
    updated_at: Option<Timestamp>,
    source: Option<Source>,
    confidence: Option<f32>,
    axes: Option<AxisList>,
}

impl Parts {
    /// Reads the value of a field, or passes over that of an unknown one.
    fn read<'de, A: MapAccess<'de>>(
        &mut self,
        field: Option<&str>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match field {
            Some(UPDATED_AT) => {
                absent(&self.updated_at, UPDATED_AT)?;
                self.updated_at = Some(map.next_value_seed(UpdatedAtVisitor)?);
            }
            Some(SOURCE) => {
                absent(&self.source, SOURCE)?;
                self.source = Some(map.next_value()?);
            }
            Some(CONFIDENCE) => {
                absent(&self.confidence, CONFIDENCE)?;
                self.confidence = Some(map.next_value_seed(NumberVisitor(CONFIDENCE))?);
            }
            Some(AXES) => {
                absent(&self.axes, AXES)?;
                self.axes = Some(map.next_value_seed(AxesVisitor)?);
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn of_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        // A field that is missing ends the sequence, and is found missing afterwards.
        Ok(Self {
            updated_at: seq.next_element_seed(UpdatedAtVisitor)?,
            source: seq.next_element()?,
            confidence: seq.next_element_seed(NumberVisitor(CONFIDENCE))?,
            axes: seq.next_element_seed(AxesVisitor)?,
        })
    }

    fn state<E: de::Error>(self) -> Result<State, E> {
        let builder = StateSnapshotBuilder {
            user_id: None,
            updated_at: Some(required(self.updated_at, UPDATED_AT)?),
            source: required(self.source, SOURCE)?,
            confidence: required(self.confidence, CONFIDENCE)?,
            axes: required(self.axes, AXES)?,
        };
        builder.build_state().map_err(E::custom)
    }
}

fn absent<T, E: de::Error>(value: &Option<T>, field: &'static str) -> Result<(), E> {
    match value {
        Some(_) => Err(E::duplicate_field(field)),
        None => Ok(()),
    }
}

fn required<T, E: de::Error>(value: Option<T>, field: &'static str) -> Result<T, E> {
    value.ok_or_else(|| E::missing_field(field))
}

/// Reads the name of one of these fields, or its index where a format has that instead;
/// `None` of any other.
struct FieldVisitor(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for FieldVisitor {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldVisitor {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_u64<E: de::Error>(self, index: u64) -> Result<Self::Value, E> {
        let index = usize::try_from(index).ok();
        Ok(index.and_then(|index| self.0.get(index).copied()))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|field| *field == name))
    }
}
