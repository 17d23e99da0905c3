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
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    lines: Vec<String>,
    names: BTreeMap<String, String>,
    /// Kinds that are not written.
    pub(crate) hidden: Vec<String>,
}

impl Transcript {
    /// Writes that `to` received something from `from`.
    pub(crate) fn said(&mut self, at: u64, from: &str, to: &str, kind: &str, body: &Value) {
        if !self.hidden.iter().any(|hidden| hidden == kind) {
            let told = self.tell(body);
            self.lines
                .push(format!("{at:>6} {from} -> {to}: {kind}{told}"));
        }
    }

    /// Writes something that is no message.
    pub(crate) fn note(&mut self, at: u64, text: &str) {
        self.lines.push(format!("{at:>6} {text}"));
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
