//! What a skill sees of the mesh.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use seamesh_proto::ipc::{AgentCommand, Broadcast, Connect, Send as SendCommand, TaskEvent};
use seamesh_proto::limits::{
    ARTIFACT_PART_BYTES, MAX_ARTIFACT_BYTES, MAX_CHUNK_BYTES, MAX_NAME_BYTES, MAX_NOTE_BYTES,
    MAX_QUESTION_BYTES,
};
use seamesh_proto::link::MeshMessage;
use seamesh_proto::talk::{ArtifactPart, Progress};
use seamesh_proto::{
    AgentId, AgentProfile, AgentRecord, Code, Health, Path, Payload, PeerId, Raw, TaskId,
    TraceContext,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::answers::Key;
use crate::delegation::Delegation;
use crate::error::MeshError;
use crate::port::{Port, Settled};
use crate::skill::serialized_bytes;
use crate::stream::sha256;
use crate::talk::{nobody_answers, not_streamed};
use crate::words::{PROMPT, PromptVoice, Words};

/// Milliseconds the sidecar has to answer what it knows by itself.
const ANSWER_WAIT_MS: u64 = 5_000;

/// The mesh as an agent sees it, outside of any task. Cheap to clone.
#[derive(Clone)]
pub struct Mesh {
    pub(crate) port: Arc<Port>,
    pub(crate) words: Arc<Words>,
    agent_id: AgentId,
    instructions: Arc<str>,
}

impl Mesh {
    pub(crate) fn new(port: Arc<Port>, profile: &AgentProfile, instructions: &str) -> Self {
        Self {
            port,
            words: Arc::new(Words::new(&profile.instance)),
            agent_id: profile.agent_id.clone(),
            instructions: instructions.into(),
        }
    }

    /// What `AGENT.md` beside the manifest says, for a model to read; empty without one.
    pub fn instructions(&self) -> &str {
        &self.instructions
    }

    /// The sidecar of an agent, while a link to it is open.
    pub(crate) fn link_to(&self, agent: &AgentRecord) -> Option<PeerId> {
        let peer = agent.info.sidecar_peer_id.as_str();
        let open = self.words.is_linked(peer);
        open.then(|| peer.parse().ok()).flatten()
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
        self.say(peer, PROMPT, "", "", payload).await
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
        self.broadcast_message(PROMPT, payload).await
    }

    pub(crate) async fn broadcast_message(&self, kind: &str, body: Value) -> Result<(), MeshError> {
        let mut message = MeshMessage::new(kind, Payload::new(body));
        message.source_agent = self.agent_id.to_string();
        "*".clone_into(&mut message.target_agent);
        let message = Raw::of(&message);
        self.port
            .command(&AgentCommand::Broadcast(Broadcast { message }))
            .await
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
        let mut asking = self.port.agents(skill)?;
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
    /// One question at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The parts of an artifact follow each other.
    line: Arc<tokio::sync::Mutex<()>>,
    /// Of a prompt that came over a link: there is no task behind it.
    voice: Option<Arc<PromptVoice>>,
}

impl Ctx {
    pub(crate) fn new(mesh: Mesh, task: Arc<TaskEvent>, canceled: watch::Receiver<bool>) -> Self {
        let deadline = Instant::now() + Duration::from_millis(task.timeout_ms);
        Self {
            mesh,
            task,
            deadline,
            canceled,
            turn: Arc::default(),
            line: Arc::default(),
            voice: None,
        }
    }

    /// The context of a prompt that came over a link: what its handler delegates begins a tree of its own, and it asks
    /// no questions.
    pub(crate) fn of_prompt(
        mesh: Mesh,
        task: TaskEvent,
        canceled: watch::Receiver<bool>,
        voice: PromptVoice,
    ) -> Self {
        Self {
            voice: Some(Arc::new(voice)),
            ..Self::new(mesh, Arc::new(task), canceled)
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

    /// The span of this run (W3C Trace Context): the parent of the spans that the skill makes by itself.
    pub fn traceparent(&self) -> Option<TraceContext> {
        self.task.run_traceparent
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
        let parent = self.voice.is_none().then(|| self.task.task_id.clone());
        let delegation = Delegation::new(self.mesh.clone(), skill, args, parent);
        if !self.task.listens.answers {
            return delegation;
        }
        let ctx = self.clone();
        delegation.on_question(move |question| {
            let ctx = ctx.clone();
            async move { ctx.ask_for(&question.prompt, question.schema).await }
        })
    }

    /// Tells how far the work is: a share from 0 to 1, or `None` when it is not known, and a line for a person. Of many
    /// in a short time only the newest arrives.
    pub fn progress(&self, fraction: impl Into<Option<f64>>, note: impl Into<String>) {
        if self.voice.is_some() {
            return; // Nobody hears of a prompt's progress.
        }
        let fraction = fraction.into().map(|f| f.clamp(0.0, 1.0));
        let mut note = note.into();
        note.truncate(note.floor_char_boundary(MAX_NOTE_BYTES));
        let progress = Progress { fraction, note };
        self.mesh.port.progress(&self.key(), progress);
    }

    /// Whether the asker takes chunks and artifacts.
    pub fn is_streamed(&self) -> bool {
        self.task.listens.stream
    }

    /// Sends a part of the result to the asker, in order. Waits while too many are on their way.
    ///
    /// # Errors
    /// `not_streamed` when nobody takes it, `bad_result` when it is no JSON, `too_large` over
    /// [`MAX_CHUNK_BYTES`].
    pub async fn chunk(&self, data: impl Serialize) -> Result<(), MeshError> {
        let data = serde_json::to_value(data)
            .map_err(|e| MeshError::new(Code::BadResult, format!("the chunk is no JSON: {e}")))?;
        let _line = self.line.lock().await;
        self.send_chunk(data, None).await
    }

    async fn send_chunk(
        &self,
        data: Value,
        artifact: Option<ArtifactPart>,
    ) -> Result<(), MeshError> {
        if !self.is_streamed() {
            return Err(not_streamed());
        }
        let bytes = serialized_bytes(&data);
        if bytes > MAX_CHUNK_BYTES {
            let text = format!("a chunk of {bytes} bytes; at most {MAX_CHUNK_BYTES} are carried");
            return Err(MeshError::new(Code::TooLarge, text));
        }
        match (&self.voice, artifact) {
            (None, artifact) => self.mesh.port.chunk(&self.key(), data, artifact).await,
            (Some(voice), None) => voice.chunk(data).await?,
            (Some(_), Some(_)) => {
                let text = "the answer to a prompt has no artifacts: make it a skill";
                return Err(MeshError::new(Code::BadArguments, text));
            }
        }
        Ok(())
    }

    /// Sends bytes to the asker, who gets them whole, under `name`.
    ///
    /// # Errors
    /// `not_streamed` when nobody takes it, `bad_field` without a name, `too_large` over [`MAX_ARTIFACT_BYTES`].
    pub async fn artifact(
        &self,
        name: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), MeshError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || media_type.len() > MAX_NAME_BYTES {
            let text = format!("an artifact's name has 1 to {MAX_NAME_BYTES} bytes");
            return Err(MeshError::new(Code::BadField, text));
        }
        let size = bytes.len() as u64;
        if size > MAX_ARTIFACT_BYTES {
            let text = format!("an artifact of {size} bytes; at most {MAX_ARTIFACT_BYTES}");
            return Err(MeshError::new(Code::TooLarge, text));
        }
        let sha256 = sha256(bytes);
        let _line = self.line.lock().await;
        let mut offset = 0;
        loop {
            let end = bytes.len().min(offset + ARTIFACT_PART_BYTES);
            let part = ArtifactPart {
                name: name.to_owned(),
                media_type: media_type.to_owned(),
                size,
                sha256: sha256.clone(),
                offset: offset as u64,
            };
            let data = STANDARD.encode(&bytes[offset..end]);
            self.send_chunk(data.into(), Some(part)).await?;
            offset = end;
            if offset == bytes.len() {
                return Ok(());
            }
        }
    }

    /// Asks whoever asked for this work, or a person, and waits for the answer. Questions of one task are asked one
    /// after the other.
    ///
    /// # Errors
    /// `nobody_answers` when there is nobody to ask, `too_large` over [`MAX_QUESTION_BYTES`].
    pub async fn ask(&self, prompt: &str) -> Result<Value, MeshError> {
        self.ask_for(prompt, None).await
    }

    /// As [`ask`](Self::ask), with the JSON Schema that the answer should fit.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn ask_for(&self, prompt: &str, schema: Option<Value>) -> Result<Value, MeshError> {
        if !self.task.listens.answers {
            return Err(nobody_answers());
        }
        let bytes = serialized_bytes(&(prompt, &schema));
        if bytes > MAX_QUESTION_BYTES - 64 {
            let text = format!("a question of {bytes} bytes; at most {MAX_QUESTION_BYTES}");
            return Err(MeshError::new(Code::TooLarge, text));
        }
        let _turn = self.turn.lock().await;
        let answer = self.mesh.port.ask(&self.key(), prompt.to_owned(), schema);
        answer
            .await
            .map_err(|_| MeshError::new(Code::Canceled, "the work has ended"))
    }

    fn key(&self) -> Key {
        (self.task.task_id.clone(), self.task.attempt)
    }
}

impl Deref for Ctx {
    type Target = Mesh;

    fn deref(&self) -> &Mesh {
        &self.mesh
    }
}
