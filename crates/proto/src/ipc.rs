//! IPC: the Unix socket between an agent and its sidecar. JSON lines, `{"type", "payload"}`, UTF-8, at most
//! [`MAX_LINE_BYTES`](crate::limits::MAX_LINE_BYTES) each.
//!
//! A native agent says `hello` first and is then handed units of work as `task` events, whichever path they came by.
//! A client that never says `hello` is served the old dialect: `send`, `broadcast`, `list_peers`, `connect`, and the
//! events `message`, `peer_connected`, `peer_disconnected`, `peer_list`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::{AgentProfile, AgentRecord};
use crate::ids::{AgentId, PeerId, TaskId};
use crate::payload::{Payload, Raw};
use crate::problem::{Code, Problem};
use crate::signaling::PeerList;
use crate::talk::{Listens, News, TaskInput};
use crate::task::{Lineage, Outcome, Path};
use crate::trace::TraceContext;

messages! {
    /// What an agent says to its sidecar.
    pub enum AgentCommand on Ipc from [PythonAgent, RustAgent] to [Sidecar] {
        /// First line of a native agent.
        "hello" => Hello(Hello),
        /// Sends a message to a peer over its link.
        "send" => Send(Send),
        /// Sends a message to every linked peer.
        "broadcast" => Broadcast(Broadcast),
        /// Asks for `peer_list`.
        "list_peers" => ListPeers(Payload),
        /// Opens a link to a peer, if there is none.
        "connect" => Connect(Connect),
        /// Delegates work: directly when the agent is linked, through the queue otherwise.
        "request" => Request(Request),
        /// Gives up a request.
        "cancel" => Cancel(Cancel),
        /// What the handler of a `task` tells before its end.
        "task_news" => TaskNews(TaskNews),
        /// What a handler is told by the agent that asked it.
        "request_input" => RequestInput(RequestInput),
        /// How a `task` ended.
        "respond" => Respond(Respond),
        /// Asks for the agents of the mesh.
        "agents" => Agents(AgentsQuery),
        /// The agent goes away for good: its unfinished work is handed back.
        "goodbye" => Goodbye(Payload),
    }
}

messages! {
    /// What a sidecar says to its agent.
    pub enum AgentEvent on Ipc from [Sidecar] to [PythonAgent, RustAgent] {
        /// Answers `hello`.
        "welcome" => Welcome(Welcome),
        /// A message came over a link.
        "message" => Message(Message),
        /// A link opened.
        "peer_connected" => PeerConnected(LinkedPeer),
        /// A link went down.
        "peer_disconnected" => PeerDisconnected(PeerRef),
        /// Answers `list_peers`: the peers with an open link.
        "peer_list" => PeerList(PeerList),
        /// A unit of work.
        "task" => Task(TaskEvent),
        /// Stop this work: nobody waits for it any more.
        "task_cancel" => TaskCancel(TaskCancel),
        /// What the asker tells the handler of a `task`.
        "task_input" => TaskInput(TaskInputEvent),
        /// What the handler of a request tells before its end.
        "request_news" => RequestNews(RequestNews),
        /// A request was taken: the work is on its way, or durable when the path is the queue.
        "accepted" => Accepted(Accepted),
        /// A request ended.
        "response" => Response(Response),
        /// Answers `agents`.
        "agents" => Agents(AgentsList),
        /// The registry came or went.
        "registry" => Registry(RegistryState),
        /// Something the agent sent was refused.
        "error" => Error(Problem),
    }
}

/// Body of `hello`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// The agent's protocol version.
    pub version: u32,
    /// Who it is and what it can do.
    pub agent: AgentProfile,
    /// Work it still runs from before it lost this socket. Unfinished work that is not named here fails over at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<RunRef>,
}

/// One attempt at one task that an agent still works on: with it a sidecar that was restarted knows the work again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunRef {
    /// The task.
    pub task_id: TaskId,
    /// The attempt, as the `task` event named it.
    pub attempt: u32,
    /// The lease that the `task` event named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// Milliseconds until nobody waits for it any more, as the `task` event named them: no less than are left now.
    #[serde(default)]
    pub timeout_ms: u64,
    /// Its place in the delegation tree.
    #[serde(flatten)]
    pub lineage: Lineage,
}

/// Body of `welcome`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The sidecar's protocol version.
    pub version: u32,
    /// The sidecar's name on the network, once it has a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<PeerId>,
    /// Whether the registry is reachable now.
    pub registry_connected: bool,
    /// Longest line in bytes, both ways.
    pub max_line_bytes: u64,
}

/// Body of `send`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Send {
    /// The receiving sidecar.
    pub target_peer: PeerId,
    /// The message, passed on as it is (a [`MeshMessage`](crate::link::MeshMessage)).
    #[schemars(with = "crate::link::MeshMessage")]
    pub message: Raw,
}

/// Body of `broadcast`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Broadcast {
    /// The message, passed on as it is (a [`MeshMessage`](crate::link::MeshMessage)).
    #[schemars(with = "crate::link::MeshMessage")]
    pub message: Raw,
}

/// Body of `connect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connect {
    /// The peer to link with.
    pub target_peer_id: PeerId,
}

/// Which way a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Directly when the agent is linked, else through the queue.
    #[default]
    Auto,
    /// Only directly: an error when no link is open.
    Direct,
    /// Only through the queue: durable from the start.
    Queue,
}

/// Body of `request`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// Names the request on this socket: repeated in `accepted`, `response` and `error`.
    pub request_id: String,
    /// The skill.
    pub skill: String,
    /// The agent to ask; absent: any that offers the skill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AgentId>,
    /// The arguments.
    #[serde(default)]
    pub payload: Payload,
    /// Milliseconds to wait for the answer; absent: [`DEFAULT_REQUEST_TIMEOUT_MS`](crate::limits::DEFAULT_REQUEST_TIMEOUT_MS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether a `response` is wanted. Without it the work goes to the queue and `accepted` is the last word.
    #[serde(default = "yes")]
    pub wait: bool,
    /// Which way it may go.
    #[serde(default)]
    pub via: Via,
    /// The task whose handler asks, if one does: the sidecar puts the new task under it in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// The span that asks, when the agent traces by itself; absent: that of the run that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceContext>,
    /// What the agent is there for until the response.
    #[serde(flatten)]
    pub listens: Listens,
}

fn yes() -> bool {
    true
}

/// Body of the command `task_news`.
// Signaling has a `task_news` of its own; in the schemas each has its own name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "HandlerNews")]
pub struct TaskNews {
    /// The task.
    pub task_id: TaskId,
    /// The attempt, as the `task` event named it.
    pub attempt: u32,
    /// What is told.
    #[serde(flatten)]
    pub news: News,
}

/// Body of `request_input`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestInput {
    /// The request.
    pub request_id: String,
    /// What is told.
    #[serde(flatten)]
    pub input: TaskInput,
}

/// Body of the event `task_input`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskInputEvent {
    /// The task.
    pub task_id: TaskId,
    /// The attempt.
    pub attempt: u32,
    /// What is told.
    #[serde(flatten)]
    pub input: TaskInput,
}

/// Body of `request_news`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestNews {
    /// The request.
    pub request_id: String,
    /// The task it became.
    pub task_id: TaskId,
    /// The attempt that tells it. With a new one the numbers of chunks and questions begin anew.
    pub attempt: u32,
    /// What is told.
    #[serde(flatten)]
    pub news: News,
}

/// Body of `cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancel {
    /// The request to give up.
    pub request_id: String,
}

/// Body of `respond`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Respond {
    /// The task.
    pub task_id: TaskId,
    /// The attempt, as the `task` event named it.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// Body of the command `agents`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentsQuery {
    /// Names the request: repeated in the event `agents`.
    pub request_id: String,
    /// Only agents that offer this skill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
}

/// Body of `message`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// The sidecar it came from.
    pub from_peer: PeerId,
    /// The message as it came (a [`MeshMessage`](crate::link::MeshMessage)).
    #[schemars(with = "crate::link::MeshMessage")]
    pub message: Raw,
}

/// Body of `peer_connected`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkedPeer {
    /// The peer.
    pub peer_id: PeerId,
    /// Its identity was checked: it is whom the mesh's root key vouches for. Absent: it shows none, and only the
    /// registry's word stands for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub identified: bool,
}

/// Names a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerRef {
    /// The peer.
    pub peer_id: PeerId,
}

/// Body of `task`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskEvent {
    /// The task.
    pub task_id: TaskId,
    /// The attempt's number: goes back with `respond`.
    pub attempt: u32,
    /// The skill to run.
    pub skill: String,
    /// The arguments.
    #[serde(default)]
    pub payload: Payload,
    /// The agent that asked; empty: somebody outside the mesh.
    #[serde(default)]
    pub from_agent: String,
    /// How it came.
    #[serde(default)]
    pub path: Path,
    /// Milliseconds until nobody waits for it any more.
    pub timeout_ms: u64,
    /// Its lease, when it came from the queue: goes back in `hello`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// What its asker is there for. A question of queued work is answered by a person when the asker does not.
    #[serde(flatten)]
    pub listens: Listens,
    /// The span of this run: what its handler does stands under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_traceparent: Option<TraceContext>,
    /// Its place in the delegation tree.
    #[serde(flatten)]
    pub lineage: Lineage,
}

/// Body of `task_cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCancel {
    /// The task.
    pub task_id: TaskId,
    /// The attempt.
    pub attempt: u32,
    /// `canceled`, `expired`, `deadline_exceeded` or `lease_stale`.
    pub code: Code,
}

/// Body of `accepted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// The request.
    pub request_id: String,
    /// The task it became.
    pub task_id: TaskId,
    /// The way it went. `queue` after `direct` means that the direct attempt was lost and the queue took over.
    pub path: Path,
}

/// Body of `response`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Response {
    /// The request.
    pub request_id: String,
    /// The task it became.
    pub task_id: TaskId,
    /// How it ended.
    pub outcome: Outcome,
    /// The way the answer came.
    #[serde(default)]
    pub path: Path,
    /// The agent that answered; empty when none did.
    #[serde(default)]
    pub agent_id: String,
    /// Milliseconds from request to answer.
    #[serde(default)]
    pub duration_ms: u64,
}

/// Body of the event `agents`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentsList {
    /// The request.
    pub request_id: String,
    /// The agents, by id.
    pub agents: Vec<AgentRecord>,
}

/// Body of `registry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegistryState {
    /// Whether it is reachable.
    pub connected: bool,
}
