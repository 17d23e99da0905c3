//! An agent: a name and its skills.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use seamesh_proto::ids::REGISTRY_PEER;
use seamesh_proto::ipc::Message;
use seamesh_proto::limits::{MAX_SKILL_BYTES, MAX_SKILLS};
use seamesh_proto::link::MeshMessage;
use seamesh_proto::{AgentProfile, Code, Payload, PeerId, Raw};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::ctx::{Ctx, Mesh};
use crate::error::{AgentError, SkillError};
use crate::handed::Handed;
use crate::port::Port;
use crate::session::{Session, Work};
use crate::skill::{PromptHandler, Skill};
use crate::words::PROMPT;
use crate::{SOCKET_ENV, builtin};

/// Seconds that running skills have to end when the agent is told to stop; what runs longer is handed back.
pub const STOP_GRACE_S: u64 = 10;

/// Milliseconds the last bytes have to reach the sidecar.
const GOODBYE_MS: u64 = 500;

/// The description of the skill by which an agent reads prompts.
const READS: &str = "Reads prompts: what agents and people say in words.";

type MessageHook = dyn Fn(&Mesh, Message) + Send + Sync;
type PeerHook = dyn Fn(&Mesh, &PeerId, bool) + Send + Sync;

/// What the user wants to hear of besides tasks.
pub(crate) struct Hooks {
    pub(crate) message: Arc<MessageHook>,
    pub(crate) peer: Box<PeerHook>,
}

/// An agent being declared. Nothing happens until it is [`run`](Self::run).
#[must_use = "an agent serves when it is run"]
pub struct Agent {
    name: String,
    description: String,
    version: String,
    mode: String,
    max_concurrent: u32,
    stop_grace: Duration,
    skills: Vec<Skill>,
    hooks: Hooks,
    prompt: Option<Arc<PromptHandler>>,
    /// Whether somebody reads messages: prompts from the queue go there when nothing else reads them.
    reads_messages: bool,
    builtin: Vec<String>,
    /// Whether `skills` has them all.
    is_complete: bool,
    instructions: String,
}

impl Agent {
    /// An agent of this name: letters, digits and `. _ - : @ + ~ * =`, at most 128 bytes.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            version: String::new(),
            mode: String::new(),
            max_concurrent: 0,
            stop_grace: Duration::from_secs(STOP_GRACE_S),
            skills: Vec::new(),
            hooks: Hooks {
                message: Arc::new(
                    |_, message| tracing::debug!(from = %message.from_peer, "a message nobody reads"),
                ),
                peer: Box::new(|_, _, _| {}),
            },
            prompt: None,
            reads_messages: false,
            builtin: Vec::new(),
            is_complete: false,
            instructions: String::new(),
        }
    }

    /// Says what the agent is for.
    pub fn describe(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Its version, for the dashboard.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// A free-form mode, for the dashboard.
    pub fn mode(mut self, mode: impl Into<String>) -> Self {
        self.mode = mode.into();
        self
    }

    /// Tasks it takes at once; 0 means the mesh's default (64).
    pub fn max_concurrent(mut self, tasks: u32) -> Self {
        self.max_concurrent = tasks;
        self
    }

    /// Time that running skills have to end when [`run`](Self::run) is told to stop, in place of [`STOP_GRACE_S`]. What
    /// runs longer is handed back, and another agent starts it at once.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.stop_grace = grace;
        self
    }

    /// Adds a skill: an async function of the context and its arguments. Their type's JSON Schema and doc comment
    /// become the skill's schema and description.
    ///
    /// A slow skill blocks no other, as long as it does not block its thread. A skill that panics fails, and the agent
    /// goes on. When nobody waits for it any more its future is dropped.
    pub fn skill<A, T, E, F, R>(mut self, name: &str, handler: F) -> Self
    where
        A: DeserializeOwned + JsonSchema + Send + 'static,
        T: Serialize,
        E: Into<SkillError>,
        F: Fn(Ctx, A) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.skills.push(Skill::new(name, handler));
        self
    }

    /// Describes the skill that was added last, in place of its arguments' doc comment.
    pub fn describe_skill(mut self, text: impl Into<String>) -> Self {
        if let Some(skill) = self.skills.last_mut() {
            skill.info.description = text.into();
        }
        self
    }

    /// Lets only these agents call the skill that was added last, at most 256; without it everybody may. People with the
    /// role operator or above may always. The registry holds to it, and so does this agent's sidecar on links; others
    /// are refused with `forbidden`.
    pub fn callers<I>(mut self, agents: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        if let Some(skill) = self.skills.last_mut() {
            skill.callers = Some(agents.into_iter().map(Into::into).collect());
        }
        self
    }

    /// Calls a function with each message of another agent, in order. It must not block: hand the message on.
    ///
    /// Prompts come here when there is no [`on_prompt`](Self::on_prompt); one that came through the queue names the
    /// registry as the peer it is from.
    pub fn on_message(mut self, hook: impl Fn(&Mesh, Message) + Send + Sync + 'static) -> Self {
        self.hooks.message = Arc::new(hook);
        self.reads_messages = true;
        self
    }

    /// Reads prompts: what agents and people say in words ([`Mesh::prompt`], [`Mesh::tell`], the hub). The function gets
    /// the text and gives the answer; with [`Ctx::chunk`] it gives it in parts. Prompts over links and through the queue
    /// come here alike; the agent then offers the skill `agent_prompt`.
    pub fn on_prompt<T, E, F, R>(mut self, handler: F) -> Self
    where
        T: Serialize,
        E: Into<SkillError>,
        F: Fn(Ctx, String) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.prompt = Some(Arc::new(move |ctx, message| {
            let work = handler(ctx, message);
            Box::pin(async move {
                let answer = work.await.map_err(Into::into)?;
                serde_json::to_value(answer)
                    .map_err(|e| SkillError::with_code(Code::BadResult, format!("no JSON: {e}")))
            })
        }));
        self
    }

    /// Offers built-in skills, of [`BUILTIN`](crate::BUILTIN). One that the agent has by itself stays its own.
    pub fn builtin<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.builtin.extend(names.into_iter().map(Into::into));
        self
    }

    /// Does what the manifest says of the agent, if `seamesh run` handed it anything ([`HANDED_ENV`](crate::HANDED_ENV)).
    /// [`run_from_env`](Self::run_from_env) does it by itself.
    ///
    /// # Errors
    /// [`AgentError::Manifest`] when the file cannot be read, or disables or restricts a skill that is not there.
    pub fn as_the_manifest_says(mut self) -> Result<Self, AgentError> {
        let Some(handed) = Handed::from_env(&self.name)? else {
            return Ok(self);
        };
        let keep = |old: &mut String, new: String| {
            if !new.is_empty() {
                *old = new;
            }
        };
        keep(&mut self.description, handed.description);
        keep(&mut self.instructions, handed.instructions);
        self.builtin.extend(handed.builtin);
        self.complete()?;
        for (name, callers) in handed.callers {
            let at = self.known(&name, "callers")?;
            self.skills[at].callers = Some(callers);
        }
        for name in handed.disabled {
            let at = self.known(&name, "skills.disabled")?;
            self.skills.remove(at);
        }
        Ok(self)
    }

    fn known(&self, name: &str, key: &str) -> Result<usize, AgentError> {
        let found = self.skills.iter().position(|s| s.info.name == name);
        found.ok_or_else(|| {
            let offered: Vec<_> = self.skills.iter().map(|s| s.info.name.as_str()).collect();
            let agent = &self.name;
            let offered = offered.join(", ");
            AgentError::Manifest(format!(
                "{key}: agent {agent} has no skill {name:?}; there are: {offered}"
            ))
        })
    }

    /// The skills beside the agent's own, until they are among them: prompts, and built-in ones.
    fn added(&self) -> Result<Vec<Skill>, AgentError> {
        let mut added = Vec::new();
        if self.is_complete {
            return Ok(added);
        }
        if let Some(handler) = &self.prompt {
            added.push(Skill::of_prompts(PROMPT, READS, handler.clone()));
        } else if self.reads_messages {
            added.push(reads_messages(self.hooks.message.clone()));
        }
        for name in &self.builtin {
            let skill = builtin::skill(name, self.prompt.as_ref());
            added.push(skill.ok_or_else(|| AgentError::UnknownBuiltin(name.clone()))?);
        }
        let mut seen: BTreeSet<String> = self.skills.iter().map(|s| s.info.name.clone()).collect();
        added.retain(|skill| seen.insert(skill.info.name.clone()));
        Ok(added)
    }

    fn complete(&mut self) -> Result<(), AgentError> {
        let added = self.added()?;
        self.skills.extend(added);
        self.is_complete = true;
        Ok(())
    }

    /// Calls a function with a peer and whether its link opened (`true`) or went down. It must not block.
    pub fn on_peer(mut self, hook: impl Fn(&Mesh, &PeerId, bool) + Send + Sync + 'static) -> Self {
        self.hooks.peer = Box::new(hook);
        self
    }

    /// What it says of itself when it starts.
    ///
    /// # Errors
    /// A bad name, bad, doubled or too many skills, or bad or too many callers of one.
    pub fn profile(&self) -> Result<AgentProfile, AgentError> {
        let agent_id = self.name.parse().map_err(|error| AgentError::BadName {
            name: self.name.clone(),
            error,
        })?;
        let added = self.added()?;
        let all = || self.skills.iter().chain(&added);
        if all().count() > MAX_SKILLS {
            return Err(AgentError::TooManySkills);
        }
        let mut seen = BTreeSet::new();
        for name in all().map(|skill| skill.info.name.as_str()) {
            if name.is_empty() || name.len() > MAX_SKILL_BYTES {
                return Err(AgentError::BadSkill(name.to_owned()));
            }
            if !seen.insert(name) {
                return Err(AgentError::SkillTwice(name.to_owned()));
            }
        }
        Ok(AgentProfile {
            agent_id,
            description: self.description.clone(),
            skills: all().map(Skill::told).collect::<Result<_, _>>()?,
            hostname: hostname(),
            mode: self.mode.clone(),
            version: self.version.clone(),
            instance: new_instance(),
            max_concurrent: self.max_concurrent,
        })
    }

    /// Serves at `$SEAMESH_SOCKET` until SIGTERM or SIGINT, as the manifest says.
    ///
    /// # Errors
    /// As [`run`](Self::run) and [`as_the_manifest_says`](Self::as_the_manifest_says), and when the variable is not set.
    pub async fn run_from_env(self) -> Result<(), AgentError> {
        let socket = std::env::var_os(SOCKET_ENV).filter(|path| !path.is_empty());
        self.as_the_manifest_says()?
            .run(PathBuf::from(socket.ok_or(AgentError::NoSocket)?))
            .await
    }

    /// Serves at a sidecar's socket until SIGTERM or SIGINT; then running skills get their [grace](Self::stop_grace) to
    /// end, and the rest is handed back. A second signal means now. A sidecar that is away, or restarts, is waited for.
    ///
    /// # Errors
    /// When the agent is not well declared, or signals cannot be listened for.
    pub async fn run(self, socket: impl AsRef<Path>) -> Result<(), AgentError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(AgentError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(AgentError::Signals)?;
        let grace = self.stop_grace;
        let running = self.start(socket)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::select! {
            () = running.drain(grace) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        running.leave().await;
        Ok(())
    }

    /// Serves in the background of the present runtime, until the handle is dropped or stopped: for tests, and for
    /// programs that are more than an agent.
    ///
    /// # Errors
    /// When the agent is not well declared.
    pub fn start(mut self, socket: impl AsRef<Path>) -> Result<Running, AgentError> {
        let profile = self.profile()?;
        self.complete()?;
        let port = Arc::new(Port::new(profile.clone()));
        let mesh = Mesh::new(port, &profile, &self.instructions);
        let work = Arc::new(Work::default());
        let skills: BTreeMap<_, _> = self
            .skills
            .into_iter()
            .map(|skill| (skill.info.name.clone(), skill))
            .collect();
        let session = Session {
            mesh: mesh.clone(),
            skills,
            hooks: self.hooks,
            work: work.clone(),
            reads_prompts: self.prompt.is_some(),
            reading: Arc::default(),
            max_reading: self.max_concurrent,
        };
        let path = socket.as_ref().to_owned();
        let serving = tokio::spawn(async move { session.serve(&path).await });
        Ok(Running {
            mesh,
            work,
            serving,
        })
    }
}

/// An agent at work. Dropping it is a crash: the connection ends without a goodbye.
pub struct Running {
    mesh: Mesh,
    work: Arc<Work>,
    serving: JoinHandle<()>,
}

impl Running {
    /// The mesh as the agent sees it.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Takes no more work, lets running skills end for at most `grace`, says goodbye, and ends.
    pub async fn stop(self, grace: Duration) {
        self.drain(grace).await;
        self.leave().await;
    }

    async fn drain(&self, grace: Duration) {
        self.work.close();
        // What runs longer is handed back by the goodbye.
        let _ = tokio::time::timeout(grace, self.work.idle()).await;
    }

    async fn leave(mut self) {
        // A sidecar that is gone needs no goodbye.
        if self.mesh.port.is_welcomed() {
            self.mesh.port.goodbye();
            let patience = Duration::from_millis(GOODBYE_MS);
            let _ = tokio::time::timeout(patience, &mut self.serving).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Hands prompts that come through the queue to the hook that reads messages.
fn reads_messages(hook: Arc<MessageHook>) -> Skill {
    let handler = move |ctx: Ctx, text: String| {
        let body = serde_json::json!({ "message": text, "direct": true });
        let mut message = MeshMessage::new(PROMPT, Payload::new(body));
        message.source_agent = ctx.from_agent().to_owned();
        message.target_agent = ctx.agent_id().to_string();
        let message = Message {
            from_peer: REGISTRY_PEER.parse().expect("a valid id"),
            message: Raw::of(&message),
        };
        hook(&ctx, message);
        Box::pin(std::future::ready(Ok(serde_json::Value::Null))) as _
    };
    Skill::of_prompts(PROMPT, "Reads messages.", Arc::new(handler))
}

/// A name for this run of the agent: 64 random bits. Without randomness it has none, and is told from no other run.
fn new_instance() -> String {
    let mut bytes = [0u8; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => format!("{:016x}", u64::from_ne_bytes(bytes)),
        Err(_) => String::new(),
    }
}

/// The machine's name; empty where it cannot be read.
fn hostname() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let named = read.ok().or_else(|| std::env::var("HOSTNAME").ok());
    named.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use seamesh_proto::AgentId;
    use serde_json::Value;

    use super::*;

    fn vault(callers: &[String]) -> Result<AgentProfile, AgentError> {
        let open = |_: Ctx, _: Value| async move { Ok::<_, SkillError>(()) };
        let agent = Agent::new("vault").skill("look", open);
        let agent = agent.skill("open", open).callers(callers.to_vec());
        agent.profile()
    }

    #[test]
    fn the_callers_of_a_skill_are_told_with_it_and_with_no_other() {
        let profile = vault(&["friend".to_owned()]).unwrap();
        assert_eq!(profile.skills[0].callers, None);
        let friend: AgentId = "friend".parse().unwrap();
        assert_eq!(profile.skills[1].callers, Some(vec![friend]));
        assert_eq!(vault(&[]).unwrap().skills[1].callers, Some(vec![]));
    }

    #[test]
    fn callers_that_cannot_be_are_refused_before_anything_starts() {
        let bad = vault(&["two words".to_owned()]);
        assert!(matches!(bad, Err(AgentError::BadName { name, .. }) if name == "two words"));
        let many: Vec<String> = (0..=256).map(|n| format!("a{n}")).collect();
        let many = vault(&many);
        assert!(matches!(many, Err(AgentError::TooManyCallers(skill)) if skill == "open"));
    }
}
