//! One agent at work: a loop over the connection, and a task for each skill that runs.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seamesh_proto::ipc::{AgentEvent, Message, TaskCancel, TaskEvent};
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::limits::{DEFAULT_MAX_CONCURRENT, DEFAULT_REQUEST_TIMEOUT_MS};
use seamesh_proto::link::MeshMessage;
use seamesh_proto::talk::Listens;
use seamesh_proto::task::{Lineage, Path};
use seamesh_proto::{Code, Outcome, PeerId, TaskId, seam};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::agent::Hooks;
use crate::answers::Key;
use crate::connection::Connection;
use crate::ctx::{Ctx, Mesh};
use crate::skill::Skill;
use crate::words::{Heard, PROMPT, PromptVoice, answer_of, envelope, is_heard};

/// First and longest pause, in milliseconds, between attempts to reach a local socket.
const RETRY_MS: (u64, u64) = (20, 1_000);

/// Lines handled before output is written: what they caused leaves in one write.
const LINES_PER_TURN: usize = 512;

/// How a connection ended.
enum End {
    /// We said goodbye over it.
    Left,
    /// It is lost.
    Lost(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// An agent's life, over any number of connections.
pub(crate) struct Session {
    pub(crate) mesh: Mesh,
    pub(crate) skills: BTreeMap<String, Skill>,
    pub(crate) hooks: Hooks,
    pub(crate) work: Arc<Work>,
    /// Whether prompts over links have a handler of their own; otherwise they are messages as any other.
    pub(crate) reads_prompts: bool,
    /// Prompts that are read now.
    pub(crate) reading: Arc<AtomicUsize>,
    /// Prompts that are read at once, at most.
    pub(crate) max_reading: u32,
}

/// The skills that run.
#[derive(Default)]
pub(crate) struct Work {
    running: Mutex<BTreeMap<Key, watch::Sender<bool>>>,
    ended: Notify,
    /// The agent stops: what comes now is left to the goodbye, which hands it back.
    is_closed: AtomicBool,
}

impl Work {
    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<Key, watch::Sender<bool>>) -> T) -> T {
        look(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From here on no more work is begun.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Waits until nothing runs.
    pub(crate) async fn idle(&self) {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.with(|running| running.is_empty()) {
                return;
            }
            ended.await;
        }
    }
}

impl Session {
    /// Serves until the goodbye: connects, and connects again.
    pub(crate) async fn serve(&self, path: &PathBuf) {
        let mut pause_ms = RETRY_MS.0;
        loop {
            match Connection::open(path).await {
                Ok(connection) => {
                    if self.converse(connection).await {
                        pause_ms = RETRY_MS.0;
                    }
                    // What it still held is handed back with the connection, whether or not the goodbye was read.
                    if self.mesh.port.is_leaving() {
                        return;
                    }
                }
                Err(error) if pause_ms == RETRY_MS.0 => {
                    tracing::warn!(%error, "no sidecar answers; is it running? Trying again");
                }
                Err(error) => tracing::debug!(%error, "no sidecar answers"),
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(RETRY_MS.1);
        }
    }

    /// Speaks over one connection until it ends. Whether the sidecar took us.
    async fn converse(&self, mut connection: Connection) -> bool {
        let port = &self.mesh.port;
        port.connected();
        let ended = loop {
            if let Err(end) = self.turn(&mut connection).await {
                break end;
            }
        };
        let was_welcomed = port.is_welcomed();
        port.disconnected();
        self.mesh.words.unlink_all();
        match ended {
            End::Left => tracing::debug!("said goodbye to the sidecar"),
            End::Lost(error) if port.is_leaving() => {
                tracing::debug!(%error, "the connection to the sidecar ended before the goodbye");
            }
            End::Lost(error) => {
                tracing::info!(%error, "the connection to the sidecar ended; connecting again");
            }
        }
        was_welcomed
    }

    async fn turn(&self, connection: &mut Connection) -> Result<(), End> {
        let port = &self.mesh.port;
        if let Some(queue) = connection.idle_queue() {
            port.take(queue);
        }
        let flushed = connection.try_flush()?;
        if flushed && port.has_output() {
            return Ok(());
        }
        if flushed && port.is_leaving() {
            return Err(End::Left);
        }
        tokio::select! {
            ready = connection.ready(!flushed) => ready?,
            () = port.wake.notified() => return Ok(()),
        }
        match connection.try_read() {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let mut lines = 0;
        while let Some(line) = connection.arrived() {
            match line {
                Ok(line) => self.line(line),
                Err(_) => tracing::warn!("the sidecar sent a line over the limit; it was skipped"),
            }
            lines += 1;
            if lines % LINES_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn line(&self, line: &[u8]) {
        let (me, sidecar) = (Party::RustAgent, Some(Party::Sidecar));
        let times = match seam::kind_of(line) {
            Some(kind) => seam::heard(Channel::Ipc, &kind, sidecar, me),
            None => 1,
        };
        for _ in 0..times {
            self.act_on(line);
        }
    }

    fn message(&self, message: Message) {
        let times = match seam::kind_of(message.message.text().as_bytes()) {
            Some(kind) => seam::heard(Channel::Link, &kind, None, Party::RustAgent),
            None => 1,
        };
        for message in std::iter::repeat_n(message, times) {
            if !self.hears(&message) {
                (self.hooks.message)(&self.mesh, message);
            }
        }
    }

    /// Acts on what the SDK acts on by itself. `false`: it is the agent's own.
    fn hears(&self, message: &Message) -> bool {
        if !is_heard(message) {
            return false;
        }
        let from = &message.from_peer;
        let Some(parsed) = envelope(message) else {
            return true;
        };
        match self.mesh.words.hear(from, &parsed) {
            Heard::Done => true,
            Heard::SkillQuery => {
                let skills: Vec<_> = self.skills.values().filter_map(|s| s.told().ok()).collect();
                let body = json!({ "agent_id": self.mesh.agent_id(), "skills": skills });
                self.mesh.reply(from, &parsed, "skill_response", body);
                true
            }
            Heard::Prompt if self.reads_prompts => {
                self.prompted(from, parsed);
                true
            }
            Heard::Prompt | Heard::ForTheAgent => false,
        }
    }

    /// Reads a prompt that came over a link, beside whatever else runs.
    fn prompted(&self, from: &PeerId, message: MeshMessage) {
        let Some(skill) = self.skills.get(PROMPT) else {
            return;
        };
        let limit = match self.max_reading {
            0 => DEFAULT_MAX_CONCURRENT,
            limit => limit,
        };
        if self.reading.fetch_add(1, Ordering::Relaxed) >= limit as usize {
            self.reading.fetch_sub(1, Ordering::Relaxed);
            let text = format!(
                "agent {} reads {limit} prompts already",
                self.mesh.agent_id()
            );
            let body = answer_of(Outcome::failed(Code::Overloaded, text));
            return self.mesh.reply(from, &message, "agent_response", body);
        }
        let task = prompt_task(&message);
        let (payload, patience) = (task.payload.clone(), Duration::from_millis(task.timeout_ms));
        let voice = PromptVoice::new(&self.mesh, from, &message);
        let (cancel, canceled) = watch::channel(false);
        let ctx = Ctx::of_prompt(self.mesh.clone(), task, canceled, voice);
        let run = tokio::spawn(skill.run(ctx, payload));
        let (mesh, from, reading) = (self.mesh.clone(), from.clone(), self.reading.clone());
        tokio::spawn(async move {
            let stop = run.abort_handle();
            let outcome = match tokio::time::timeout(patience, run).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a prompt's handler panicked");
                    Outcome::failed(
                        Code::SkillFailed,
                        "the handler panicked; see the agent's log",
                    )
                }
                Err(_) => {
                    stop.abort();
                    Outcome::failed(
                        Code::DeadlineExceeded,
                        "the prompt was not answered in time",
                    )
                }
            };
            drop(cancel);
            reading.fetch_sub(1, Ordering::Relaxed);
            mesh.reply(&from, &message, "agent_response", answer_of(outcome));
        });
    }

    fn act_on(&self, line: &[u8]) {
        let Some(event) = self.mesh.port.receive(line) else {
            return;
        };
        match event {
            AgentEvent::Task(task) => self.start(task),
            AgentEvent::TaskCancel(cancel) => self.cancel(cancel),
            AgentEvent::Message(message) => self.message(message),
            AgentEvent::PeerConnected(peer) => self.link(&peer.peer_id, true),
            AgentEvent::PeerDisconnected(peer) => self.link(&peer.peer_id, false),
            // The port dealt with the rest.
            _ => {}
        }
    }

    fn link(&self, peer: &PeerId, is_up: bool) {
        self.mesh.words.link(peer, is_up);
        (self.hooks.peer)(&self.mesh, peer, is_up);
    }

    fn start(&self, task: TaskEvent) {
        if self.work.is_closed.load(Ordering::Acquire) {
            return;
        }
        let key: Key = (task.task_id.clone(), task.attempt);
        let Some(skill) = self.skills.get(&task.skill) else {
            let offered: Vec<_> = self.skills.keys().map(String::as_str).collect();
            let text = format!(
                "no skill {:?} here; there are: {}",
                task.skill,
                offered.join(", ")
            );
            self.mesh
                .port
                .respond(key, false, Outcome::failed(Code::SkillUnknown, text));
            return;
        };
        let (cancel, canceled) = watch::channel(false);
        self.work
            .with(|running| running.insert(key.clone(), cancel));
        self.mesh.port.begin(&key);
        let is_streamed = task.listens.stream;
        let payload = task.payload.clone();
        let ctx = Ctx::new(self.mesh.clone(), Arc::new(task), canceled.clone());
        let run = tokio::spawn(guarded(skill.run(ctx, payload), canceled));
        let (mesh, work) = (self.mesh.clone(), self.work.clone());
        tokio::spawn(async move {
            let outcome = run.await.unwrap_or_else(|error| {
                tracing::warn!(%error, "a skill panicked");
                Outcome::failed(Code::SkillFailed, "the skill panicked; see the agent's log")
            });
            work.with(|running| running.remove(&key));
            mesh.port.respond(key, is_streamed, outcome);
            work.ended.notify_waiters();
        });
    }

    fn cancel(&self, cancel: TaskCancel) {
        tracing::debug!(task = %cancel.task_id, code = %cancel.code, "nobody waits for the work any more");
        let key = (cancel.task_id, cancel.attempt);
        self.work.with(|running| {
            if let Some(stop) = running.get(&key) {
                stop.send_replace(true);
            }
        });
    }
}

/// A prompt that came over a link, as work.
fn prompt_task(message: &MeshMessage) -> TaskEvent {
    let wants_parts = message.payload.get("stream") == Some(&Value::Bool(true));
    let name = message.request_id.parse::<TaskId>();
    TaskEvent {
        task_id: name.unwrap_or_else(|_| "prompt".parse().expect("a valid id")),
        attempt: 1,
        skill: PROMPT.to_owned(),
        payload: message.payload.clone(),
        from_agent: message.source_agent.clone(),
        path: Path::Direct,
        timeout_ms: DEFAULT_REQUEST_TIMEOUT_MS,
        lease: None,
        listens: Listens {
            stream: wants_parts && !message.request_id.is_empty(),
            ..Listens::default()
        },
        run_traceparent: None,
        lineage: Lineage::default(),
    }
}

/// The skill's outcome, or `canceled` as soon as nobody waits for it: its future is dropped then.
async fn guarded(
    run: impl Future<Output = Outcome>,
    mut canceled: watch::Receiver<bool>,
) -> Outcome {
    tokio::select! {
        outcome = run => outcome,
        Ok(_) = canceled.wait_for(|&yes| yes) => Outcome::canceled("canceled"),
    }
}
