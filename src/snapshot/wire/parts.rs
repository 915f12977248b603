//! The parts of snapshots and states: each is read by a visitor that knows what it reads.

use std::fmt;

use serde_core::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde_core::ser::{Serialize, SerializeMap, Serializer};
use smol_str::SmolStr;

use super::{AXES, SOURCE, UPDATED_AT, USER_ID};
use crate::snapshot::axes::{Axes, AxisList, AxisName};
use crate::snapshot::{Source, validate_user_id};
use crate::timestamp::Timestamp;

const SOURCE_NAMES: &[&str] = &[
    Source::SelfReport.name(),
    Source::Inferred.name(),
    Source::Mixed.name(),
];

pub(super) struct AxesAsMap<'a>(pub(super) Axes<'a>);

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

pub(super) struct UserIdVisitor;

impl UserIdVisitor {
    fn is_number<E: de::Error>(&self) -> E {
        E::invalid_type(Unexpected::Other("number"), self)
    }
}

impl<'de> DeserializeSeed<'de> for UserIdVisitor {
    type Value = SmolStr;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<SmolStr, D::Error> {
        // A text format is asked for whatever is there: JSON answers a request for a string
        // with an error that shows the number which it finds, and that can be an id.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(self)
        } else {
            deserializer.deserialize_str(self)
        }
    }
}

/// Errors show no number: serde's own would, and it can be an id.
impl Visitor<'_> for UserIdVisitor {
    type Value = SmolStr;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{USER_ID} to be a string")
    }

    fn visit_str<E: de::Error>(self, user_id: &str) -> Result<SmolStr, E> {
        validate_user_id(user_id).map_err(E::custom)?;
        Ok(SmolStr::new(user_id))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<SmolStr, E> {
        Err(self.is_number())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<SmolStr, E> {
        Err(self.is_number())
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<SmolStr, E> {
        Err(self.is_number())
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<SmolStr, E> {
        Err(self.is_number())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<SmolStr, E> {
        Err(self.is_number())
    }
}

pub(super) struct UpdatedAtVisitor;

impl<'de> DeserializeSeed<'de> for UpdatedAtVisitor {
    type Value = Timestamp;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Timestamp, D::Error> {
        deserializer.deserialize_i64(self)
    }
}

impl Visitor<'_> for UpdatedAtVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{UPDATED_AT} to be a 64-bit integer")
    }

    fn visit_i64<E: de::Error>(self, ms: i64) -> Result<Timestamp, E> {
        Ok(ms.into())
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Timestamp, E> {
        match i64::try_from(ms) {
            Ok(ms) => Ok(ms.into()),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(ms), &self)),
        }
    }
}

/// Reads any number as the nearest `f32`; what it is the value of is for errors.
pub(super) struct NumberVisitor<N>(pub(super) N);

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

pub(super) struct AxesVisitor;

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
        let mut axes = AxisList::default();
        while let Some(name) = map.next_key_seed(AxisNameVisitor)? {
            let shown = format_args!("axis {:?}", name.as_str());
            let value = map.next_value_seed(NumberVisitor(shown))?;
            axes.push(name, value).map_err(de::Error::custom)?;
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
        let name = AxisName::new(name);
        name.validate().map_err(E::custom)?;
        Ok(name)
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
            .and_then(|index| Source::ALL.get(index).copied())
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(index), &self))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Source, E> {
        name.parse::<Source>()
            .map_err(|error| E::invalid_value(Unexpected::Str(&error.name), &self))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Source, A::Error> {
        let (source, variant) = data.variant_seed(self)?;
        variant.unit_variant()?;
        Ok(source)
    }
}
