//! Links: one ordered, reliable DataChannel labelled `mesh` between two sidecars.
//!
//! The unit is a [`MeshMessage`]. Between sidecars that named a protocol version in their offer and answer, the channel
//! is a stream of JSON lines, cut into binary DataChannel messages of at most
//! [`LINK_PIECE_BYTES`](crate::limits::LINK_PIECE_BYTES): many small messages share a piece, and a long one spans many.
//! Towards an old sidecar each message is one text DataChannel message of at most
//! [`MAX_OLD_PEER_MESSAGE_BYTES`](crate::limits::MAX_OLD_PEER_MESSAGE_BYTES). A receiver tells the two by the
//! DataChannel message's type (text or binary), so it needs no state. On a native link a text message is the sidecars'
//! own word between the pieces, [`LinkCredit`]: it may overtake what waits in the stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::TaskId;
use crate::message::WireError;
use crate::payload::Payload;
use crate::problem::Code;
use crate::talk::{Listens, News, TaskInput};
use crate::task::{Lineage, Outcome, TaskError, TaskState};

/// The label of the DataChannel.
pub const CHANNEL_LABEL: &str = "mesh";

/// The skill that reads prompts. A prompt goes over a link as the message of the same name, and through the queue as work
/// for this skill; agents of the old dialect leave its name out there.
pub const PROMPT_SKILL: &str = "agent_prompt";

/// What travels on a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeshMessage {
    /// The message kind. A kind nobody knows is passed to the agent as it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Ties an answer to its request; empty when none is wanted.
    #[serde(default)]
    pub request_id: String,
    /// The agent that sends.
    #[serde(default)]
    pub source_agent: String,
    /// The agent it is for; `*` for all, empty for whoever is behind the sidecar.
    #[serde(default)]
    pub target_agent: String,
    /// The body.
    #[serde(default)]
    pub payload: Payload,
    /// The unit of work a `task_request` stands for; absent from old sidecars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRef>,
    /// Members this version does not know; they survive a relay.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl MeshMessage {
    /// A message with empty addressing.
    pub fn new(kind: impl Into<String>, payload: Payload) -> Self {
        Self {
            kind: kind.into(),
            request_id: String::new(),
            source_agent: String::new(),
            target_agent: String::new(),
            payload,
            task: None,
            extra: Map::new(),
        }
    }

    /// Parses one message.
    ///
    /// # Errors
    /// `bad_encoding`, `bad_json` or `bad_field`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|e| WireError::new(Code::BadEncoding, e.to_string()))?;
        serde_json::from_str(text).map_err(|e| WireError::from_json(&e))
    }

    /// Reads the body as one a sidecar acts on itself.
    ///
    /// # Errors
    /// `unknown_type` for a kind that goes to the agent, `bad_field` for a body that does not fit.
    pub fn sidecar_body(&self) -> Result<SidecarLink, WireError> {
        let body = crate::payload::Raw::of(&self.payload);
        SidecarLink::from_parts(&self.kind, Some(&body.0))
    }
}

/// The unit of work behind a direct `task_request`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskRef {
    /// Its id, the same on both paths.
    pub task_id: TaskId,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// Milliseconds the asker still waits: a duration, because clocks differ.
    pub timeout_ms: u64,
    /// What the asker is there for.
    #[serde(flatten)]
    pub listens: Listens,
    /// Its place in the delegation tree.
    #[serde(flatten)]
    pub lineage: Lineage,
}

messages! {
    /// Link messages that sidecars act on (a sidecar whose agent speaks the old dialect passes them on instead).
    pub enum SidecarLink on Link from [Sidecar] to [Sidecar] {
        /// Asks for `pong` with the same `request_id`.
        "ping" => Ping(Payload),
        /// Answers `ping`.
        "pong" => Pong(Payload),
        /// Asks the agent behind the other sidecar to run a skill.
        "task_request" => TaskRequest(TaskRequest),
        /// How a `task_request` ended, under the same `request_id`.
        "task_response" => TaskResponse(TaskResponse),
        /// What the handler of a `task_request` tells before its end, under the same `request_id`.
        "task_news" => TaskNews(TaskNews),
        /// What the asker tells the handler, under the same `request_id`.
        "task_input" => TaskInput(TaskInput),
        /// The asker gave up: stop the work under this `request_id`.
        "task_cancel" => TaskCancel(Payload),
        /// The receiver of the stream took so much of it: as much more may be sent.
        "link_credit" => LinkCredit(LinkCredit),
    }
}

messages! {
    /// Link messages that pass from agent to agent; sidecars only carry them.
    pub enum AgentLink on Link from [PythonAgent, RustAgent] to [PythonAgent, RustAgent] {
        /// A message for the agent: `{"message": …}` with `direct` or `broadcast`.
        "agent_prompt" => AgentPrompt(Payload),
        /// Answers `agent_prompt`.
        "agent_response" => AgentResponse(Payload),
        /// A part of an answer.
        "agent_stream_chunk" => AgentStreamChunk(Payload),
        /// The agent tells how it is.
        "agent_status" => AgentStatus(Payload),
        /// Asks for the agent's skills.
        "skill_query" => SkillQuery(Payload),
        /// Answers `skill_query`.
        "skill_response" => SkillResponse(Payload),
        /// A part of a task's result.
        "task_stream_chunk" => TaskStreamChunk(Payload),
    }
}

/// Body of `link_credit`, on native links: a text message between the stream's binary pieces, not counted in it. Each
/// side may send [`LINK_WINDOW_BYTES`](crate::limits::LINK_WINDOW_BYTES) of the stream before the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkCredit {
    /// Bytes of the stream taken since the last grant.
    pub bytes: u64,
}

/// Body of `task_news`.
// IPC and signaling have a `task_news` of their own; in the schemas each has its own name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LinkNews")]
pub struct TaskNews {
    /// The attempt.
    pub attempt: u32,
    /// What is told.
    #[serde(flatten)]
    pub news: News,
}

/// Body of `task_request`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskRequest {
    /// The skill to run.
    #[serde(default)]
    pub skill: String,
    /// The arguments, in the native form (the envelope has `task`).
    #[serde(default, skip_serializing_if = "Payload::is_empty")]
    pub args: Payload,
    /// In the old form every other member is a keyword argument.
    #[serde(flatten)]
    pub keywords: Map<String, Value>,
}

impl TaskRequest {
    /// The native form.
    pub fn native(skill: impl Into<String>, args: Payload) -> Self {
        Self {
            skill: skill.into(),
            args,
            keywords: Map::new(),
        }
    }

    /// The old form: the members of an object become keyword arguments, anything else goes as `args`.
    pub fn old(skill: impl Into<String>, args: Payload) -> Self {
        match args.into_value() {
            Value::Object(keywords) => Self {
                skill: skill.into(),
                args: Payload::EMPTY,
                keywords,
            },
            other => Self {
                skill: skill.into(),
                args: Payload::new(other),
                keywords: Map::new(),
            },
        }
    }

    /// The arguments, from either form.
    pub fn arguments(self) -> Payload {
        if self.keywords.is_empty() {
            return self.args;
        }
        let mut all = self.keywords;
        if !self.args.is_empty() {
            all.insert("args".to_owned(), self.args.into_value());
        }
        Payload::new(Value::Object(all))
    }
}

/// Body of `task_response`. Old peers send and read `result` and `error` as text.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskResponse {
    /// The result; any JSON.
    pub result: Value,
    /// The error text; empty when there is none.
    pub error: String,
    /// The error's stable code; absent from old peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// How it ended; absent from old peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<TaskState>,
}

impl TaskResponse {
    /// The body that tells an outcome.
    pub fn from_outcome(outcome: Outcome) -> Self {
        let (error, code) = outcome
            .error
            .map_or((String::new(), None), |e| (e.message, Some(e.code)));
        Self {
            result: outcome.result,
            error,
            code,
            state: Some(outcome.state),
        }
    }

    /// The outcome it tells.
    pub fn into_outcome(self) -> Outcome {
        let failed = !self.error.is_empty() || self.code.is_some();
        let state = self.state.filter(|s| s.is_terminal());
        match state.unwrap_or(if failed {
            TaskState::Failed
        } else {
            TaskState::Completed
        }) {
            TaskState::Completed => Outcome::completed(self.result),
            state => {
                let code = self.code.unwrap_or(Code::SkillFailed);
                Outcome {
                    state,
                    result: Value::Null,
                    error: Some(TaskError::new(code, self.error)),
                }
            }
        }
    }
}
