//! The store contract: plain data that any store persists.
//!
//! - A store loads every live entity ([`Loaded`]) and commits a [`Batch`]: all its writes and all its events, or
//!   nothing.
//! - Every [`Write`] names the version it was decided on. An entity that does not exist has version 0. When the stored
//!   version is another one, the whole batch is refused with a [`Conflict`], and the core reloads and decides again.
//! - A new task whose submitter has another task under the same idempotency key is refused in the same way.
//! - Events are numbered by the store, in the order of their batches, within the same transaction.
//! - A task that ended stays readable by id and by key for as long as the store keeps it, but is not loaded.
//! - Committed means durable: after a crash the entity and its events are there.
//!
//! [`contract`](crate::contract) holds the test suite that every store runs.

use std::sync::Arc;

use seamesh_proto::agent::AgentInfo;
use seamesh_proto::events::MeshEvent;
use seamesh_proto::identity::{Certificate, PublicKey};
use seamesh_proto::payload::Payload;
use seamesh_proto::rest::PairingStatus;
use seamesh_proto::talk::{Answer, Listens, Question};
use seamesh_proto::task::{DirectAttempt, Lineage, Outcome, Path, TaskState};
use seamesh_proto::{AgentId, Now, PeerId, TaskId};
use serde::{Deserialize, Serialize};

/// What the core starts from.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Loaded {
    /// Tasks that are not terminal, in any order.
    pub tasks: Vec<StoredTask>,
    /// Every agent.
    pub agents: Vec<StoredAgent>,
    /// Invites that were neither redeemed nor removed.
    pub invites: Vec<StoredInvite>,
    /// Every newcomer, decided or not.
    pub newcomers: Vec<StoredNewcomer>,
    /// The tasks, live or ended, that live tasks which were handed out have asked for: parent and child.
    pub children: Vec<(TaskId, TaskId)>,
}

/// Writes and events that become durable together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// When it was decided: the events' time.
    pub at: Now,
    /// The writes, at most one for each entity.
    pub writes: Vec<Write>,
    /// The events that describe them, in order.
    pub events: Vec<MeshEvent>,
}

/// One entity's change. `expected` is the stored version it was decided on; 0 means that it must not exist yet. The
/// new version stands in the entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Write {
    /// A task. Its `spec` never changes: a store need write it only when `expected` is 0.
    PutTask {
        /// Version it was decided on.
        expected: u64,
        /// The task as it is now.
        task: Box<StoredTask>,
    },
    /// A task that ended elsewhere, and the event that tells it: both are kept when its id is new, and neither when a
    /// task has it already. It is never a conflict.
    AddEnded {
        /// The task.
        task: Box<StoredTask>,
        /// What tells it.
        event: Box<MeshEvent>,
    },
    /// An agent.
    PutAgent {
        /// Version it was decided on.
        expected: u64,
        /// The agent as it is now.
        agent: Box<StoredAgent>,
    },
    /// Removes an agent.
    DeleteAgent {
        /// Version it was decided on.
        expected: u64,
        /// The agent.
        agent_id: AgentId,
    },
    /// An invite.
    PutInvite {
        /// Version it was decided on.
        expected: u64,
        /// The invite.
        invite: StoredInvite,
    },
    /// Removes an invite: redeemed or expired.
    DeleteInvite {
        /// Version it was decided on.
        expected: u64,
        /// Digest of its secret.
        digest: String,
    },
    /// A newcomer.
    PutNewcomer {
        /// Version it was decided on.
        expected: u64,
        /// The newcomer as it is now.
        newcomer: Box<StoredNewcomer>,
    },
}

impl Write {
    /// Names the entity: its kind and its key.
    pub fn key(&self) -> (&'static str, &str) {
        match self {
            Self::PutTask { task, .. } | Self::AddEnded { task, .. } => {
                ("task", task.spec.id.as_str())
            }
            Self::PutAgent { agent, .. } => ("agent", agent.info.agent_id.as_str()),
            Self::DeleteAgent { agent_id, .. } => ("agent", agent_id.as_str()),
            Self::PutInvite { invite, .. } => ("invite", &invite.digest),
            Self::DeleteInvite { digest, .. } => ("invite", digest),
            Self::PutNewcomer { newcomer, .. } => ("newcomer", &newcomer.id),
        }
    }

    /// The stored version it was decided on.
    pub fn expected(&self) -> u64 {
        match self {
            Self::PutTask { expected, .. }
            | Self::PutAgent { expected, .. }
            | Self::DeleteAgent { expected, .. }
            | Self::PutInvite { expected, .. }
            | Self::DeleteInvite { expected, .. }
            | Self::PutNewcomer { expected, .. } => *expected,
            Self::AddEnded { .. } => 0,
        }
    }
}

/// A write was decided on a version that is not the stored one: nothing of its batch was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{kind} {key:?} is at version {stored}, not {expected}")]
pub struct Conflict {
    /// `task`, `agent`, `invite`, `newcomer`, or `idempotency_key`: another task has the new one's.
    pub kind: String,
    /// The entity's key.
    pub key: String,
    /// The version the write was decided on.
    pub expected: u64,
    /// The version stored; 0 when there is none.
    pub stored: u64,
}

/// What a task is: fixed when it is accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its id.
    pub id: TaskId,
    /// The skill; empty: none named.
    pub skill: String,
    /// The only agent that may run it.
    pub target: Option<AgentId>,
    /// The agent that asked; empty: somebody outside the mesh.
    pub source: String,
    /// The peer whose credential submitted it: is told its end, and may cancel it.
    pub submitter: PeerId,
    /// The arguments.
    pub payload: Payload,
    /// Its place in the delegation tree.
    pub lineage: Lineage,
    /// How it reaches its agent.
    pub path: Path,
    /// When it was accepted (direct work: asked), Unix milliseconds.
    pub created_ms: u64,
    /// Its time to live, seconds.
    pub ttl_s: u64,
    /// Times it may be handed out.
    pub max_attempts: u32,
    /// Its priority among those that wait: the highest goes first.
    pub priority: i32,
    /// When it fails though its TTL has not ended, Unix milliseconds.
    pub deadline_ms: Option<u64>,
    /// What its asker is there for until its end.
    pub listens: Listens,
    /// What its submitter calls it; no other task of that submitter has the same.
    pub idempotency_key: Option<String>,
    /// Somebody with the role operator or above submitted it: no skill's `callers` keep it out.
    pub by_operator: bool,
}

/// A submission by its submitter's own name for it. At most one task has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskKey {
    /// Whose name it is.
    pub submitter: PeerId,
    /// The name.
    pub key: String,
}

impl TaskSpec {
    /// Its submitter's own name for it.
    pub fn key(&self) -> Option<TaskKey> {
        let key = self.idempotency_key.clone()?;
        let submitter = self.submitter.clone();
        Some(TaskKey { submitter, key })
    }
}

/// A live lease: one agent's right to end the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Fencing number: larger than every earlier lease of the same task.
    pub number: u64,
    /// Who holds it.
    pub agent_id: AgentId,
    /// The holder's peer: results come from it.
    pub peer: PeerId,
    /// Milliseconds it lives without renewal. Renewals are not stored: a restarted registry gives each lease this long.
    pub ttl_ms: u64,
}

/// The last question of an attempt: open, or answered. Both are gone when the attempt is.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Talk {
    /// What its handler asks, while nobody has answered.
    pub question: Option<Question>,
    /// What it was answered.
    pub answer: Option<Answer>,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredTask {
    /// What it is.
    pub spec: Arc<TaskSpec>,
    /// Counts its writes, from 1.
    pub version: u64,
    /// Where it stands.
    pub state: TaskState,
    /// Number of the present or last attempt; 0 before the first.
    pub attempt: u32,
    /// Number of the newest lease; 0 before the first.
    pub last_lease: u64,
    /// The live lease.
    pub lease: Option<Lease>,
    /// The lease whose holder ended it; `None` while it lives, and when it ended otherwise (expiry, cancellation).
    pub ended_by: Option<u64>,
    /// The agent that has it or had it last.
    pub assigned: Option<AgentId>,
    /// The direct attempt that came before the queue, until the first hand-out.
    pub direct: Option<DirectAttempt>,
    /// The question of the present attempt, and its answer.
    pub talk: Talk,
    /// While it waits: when it may be handed out, Unix milliseconds; `None`: at once.
    pub not_before_ms: Option<u64>,
    /// When the present or last attempt began, Unix milliseconds.
    pub started_ms: Option<u64>,
    /// When it changed last, Unix milliseconds.
    pub updated_ms: u64,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredAgent {
    /// What it registered.
    pub info: AgentInfo,
    /// The peer that registered it, and the only one that may speak for it.
    pub owner: PeerId,
    /// Counts its writes, from 1.
    pub version: u64,
    /// When it registered, Unix milliseconds.
    pub registered_ms: u64,
    /// When it beat last as far as was written, Unix milliseconds.
    pub last_heartbeat_ms: u64,
    /// Its sidecar said that its process is gone.
    pub away: bool,
}

/// An invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredInvite {
    /// Digest of its secret, as [`Op::RedeemInvite`](crate::Op::RedeemInvite) will name it.
    #[serde(alias = "code")]
    pub digest: String,
    /// Counts its writes, from 1.
    pub version: u64,
    /// When it ends, Unix milliseconds.
    pub expires_ms: u64,
    /// Newcomers it still lets in.
    #[serde(default = "once")]
    pub uses: u32,
    /// Who redeems it is approved at once.
    #[serde(default)]
    pub join_token: bool,
    /// The peer that gets a new key; `None`: a new peer.
    #[serde(default)]
    pub peer_id: Option<PeerId>,
}

fn once() -> u32 {
    1
}

/// A newcomer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredNewcomer {
    /// The entry.
    pub id: String,
    /// The name it gave.
    pub agent_name: String,
    /// Its peer id.
    pub peer_id: PeerId,
    /// Where it stands.
    pub status: PairingStatus,
    /// Digest of its device token: its own, or the one it got when it was approved.
    pub token_digest: Option<String>,
    /// Its identity key.
    #[serde(default)]
    pub key: Option<PublicKey>,
    /// What the root key says of that key, once approved.
    #[serde(default)]
    pub certificate: Option<Certificate>,
    /// Counts its writes, from 1.
    pub version: u64,
    /// When it asked, Unix milliseconds.
    pub created_ms: u64,
    /// When it changed last, Unix milliseconds.
    pub updated_ms: u64,
}
