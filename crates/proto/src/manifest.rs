//! `agent.yaml`, the file a person writes, and what `seamesh run` hands of it to the agent's SDK.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::AgentId;

/// Names the file that holds [`Handed`] to the agent's process.
pub const HANDED_ENV: &str = "SEAMESH_HANDED";

/// The keys of a manifest.
pub const KEYS: [&str; 14] = [
    "name",
    "description",
    "registry",
    "run",
    "data_dir",
    "skills",
    "callers",
    "sidecar",
    "provider",
    "model",
    "prompt",
    "max_turns",
    "context_window",
    "goals",
];

/// The keys of its section `sidecar`.
pub const SIDECAR_KEYS: [&str; 3] = ["api_key", "socket", "binary"];

/// The keys of its section `skills`.
pub const SKILLS_KEYS: [&str; 3] = ["builtin", "dirs", "disabled"];

/// The skills that an SDK brings along.
pub const BUILTIN_SKILLS: [&str; 6] = [
    "list_agents",
    "find_agent",
    "delegate",
    "mesh_send",
    "mesh_broadcast",
    "user_intervention",
];

/// An agent of a seamesh: what it is called, where its registry is, what it offers and how it is started. Every key may be
/// left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Manifest {
    /// The agent's id: letters, digits and `. _ - : @ + ~ * =`, at most 128 bytes. Default: `unnamed-agent`.
    pub name: String,
    /// What it is for. Default: the first paragraph of the `AGENT.md` beside the manifest.
    pub description: String,
    /// The registry's address. Default: `http://localhost:8080`.
    pub registry: String,
    /// The command that starts the agent, word by word. Default: `python3 agent.py`, or `cargo run --quiet`.
    pub run: Vec<String>,
    /// Where credentials, logs and the socket are kept, from the manifest's directory. Default: `.seamesh`.
    pub data_dir: String,
    /// The skills that the agent offers beside those its code declares, or does not offer.
    pub skills: Skills,
    /// Who may call a skill: by skill, the ids of agents. It takes the place of what the code says.
    pub callers: BTreeMap<String, Vec<String>>,
    /// The sidecar.
    pub sidecar: SidecarSection,
    /// Not used yet: azure, openai or ollama.
    pub provider: Option<Provider>,
    /// Not used yet.
    pub model: String,
    /// Not used yet.
    pub prompt: String,
    /// Not used yet.
    pub max_turns: u32,
    /// Not used yet.
    pub context_window: u64,
    /// Not used yet.
    pub goals: Vec<serde_json::Value>,
}

/// Whose model.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Azure.
    Azure,
    /// OpenAI.
    Openai,
    /// Ollama.
    Ollama,
}

/// The section `skills`: a list of built-in skills, or more.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Skills {
    /// Built-in skills to offer.
    Builtin(Vec<Builtin>),
    /// The whole section.
    Section(SkillsSection),
}

impl Default for Skills {
    fn default() -> Self {
        Self::Builtin(Vec::new())
    }
}

/// The section `skills`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SkillsSection {
    /// Built-in skills to offer.
    pub builtin: Vec<Builtin>,
    /// Directories, from the manifest's: every skill that a module in them declares is offered (Python).
    pub dirs: Vec<String>,
    /// Skills that are not offered, wherever they come from.
    pub disabled: Vec<String>,
}

/// A skill that an SDK brings along.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// Lists the agents of the mesh.
    ListAgents,
    /// Finds the agent to ask for a skill.
    FindAgent,
    /// Hands work to another agent.
    Delegate,
    /// Says something to an agent.
    MeshSend,
    /// Says something to every agent.
    MeshBroadcast,
    /// Takes a person's word.
    UserIntervention,
}

/// The section `sidecar`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SidecarSection {
    /// The agent's API key. Better in `.env` as `SEAMESH_API_KEY`.
    pub api_key: String,
    /// Its socket, from the manifest's directory. Default: in `data_dir`.
    pub socket: String,
    /// Not used: the sidecar is in `seamesh` itself.
    pub binary: String,
}

/// What the SDK acts on of a manifest: a JSON file that [`HANDED_ENV`] names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Handed {
    /// The agent that the manifest is of; an agent of another name is not touched.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The text of `AGENT.md`.
    pub instructions: String,
    /// Built-in skills to offer.
    pub builtin: Vec<String>,
    /// Directories of modules with skills; absolute.
    pub dirs: Vec<PathBuf>,
    /// Skills not to offer.
    pub disabled: Vec<String>,
    /// Who may call a skill.
    pub callers: BTreeMap<String, Vec<AgentId>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties<T: JsonSchema>() -> Vec<String> {
        let schema = schemars::schema_for!(T).to_value();
        let properties = schema["properties"].as_object();
        let mut names: Vec<String> = properties
            .into_iter()
            .flatten()
            .map(|(k, _)| k.clone())
            .collect();
        names.sort();
        names
    }

    fn sorted(names: &[&str]) -> Vec<String> {
        let mut names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_names_that_readers_know_are_those_of_the_schema() {
        assert_eq!(properties::<Manifest>(), sorted(&KEYS));
        assert_eq!(properties::<SidecarSection>(), sorted(&SIDECAR_KEYS));
        assert_eq!(properties::<SkillsSection>(), sorted(&SKILLS_KEYS));
        for name in BUILTIN_SKILLS {
            assert!(
                serde_json::from_value::<Builtin>(name.into()).is_ok(),
                "{name}"
            );
        }
    }
}
