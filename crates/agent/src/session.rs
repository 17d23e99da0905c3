//! One agent at work: a loop over the connection, and a task for each skill that runs.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seamesh_proto::ipc::{AgentEvent, Message, TaskCancel, TaskEvent};
use seamesh_proto::ledger::{Channel, Party};
use seamesh_proto::{Code, Outcome, seam};
use tokio::sync::{Notify, watch};

use crate::agent::Hooks;
use crate::answers::Key;
use crate::connection::Connection;
use crate::ctx::{Ctx, Mesh};
use crate::skill::Skill;

/// First and longest pause, in milliseconds, between attempts to reach a local socket.
const RETRY_MS: (u64, u64) = (20, 1_000);

/// Lines handled before output is written: what they caused leaves in one write.
const LINES_PER_TURN: usize = 512;

/// An agent's life, over any number of connections.
pub(crate) struct Session {
    pub(crate) mesh: Mesh,
    pub(crate) skills: BTreeMap<String, Skill>,
    pub(crate) hooks: Hooks,
    pub(crate) work: Arc<Work>,
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
    /// Serves for ever: connects, and connects again.
    pub(crate) async fn serve(&self, path: &PathBuf) {
        let mut pause_ms = RETRY_MS.0;
        loop {
            match Connection::open(path).await {
                Ok(connection) => {
                    if self.converse(connection).await {
                        pause_ms = RETRY_MS.0;
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
            if let Err(error) = self.turn(&mut connection).await {
                break error;
            }
        };
        let was_welcomed = port.is_welcomed();
        port.disconnected();
        tracing::info!(%ended, "the connection to the sidecar ended; connecting again");
        was_welcomed
    }

    async fn turn(&self, connection: &mut Connection) -> io::Result<()> {
        let port = &self.mesh.port;
        if let Some(queue) = connection.idle_queue() {
            port.take(queue);
        }
        let flushed = connection.try_flush()?;
        if flushed && port.has_output() {
            return Ok(());
        }
        tokio::select! {
            ready = connection.ready(!flushed) => ready?,
            () = port.wake.notified() => return Ok(()),
        }
        match connection.try_read() {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
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
            (self.hooks.message)(&self.mesh, message);
        }
    }

    fn act_on(&self, line: &[u8]) {
        let Some(event) = self.mesh.port.receive(line) else {
            return;
        };
        match event {
            AgentEvent::Task(task) => self.start(task),
            AgentEvent::TaskCancel(cancel) => self.cancel(cancel),
            AgentEvent::Message(message) => self.message(message),
            AgentEvent::PeerConnected(peer) => (self.hooks.peer)(&self.mesh, &peer.peer_id, true),
            AgentEvent::PeerDisconnected(peer) => {
                (self.hooks.peer)(&self.mesh, &peer.peer_id, false)
            }
            // The port dealt with the rest.
            _ => {}
        }
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
