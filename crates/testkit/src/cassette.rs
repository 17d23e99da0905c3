//! Recorded traffic: the skill calls of a real mesh in a JSON file, replayed by a fake agent. The Python SDK reads and
//! writes the same files.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail, ensure};
use seamesh_agent::{Code, SkillError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fakes::Answer;

/// The file's format.
const VERSION: u32 = 1;

/// Recorded calls, in the order in which they were answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cassette {
    /// The calls.
    pub calls: Vec<Recorded>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The agent that asked.
    pub caller: String,
    /// The agent that answered.
    pub agent: String,
    /// The skill.
    pub skill: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub args: Value,
    /// What came back, unless it failed.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub result: Value,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RecordedError>,
}

/// Why a recorded call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedError {
    /// The stable code.
    pub code: String,
    /// What happened, for a person.
    pub message: String,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    calls: Vec<Recorded>,
}

impl Cassette {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no cassette of this version.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let file: File = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no cassette; record it anew", path.display()))?;
        ensure!(
            file.version == VERSION,
            "{} has version {}, not {VERSION}: record it anew",
            path.display(),
            file.version
        );
        Ok(Self { calls: file.calls })
    }

    /// Writes a file that people can read and review.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let file = File {
            version: VERSION,
            calls: self.calls.clone(),
        };
        let mut text = serde_json::to_string_pretty(&file)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    /// The skills of an agent, for [`TestMesh::fake_agent`](crate::TestMesh::fake_agent). The same arguments give the
    /// recorded answers in turn, and the last one again and again.
    ///
    /// # Errors
    /// When nothing was recorded of this agent.
    pub fn answers(&self, agent: &str) -> Result<Vec<(String, Answer)>> {
        let of_it = self.calls.iter().filter(|call| call.agent == agent);
        let skills: BTreeSet<&String> = of_it.map(|call| &call.skill).collect();
        if skills.is_empty() {
            bail!("no call of agent {agent:?} was recorded");
        }
        let answers = skills.into_iter().map(|skill| {
            let same = |call: &&Recorded| call.agent == agent && call.skill == *skill;
            let calls: Vec<Recorded> = self.calls.iter().filter(same).cloned().collect();
            (skill.clone(), play(calls))
        });
        Ok(answers.collect())
    }
}

fn play(calls: Vec<Recorded>) -> Answer {
    let left = Mutex::new(calls);
    Answer::with(move |args| {
        let missing = || {
            let text = format!("the cassette has no call with {args}: record it anew");
            SkillError::with_code(Code::NotFound, text)
        };
        let mut left = left
            .lock()
            .map_err(|_| SkillError::new("the cassette broke"))?;
        let same = |call: &Recorded| plain(&call.args) == plain(args);
        let first = left.iter().position(same).ok_or_else(missing)?;
        let call = match left.iter().filter(|call| same(call)).count() {
            1 => left[first].clone(),
            _ => left.remove(first),
        };
        match call.error {
            None => Ok(call.result),
            Some(error) => {
                let code = serde_json::from_value(Value::String(error.code));
                Err(SkillError::with_code(
                    code.unwrap_or(Code::SkillFailed),
                    error.message,
                ))
            }
        }
    })
}

/// Arguments as they are compared: none, `null` and `{}` mean the same.
fn plain(args: &Value) -> Option<&Value> {
    (!is_nothing(args)).then_some(args)
}

fn is_nothing(args: &Value) -> bool {
    args.is_null() || args.as_object().is_some_and(serde_json::Map::is_empty)
}
