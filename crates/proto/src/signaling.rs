//! Signaling: the WebSocket between a sidecar and the registry (`/ws`).
//!
//! Text frames, one JSON object each: `{"type", "peer_id", "target_id"?, "payload"}`. `peer_id` is the sender and must
//! be the `sub` of the socket's token. The token comes in the `Authorization` header of the upgrade (`Bearer …`), or in
//! the query only where the operator switched the compatibility form on.
//!
//! Old sidecars know `register`, `peer_list`, `offer`, `answer`, `ice_candidate` and `heartbeat`. Everything else is
//! said only to sidecars whose `register` named a protocol version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::agent::{AgentInfo, AgentRecord};
use crate::identity::LinkIdentity;
use crate::ids::{AgentId, PeerId, TaskId};
use crate::message::WireError;
use crate::payload::Payload;
use crate::problem::{Code, Problem};
use crate::talk::{Listens, News, TaskInput};
use crate::task::{Lineage, Outcome, Path, SubmitTask, TaskState};

/// The envelope of a signaling frame. Relayed frames keep every member they came with, known or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignalFrame {
    /// The message kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// The sender; `registry` for the registry.
    pub peer_id: PeerId,
    /// The receiver of a relayed frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_id: Option<PeerId>,
    /// The body.
    #[serde(default)]
    pub payload: Value,
    /// Members this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl SignalFrame {
    /// Parses a text frame.
    ///
    /// # Errors
    /// `bad_encoding`, `bad_json` or `bad_field`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|e| WireError::new(Code::BadEncoding, e.to_string()))?;
        serde_json::from_str(text).map_err(|e| WireError::from_json(&e))
    }

    /// The frame as text.
    pub fn to_text(&self) -> String {
        // Serialising our own types into memory cannot fail.
        serde_json::to_string(self).expect("wire types serialise")
    }

    fn body(&self) -> Box<RawValue> {
        serde_json::value::to_raw_value(&self.payload).expect("a JSON value serialises")
    }

    /// Reads the frame as one a sidecar sent.
    ///
    /// # Errors
    /// `unknown_type` or `bad_field`.
    pub fn client_signal(&self) -> Result<ClientSignal, WireError> {
        ClientSignal::from_parts(&self.kind, Some(&self.body()))
    }

    /// Reads the frame as one the registry sent.
    ///
    /// # Errors
    /// `unknown_type` or `bad_field`.
    pub fn registry_signal(&self) -> Result<RegistrySignal, WireError> {
        RegistrySignal::from_parts(&self.kind, Some(&self.body()))
    }

    /// A frame from a sidecar's message.
    pub fn from_client(peer_id: PeerId, target_id: Option<PeerId>, signal: &ClientSignal) -> Self {
        Self::build(peer_id, target_id, serde_json::to_value(signal))
    }

    /// A frame from the registry's own message.
    pub fn from_registry(signal: &RegistrySignal) -> Self {
        // The constant is a valid id.
        let registry = crate::ids::REGISTRY_PEER.parse().expect("a valid id");
        Self::build(registry, None, serde_json::to_value(signal))
    }

    fn build(
        peer_id: PeerId,
        target_id: Option<PeerId>,
        message: serde_json::Result<Value>,
    ) -> Self {
        // A message serialises to {"type", "payload"}; see `messages!`.
        let mut message = message.expect("wire types serialise");
        let kind = message["type"].as_str().unwrap_or_default().to_owned();
        Self {
            kind,
            peer_id,
            target_id,
            payload: message["payload"].take(),
            extra: Map::new(),
        }
    }
}

messages! {
    /// What a sidecar says to the registry.
    pub enum ClientSignal on Signaling from [Sidecar] to [Registry] {
        /// First frame of a socket: asks for `peer_list`. With a version: also for `directory` and everything after it.
        "register" => Register(Register),
        /// Session description of a link this sidecar opens. Relayed to `target_id`.
        "offer" => Offer(Description),
        /// The other end's session description. Relayed to `target_id`.
        "answer" => Answer(Description),
        /// One ICE candidate. Relayed to `target_id`.
        "ice_candidate" => IceCandidate(IceCandidate),
        /// The sender refuses a link with `target_id`, and says why. Relayed.
        "link_refused" => LinkRefused(LinkRefused),
        /// Says that the sidecar and its agent live and renews the leases named. Empty from old sidecars.
        "heartbeat" => Heartbeat(Heartbeat),
        /// An agent connected to this sidecar.
        "agent_register" => AgentRegister(AgentRegister),
        /// The agent's process went away without a goodbye; it may come back.
        "agent_away" => AgentAway(AgentRef),
        /// The agent said goodbye.
        "agent_remove" => AgentRemove(AgentRef),
        /// All links this sidecar holds now.
        "links" => Links(Links),
        /// Puts work into the queue.
        "task_submit" => TaskSubmit(TaskSubmit),
        /// How an attempt at queued work ended.
        "task_result" => TaskResult(TaskResult),
        /// What the handler of queued work tells before its end.
        "task_news" => TaskNews(TaskNews),
        /// What this sidecar's agent tells the handler of work that it submitted.
        "task_input" => TaskInput(TaskInputTo),
        /// Hands queued work back unfinished: the agent is going away.
        "task_release" => TaskRelease(TaskRelease),
        /// Asks for `task_done` of these tasks (again, after a reconnect).
        "task_watch" => TaskWatch(TaskWatch),
        /// Cancels work this sidecar's agent submitted.
        "task_cancel" => TaskCancel(TaskCancel),
        /// Work that went directly, reported after the fact, without payloads.
        "task_report" => TaskReport(TaskReport),
    }
}

messages! {
    /// What the registry says to a sidecar.
    pub enum RegistrySignal on Signaling from [Registry] to [Sidecar] {
        /// The other connected sidecars: the receiver offers a link to each.
        "peer_list" => PeerList(PeerList),
        /// A relayed offer.
        "offer" => Offer(Description),
        /// A relayed answer.
        "answer" => Answer(Description),
        /// A relayed candidate.
        "ice_candidate" => IceCandidate(IceCandidate),
        /// A relayed refusal of a link.
        "link_refused" => LinkRefused(LinkRefused),
        /// A peer's access was revoked: its link is closed.
        "peer_revoked" => PeerRevoked(RevokedPeer),
        /// Every agent of the mesh, once after `register`.
        "directory" => Directory(Directory),
        /// An agent appeared or changed.
        "agent_up" => AgentUp(AgentUp),
        /// An agent went away for good.
        "agent_down" => AgentDown(AgentRef),
        /// Queued work for this sidecar's agent, under a lease.
        "task_assign" => TaskAssign(TaskAssign),
        /// The lease named is over: stop the work.
        "task_revoke" => TaskRevoke(TaskRevoke),
        /// What the handler of a task that this sidecar submitted tells before its end.
        "task_news" => TaskNews(SubmittedTaskNews),
        /// What the asker, or a person, tells the handler of work under this lease.
        "task_input" => TaskInput(LeasedTaskInput),
        /// A `task_submit` is durable.
        "task_submitted" => TaskSubmitted(TaskSubmitted),
        /// A `task_result` or `task_release` was taken, or refused.
        "task_ack" => TaskAck(TaskAck),
        /// A task that this sidecar submitted or watches is terminal.
        "task_done" => TaskDone(TaskDone),
        /// Something this sidecar sent was refused.
        "error" => Error(Problem),
    }
}

/// Body of `register`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Register {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the sidecar; absent from old ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// Body of `offer` and `answer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Description {
    /// Session description (RFC 8866), one `m=application` section.
    pub sdp: String,
    /// Names the connection attempt, so that a late answer or candidate of an older one is recognised. The offerer
    /// chooses it and the answerer repeats it; absent from old sidecars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The sender's protocol version: with one, the link carries JSON lines in pieces; without, one message per frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Who made it, signed; absent from peers without an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<LinkIdentity>,
}

/// Body of `link_refused`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkRefused {
    /// The connection attempt; see [`Description::link`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// `identity_required`, `identity_invalid` or `identity_changed`.
    pub code: Code,
    /// Why, for a person.
    pub detail: String,
}

/// Body of `peer_revoked`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokedPeer {
    /// The peer.
    pub peer_id: PeerId,
}

/// Body of `ice_candidate` (RFC 8839; trickle as in RFC 8838).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IceCandidate {
    /// The candidate line without `a=`.
    pub candidate: String,
    /// The media section's id.
    #[serde(rename = "sdpMid", default)]
    pub sdp_mid: Option<String>,
    /// The media section's index.
    #[serde(rename = "sdpMLineIndex", default)]
    pub sdp_m_line_index: Option<u16>,
    /// The connection attempt it belongs to; see [`Description::link`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Body of `heartbeat`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Heartbeat {
    /// The agent that lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Leases it still works under: each is renewed.
    pub leases: Vec<LeaseRef>,
}

/// A task and the number of its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseRef {
    /// The task.
    pub task_id: TaskId,
    /// The fencing number.
    pub lease: u64,
}

/// Body of `agent_register`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentRegister {
    /// The agent.
    pub agent: AgentInfo,
    /// Queued work it still holds from before a reconnect. Leases of this agent not named here are handed out again.
    #[serde(default)]
    pub leases: Vec<LeaseRef>,
}

/// Names an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentRef {
    /// The agent.
    pub agent_id: AgentId,
}

/// Body of `links`: the whole truth of one sidecar, so that a lost report heals with the next.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Links {
    /// Its open links.
    pub links: Vec<LinkReport>,
}

/// One open link, seen from one end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkReport {
    /// The other end.
    pub peer_id: PeerId,
    /// Unix milliseconds at which it opened.
    #[serde(default)]
    pub since_ms: u64,
    /// The other end's identity was checked. Absent: it has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub identified: bool,
    /// It passes a TURN server. Absent: it goes from host to host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relayed: bool,
}

/// Body of `task_submit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskSubmit {
    /// Names the request: repeated in `task_submitted` or `error`.
    pub request_id: String,
    /// The task.
    pub task: SubmitTask,
}

/// Body of `task_result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskResult {
    /// The task.
    pub task_id: TaskId,
    /// The lease the work was done under.
    pub lease: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// Body of `task_news`, of the sidecar whose agent works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LeasedTaskNews")]
pub struct TaskNews {
    /// The task.
    pub task_id: TaskId,
    /// The lease the work is done under.
    pub lease: u64,
    /// What is told.
    #[serde(flatten)]
    pub news: News,
}

/// Body of `task_news`, to the sidecar whose agent asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubmittedTaskNews {
    /// The task.
    pub task_id: TaskId,
    /// The attempt that tells it.
    pub attempt: u32,
    /// What is told.
    #[serde(flatten)]
    pub news: News,
}

/// Body of `task_input`, of the sidecar whose agent asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SubmittedTaskInput")]
pub struct TaskInputTo {
    /// The task.
    pub task_id: TaskId,
    /// The attempt it is for.
    pub attempt: u32,
    /// What is told.
    #[serde(flatten)]
    pub input: TaskInput,
}

/// Body of `task_input`, to the sidecar whose agent works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeasedTaskInput {
    /// The task.
    pub task_id: TaskId,
    /// The lease it is for.
    pub lease: u64,
    /// What is told.
    #[serde(flatten)]
    pub input: TaskInput,
}

/// Body of `task_release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskRelease {
    /// The task.
    pub task_id: TaskId,
    /// The lease handed back.
    pub lease: u64,
}

/// Body of `task_watch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskWatch {
    /// The tasks.
    pub task_ids: Vec<TaskId>,
}

/// Body of `task_cancel`.
// IPC has a `TaskCancel` of its own; in the schemas each has its own name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SubmittedTaskCancel")]
pub struct TaskCancel {
    /// The task.
    pub task_id: TaskId,
}

/// Body of `task_report`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskReport {
    /// The work, each item once it is terminal.
    pub tasks: Vec<DirectTask>,
}

/// One piece of direct work: metadata only. The asking side reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectTask {
    /// Its id.
    pub task_id: TaskId,
    /// The skill.
    pub skill: String,
    /// The agent that asked.
    pub source_agent_id: String,
    /// The agent that answered.
    pub target_agent_id: String,
    /// How it ended.
    pub state: TaskState,
    /// The error's code, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<Code>,
    /// The error's text, when it failed; `""` otherwise.
    #[serde(default)]
    pub error: String,
    /// Unix milliseconds at which it was asked.
    pub started_ms: u64,
    /// Unix milliseconds at which it ended.
    pub finished_ms: u64,
    /// Its place in the delegation tree.
    #[serde(flatten)]
    pub lineage: Lineage,
}

/// Body of `peer_list`, on signaling and on IPC.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PeerList {
    /// Peer ids.
    pub peers: Vec<PeerId>,
}

/// Body of `directory`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Directory {
    /// Every agent, by id.
    pub agents: Vec<AgentRecord>,
}

/// Body of `agent_up`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentUp {
    /// The agent as it is now.
    pub agent: AgentRecord,
}

/// Body of `task_assign`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskAssign {
    /// The task.
    pub task_id: TaskId,
    /// The agent that shall run it: the one behind this sidecar.
    pub agent_id: AgentId,
    /// The skill.
    pub skill: String,
    /// The arguments.
    #[serde(default)]
    pub payload: Payload,
    /// The agent that asked; empty: somebody outside the mesh.
    #[serde(default)]
    pub source_agent_id: String,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The lease's fencing number: goes back with the result.
    pub lease: u64,
    /// Milliseconds the lease lives without renewal.
    pub lease_ttl_ms: u64,
    /// Milliseconds until the task expires.
    pub timeout_ms: u64,
    /// What the asker is there for.
    #[serde(flatten)]
    pub listens: Listens,
    /// Its place in the delegation tree.
    #[serde(flatten)]
    pub lineage: Lineage,
}

/// Body of `task_revoke`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskRevoke {
    /// The task.
    pub task_id: TaskId,
    /// The lease that is over.
    pub lease: u64,
    /// `canceled`, `expired` or `lease_stale`.
    pub code: Code,
}

/// Body of `task_submitted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskSubmitted {
    /// The request it answers.
    pub request_id: String,
    /// The task.
    pub task_id: TaskId,
}

/// Body of `task_ack`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskAck {
    /// The task.
    pub task_id: TaskId,
    /// The lease.
    pub lease: u64,
    /// Why it was refused (`lease_stale`, `task_unknown`); absent when it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// Body of `task_done`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskDone {
    /// The task.
    pub task_id: TaskId,
    /// How it ended.
    pub outcome: Outcome,
    /// The agent that ran it last; empty: none.
    #[serde(default)]
    pub agent_id: String,
    /// How it reached that agent.
    #[serde(default)]
    pub path: Path,
}
