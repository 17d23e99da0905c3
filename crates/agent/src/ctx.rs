//! What a skill sees of the mesh.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seamesh_proto::ipc::{AgentCommand, Broadcast, Connect, Send as SendCommand, TaskEvent};
use seamesh_proto::link::MeshMessage;
use seamesh_proto::{AgentId, AgentRecord, Code, Health, Path, Payload, PeerId, Raw, TaskId};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

use crate::delegation::Delegation;
use crate::error::MeshError;
use crate::port::{Port, Settled};

/// Milliseconds the sidecar has to answer what it knows by itself.
const ANSWER_WAIT_MS: u64 = 5_000;

/// The mesh as an agent sees it, outside of any task. Cheap to clone.
#[derive(Clone)]
pub struct Mesh {
    pub(crate) port: Arc<Port>,
    agent_id: AgentId,
}

impl Mesh {
    pub(crate) fn new(port: Arc<Port>, agent_id: AgentId) -> Self {
        Self { port, agent_id }
    }

    /// The agent's own name.
    pub fn agent_id(&self) -> &AgentId {
        &self.agent_id
    }

    /// The sidecar's name on the network, once it has one.
    pub fn peer_id(&self) -> Option<PeerId> {
        self.port.peer_id()
    }

    /// Whether the registry is reachable, as the sidecar told last.
    pub fn registry_connected(&self) -> bool {
        self.port.registry_connected()
    }

    /// Waits until the sidecar serves this agent.
    ///
    /// # Errors
    /// `agent_away` when it does not within 5 s.
    pub async fn ready(&self) -> Result<(), MeshError> {
        self.port.welcomed().await
    }

    /// Asks an agent to run `skill`; see [`Delegation`].
    pub fn delegate(&self, skill: &str, args: impl Serialize) -> Delegation {
        Delegation::new(self.clone(), skill, args, None)
    }

    /// Sends a text to a peer's agent over the link, in order. Waits while too much is on its way already.
    ///
    /// # Errors
    /// `agent_away` without a sidecar, `too_large`. That the link is gone is told in the log: messages have no answer.
    pub async fn send(&self, peer: &PeerId, text: &str) -> Result<(), MeshError> {
        let payload = json!({ "message": text, "direct": true });
        self.send_message(peer, &self.prompt(payload, "")).await
    }

    /// Sends any message to a peer over its link. Errors as [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_message(
        &self,
        peer: &PeerId,
        message: &MeshMessage,
    ) -> Result<(), MeshError> {
        let command = AgentCommand::Send(SendCommand {
            target_peer: peer.clone(),
            message: Raw::of(message),
        });
        self.port.command(&command).await
    }

    /// Sends a text to the agent behind every open link.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn broadcast(&self, text: &str) -> Result<(), MeshError> {
        let payload = json!({ "message": text, "broadcast": true });
        let message = Raw::of(&self.prompt(payload, "*"));
        self.port
            .command(&AgentCommand::Broadcast(Broadcast { message }))
            .await
    }

    fn prompt(&self, payload: serde_json::Value, target: &str) -> MeshMessage {
        let mut message = MeshMessage::new("agent_prompt", Payload::new(payload));
        message.source_agent = self.agent_id.to_string();
        target.clone_into(&mut message.target_agent);
        message
    }

    /// Asks for a link to a peer, if there is none.
    ///
    /// # Errors
    /// `agent_away` without a sidecar.
    pub async fn connect(&self, peer: &PeerId) -> Result<(), MeshError> {
        let target_peer_id = peer.clone();
        self.port
            .command(&AgentCommand::Connect(Connect { target_peer_id }))
            .await
    }

    /// The agents of the mesh, by id.
    ///
    /// # Errors
    /// `agent_away` without a sidecar.
    pub async fn agents(&self) -> Result<Vec<AgentRecord>, MeshError> {
        self.ask_agents(None).await
    }

    async fn ask_agents(&self, skill: Option<String>) -> Result<Vec<AgentRecord>, MeshError> {
        self.port.welcomed().await?;
        let asking = self.port.agents(skill)?;
        match in_time(asking.answer()).await?? {
            Settled::Agents(agents) => Ok(agents),
            _ => Err(MeshError::new(
                Code::Internal,
                "the sidecar answered something else",
            )),
        }
    }

    /// The agent to ask for a skill: healthy, with the fewest tasks.
    ///
    /// # Errors
    /// `no_agent` when no healthy agent offers it.
    pub async fn find(&self, skill: &str) -> Result<AgentRecord, MeshError> {
        let agents = self.ask_agents(Some(skill.to_owned())).await?;
        agents
            .into_iter()
            .filter(|agent| agent.health == Health::Active && agent.info.offers(skill))
            .min_by_key(|agent| agent.tasks_in_flight)
            .ok_or_else(|| {
                let text = format!(
                    "no healthy agent offers {skill:?}; `seamesh agents` shows who is there"
                );
                MeshError::new(Code::NoAgent, text)
            })
    }

    /// The peers with an open link.
    ///
    /// # Errors
    /// `agent_away` without a sidecar.
    pub async fn peers(&self) -> Result<Vec<PeerId>, MeshError> {
        self.port.welcomed().await?;
        let answer = self.port.peers()?;
        in_time(answer).await?.map_err(|_| {
            MeshError::new(Code::AgentAway, "the sidecar went away before it answered")
        })
    }
}

async fn in_time<T>(work: impl Future<Output = T>) -> Result<T, MeshError> {
    tokio::time::timeout(Duration::from_millis(ANSWER_WAIT_MS), work)
        .await
        .map_err(|_| MeshError::new(Code::DeadlineExceeded, "the sidecar did not answer in time"))
}

/// The task at hand, and the mesh around it (it dereferences to [`Mesh`]). Cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    mesh: Mesh,
    task: Arc<TaskEvent>,
    deadline: Instant,
    canceled: watch::Receiver<bool>,
}

impl Ctx {
    pub(crate) fn new(mesh: Mesh, task: Arc<TaskEvent>, canceled: watch::Receiver<bool>) -> Self {
        let deadline = Instant::now() + Duration::from_millis(task.timeout_ms);
        Self {
            mesh,
            task,
            deadline,
            canceled,
        }
    }

    /// The task's id.
    pub fn task_id(&self) -> &TaskId {
        &self.task.task_id
    }

    /// The attempt's number, from 1.
    pub fn attempt(&self) -> u32 {
        self.task.attempt
    }

    /// The agent that asked; empty: somebody outside the mesh.
    pub fn from_agent(&self) -> &str {
        &self.task.from_agent
    }

    /// How the task came.
    pub fn path(&self) -> Path {
        self.task.path
    }

    /// When nobody waits for the answer any more.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Time left until the deadline.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether nobody waits for this work any more. The skill's future is dropped then; this is for threads it started.
    pub fn is_canceled(&self) -> bool {
        *self.canceled.borrow()
    }

    /// Resolves once nobody waits for this work any more: for tasks the skill spawned.
    pub async fn canceled(&self) {
        let mut canceled = self.canceled.clone();
        if canceled.wait_for(|&yes| yes).await.is_err() {
            // The work ended, and with it everything that could cancel it.
            std::future::pending::<()>().await;
        }
    }

    /// Asks an agent to run `skill`, as part of this task: it stands under it in the delegation tree, and shares its
    /// deadline and cancellation.
    pub fn delegate(&self, skill: &str, args: impl Serialize) -> Delegation {
        let parent = Some(self.task.task_id.clone());
        Delegation::new(self.mesh.clone(), skill, args, parent)
    }
}

impl Deref for Ctx {
    type Target = Mesh;

    fn deref(&self) -> &Mesh {
        &self.mesh
    }
}
