//! How a message kind is declared: its name on the wire, its body, and who says it to whom, in one place.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::problem::{Code, Problem};

/// The envelope that every channel shares, borrowed from the bytes it came in: `{"type": …, "payload": …}`.
///
/// Other members (such as `peer_id`) are read by the channel's own envelope.
#[derive(Debug, Deserialize)]
pub struct Frame<'a> {
    /// The message kind.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// The body, unparsed. Absent and `null` mean the same as `{}`.
    #[serde(borrow, default)]
    pub payload: Option<&'a RawValue>,
}

/// Why bytes did not become a message. Carries the stable [`Code`] that the producer is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct WireError {
    /// `bad_encoding`, `bad_json`, `bad_field`, `unknown_type` or `too_large`.
    pub code: Code,
    /// What was wrong, in one line, without the offending content.
    pub detail: String,
}

impl WireError {
    /// An error with a code and a one-line detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// Tells a syntax error from a wrong or missing field.
    pub fn from_json(error: &serde_json::Error) -> Self {
        let code = match error.classify() {
            serde_json::error::Category::Data => Code::BadField,
            _ => Code::BadJson,
        };
        Self::new(code, without_content(&error.to_string()))
    }
}

/// What serde says of a value, without the value: it may be a secret in the wrong place.
fn without_content(text: &str) -> String {
    for (before, after) in [
        (" string \"", "\", expected"),
        (" variant `", "`, expected"),
    ] {
        if let Some((head, rest)) = text.split_once(before)
            && let Some((_, tail)) = rest.split_once(after)
        {
            let what = before.trim_end_matches([' ', '"', '`']);
            return format!("{head}{what}, expected{tail}");
        }
    }
    text.to_owned()
}

impl From<WireError> for Problem {
    fn from(error: WireError) -> Self {
        Problem::new(error.code, error.detail)
    }
}

/// Parses the shared envelope from one line or one frame.
///
/// # Errors
/// `bad_encoding` when the bytes are not UTF-8, `bad_json` when they are not JSON, `bad_field` when `type` is missing
/// or not a string.
pub fn parse_frame(bytes: &[u8]) -> Result<Frame<'_>, WireError> {
    let text =
        std::str::from_utf8(bytes).map_err(|e| WireError::new(Code::BadEncoding, e.to_string()))?;
    let frame = serde_json::from_str(text).map_err(|e| WireError::from_json(&e))?;
    // serde would also read a struct from a list, member by member.
    if text.trim_start().starts_with('[') {
        return Err(WireError::new(
            Code::BadField,
            "a message is an object, not a list",
        ));
    }
    Ok(frame)
}

/// Reads a whole body of HTTP, as every handler does.
///
/// # Errors
/// `bad_encoding`, `bad_json` or `bad_field`.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| WireError::new(Code::BadEncoding, format!("the body is not UTF-8: {e}")))?;
    serde_json::from_str(text).map_err(|e| WireError::from_json(&e))
}

/// Deserializes a body, treating absent and `null` as `{}`.
pub(crate) fn parse_body<'a, T: Deserialize<'a>>(
    payload: Option<&'a RawValue>,
) -> Result<T, WireError> {
    let text = match payload.map(RawValue::get) {
        None | Some("null") => "{}",
        Some(text) => text,
    };
    serde_json::from_str(text).map_err(|e| WireError::new(Code::BadField, format!("payload: {e}")))
}

/// `[Sidecar, Registry]` as a slice of parties.
macro_rules! parties {
    ([$($party:ident),+]) => { &[$($crate::ledger::Party::$party),+] };
}

/// Declares the messages one party says to another on one channel.
///
/// A message kind cannot be declared without its body type and without its ledger row: both are part of the syntax.
macro_rules! messages {
    (
        $(#[doc = $doc:literal])+
        $vis:vis enum $name:ident on $channel:ident from $producers:tt to $consumers:tt {
            $( $(#[doc = $vdoc:literal])+ $kind:literal => $variant:ident($body:ty), )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        $vis enum $name {
            $( $(#[doc = $vdoc])+ $variant($body), )+
        }

        impl $name {
            /// Every kind of this direction, as it stands in `type`.
            pub const KINDS: &'static [&'static str] = &[$($kind),+];

            /// The ledger entry of each kind, in the order of [`Self::KINDS`].
            pub const SEAMS: &'static [$crate::ledger::Seam] = &[$(
                $crate::ledger::Seam {
                    channel: $crate::ledger::Channel::$channel,
                    kind: $kind,
                    producers: parties!($producers),
                    consumers: parties!($consumers),
                }
            ),+];

            /// The kind of this message, as it stands in `type`.
            pub fn kind(&self) -> &'static str {
                match self { $( Self::$variant(_) => $kind, )+ }
            }

            /// Builds the message from an envelope's two members.
            ///
            /// # Errors
            /// `unknown_type` for a kind that is not of this direction, `bad_field` for a body that does not fit.
            pub fn from_parts(
                kind: &str,
                payload: Option<&serde_json::value::RawValue>,
            ) -> Result<Self, $crate::WireError> {
                match kind {
                    $( $kind => Ok(Self::$variant($crate::message::parse_body(payload)?)), )+
                    _ => Err($crate::WireError::new(
                        $crate::Code::UnknownType,
                        format!("unknown message type {:?}", $crate::message::shorten(kind)),
                    )),
                }
            }

            /// Parses one whole message, `{"type": …, "payload": …}`.
            ///
            /// # Errors
            /// `bad_encoding`, `bad_json`, `bad_field` or `unknown_type`.
            pub fn parse(bytes: &[u8]) -> Result<Self, $crate::WireError> {
                let frame = $crate::message::parse_frame(bytes)?;
                Self::from_parts(&frame.kind, frame.payload)
            }

            /// Appends the message as one JSON line, newline included.
            pub fn write_line(&self, out: &mut Vec<u8>) {
                // Serialising our own types into memory cannot fail: no maps with non-string keys, no IO.
                serde_json::to_writer(&mut *out, self).expect("wire types serialise");
                out.push(b'\n');
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", self.kind())?;
                match self { $( Self::$variant(body) => map.serialize_entry("payload", body)?, )+ }
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                struct Owned {
                    #[serde(rename = "type")]
                    kind: String,
                    #[serde(default)]
                    payload: Option<Box<serde_json::value::RawValue>>,
                }
                let owned = Owned::deserialize(deserializer)?;
                Self::from_parts(&owned.kind, owned.payload.as_deref()).map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let variants: Vec<schemars::Schema> = vec![$({
                    let payload = generator.subschema_for::<$body>();
                    schemars::json_schema!({
                        "type": "object",
                        "title": stringify!($variant),
                        "description": concat!($($vdoc),+).trim(),
                        "properties": {
                            "type": { "const": $kind },
                            "payload": payload,
                        },
                        "required": ["type"],
                    })
                }),+];
                schemars::json_schema!({ "description": concat!($($doc),+).trim(), "oneOf": variants })
            }
        }
    };
}

/// Cuts hostile text short before it is quoted in an error.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_does_not_repeat_what_was_sent() {
        let said = |text: &str| {
            let error = read_json::<Vec<crate::rest::Role>>(text.as_bytes()).unwrap_err();
            error.detail
        };
        for text in [r#""hunter2""#, r#"["hunter2"]"#, r#""hunter2\", expected""#] {
            let detail = said(text);
            assert!(!detail.contains("hunter2"), "{detail}");
            assert!(
                detail.contains("expected") && detail.contains("line 1"),
                "{detail}"
            );
        }
    }
}
