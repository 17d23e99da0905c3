//! Bodies and queries of the REST API. Which route takes and answers what stands in [`routes`](crate::routes).

mod pairing;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::{AgentRecord, Health};
use crate::events::EventRecord;
use crate::identity::PublicKey;
use crate::ids::{AgentId, PeerId, TaskId};
use crate::limits::{
    MAX_KEY_OVERLAP_S, MAX_PAGE, MAX_PASSWORD_BYTES, MAX_SEARCH_BYTES, MIN_PASSWORD_BYTES,
};
use crate::signaling::LeaseRef;
use crate::talk::Chunk;
use crate::task::{Task, TaskState};

pub use pairing::{
    ApproveAnswer, CertifyBody, IdentityAnswer, IdentityBody, InviteAnswer, InviteBody,
    NewcomerIdentity, OnboardingEntry, PairAnswer, PairBody, PairingStatus, StatusAnswer,
    StatusQuery,
};

/// What a credential may do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Acts as one agent, and only as that.
    Agent,
    /// Sees everything, changes nothing.
    Viewer,
    /// Viewer, and submits, cancels and steers work.
    Operator,
    /// Operator, and decides who is in: keys, invites, approvals.
    Admin,
}

/// A plain success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ok {
    /// `ok`.
    pub status: String,
}

impl Default for Ok {
    fn default() -> Self {
        Self {
            status: "ok".to_owned(),
        }
    }
}

/// Answer of `POST /api/token`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenAnswer {
    /// JWT (HS256; claims `sub`, `role`, `iat`, `exp`), good for [`TOKEN_TTL_S`](crate::limits::TOKEN_TTL_S).
    pub token: String,
    /// Whom it names.
    pub peer_id: PeerId,
    /// What it may do.
    pub role: Role,
}

/// Claims of the JWT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claims {
    /// The peer.
    pub sub: PeerId,
    /// Its role.
    pub role: Role,
    /// Issued at, Unix seconds.
    pub iat: u64,
    /// Expires at, Unix seconds.
    pub exp: u64,
}

/// Query of `GET /api/registry/route`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteQuery {
    /// The skill wanted.
    pub skill: String,
}

/// Body of `POST /api/hub/heartbeat`. A field that is absent leaves the record as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatBody {
    /// The agent that lives.
    pub agent_id: AgentId,
    /// The machine it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The address it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The port it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Free-form status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Free-form mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Goals it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goals_count: Option<u32>,
    /// Names of its skills: also those it takes queued work for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill_names: Option<Vec<String>>,
    /// Its sidecar, as existing clients guess it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar_peer_id: Option<String>,
    /// Most tasks to hand out in this answer; absent: as many as the agent may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tasks: Option<u32>,
    /// The leases it works under, of work it took over REST: each is renewed, and what is not named is handed out
    /// again, because the answer that carried it was lost. Absent: everything it holds is renewed for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<Vec<LeaseRef>>,
}

/// Answer of `POST /api/hub/heartbeat`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatAnswer {
    /// `ok`.
    pub status: String,
    /// Work that is this agent's from now on: run each and post its result.
    pub pending_tasks: Vec<Task>,
}

/// Answer of `POST /api/hub/tasks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubmitAnswer {
    /// The task. It is durable when this answer leaves.
    pub task_id: TaskId,
}

/// Body of `POST /api/hub/tasks/{task_id}`: how an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskUpdate {
    /// `completed` or `failed`; `assigned` renews the lease; `pending` hands the work back.
    pub state: TaskState,
    /// The result: any JSON; text from existing clients.
    #[serde(default)]
    pub result: serde_json::Value,
    /// The error text.
    #[serde(default)]
    pub error: String,
    /// The lease the work was done under. Absent: the agent's live one, as existing clients mean it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
}

/// Query of `GET /api/hub/tasks` and `GET /api/hub/tasks/all`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskQuery {
    /// Only tasks in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<TaskState>,
    /// Only tasks for this skill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// Only tasks this agent has, had last, or asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Only the tree under this task, the task itself included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<TaskId>,
    /// Only tasks whose id, skill, agents or error hold this text, upper and lower case alike; 1 to
    /// [`MAX_SEARCH_BYTES`](crate::limits::MAX_SEARCH_BYTES) bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SEARCH_BYTES))]
    pub text: Option<String>,
    /// Only tasks accepted at this time or later, Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Only tasks accepted before this time, Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Page size, 1 to [`MAX_PAGE`](crate::limits::MAX_PAGE); absent: [`DEFAULT_PAGE`](crate::limits::DEFAULT_PAGE).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_PAGE))]
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Answer of `GET /api/hub/tasks`: newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskPage {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Query of `GET /api/hub/tasks/{task_id}/history`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HistoryQuery {
    /// Only events numbered above this one: `next_after` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Page size, 1 to [`MAX_PAGE`](crate::limits::MAX_PAGE); absent: [`DEFAULT_PAGE`](crate::limits::DEFAULT_PAGE).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_PAGE))]
    pub limit: Option<usize>,
}

/// Answer of `GET /api/hub/tasks/{task_id}/history`: oldest first. Events are kept for a limited time, so that the
/// history of a task that ended long ago may lack its beginning, or be empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskHistory {
    /// What happened to the task: `task_changed` and `stale_result`.
    pub events: Vec<EventRecord>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// Query of `GET /api/hub/tasks/{task_id}/wait`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WaitQuery {
    /// Milliseconds to wait at most, up to 60,000; absent: 30,000. Then the task is answered as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Query of `GET /api/hub/tasks/{task_id}/chunks`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ChunksQuery {
    /// The attempt whose chunks were read so far; absent: none were. The chunks of another attempt begin anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Chunks of it that were taken: `next` of the answer before. Its handler may go on by as many; absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken: Option<u64>,
    /// Milliseconds to wait for a chunk at most, up to 60,000; absent: 30,000. Then the answer has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Answer of `GET /api/hub/tasks/{task_id}/chunks`: what a running handler streamed since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkPage {
    /// The attempt they are of; 0: the task was not handed out yet. When it is not the one asked for, what was read of
    /// that one is void.
    pub attempt: u32,
    /// The chunks, in order. Where the first has a larger index than `taken`, those between are gone: nobody read them in
    /// time.
    pub chunks: Vec<Chunk>,
    /// What to ask for next, as `taken`.
    pub next: u64,
    /// Nothing comes any more: the stream or the task ended.
    pub ended: bool,
}

/// Answer of `GET /api/hub/network/topology`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Topology {
    /// The agents.
    pub nodes: Vec<TopologyNode>,
    /// The open links, each once, as sidecars report them.
    pub mesh_edges: Vec<MeshEdge>,
}

/// One agent in the topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopologyNode {
    /// The agent.
    pub agent_id: AgentId,
    /// The address it gives.
    pub ip: String,
    /// The port it gives.
    pub port: u16,
    /// The machine it runs on.
    pub hostname: String,
    /// Its sidecar; empty for an agent without one.
    pub sidecar_peer_id: String,
    /// Free-form mode.
    pub mode: String,
    /// Number of its skills.
    pub skills_count: u32,
    /// How fresh its heartbeat is.
    pub health: Health,
    /// Sidecars it is linked with.
    pub mesh_peers: Vec<PeerId>,
}

/// One open link. The ends stand in alphabetical order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeshEdge {
    /// One end.
    pub from_peer: PeerId,
    /// The other.
    pub to_peer: PeerId,
    /// Both ends checked each other's identity, and say so. Absent: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub identified: bool,
    /// It passes a TURN server, as an end says. Absent: it goes from host to host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relayed: bool,
}

/// Answer of `GET /api/config`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct IceConfig {
    /// STUN and TURN servers (W3C `RTCIceServer`).
    #[serde(rename = "iceServers")]
    pub ice_servers: Vec<IceServer>,
}

/// One STUN or TURN server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IceServer {
    /// `stun:host:port` or `turn:host:port`.
    pub urls: Vec<String>,
    /// TURN user, `<expiry>:<peer>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password: HMAC-SHA1 of the user under the shared secret, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Query of `GET /api/events`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventsQuery {
    /// Number of the last event seen; the stream begins after it. Absent: from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only what happens to this task: `task_changed` and `stale_result`. With `after` 0 its whole history first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
}

/// Answer of `GET /api/hub/state`: all that a dashboard shows, and the event number it is true at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HubState {
    /// Watch the event stream after this number to stay true.
    pub seq: u64,
    /// Every agent.
    pub agents: Vec<AgentRecord>,
    /// The newest tasks, without payload and result.
    pub tasks: Vec<Task>,
    /// The open links.
    pub links: Vec<MeshEdge>,
    /// Newcomers that wait for approval, oldest first.
    #[serde(default)]
    pub newcomers: Vec<OnboardingEntry>,
}

/// Body of `POST /api/session`: one of the three.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionBody {
    /// The code of a one-time login link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// An API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// The administrator's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Body of `POST /api/session/password`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PasswordBody {
    /// The administrator's new password, [`MIN_PASSWORD_BYTES`](crate::limits::MIN_PASSWORD_BYTES) to
    /// [`MAX_PASSWORD_BYTES`](crate::limits::MAX_PASSWORD_BYTES).
    #[schemars(length(min = MIN_PASSWORD_BYTES, max = MAX_PASSWORD_BYTES))]
    pub password: String,
}

/// Who is logged in. The session itself is an HttpOnly cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionAnswer {
    /// Whom the session names.
    pub peer_id: PeerId,
    /// What it may do.
    pub role: Role,
    /// It began with the link of the first start, and there is no administrator's password yet. Absent: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub password_missing: bool,
}

/// One dashboard session, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionRecord {
    /// Names the session.
    pub session_id: String,
    /// Whom it names.
    pub peer_id: PeerId,
    /// What it may do.
    pub role: Role,
    /// The credential it came from: a key's id, `password`, or `first-login`. Revoking that ends the session too.
    pub credential: String,
    /// When it began, Unix milliseconds.
    pub began_ms: u64,
    /// When it ends by itself, Unix milliseconds.
    pub expires_ms: u64,
    /// It is the one that asks. Absent: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_own: bool,
}

/// How a registry's connections are made safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsKind {
    /// Not by itself: plain HTTP.
    Off,
    /// With a certificate from files.
    Files,
    /// With a certificate that the registry made for itself.
    SelfMade,
}

/// Answer of `GET /api/hub/settings`: how this registry was started, without its secrets, and how much it takes of one
/// caller. What is the same for every registry stands in [`limits`](crate::limits).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How its connections are made safe.
    pub tls: TlsKind,
    /// The public half of the mesh's root key.
    pub root: PublicKey,
    /// Whether the root key is in this registry's data directory. If not, newcomers are let in by whoever has it.
    pub root_is_here: bool,
    /// Whether keys are read from a file, beside those made with the API.
    pub has_key_file: bool,
    /// Whether `/ws?token=` is taken.
    pub takes_url_token: bool,
    /// Whether a collector is told of every task that ends.
    pub tells_traces: bool,
    /// Seconds that a task is kept after its end.
    pub keep_ended_s: u64,
    /// Events kept for watchers that come back.
    pub keep_events: u64,
    /// Largest size of the database file, bytes. Absent: as large as the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_database_bytes: Option<u64>,
    /// Dashboard sessions at once.
    pub max_sessions: usize,
    /// API keys at once.
    pub max_keys: usize,
    /// Connections of one address at once.
    pub connections_per_address: usize,
    /// Requests of one agent or viewer.
    pub requests: Allowance,
    /// Requests of one address without a credential.
    pub open_requests: Allowance,
    /// Signaling frames of one agent.
    pub frames: Allowance,
    /// Milliseconds after which a signaling socket without a word is dead.
    pub socket_idle_ms: u64,
}

/// How much of something one caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Allowance {
    /// Each second, in the long run.
    pub per_second: u64,
    /// At once.
    pub burst: u64,
}

/// Answer of `POST /api/session/link`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoginLink {
    /// The page's path with the one-time code in its fragment, which no server and no log sees.
    pub path: String,
    /// Seconds it lives.
    pub expires_in: u64,
}

/// Body of `POST /api/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyBody {
    /// Whom the key names.
    pub peer_id: PeerId,
    /// What it may do.
    pub role: Role,
}

/// Answer of `POST /api/keys`: the only time the secret is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyAnswer {
    /// Names the key in lists and logs.
    pub key_id: String,
    /// The secret.
    pub api_key: String,
    /// Whom it names.
    pub peer_id: PeerId,
    /// What it may do.
    pub role: Role,
}

/// One API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyRecord {
    /// Names the key.
    pub key_id: String,
    /// Whom it names.
    pub peer_id: PeerId,
    /// What it may do.
    pub role: Role,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// When it ends, Unix milliseconds, because another took its place; absent: not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

/// Body of `POST /api/keys/{key_id}/rotate`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RotateBody {
    /// Seconds the old key goes on beside the new one, 0 to [`MAX_KEY_OVERLAP_S`](crate::limits::MAX_KEY_OVERLAP_S);
    /// absent: [`KEY_OVERLAP_S`](crate::limits::KEY_OVERLAP_S).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_KEY_OVERLAP_S))]
    pub overlap_s: Option<u64>,
}

/// Answer of `POST /api/keys/reload`: what the key file changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadAnswer {
    /// Ids of the keys that are new.
    pub added: Vec<String>,
    /// Ids of the keys that are revoked: no longer in the file, or there with another peer or role.
    pub revoked: Vec<String>,
}

/// Answer of `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthAnswer {
    /// `ok`.
    pub status: String,
    /// The registry's version.
    pub version: String,
}
