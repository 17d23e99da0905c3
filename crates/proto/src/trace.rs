//! Trace context: which trace a task belongs to, and the span that it stands under (W3C Trace Context, Level 1).
//!
//! Nobody hands out span ids. A task's own span and the span of each of its runs are made from its id, so that every
//! process that knows the task names the same spans. A task that came with no context begins a trace named by its id.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::TaskId;
use crate::task::Lineage;

/// Bytes of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// What a `traceparent` looks like, as a regular expression for schemas and generated types.
const PATTERN: &str =
    "^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)";

/// The flag that says that the trace is recorded.
const SAMPLED: u8 = 1;

/// Offset basis and prime of FNV-1a with 64 bits (RFC 9923, section 5).
const FNV64: (u64, u64) = (0xcbf2_9ce4_8422_2325, 0x0000_0100_0000_01b3);

/// Offset basis and prime of FNV-1a with 128 bits (RFC 9923, section 5).
const FNV128: (u128, u128) = (
    0x6c62_272e_07bb_0142_62b8_2175_6295_c58d,
    0x0000_0000_0100_0000_0000_0000_0000_013b,
);

/// A span of a trace, written as a `traceparent`: `00-<32 hexadecimal digits>-<16>-<2>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace, not 0.
    trace: u128,
    /// The span, not 0.
    span: u64,
    flags: u8,
}

/// A text is not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a traceparent is 00-<32 hexadecimal digits>-<16>-<2>, in small letters, neither id all zeros (W3C Trace Context)"
)]
pub struct TraceError;

impl TraceContext {
    /// The span of a task, from its acceptance to its end: the parent of its runs.
    pub fn of_task(id: &TaskId, lineage: &Lineage) -> Self {
        Self::made(id, lineage, 0)
    }

    /// The span of one attempt of a task: the parent of what its handler asks for.
    pub fn of_run(id: &TaskId, attempt: u32, lineage: &Lineage) -> Self {
        Self::made(id, lineage, attempt.max(1))
    }

    fn made(id: &TaskId, lineage: &Lineage, attempt: u32) -> Self {
        let (trace, flags) = match &lineage.traceparent {
            Some(above) => (above.trace, above.flags),
            None => (trace_of(lineage.root_id.as_ref().unwrap_or(id)), SAMPLED),
        };
        let bytes = id.as_str().bytes().chain(attempt.to_be_bytes());
        let span = bytes.fold(FNV64.0, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(FNV64.1)
        });
        Self {
            trace,
            span: span.max(1),
            flags,
        }
    }

    /// The trace, 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The span, 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }

    /// Whether whoever began the trace records it.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// The trace that a root task begins: its id where that is a UUID, so that one finds the other.
fn trace_of(root: &TaskId) -> u128 {
    let text = root.as_str();
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let uuid = (text.len() == 36 && digits.len() == 32)
        .then(|| u128::from_str_radix(&digits, 16).ok())
        .flatten();
    let hashed = || {
        text.bytes().fold(FNV128.0, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(FNV128.1)
        })
    };
    uuid.unwrap_or_else(hashed).max(1)
}

impl FromStr for TraceContext {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let bytes = text.as_bytes();
        let is_shaped = bytes.len() >= LENGTH
            && bytes[..LENGTH]
                .iter()
                .enumerate()
                .all(|(at, byte)| match at {
                    2 | 35 | 52 => *byte == b'-',
                    _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                });
        // A later version may have more behind what is known of it; this one has nothing.
        let is_version = match &bytes[..bytes.len().min(2)] {
            b"00" => bytes.len() == LENGTH,
            b"ff" => false,
            _ => bytes.len() == LENGTH || bytes.get(LENGTH) == Some(&b'-'),
        };
        if !is_shaped || !is_version {
            return Err(TraceError);
        }
        let context = Self {
            trace: u128::from_str_radix(&text[3..35], 16).map_err(|_| TraceError)?,
            span: u64::from_str_radix(&text[36..52], 16).map_err(|_| TraceError)?,
            flags: u8::from_str_radix(&text[53..55], 16).map_err(|_| TraceError)?,
        };
        if context.trace == 0 || context.span == 0 {
            return Err(TraceError);
        }
        Ok(context)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace, self.span, self.flags
        )
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for TraceContext {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TraceContext".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "title": "TraceContext",
            "type": "string",
            "pattern": PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn id(text: &str) -> TaskId {
        text.parse().unwrap()
    }

    #[test]
    fn a_context_reads_as_it_is_written() {
        let context: TraceContext = GIVEN.parse().unwrap();
        assert_eq!(context.to_string(), GIVEN);
        assert_eq!(context.trace_id(), &GIVEN[3..35]);
        assert_eq!(context.span_id(), &GIVEN[36..52]);
        assert!(context.is_sampled());
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = GIVEN.replacen("00", "cc", 1) + "-more";
        let read: TraceContext = later.parse().unwrap();
        assert_eq!(read.to_string(), GIVEN);
    }

    #[test]
    fn what_is_no_context_is_refused() {
        let zero_trace = GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = GIVEN.replace("00f067aa0ba902b7", &"0".repeat(16));
        let (upper, long) = (GIVEN.to_uppercase(), format!("{GIVEN}-01"));
        let forbidden = GIVEN.replacen("00", "ff", 1);
        for bad in [
            "",
            "00",
            &GIVEN[..54],
            &zero_trace,
            &zero_span,
            &upper,
            &long,
            &forbidden,
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(TraceError), "{bad:?}");
        }
        let wide = format!("00-{}", "é".repeat(26));
        assert_eq!(wide.parse::<TraceContext>(), Err(TraceError));
    }

    #[test]
    fn a_tree_is_one_trace_named_by_its_root_and_every_run_is_a_span() {
        let root = id("0192f0c1-2d3e-7f40-8a5b-6c7d8e9fa0b1");
        let top = TraceContext::of_task(&root, &Lineage::default());
        assert_eq!(top.trace_id(), "0192f0c12d3e7f408a5b6c7d8e9fa0b1");
        let run = TraceContext::of_run(&root, 1, &Lineage::default());
        let again = TraceContext::of_run(&root, 2, &Lineage::default());
        assert_eq!(run.trace_id(), top.trace_id());
        assert!(run.span != top.span && again.span != run.span && again.span != top.span);
        let below = Lineage {
            parent_id: Some(root.clone()),
            root_id: Some(root),
            depth: 1,
            ..Lineage::default()
        };
        // An older producer passes no context on: the tree is one trace all the same.
        let child = TraceContext::of_task(&id("child"), &below);
        assert_eq!(child.trace_id(), top.trace_id());
    }

    #[test]
    fn a_trace_that_was_begun_elsewhere_goes_on_with_its_flags() {
        let given: TraceContext = GIVEN.replace("-01", "-00").parse().unwrap();
        let lineage = Lineage {
            traceparent: Some(given),
            ..Lineage::default()
        };
        let task = TraceContext::of_task(&id("any.name"), &lineage);
        assert_eq!(task.trace_id(), given.trace_id());
        assert!(!task.is_sampled());
    }
}
