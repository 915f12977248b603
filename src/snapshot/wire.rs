//! The published form of snapshots, through serde.
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

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use smol_str::SmolStr;

use super::axes::{Axes, AxisList, AxisName};
use super::builder::StateSnapshotBuilder;
use super::validate::excerpt;
use super::{Source, StateSnapshot};

const USER_ID: &str = "user_id";
const UPDATED_AT: &str = "updated_at_unix_ms";
const SOURCE: &str = "source";
const CONFIDENCE: &str = "confidence";
const AXES: &str = "axes";

/// In the order in which they are written, and in which formats without field
/// names read them.
const FIELDS: &[&str] = &[USER_ID, UPDATED_AT, SOURCE, CONFIDENCE, AXES];

/// In the order of their indices, which binary formats write.
const SOURCES: [Source; 3] = [Source::SelfReport, Source::Inferred, Source::Mixed];
const SOURCE_NAMES: &[&str] = &[
    Source::SelfReport.name(),
    Source::Inferred.name(),
    Source::Mixed.name(),
];

impl Serialize for StateSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("StateSnapshot", FIELDS.len())?;
        fields.serialize_field(USER_ID, self.user_id())?;
        fields.serialize_field(UPDATED_AT, &self.updated_at_unix_ms())?;
        fields.serialize_field(SOURCE, &self.source())?;
        fields.serialize_field(CONFIDENCE, &self.confidence())?;
        fields.serialize_field(AXES, &AxesAsMap(self.axes()))?;
        fields.end()
    }
}

struct AxesAsMap<'a>(Axes<'a>);

impl Serialize for AxesAsMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Binary formats need the length first.
        let mut map = serializer.serialize_map(Some(self.0.clone().count()))?;
        for (name, value) in self.0.clone() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for StateSnapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("StateSnapshot", FIELDS, SnapshotVisitor)
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
        let mut updated_at = None;
        let mut source = None;
        let mut confidence = None;
        let mut axes = None;
        while let Some(field) = map.next_key_seed(FieldVisitor)? {
            match field {
                Field::UserId => {
                    absent(&user_id, USER_ID)?;
                    user_id = Some(map.next_value_seed(UserIdVisitor)?);
                }
                Field::UpdatedAt => {
                    absent(&updated_at, UPDATED_AT)?;
                    updated_at = Some(map.next_value_seed(UpdatedAtVisitor)?);
                }
                Field::Source => {
                    absent(&source, SOURCE)?;
                    source = Some(map.next_value()?);
                }
                Field::Confidence => {
                    absent(&confidence, CONFIDENCE)?;
                    confidence = Some(map.next_value_seed(NumberVisitor(CONFIDENCE))?);
                }
                Field::Axes => {
                    absent(&axes, AXES)?;
                    axes = Some(map.next_value_seed(AxesVisitor)?);
                }
                Field::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        build(
            required(user_id, USER_ID)?,
            required(updated_at, UPDATED_AT)?,
            required(source, SOURCE)?,
            required(confidence, CONFIDENCE)?,
            required(axes, AXES)?,
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        build(
            required(seq.next_element_seed(UserIdVisitor)?, USER_ID)?,
            required(seq.next_element_seed(UpdatedAtVisitor)?, UPDATED_AT)?,
            required(seq.next_element()?, SOURCE)?,
            required(
                seq.next_element_seed(NumberVisitor(CONFIDENCE))?,
                CONFIDENCE,
            )?,
            required(seq.next_element_seed(AxesVisitor)?, AXES)?,
        )
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

fn build<E: de::Error>(
    user_id: SmolStr,
    updated_at_unix_ms: i64,
    source: Source,
    confidence: f32,
    axes: AxisList,
) -> Result<StateSnapshot, E> {
    StateSnapshotBuilder {
        user_id: Some(user_id),
        updated_at_unix_ms: Some(updated_at_unix_ms),
        source,
        confidence,
        axes,
    }
    .build()
    .map_err(E::custom)
}

enum Field {
    UserId,
    UpdatedAt,
    Source,
    Confidence,
    Axes,
    Unknown,
}

/// Reads the name of a field, or its index where a format has that instead.
struct FieldVisitor;

impl<'de> DeserializeSeed<'de> for FieldVisitor {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_u64<E: de::Error>(self, index: u64) -> Result<Field, E> {
        Ok(match index {
            0 => Field::UserId,
            1 => Field::UpdatedAt,
            2 => Field::Source,
            3 => Field::Confidence,
            4 => Field::Axes,
            _ => Field::Unknown,
        })
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Field, E> {
        Ok(match name {
            USER_ID => Field::UserId,
            UPDATED_AT => Field::UpdatedAt,
            SOURCE => Field::Source,
            CONFIDENCE => Field::Confidence,
            AXES => Field::Axes,
            _ => Field::Unknown,
        })
    }
}

struct UserIdVisitor;

impl<'de> DeserializeSeed<'de> for UserIdVisitor {
    type Value = SmolStr;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<SmolStr, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for UserIdVisitor {
    type Value = SmolStr;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{USER_ID} to be a string")
    }

    fn visit_str<E: de::Error>(self, user_id: &str) -> Result<SmolStr, E> {
        Ok(SmolStr::new(user_id))
    }
}

struct UpdatedAtVisitor;

impl<'de> DeserializeSeed<'de> for UpdatedAtVisitor {
    type Value = i64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<i64, D::Error> {
        deserializer.deserialize_i64(self)
    }
}

impl Visitor<'_> for UpdatedAtVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{UPDATED_AT} to be a 64-bit integer")
    }

    fn visit_i64<E: de::Error>(self, ms: i64) -> Result<i64, E> {
        Ok(ms)
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<i64, E> {
        i64::try_from(ms).map_err(|_| E::invalid_value(Unexpected::Unsigned(ms), &self))
    }
}

/// Reads any number as the nearest `f32`; what it is the value of is for errors.
struct NumberVisitor<N>(N);

impl<'de, N: fmt::Display> DeserializeSeed<'de> for NumberVisitor<N> {
    type Value = f32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<f32, D::Error> {
        deserializer.deserialize_f32(self)
    }
}

impl<N: fmt::Display> Visitor<'_> for NumberVisitor<N> {
    type Value = f32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to be a number", self.0)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<f32, E> {
        Ok(value as f32)
    }
}

struct AxesVisitor;

impl<'de> DeserializeSeed<'de> for AxesVisitor {
    type Value = AxisList;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AxesVisitor {
    type Value = AxisList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{AXES} to be a map of names to numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // Not made as large as the input claims to be: it may lie.
        let mut axes = AxisList::new();
        while let Some(name) = map.next_key_seed(AxisNameVisitor)? {
            let shown = excerpt(name.as_str());
            let value = map.next_value_seed(NumberVisitor(format_args!("axis {shown:?}")))?;
            axes.push((name, value));
        }
        Ok(axes)
    }
}

struct AxisNameVisitor;

impl<'de> DeserializeSeed<'de> for AxisNameVisitor {
    type Value = AxisName;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AxisName, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for AxisNameVisitor {
    type Value = AxisName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name of one of the {AXES}")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<AxisName, E> {
        Ok(AxisName::new(name))
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant("Source", *self as u32, self.name())
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A text format is asked for the name: JSON answers a request for an
        // enum with a bare syntax error where it finds, say, a number, so that
        // the error would not name the field.
        if deserializer.is_human_readable() {
            deserializer.deserialize_identifier(SourceVisitor)
        } else {
            deserializer.deserialize_enum("Source", SOURCE_NAMES, SourceVisitor)
        }
    }
}

/// Reads the name or the index of a source, alone or as an enum's variant.
struct SourceVisitor;

impl<'de> DeserializeSeed<'de> for SourceVisitor {
    type Value = Source;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Source, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = Source;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SOURCE} to be one of {}", SOURCE_NAMES.join(", "))
    }

    fn visit_u64<E: de::Error>(self, index: u64) -> Result<Source, E> {
        usize::try_from(index)
            .ok()
            .and_then(|index| SOURCES.get(index).copied())
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(index), &self))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Source, E> {
        SOURCES
            .into_iter()
            .find(|source| source.name() == name)
            .ok_or_else(|| E::invalid_value(Unexpected::Str(&excerpt(name)), &self))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Source, A::Error> {
        let (source, variant) = data.variant_seed(self)?;
        variant.unit_variant()?;
        Ok(source)
    }
}
