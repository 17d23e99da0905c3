//! What is known about an agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{AgentId, PeerId};
use crate::limits::{MAX_CALLERS, MAX_SKILL_BYTES, MAX_SKILLS};
use crate::problem::{Code, Problem};

/// How fresh an agent's heartbeat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It beat lately.
    #[default]
    Active,
    /// Its beat is overdue.
    Stale,
    /// It is gone, or its sidecar said that it is away.
    Offline,
}

/// One skill that an agent offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkillInfo {
    /// The name others ask for: 1 to [`MAX_SKILL_BYTES`] bytes.
    #[schemars(length(min = 1, max = MAX_SKILL_BYTES))]
    pub name: String,
    /// What it does, for people and models.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its arguments (an object); `{}` or absent when it takes anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// The agents that may call it, at most [`MAX_CALLERS`]; absent: everybody, empty: no
    /// agent. People with the role operator or above may always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_CALLERS))]
    pub callers: Option<Vec<AgentId>>,
}

impl SkillInfo {
    /// Whether the agent `caller` may call it.
    pub fn allows(&self, caller: &str) -> bool {
        let callers = self.callers.as_ref();
        callers.is_none_or(|callers| callers.iter().any(|c| c.as_str() == caller))
    }
}

/// The refusal (`forbidden`) of a call that the skill's `callers` do not allow: at the agent named, or at every agent
/// that offers the skill. `caller` is empty for one that speaks for no agent.
pub fn not_allowed(agent: Option<&AgentId>, skill: &str, caller: &str) -> Problem {
    let caller = match caller {
        "" => "a caller that is no agent".to_owned(),
        name => format!("agent {name}"),
    };
    let whose = match agent {
        Some(agent) => format!("of agent {agent}"),
        None => "of any agent that offers it".to_owned(),
    };
    let detail = format!(
        "{caller} may not call skill {skill:?} {whose}: add it to the skill's callers, or ask as an operator"
    );
    Problem::new(Code::Forbidden, detail)
}

/// What an agent says of itself when it starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentProfile {
    /// Its name.
    pub agent_id: AgentId,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its skills, at most [`MAX_SKILLS`].
    #[serde(default)]
    #[schemars(length(max = MAX_SKILLS))]
    pub skills: Vec<SkillInfo>,
    /// The machine it runs on.
    #[serde(default)]
    pub hostname: String,
    /// Free-form mode, as existing clients send it (`interactive`).
    #[serde(default)]
    pub mode: String,
    /// Version of the agent or its SDK, for the dashboard.
    #[serde(default)]
    pub version: String,
    /// Names this run of its process, so that work it began is told from work of an earlier run. Empty: it does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Tasks it takes at once; 0 means the default ([`DEFAULT_MAX_CONCURRENT`](crate::limits::DEFAULT_MAX_CONCURRENT)).
    #[serde(default)]
    pub max_concurrent: u32,
}

/// What existing clients call an agent's capabilities.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Capabilities {
    /// Names of its skills, at most [`MAX_SKILLS`], each of 1 to [`MAX_SKILL_BYTES`] bytes.
    #[schemars(length(max = MAX_SKILLS), inner(length(min = 1, max = MAX_SKILL_BYTES)))]
    pub skills: Vec<String>,
    /// Names of its MCP servers.
    pub mcp_servers: Vec<String>,
    /// Number of goals it follows.
    pub goals_count: u32,
    /// Free-form mode.
    pub mode: String,
}

/// An agent as it registers: the body of `POST /api/registry/agents` and of the signaling message `agent_register`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentInfo {
    /// Its name.
    pub agent_id: AgentId,
    /// The machine it runs on.
    pub hostname: String,
    /// The address it gives; informative only.
    #[serde(default)]
    pub ip: String,
    /// The port it gives; informative only.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Its sidecar on the network. Replaced by the credential's own peer id when an agent registers.
    #[serde(default)]
    pub sidecar_peer_id: String,
    /// What it can do, by name.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// Free-form status.
    #[serde(default)]
    pub status: String,
    /// Free-form mode.
    #[serde(default)]
    pub mode: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its skills with their schemas. When it is empty, `capabilities.skills` names them.
    #[serde(default)]
    #[schemars(length(max = MAX_SKILLS))]
    pub skills: Vec<SkillInfo>,
    /// Version of the agent or its SDK.
    #[serde(default)]
    pub version: String,
    /// Names the run of its process, as it said itself; empty: it does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Tasks it takes at once; 0 means the default.
    #[serde(default)]
    pub max_concurrent: u32,
}

/// The port existing clients assume.
pub fn default_port() -> u16 {
    8000
}

impl AgentInfo {
    /// The registration of an agent behind a sidecar.
    pub fn from_profile(profile: &AgentProfile, peer: &PeerId) -> Self {
        Self {
            agent_id: profile.agent_id.clone(),
            hostname: profile.hostname.clone(),
            ip: String::new(),
            port: default_port(),
            sidecar_peer_id: peer.to_string(),
            capabilities: Capabilities {
                skills: profile.skills.iter().map(|s| s.name.clone()).collect(),
                mode: profile.mode.clone(),
                ..Capabilities::default()
            },
            status: String::new(),
            mode: profile.mode.clone(),
            description: profile.description.clone(),
            skills: profile.skills.clone(),
            version: profile.version.clone(),
            instance: profile.instance.clone(),
            max_concurrent: profile.max_concurrent,
        }
    }

    /// Whether it offers `skill`.
    pub fn offers(&self, skill: &str) -> bool {
        self.capabilities.skills.iter().any(|s| s == skill)
            || self.skills.iter().any(|s| s.name == skill)
    }

    /// Whether the agent `caller` may call `skill` here.
    pub fn allows(&self, skill: &str, caller: &str) -> bool {
        let mut named = self.skills.iter().filter(|s| s.name == skill);
        named.all(|s| s.allows(caller))
    }

    /// Whether only some agents may call `skill` here.
    pub fn restricts(&self, skill: &str) -> bool {
        let mut named = self.skills.iter().filter(|s| s.name == skill);
        named.any(|s| s.callers.is_some())
    }
}

/// An agent as the registry knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentRecord {
    /// What it registered.
    #[serde(flatten)]
    pub info: AgentInfo,
    /// How fresh its heartbeat is.
    pub health: Health,
    /// When it registered, RFC 3339.
    pub registered_at: String,
    /// When it beat last, RFC 3339.
    pub last_heartbeat: String,
    /// Tasks it holds now, on both paths as far as the registry knows.
    #[serde(default)]
    pub tasks_in_flight: u32,
}
