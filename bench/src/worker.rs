//! A sidecar's place in the queue, without a sidecar: a signaling socket that takes work and ends it at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use seamesh_client::{Incoming, Registry, SignalReceiver, SignalSender, SignalSocket};
use seamesh_proto::agent::AgentInfo;
use seamesh_proto::limits::HEARTBEAT_MS;
use seamesh_proto::signaling::{
    AgentRegister, ClientSignal, DirectTask, Heartbeat, Register, RegistrySignal, SignalFrame,
    TaskAssign, TaskReport, TaskResult,
};
use seamesh_proto::{Outcome, PeerId, TaskId};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Tasks in one report.
const REPORT: usize = 1_000;

/// A task of the load is over: its number, and when its end was durable.
pub(crate) type Ended = (usize, Instant);

/// The socket.
pub(crate) struct Worker {
    peer: PeerId,
    sender: SignalSender,
    receiver: SignalReceiver,
    running: BTreeMap<TaskId, usize>,
}

impl Worker {
    /// Connects and registers an agent of the peer's name that offers `skill` and takes all there is.
    pub(crate) async fn connect(registry: &Registry, skill: &str) -> Result<Self> {
        let token = registry.token().await?;
        let peer: PeerId = token.peer_id.clone();
        let socket = SignalSocket::connect(registry, &token.token).await?;
        let (sender, receiver) = socket.split();
        let mut worker = Self {
            peer: peer.clone(),
            sender,
            receiver,
            running: BTreeMap::new(),
        };
        worker
            .say(&ClientSignal::Register(Register { version: Some(1) }))
            .await?;
        let agent: AgentInfo = serde_json::from_value(json!({
            "agent_id": peer, "hostname": "bench", "max_concurrent": 100_000,
            "capabilities": { "skills": [skill] },
        }))?;
        let register = AgentRegister {
            agent,
            leases: Vec::new(),
        };
        worker.say(&ClientSignal::AgentRegister(register)).await?;
        Ok(worker)
    }

    async fn say(&mut self, signal: &ClientSignal) -> Result<()> {
        let frame = SignalFrame::from_client(self.peer.clone(), None, signal);
        Ok(self.sender.send(&frame).await?)
    }

    /// Ends whatever it is given, and tells when the end was durable. Runs until it is dropped.
    pub(crate) async fn serve(mut self, ended: mpsc::UnboundedSender<Ended>) -> Result<()> {
        let mut unsent = false;
        let mut beat = tokio::time::interval(Duration::from_millis(HEARTBEAT_MS));
        loop {
            let incoming = tokio::select! {
                biased;
                _ = beat.tick() => {
                    // Whoever is silent for long gets no more work.
                    let agent_id = Some(self.peer.as_str().parse()?);
                    let leases = Vec::new();
                    self.say(&ClientSignal::Heartbeat(Heartbeat { agent_id, leases })).await?;
                    continue;
                }
                incoming = self.receiver.next() => incoming?,
                // Nothing more has come: what was answered so far goes out together, as a sidecar sends it.
                () = std::future::ready(()), if unsent => {
                    self.sender.flush().await?;
                    unsent = false;
                    continue;
                }
            };
            let Some(Incoming::Frame(frame)) = incoming else {
                bail!("the registry closed the worker's socket: {incoming:?}");
            };
            match frame.registry_signal()? {
                RegistrySignal::TaskAssign(assign) => {
                    self.end(assign).await?;
                    unsent = true;
                }
                RegistrySignal::TaskAck(ack) => {
                    ensure!(ack.code.is_none(), "a result was refused: {ack:?}");
                    if let Some(n) = self.running.remove(&ack.task_id) {
                        // Whoever measured may have seen enough.
                        let _ = ended.send((n, Instant::now()));
                    }
                }
                _ => {}
            }
        }
    }

    async fn end(&mut self, assign: TaskAssign) -> Result<()> {
        let n = assign.payload.get("n").and_then(Value::as_u64);
        let n = n.context("a task without its number")?;
        self.running
            .insert(assign.task_id.clone(), usize::try_from(n)?);
        let result = ClientSignal::TaskResult(TaskResult {
            task_id: assign.task_id,
            lease: assign.lease,
            outcome: Outcome::completed(json!({ "n": n })),
        });
        let frame = SignalFrame::from_client(self.peer.clone(), None, &result);
        Ok(self.sender.feed(&frame).await?)
    }

    /// Fills the history with `count` ended tasks, and returns once the last of them is readable.
    pub(crate) async fn make_history(&mut self, registry: &Registry, count: usize) -> Result<()> {
        let ids: Vec<TaskId> = (0..count)
            .map(|n| format!("old-{n}").parse())
            .collect::<Result<_, _>>()?;
        for ids in ids.chunks(REPORT) {
            let tasks = ids.iter().map(ended_directly);
            let tasks: Vec<DirectTask> = tasks.collect::<Result<_>>()?;
            self.say(&ClientSignal::TaskReport(TaskReport { tasks }))
                .await?;
        }
        let last = ids.last().context("no history")?;
        let until = Instant::now() + Duration::from_secs(600);
        while registry.task(last).await.is_err() {
            ensure!(Instant::now() < until, "the history did not arrive");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

fn ended_directly(id: &TaskId) -> Result<DirectTask> {
    Ok(serde_json::from_value(json!({
        "task_id": id, "skill": "old", "source_agent_id": "", "target_agent_id": "elsewhere",
        "state": "completed", "started_ms": 1, "finished_ms": 2, "depth": 0,
    }))?)
}
