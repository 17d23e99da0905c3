//! Free-form JSON on the wire: the user's data.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A user's payload: any JSON value. Absent, `null` and `{}` are one and the same, and are written as `{}`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Payload(Option<Value>);

impl Payload {
    /// No payload.
    pub const EMPTY: Payload = Payload(None);

    /// Wraps a value; `null` and `{}` become the empty payload.
    pub fn new(value: Value) -> Self {
        match value {
            Value::Null => Self::EMPTY,
            Value::Object(map) if map.is_empty() => Self::EMPTY,
            value => Self(Some(value)),
        }
    }

    /// Whether there is no payload.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value, with the empty payload as `{}`.
    pub fn to_value(&self) -> Value {
        self.0
            .clone()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    }

    /// The value, with the empty payload as `{}`, without a copy.
    pub fn into_value(self) -> Value {
        self.0
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    }

    /// The member `key` of an object payload.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.as_ref()?.get(key)
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self::new(value)
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(value) => value.serialize(serializer),
            None => serde_json::Map::new().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::new)
    }
}

impl JsonSchema for Payload {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Payload".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!(true)
    }
}

/// JSON text passed on as it came, byte for byte: how unknown fields survive a relay, and why a relay costs no parse.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Raw(pub Box<RawValue>);

impl Raw {
    /// Serialises a value of ours.
    pub fn of<T: Serialize>(value: &T) -> Self {
        // Wire types serialise into memory without failing.
        Self(serde_json::value::to_raw_value(value).expect("wire types serialise"))
    }

    /// The JSON text.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl JsonSchema for Raw {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Raw".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!(true)
    }
}
