//! The event stream: everything that changed, numbered, as server-sent events (`GET /api/events`).
//!
//! Each event's SSE `id` is its number and its `data` is one [`EventRecord`]. A watcher resumes with `Last-Event-ID`
//! or `?after=N` and misses nothing; `events_gone` tells it that N is older than what is kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::{AgentRecord, Health};
use crate::ids::{AgentId, PeerId, TaskId};
use crate::rest::OnboardingEntry;
use crate::signaling::AgentRef;
use crate::task::Task;

/// One numbered event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventRecord {
    /// Its number: grows by at least one from event to event.
    pub seq: u64,
    /// When it happened, Unix milliseconds.
    pub at_ms: u64,
    /// What happened.
    pub event: MeshEvent,
}

messages! {
    /// What happened in the mesh.
    pub enum MeshEvent on EventStream from [Registry] to [Hub, Cli] {
        /// An agent registered, or changed what it offers.
        "agent_registered" => AgentRegistered(Box<AgentRecord>),
        /// An agent was removed.
        "agent_removed" => AgentRemoved(AgentRef),
        /// An agent's health changed.
        "agent_health" => AgentHealth(AgentHealth),
        /// A task was accepted, assigned or ended. `payload` and `result` are left out: ask for the task to see them.
        "task_changed" => TaskChanged(Box<Task>),
        /// A result or a failure came under a lease that is over, and was refused.
        "stale_result" => StaleResult(StaleResult),
        /// A link opened, as one of its ends reported, or what is known of an open link changed: the last one counts.
        "link_up" => LinkUp(LinkChange),
        /// A link went down: neither end reports it any more.
        "link_down" => LinkDown(LinkChange),
        /// A newcomer asked to join, or was decided on.
        "pairing_changed" => PairingChanged(OnboardingEntry),
    }
}

/// Body of `agent_health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentHealth {
    /// The agent.
    pub agent_id: AgentId,
    /// Its health now.
    pub health: Health,
}

impl MeshEvent {
    /// The task whose history it belongs to.
    pub fn task_id(&self) -> Option<&TaskId> {
        match self {
            Self::TaskChanged(task) => Some(&task.id),
            Self::StaleResult(stale) => Some(&stale.task_id),
            _ => None,
        }
    }
}

/// Body of `stale_result`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StaleResult {
    /// The task.
    pub task_id: TaskId,
    /// The lease it came under; 0 when it named none.
    pub lease: u64,
    /// Who sent it.
    pub peer_id: PeerId,
}

/// Body of `link_up` and `link_down`. The two ends stand in alphabetical order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkChange {
    /// One end.
    pub from_peer: PeerId,
    /// The other.
    pub to_peer: PeerId,
    /// Both ends checked each other's identity, and say so. Absent: no. In `link_down` always absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub identified: bool,
    /// It passes a TURN server, as an end says. Absent: it goes from host to host. In `link_down` always absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relayed: bool,
}
