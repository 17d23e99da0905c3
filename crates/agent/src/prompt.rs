//! Saying something to an agent in words: over the link to it where there is one, else through the queue (ADR 15).

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::{Duration, Instant};

use seamesh_proto::ipc::Via;
use seamesh_proto::limits::DEFAULT_REQUEST_TIMEOUT_MS;
use seamesh_proto::{AgentRecord, Code, Health, Path, SkillInfo, TaskId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::ctx::{Ctx, Mesh};
use crate::delegation::Delegation;
use crate::error::MeshError;
use crate::stream::Part;
use crate::words::PROMPT;

/// How long another end has to answer a question of the SDK's own.
const ASK: Duration = Duration::from_secs(10);

/// How long a message waits in the queue for its reader.
pub const PROMPT_TTL: Duration = Duration::from_secs(60);

/// How a message went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Over a link, or through the queue.
    pub path: Path,
    /// The queue's task; a link has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
}

/// Which agents a message for all went to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ToldAll {
    /// Over a link.
    pub direct: Vec<String>,
    /// Through the queue.
    pub queue: Vec<String>,
    /// Neither is linked nor reads messages.
    pub unreached: Vec<String>,
}

type OnPart = Box<dyn FnMut(Value) + Send>;

/// Something about to be said to an agent, whose answer is waited for when this is awaited.
#[must_use = "a prompt is sent when it is awaited"]
pub struct Prompt {
    asker: Asker,
    to: String,
    message: String,
    timeout: Option<Duration>,
    on_part: Option<OnPart>,
}

/// Who says it: a task at hand, under which queued work stands, or the agent outside of any.
#[derive(Clone)]
enum Asker {
    Task(Ctx),
    Agent(Mesh),
}

impl Asker {
    fn mesh(&self) -> &Mesh {
        match self {
            Self::Task(ctx) => ctx,
            Self::Agent(mesh) => mesh,
        }
    }

    fn delegate(&self, to: &str, message: &str) -> Delegation {
        let args = json!({ "message": message });
        match self {
            Self::Task(ctx) => ctx.delegate(PROMPT, args).to(to),
            Self::Agent(mesh) => mesh.delegate(PROMPT, args).to(to),
        }
    }

    /// What is left of the task at hand, else the mesh's default.
    fn patience(&self) -> Duration {
        let default = Duration::from_millis(DEFAULT_REQUEST_TIMEOUT_MS);
        match self {
            Self::Task(ctx) => ctx.remaining().min(default),
            Self::Agent(_) => default,
        }
    }

    async fn tell(&self, to: &str, message: &str) -> Result<Told, MeshError> {
        let mesh = self.mesh();
        let agent = mesh.agent(to).await?;
        if let Some(peer) = mesh.link_to(&agent) {
            let body = json!({ "message": message, "direct": true });
            mesh.say(&peer, PROMPT, "", to, body).await?;
            return Ok(Told {
                path: Path::Direct,
                task_id: None,
            });
        }
        check_reads(&agent)?;
        Ok(Told {
            path: Path::Queue,
            task_id: Some(self.queue(to, message).await?),
        })
    }

    async fn queue(&self, to: &str, message: &str) -> Result<TaskId, MeshError> {
        let work = self.delegate(to, message).via(Via::Queue);
        work.timeout(PROMPT_TTL).submit().await
    }

    async fn tell_all(&self, message: &str) -> Result<ToldAll, MeshError> {
        let mesh = self.mesh();
        let mut told = ToldAll::default();
        for agent in mesh.agents().await? {
            let name = agent.info.agent_id.to_string();
            if agent.health != Health::Active || agent.info.agent_id == *mesh.agent_id() {
                continue;
            }
            match mesh.link_to(&agent) {
                Some(_) => told.direct.push(name),
                None if agent.info.offers(PROMPT) => told.queue.push(name),
                None => told.unreached.push(name),
            }
        }
        if mesh.words.linked() > 0 {
            mesh.broadcast(message).await?;
        }
        for name in &told.queue {
            self.queue(name, message).await?;
        }
        Ok(told)
    }
}

impl Prompt {
    /// Gives up after this long. Otherwise: what is left of the task at hand, else 120 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Calls a function with each part of an answer that comes in parts.
    pub fn on_part(mut self, take: impl FnMut(Value) + Send + 'static) -> Self {
        self.on_part = Some(Box::new(take));
        self
    }

    /// The answer: what the agent's prompt handler returns.
    ///
    /// # Errors
    /// `agent_unknown`, `skill_unknown` when it reads no prompts, `link_lost` when the link went down before the answer
    /// (the prompt may have been read), `deadline_exceeded`, and the handler's own.
    pub async fn answer(self) -> Result<Value, MeshError> {
        let patience = self.timeout.unwrap_or_else(|| self.asker.patience());
        let mesh = self.asker.mesh();
        let agent = mesh.agent(&self.to).await?;
        check_reads(&agent)?;
        if let Some(peer) = mesh.link_to(&agent) {
            let stream = self.on_part.is_some();
            let body = json!({ "message": self.message, "direct": true, "stream": stream });
            let mut on_part = self.on_part.unwrap_or_else(|| Box::new(drop));
            let answer = mesh
                .ask_peer(peer.as_str(), PROMPT, &self.to, body, patience, |part| {
                    on_part(part);
                })
                .await?;
            return Ok(answer.get("message").cloned().unwrap_or(answer));
        }
        let work = self.asker.delegate(&self.to, &self.message);
        let work = work.timeout(patience);
        let Some(mut on_part) = self.on_part else {
            return work.get().await;
        };
        let mut stream = work.stream().await?;
        while let Some(part) = stream.next().await {
            if let Part::Chunk(part) = part? {
                on_part(part);
            }
        }
        Ok(stream.reply().await?.result)
    }
}

impl IntoFuture for Prompt {
    type Output = Result<Value, MeshError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.answer())
    }
}

impl Mesh {
    /// Says something to an agent in words; see [`Prompt`]. Over the link to it, else through the queue.
    pub fn prompt(&self, to: &str, message: &str) -> Prompt {
        Prompt::new(Asker::Agent(self.clone()), to, message)
    }

    /// Says something to an agent and waits for no answer: over the link to it, else through the queue, where it waits
    /// for at most [`PROMPT_TTL`].
    ///
    /// # Errors
    /// `agent_unknown`; `skill_unknown` when it is not linked and takes no prompts from the queue.
    pub async fn tell(&self, to: &str, message: &str) -> Result<Told, MeshError> {
        Asker::Agent(self.clone()).tell(to, message).await
    }

    /// Says something to every healthy agent, and tells which way each got it.
    ///
    /// # Errors
    /// As [`tell`](Self::tell), as far as it concerns this agent's sidecar.
    pub async fn tell_all(&self, message: &str) -> Result<ToldAll, MeshError> {
        Asker::Agent(self.clone()).tell_all(message).await
    }

    /// Whether a link to the sidecar of this name is open, as told last.
    pub fn is_linked(&self, peer: &str) -> bool {
        self.words.is_linked(peer)
    }

    /// The skills of an agent: as itself says over the link to it, else as the registry knows.
    ///
    /// # Errors
    /// `agent_unknown`; `deadline_exceeded` when it is linked and did not say within 10 s.
    pub async fn skills_of(&self, to: &str) -> Result<Vec<SkillInfo>, MeshError> {
        let agent = self.agent(to).await?;
        let Some(peer) = self.link_to(&agent) else {
            return Ok(agent.info.skills);
        };
        let kind = "skill_query";
        let mut body = self
            .ask_peer(peer.as_str(), kind, to, json!({}), ASK, drop)
            .await?;
        let skills = body.get_mut("skills").map(Value::take).unwrap_or_default();
        serde_json::from_value(skills)
            .map_err(|e| MeshError::new(Code::BadField, format!("skills of {to}: {e}")))
    }

    /// How long a word to an agent's sidecar and back takes.
    ///
    /// # Errors
    /// `agent_unknown`, `no_link`, `deadline_exceeded` when nothing came back within 10 s.
    pub async fn ping(&self, to: &str) -> Result<Duration, MeshError> {
        let agent = self.agent(to).await?;
        let before = Instant::now();
        let peer = agent.info.sidecar_peer_id.as_str();
        self.ask_peer(peer, "ping", to, json!({}), ASK, drop)
            .await?;
        Ok(before.elapsed())
    }

    /// Tells every linked agent how this one is: any JSON.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn report_status(&self, status: impl Serialize) -> Result<(), MeshError> {
        let status = serde_json::to_value(status)
            .map_err(|e| MeshError::new(Code::BadArguments, format!("the status: {e}")))?;
        self.broadcast_message("agent_status", status).await
    }

    /// What linked agents told last of how they are, by agent.
    pub fn statuses(&self) -> BTreeMap<String, Value> {
        self.words.statuses()
    }

    async fn agent(&self, name: &str) -> Result<AgentRecord, MeshError> {
        let all = self.agents().await?;
        let found = all.into_iter().find(|a| a.info.agent_id.as_str() == name);
        found.ok_or_else(|| {
            let text = format!("no agent {name}; `seamesh agents` shows who is there");
            MeshError::new(Code::AgentUnknown, text)
        })
    }
}

impl Ctx {
    /// As [`Mesh::prompt`], as part of this task.
    pub fn prompt(&self, to: &str, message: &str) -> Prompt {
        Prompt::new(Asker::Task(self.clone()), to, message)
    }

    /// As [`Mesh::tell`], as part of this task.
    ///
    /// # Errors
    /// As [`Mesh::tell`].
    pub async fn tell(&self, to: &str, message: &str) -> Result<Told, MeshError> {
        Asker::Task(self.clone()).tell(to, message).await
    }

    /// As [`Mesh::tell_all`], as part of this task.
    ///
    /// # Errors
    /// As [`Mesh::tell_all`].
    pub async fn tell_all(&self, message: &str) -> Result<ToldAll, MeshError> {
        Asker::Task(self.clone()).tell_all(message).await
    }
}

impl Prompt {
    fn new(asker: Asker, to: &str, message: &str) -> Self {
        Self {
            asker,
            to: to.to_owned(),
            message: message.to_owned(),
            timeout: None,
            on_part: None,
        }
    }
}

fn check_reads(agent: &AgentRecord) -> Result<(), MeshError> {
    if agent.info.offers(PROMPT) {
        return Ok(());
    }
    let name = &agent.info.agent_id;
    let text = format!("agent {name} reads no prompts: it has no on_prompt");
    Err(MeshError::new(Code::SkillUnknown, text))
}
