//! Units of work.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chain::Hop;
use crate::ids::{AgentId, TaskId};
use crate::limits::{
    DEFAULT_MAX_ATTEMPTS, DEFAULT_TTL_S, MAX_ATTEMPTS, MAX_DEADLINE_MS, MAX_IDEMPOTENCY_KEY_BYTES,
    MAX_PRIORITY, MAX_SKILL_BYTES, MAX_TTL_S,
};
use crate::payload::Payload;
use crate::problem::Code;
use crate::talk::{Listens, Progress, Question};
use crate::trace::TraceContext;

/// Where a task stands. The last three are terminal and never change.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Waiting for an agent.
    Pending,
    /// An agent holds its lease.
    Assigned,
    /// Its handler waits for an answer of a person or its caller.
    InputRequired,
    /// Done, with a result.
    Completed,
    /// Ended without a result; the error says why.
    Failed,
    /// Ended because somebody asked for it.
    Canceled,
}

impl TaskState {
    /// Whether the state never changes again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }

    /// The state as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// How a task reached its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// Over a link, sidecar to sidecar.
    Direct,
    /// Through the registry's durable queue.
    #[default]
    Queue,
}

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskError {
    /// The stable code.
    pub code: Code,
    /// What happened, for a person.
    pub message: String,
}

impl TaskError {
    /// An error with its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// `completed`, `failed` or `canceled`.
    pub state: TaskState,
    /// The skill's result when it completed: any JSON.
    #[serde(default)]
    pub result: Value,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
}

impl Outcome {
    /// It completed with a result.
    pub fn completed(result: Value) -> Self {
        Self {
            state: TaskState::Completed,
            result,
            error: None,
        }
    }

    /// It failed.
    pub fn failed(code: Code, message: impl Into<String>) -> Self {
        Self {
            state: TaskState::Failed,
            result: Value::Null,
            error: Some(TaskError::new(code, message)),
        }
    }

    /// It was canceled.
    pub fn canceled(message: impl Into<String>) -> Self {
        Self {
            state: TaskState::Canceled,
            result: Value::Null,
            error: Some(TaskError::new(Code::Canceled, message)),
        }
    }
}

/// A task's place in its delegation tree.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Lineage {
    /// The task whose handler asked for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<TaskId>,
    /// The first task of the tree; absent on the first task itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_id: Option<TaskId>,
    /// Hops from the root; 0 at the root, at most [`MAX_DEPTH`](crate::limits::MAX_DEPTH).
    pub depth: u32,
    /// Who ran what from the root down to the parent, at most [`MAX_DEPTH`](crate::limits::MAX_DEPTH) hops. Absent at the
    /// root; hops are missing where older producers took part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Hop>,
    /// The span that asked for it, in whose trace it stands. Absent: nobody named one, and a root begins a trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceContext>,
}

/// A direct attempt that was made before the work came to the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirectAttempt {
    /// The agent that may have run it.
    pub agent_id: AgentId,
    /// The attempt's number: handed to the same agent again it keeps this number, so that agent does not run it twice.
    pub attempt: u32,
    /// The run of that agent's process that was asked. Another one, which remembers nothing, gets a number of its own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
}

/// The body of `POST /api/hub/tasks` and of the signaling message `task_submit`. Every field may be absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SubmitTask {
    /// The skill to run; with no target any healthy agent that offers it may get the task.
    #[schemars(length(max = MAX_SKILL_BYTES))]
    pub skill: String,
    /// The agent to run it, and no other. Empty: any.
    pub target_agent_id: String,
    /// The agent that asks. An agent's credential overrides it with its own name.
    pub source_agent_id: String,
    /// The skill's arguments.
    pub payload: Payload,
    /// Seconds until the task ends as `failed` with code `expired`, at most [`MAX_TTL_S`](crate::limits::MAX_TTL_S).
    #[schemars(range(max = MAX_TTL_S))]
    pub ttl: u64,
    /// The id, when the submitter brings one (the direct path's). The same id with the same content is the same task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// Times it may be handed out, 1 to [`MAX_ATTEMPTS`](crate::limits::MAX_ATTEMPTS).
    #[schemars(range(min = 1, max = MAX_ATTEMPTS))]
    pub max_attempts: u32,
    /// Whether it goes before others that wait for the same skill or agent: the highest first, equals in the order of
    /// their acceptance. At most [`MAX_PRIORITY`](crate::limits::MAX_PRIORITY) above or below 0.
    #[schemars(range(min = -MAX_PRIORITY, max = MAX_PRIORITY))]
    pub priority: i32,
    /// Milliseconds from now before which it is not handed out; less than its TTL and its deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before_ms: Option<u64>,
    /// Milliseconds from now until it fails with code `deadline_exceeded`, wherever it is then; 1 to
    /// [`MAX_DEADLINE_MS`](crate::limits::MAX_DEADLINE_MS). A TTL that ends sooner comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_DEADLINE_MS))]
    pub deadline_ms: Option<u64>,
    /// Names this submission among the caller's own, 1 to
    /// [`MAX_IDEMPOTENCY_KEY_BYTES`](crate::limits::MAX_IDEMPOTENCY_KEY_BYTES) bytes. The same key with the same skill,
    /// target and payload is the same task, for as long as that is kept; with others it is a `conflict`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY_BYTES))]
    pub idempotency_key: Option<String>,
    /// What the asker is there for. Of a submission over REST it is empty: whoever watches a task over REST asks for it.
    #[serde(flatten)]
    pub listens: Listens,
    /// Its place in the delegation tree.
    #[serde(flatten)]
    pub lineage: Lineage,
    /// The direct attempt that was made before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_attempt: Option<DirectAttempt>,
}

impl Default for SubmitTask {
    fn default() -> Self {
        Self {
            skill: String::new(),
            target_agent_id: String::new(),
            source_agent_id: String::new(),
            payload: Payload::EMPTY,
            ttl: DEFAULT_TTL_S,
            task_id: None,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            priority: 0,
            not_before_ms: None,
            deadline_ms: None,
            idempotency_key: None,
            listens: Listens::default(),
            lineage: Lineage::default(),
            direct_attempt: None,
        }
    }
}

/// A task as the registry tells it. The first twelve fields are those existing clients know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The skill it asks for.
    pub skill: String,
    /// The only agent that may run it; empty: any.
    pub target_agent_id: String,
    /// The agent that asked; empty: a person or a program outside the mesh.
    pub source_agent_id: String,
    /// The agent that has it or had it last; empty: none yet.
    pub assigned_agent_id: String,
    /// The arguments.
    #[serde(default)]
    pub payload: Payload,
    /// Where it stands.
    pub state: TaskState,
    /// The result; `""` while there is none.
    #[serde(default = "empty_text")]
    pub result: Value,
    /// The error text; `""` while there is none.
    #[serde(default)]
    pub error: String,
    /// When it was accepted, Unix seconds.
    pub created_at: f64,
    /// When it changed last, Unix seconds.
    pub updated_at: f64,
    /// Its time to live, seconds.
    pub ttl: u64,
    /// The stable code of `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<Code>,
    /// How it reached its agent.
    #[serde(default)]
    pub path: Path,
    /// Number of the present or last attempt; 0 before the first.
    #[serde(default)]
    pub attempt: u32,
    /// Attempts allowed.
    #[serde(default = "default_max_attempts")]
    pub max_attempts: u32,
    /// Number of the live lease (the fencing token); absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// When the present or last attempt began, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<f64>,
    /// Its priority among those that wait: the highest goes first.
    #[serde(default)]
    pub priority: i32,
    /// While it waits for its time: when it may be handed out, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_at: Option<f64>,
    /// How far its handler is, as it told last; absent: it told nothing, or the registry was restarted since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// While it is `input_required`: what its handler asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// Its deadline, Unix seconds; absent: only its TTL ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<f64>,
    /// Why it stands where it does, for a person: said when one task is asked for, absent in lists and events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The span of its present or last run: said when one task is asked for or handed out, absent in lists and events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_traceparent: Option<TraceContext>,
    /// Its place in the delegation tree.
    #[serde(flatten)]
    pub lineage: Lineage,
}

fn empty_text() -> Value {
    Value::String(String::new())
}

fn default_max_attempts() -> u32 {
    DEFAULT_MAX_ATTEMPTS
}

impl Task {
    /// How it ended; `None` while it lives.
    pub fn outcome(&self) -> Option<Outcome> {
        let error = || {
            TaskError::new(
                self.error_code.unwrap_or(Code::SkillFailed),
                self.error.clone(),
            )
        };
        match self.state {
            TaskState::Completed => Some(Outcome::completed(self.result.clone())),
            TaskState::Failed | TaskState::Canceled => Some(Outcome {
                state: self.state,
                result: Value::Null,
                error: Some(error()),
            }),
            _ => None,
        }
    }
}
