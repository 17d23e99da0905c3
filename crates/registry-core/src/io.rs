//! What goes into the core and what comes out: closed, serialisable enums, so that one log of them is a trace, a replay
//! and a simulation.

use seamesh_proto::agent::{AgentInfo, AgentRecord};
use seamesh_proto::identity::{Certificate, PublicKey};
use seamesh_proto::rest::{
    ChunkPage, ChunksQuery, HeartbeatAnswer, HeartbeatBody, MeshEdge, OnboardingEntry, PairAnswer,
    Role, TaskUpdate, Topology,
};
use seamesh_proto::signaling::SignalFrame;
use seamesh_proto::talk::Answer;
use seamesh_proto::task::{SubmitTask, Task};
use seamesh_proto::{AgentId, PeerId, Problem, TaskId};
use serde::{Deserialize, Serialize};

use crate::store::{Batch, StoredTask, TaskKey};

/// One signaling socket. The shell counts up: a newer socket has a larger number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnId(pub u64);

/// One REST request that waits for its reply. The shell counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// One question to the store. The core counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LookupId(pub u64);

/// Whom a credential names. The shell has checked it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The peer.
    pub peer: PeerId,
    /// What it may do. The route table has been applied; the core checks ownership.
    pub role: Role,
}

/// What happens to the registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// A signaling socket opened.
    Connected {
        /// The socket.
        conn: ConnId,
        /// Whose it is.
        caller: Caller,
    },
    /// A frame came.
    Frame {
        /// The socket.
        conn: ConnId,
        /// The frame, its envelope parsed.
        frame: SignalFrame,
    },
    /// Something came that is no frame (not UTF-8, not JSON, no `type`, too large). The socket stays open.
    BadFrame {
        /// The socket.
        conn: ConnId,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A signaling socket closed, whoever closed it.
    Disconnected {
        /// The socket.
        conn: ConnId,
    },
    /// A REST request came. Exactly one [`Output::Reply`] answers it.
    Request {
        /// The request.
        request: RequestId,
        /// Who asks. For [`Op::RedeemInvite`] and [`Op::CheckDevice`], which need no credential, anybody.
        caller: Caller,
        /// What is asked.
        op: Op,
    },
    /// The one who waits for a reply went away; it is not answered any more.
    RequestGone {
        /// The request.
        request: RequestId,
    },
    /// The store answers [`Output::Lookup`].
    Found {
        /// The question.
        lookup: LookupId,
        /// Those of the tasks asked for that exist, in any order; one that was asked for by id and by key may come twice.
        tasks: Vec<StoredTask>,
    },
    /// Time passed: what was due by now happens. (It happens before any other input, too.)
    Tick,
}

/// A REST operation that touches live state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Registers or replaces the caller's agent. Reply: [`Reply::Done`].
    RegisterAgent(Box<AgentInfo>),
    /// Every agent. Reply: [`Reply::Agents`].
    ListAgents,
    /// One agent. Reply: [`Reply::Agent`].
    GetAgent(AgentId),
    /// Removes an agent. Reply: [`Reply::Done`].
    RemoveAgent(AgentId),
    /// Chooses an agent for a skill. Reply: [`Reply::Agent`].
    RouteSkill(String),
    /// An agent lives and takes work. Reply: [`Reply::Heartbeat`].
    Heartbeat(Box<HeartbeatBody>),
    /// Puts a task into the queue. Reply: [`Reply::Submitted`].
    SubmitTask(Box<SubmitTask>),
    /// One task, live or ended. Reply: [`Reply::Task`].
    GetTask(TaskId),
    /// Ends, renews or hands back an attempt. Reply: [`Reply::Done`].
    UpdateTask {
        /// The task.
        task_id: TaskId,
        /// The change.
        update: Box<TaskUpdate>,
    },
    /// Answers a task's question. Reply: [`Reply::Done`].
    AnswerTask {
        /// The task.
        task_id: TaskId,
        /// The answer.
        answer: Answer,
    },
    /// Cancels a task. Reply: [`Reply::Done`].
    CancelTask(TaskId),
    /// Waits for a task's end. Reply: [`Reply::Task`], terminal, or as it stands when the time is up.
    WaitTask {
        /// The task.
        task_id: TaskId,
        /// Milliseconds to wait at most; more than [`MAX_WAIT_MS`](crate::limits::MAX_WAIT_MS) is cut to it.
        timeout_ms: u64,
    },
    /// Reads what a task's handler streams. Reply: [`Reply::Chunks`], with chunks, or without when the time is up.
    ReadChunks {
        /// The task.
        task_id: TaskId,
        /// What was read so far.
        read: ChunksQuery,
    },
    /// Agents and real links. Reply: [`Reply::Topology`].
    Topology,
    /// The live half of the dashboard's state. Reply: [`Reply::HubLive`].
    HubLive,
    /// Makes an invite. The shell makes its secret: the core never sees it. Reply: [`Reply::Done`].
    CreateInvite {
        /// Digest of the secret.
        digest: String,
        /// What the invite is good for.
        terms: InviteTerms,
    },
    /// Redeems an invite. Reply: [`Reply::Paired`].
    RedeemInvite {
        /// The address the request came from: the key of the attempt limit.
        address: String,
        /// Digest of the invite's secret; `None`: what was sent is no invite at all. It counts as an attempt.
        digest: Option<String>,
        /// Who wants in. Its key's signature has been checked.
        newcomer: Newcomer,
    },
    /// Newcomers. Reply: [`Reply::Newcomers`].
    ListPairing {
        /// Only those that wait for approval.
        pending_only: bool,
    },
    /// Lets a newcomer in. Reply: [`Reply::Newcomer`].
    Approve {
        /// The entry.
        id: String,
        /// Digest of the device token made for a newcomer that brought none, as [`Op::CheckDevice`] will name it.
        token_digest: String,
        /// What the root key says of the newcomer's key. The shell has checked the signature.
        certificate: Option<Certificate>,
    },
    /// Refuses a newcomer. Reply: [`Reply::Done`].
    Reject {
        /// The entry.
        id: String,
    },
    /// Ends an approved newcomer's access: its sockets are closed, its work is handed on. Reply: [`Reply::Done`].
    Revoke {
        /// The entry.
        id: String,
    },
    /// Whom a device token names. Reply: [`Reply::Device`], or the problem `unauthorized`.
    CheckDevice {
        /// Digest of the token.
        token_digest: String,
    },
    /// A credential of this peer was revoked: its sockets are closed, its work is handed on. Reply: [`Reply::Done`].
    CloseCaller {
        /// The peer.
        peer: PeerId,
    },
}

/// What an invite is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteTerms {
    /// Seconds it lives.
    pub ttl_s: u64,
    /// Newcomers it lets in.
    pub uses: u32,
    /// Who redeems it is approved at once.
    pub join_token: bool,
    /// The peer that gets a new key; `None`: a new peer.
    pub peer_id: Option<PeerId>,
}

/// Who redeems an invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomer {
    /// The name it gives itself.
    pub agent_name: String,
    /// Its identity key and the digest of the device token it made; `None` for existing clients.
    pub identity: Option<(PublicKey, String)>,
}

/// The success of an [`Op`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// It is done.
    Done,
    /// One agent.
    Agent(Box<AgentRecord>),
    /// Agents, by id.
    Agents(Vec<AgentRecord>),
    /// The heartbeat's answer with the work handed out.
    Heartbeat(HeartbeatAnswer),
    /// The task, durable.
    Submitted(TaskId),
    /// One task.
    Task(Box<Task>),
    /// What a handler streamed.
    Chunks(Box<ChunkPage>),
    /// The topology.
    Topology(Topology),
    /// The live half of the dashboard's state. It is true at the number of the last event committed before it.
    HubLive {
        /// Agents, by id.
        agents: Vec<AgentRecord>,
        /// Open links.
        links: Vec<MeshEdge>,
        /// Newcomers that wait for approval, oldest first.
        newcomers: Vec<OnboardingEntry>,
    },
    /// A newcomer waits.
    Paired {
        /// Its entry.
        answer: PairAnswer,
        /// It came with a join token: the shell signs its key and approves it.
        join_token: bool,
    },
    /// Newcomers, oldest first.
    Newcomers(Vec<OnboardingEntry>),
    /// One newcomer.
    Newcomer(OnboardingEntry),
    /// Whom the device token names; its role is [`Role::Agent`].
    Device(PeerId),
}

/// What the registry does.
///
/// Order matters: a [`Output::Commit`] is a barrier. Every output after it waits until the batch is durable, except a
/// [`Output::Send`] marked `urgent`, which says nothing that depends on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// Send this frame to each of these sockets.
    Send {
        /// The sockets; one that is gone is skipped.
        to: Vec<ConnId>,
        /// The frame: serialise it once.
        frame: Box<SignalFrame>,
        /// It need not wait for a commit: relays, `peer_list`, refusals.
        urgent: bool,
    },
    /// Close this socket. [`Input::Disconnected`] need not follow: the core has forgotten it.
    Close {
        /// The socket.
        conn: ConnId,
        /// Why.
        problem: Problem,
    },
    /// Answer a REST request.
    Reply {
        /// The request.
        request: RequestId,
        /// The answer.
        result: Result<Reply, Problem>,
    },
    /// Make this batch durable, whole or not at all. When it cannot be: throw away every output behind it (answer its
    /// replies with `store_unavailable`) and call [`Core::reload`](crate::Core::reload).
    Commit(Batch),
    /// Read these tasks from the store, with every commit before this output in it, and answer [`Input::Found`].
    Lookup {
        /// The question.
        lookup: LookupId,
        /// The tasks.
        task_ids: Vec<TaskId>,
        /// And the one that its submitter named so.
        key: Option<TaskKey>,
    },
    /// Something worth a log line and a counter.
    Note(Note),
}

/// Things that happened that nobody is answered about, for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// A result came under a lease that is not the live one, and was refused.
    StaleResult {
        /// The task.
        task_id: TaskId,
        /// The lease it came under; 0 when it named none.
        lease: u64,
        /// Who sent it.
        peer: PeerId,
    },
    /// A lease ended without a result.
    LeaseLapsed {
        /// The task.
        task_id: TaskId,
        /// The lease.
        lease: u64,
        /// Who held it.
        agent_id: AgentId,
    },
    /// A task outlived its TTL or its deadline.
    TaskExpired {
        /// The task.
        task_id: TaskId,
    },
    /// A frame claimed to be from somebody else, and was dropped.
    ForgedSender {
        /// Whose socket it came on.
        peer: PeerId,
    },
    /// A frame was refused.
    FrameRefused {
        /// Whose socket it came on.
        peer: PeerId,
        /// Why.
        problem: Problem,
    },
    /// An address tried too many codes.
    PairingLimited,
}

/// Why the core wants to be called at its next deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// A task's TTL or its deadline ends.
    TaskExpiry,
    /// A lease ends.
    LeaseLapse,
    /// A pending task's pause ends.
    TaskReady,
    /// A running task's progress is told again.
    TaskProgress,
    /// An agent's health changes.
    AgentHealth,
    /// A closed socket's grace ends.
    ReconnectGrace,
    /// A `wait` request's time is up.
    WaitTimeout,
    /// A request for chunks has its time up.
    ChunksTimeout,
    /// A stream's reader did not come back.
    StreamDeserted,
    /// A disconnected peer's reported links are forgotten.
    LinksForgotten,
    /// An invite ends.
    InviteExpiry,
}
