//! What was said, in lines a person can review: virtual milliseconds, who to whom, what. Random ids get short names in
//! the order in which they appear.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

/// Members of a body worth reading, in this order. Names, states and numbers; no random texts.
const TOLD: &[&str] = &[
    "task_id",
    "id",
    "skill",
    "agent_id",
    "target_agent_id",
    "attempt",
    "lease",
    "path",
    "state",
    "health",
    "code",
];

/// The lines of a step and the names given so far.
#[derive(Debug)]
pub(crate) struct Transcript {
    lines: Vec<String>,
    /// Whether lines are written. The digest is made in any case.
    pub(crate) is_written: bool,
    digest: u64,
    names: BTreeMap<String, String>,
    /// Kinds that are not written.
    pub(crate) hidden: Vec<String>,
}

impl Default for Transcript {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            is_written: true,
            digest: 0xcbf2_9ce4_8422_2325,
            names: BTreeMap::new(),
            hidden: Vec::new(),
        }
    }
}

impl Transcript {
    /// Writes that `to` received something from `from`.
    pub(crate) fn said(
        &mut self,
        at: u64,
        from: &str,
        to: &str,
        kind: &str,
        body: impl FnOnce() -> Value,
    ) {
        for part in [
            &at.to_le_bytes(),
            from.as_bytes(),
            to.as_bytes(),
            kind.as_bytes(),
        ] {
            self.mix(part);
        }
        if self.is_written {
            self.write(at, from, to, kind, &body());
        }
    }

    /// Writes a message that is in the digest already.
    pub(crate) fn write(&mut self, at: u64, from: &str, to: &str, kind: &str, body: &Value) {
        if !self.hidden.iter().any(|hidden| hidden == kind) {
            let told = self.tell(body);
            self.lines
                .push(format!("{at:>6} {from} -> {to}: {kind}{told}"));
        }
    }

    /// Writes something that is no message.
    pub(crate) fn note(&mut self, at: u64, text: &str) {
        // Not its text: names are only given where they are written.
        self.mix(&at.to_le_bytes());
        if self.is_written {
            self.lines.push(format!("{at:>6} {text}"));
        }
    }

    /// What was said so far, as a number.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Takes bytes into the digest, eight at a time.
    pub(crate) fn mix(&mut self, bytes: &[u8]) {
        for eight in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..eight.len()].copy_from_slice(eight);
            let mixed = (self.digest ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3);
            self.digest = mixed ^ (mixed >> 29);
        }
    }

    /// Gives a random id its short name.
    pub(crate) fn name(&mut self, id: &str) -> String {
        let random = id.len() >= 20;
        if !random {
            return id.to_owned();
        }
        let next = format!("task{}", self.names.len() + 1);
        self.names.entry(id.to_owned()).or_insert(next).clone()
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn tell(&mut self, body: &Value) -> String {
        let mut told = String::new();
        self.tell_members(body, &mut told);
        for inner in ["task", "agent", "outcome", "error", "direct_attempt"] {
            if let Some(inner_body) = body.get(inner).filter(|v| v.is_object()) {
                let mut within = String::new();
                self.tell_members(inner_body, &mut within);
                if let Some(result) = inner_body.get("result").filter(|r| !r.is_null()) {
                    let _ = write!(within, " result={result}");
                }
                let _ = write!(told, " {inner}[{}]", within.trim_start());
            }
        }
        for list in ["leases", "peers", "links", "agents", "pending_tasks"] {
            if let Some(items) = body.get(list).and_then(Value::as_array) {
                let _ = write!(told, " {list}={}", items.len());
            }
        }
        told
    }

    fn tell_members(&mut self, body: &Value, told: &mut String) {
        for key in TOLD {
            match body.get(*key) {
                Some(Value::String(text)) if !text.is_empty() => {
                    let named = self.name(text);
                    let _ = write!(told, " {key}={named}");
                }
                Some(Value::Number(number)) => {
                    let _ = write!(told, " {key}={number}");
                }
                _ => {}
            }
        }
    }
}
